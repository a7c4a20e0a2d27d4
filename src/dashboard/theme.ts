/** Light, dark, or as the system is. */
import { effect, signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";
const NAME = "keyframe.theme";
const NEXT: Readonly<Record<Theme, Theme>> = { auto: "light", light: "dark", dark: "auto" };

export const theme = signal<Theme>(stored());
/** Changes whenever colours do: what is drawn on a canvas must be drawn anew. */
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
    // Storage is off: it holds for this page alone.
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
