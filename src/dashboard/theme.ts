/** Dark or light: as the system says, until the user says otherwise. */
import { computed, effect, signal } from "@preact/signals";

export type Theme = "light" | "dark";

const KEY = "esc.theme";
const system = globalThis.matchMedia("(prefers-color-scheme: dark)");
const isSystemDark = signal(system.matches);
system.addEventListener("change", (event) => isSystemDark.value = event.matches);

const chosen = signal<Theme | undefined>(readChoice());

export const theme = computed<Theme>(() => chosen.value ?? (isSystemDark.value ? "dark" : "light"));

/** Keeps the document as `theme` says. */
export function applyTheme(): void {
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  });
}

export function toggleTheme(): void {
  chosen.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEY, chosen.value);
}

function readChoice(): Theme | undefined {
  const text = localStorage.getItem(KEY);
  return text === "light" || text === "dark" ? text : undefined;
}
