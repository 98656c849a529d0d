/** Keys for hands that stay on the keyboard. They are dead while somebody types. */
import { signal } from "@preact/signals";
import { followLive, zoomBy } from "./chart/span.ts";
import { toggleFreeze } from "./live/source.ts";
import { show, VIEWS } from "./route.ts";
import { toggleTheme } from "./theme.ts";

/** Whether the list of keys is shown. */
export const isHelpOpen = signal(false);

export const SHORTCUTS: readonly { readonly keys: string; readonly does: string }[] = [
  { keys: "1 – 9", does: "show a view" },
  { keys: "m", does: "show the market" },
  { keys: "/", does: "go to the first field of the view" },
  { keys: "p", does: "freeze the charts, or go on" },
  { keys: "+ −", does: "zoom charts in or out" },
  { keys: "0", does: "end zoom, follow the newest" },
  { keys: "← →", does: "move a focused chart through time" },
  { keys: "t", does: "dark or light" },
  { keys: "?", does: "this list" },
  { keys: "Esc", does: "close what is open" },
];

const ACTIONS: Readonly<Record<string, () => void>> = {
  "/": focusFirstField,
  p: toggleFreeze,
  "+": () => zoomBy(0.5),
  "=": () => zoomBy(0.5),
  "-": () => zoomBy(2),
  "0": followLive,
  m: () => show("market"),
  t: toggleTheme,
  "?": () => isHelpOpen.value = true,
};

export function listenToKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const view = /^[1-9]$/.test(event.key) ? VIEWS[Number(event.key) - 1] : undefined;
    const action = view === undefined ? ACTIONS[event.key] : () => show(view.id);
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement &&
    (target.closest("input, textarea, select, dialog[open]") !== null || target.isContentEditable);
}

function focusFirstField(): void {
  document.querySelector<HTMLElement>("main input, main select, main textarea")?.focus();
}
