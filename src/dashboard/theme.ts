/** The colour scheme: light, dark, or the system's. */
import { effect, signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";
const NAME = "keyframe.theme";
const NEXT: Readonly<Record<Theme, Theme>> = { auto: "light", light: "dark", dark: "auto" };

export const theme = signal<Theme>(stored());
/** Changes when colours do, so that canvases are drawn again. */
export const scheme = signal(0);

effect(() => {
  if (theme.value === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
  scheme.value = scheme.peek() + 1;
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (scheme.value += 1));

export function turn(): void {
  theme.value = NEXT[theme.value];
  try {
    localStorage.setItem(NAME, theme.value);
  } catch {
    // Storage is off: the choice holds for this page alone.
  }
}

function stored(): Theme {
  try {
    const text = localStorage.getItem(NAME);
    return text === "light" || text === "dark" ? text : "auto";
  } catch {
    return "auto";
  }
}
