/**
 * Tells whether an element can be seen: inside the window, and inside each scrolling element around it. Elements out of
 * sight needn't be drawn again.
 */
import { batch, type ReadonlySignal, type Signal, useSignal } from "@preact/signals";
import { type RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

const known = new WeakMap<Element, Signal<boolean>>();
const observer = new IntersectionObserver((entries) =>
  batch(() => {
    for (const { target, isIntersecting } of entries) known.get(target)!.value = isIntersecting;
  }),
);

/** True until the browser says otherwise. */
export function useSight<T extends Element>(): {
  readonly ref: RefObject<T | null>;
  readonly seen: ReadonlySignal<boolean>;
} {
  const ref = useRef<T>(null);
  const seen = useSignal(true);
  useEffect(() => {
    const element = ref.current!;
    known.set(element, seen);
    observer.observe(element);
    return () => observer.unobserve(element);
  }, []);
  return { ref, seen };
}
