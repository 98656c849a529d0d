/** Keys of `esc top`: what was typed, and what that makes of the view. Pure. */

export const PANES = ["overview", "topics", "consumers", "alerts"] as const;
export type Pane = (typeof PANES)[number];

/** What the person at the terminal has chosen. */
export interface View {
  readonly pane: Pane;
  /** Shows what was there when it was paused. */
  readonly isPaused: boolean;
  /** Part of the names of topics and consumers that are shown. */
  readonly filter: string;
  /** Keys go into the filter. */
  readonly isTyping: boolean;
  /** Rows of the pane's list that are scrolled away. */
  readonly skipped: number;
  readonly isOver: boolean;
}

export const FIRST_VIEW: View = {
  pane: "overview",
  isPaused: false,
  filter: "",
  isTyping: false,
  skipped: 0,
  isOver: false,
};

const FILTER_LENGTH_MAX = 100;
const PAGE_ROWS = 10;
const CTRL_C = "\x03";
const ESCAPE = "\x1b";

/** Splits what one read of a terminal in raw mode gave: sequences of cursor keys stay together. */
export function keysOf(bytes: Uint8Array): string[] {
  const text = new TextDecoder().decode(bytes);
  // deno-lint-ignore no-control-regex
  return text.match(/\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|[\s\S]/gu) ?? [];
}

/** The view after a key; keys that mean nothing change nothing. */
export function press(view: View, key: string): View {
  if (key === CTRL_C) return { ...view, isOver: true };
  if (view.isTyping) return type(view, key);
  const number = PANES.findIndex((_, index) => key === String(index + 1));
  const chosen = PANES[number];
  if (chosen !== undefined) return show(view, chosen);
  const at = PANES.indexOf(view.pane);
  switch (key) {
    case "q":
      return { ...view, isOver: true };
    case "p":
    case " ":
      return { ...view, isPaused: !view.isPaused };
    case "/":
      return {
        ...view,
        isTyping: true,
        pane: view.pane === "consumers" ? "consumers" : "topics",
        skipped: 0,
      };
    case "\t":
    case "\x1b[C":
      return show(view, PANES[(at + 1) % PANES.length] ?? "overview");
    case "\x1b[Z":
    case "\x1b[D":
      return show(view, PANES[(at + PANES.length - 1) % PANES.length] ?? "overview");
    case "j":
    case "\x1b[B":
      return { ...view, skipped: view.skipped + 1 };
    case "k":
    case "\x1b[A":
      return { ...view, skipped: Math.max(0, view.skipped - 1) };
    case "\x1b[6~":
      return { ...view, skipped: view.skipped + PAGE_ROWS };
    case "\x1b[5~":
      return { ...view, skipped: Math.max(0, view.skipped - PAGE_ROWS) };
    case ESCAPE:
      return { ...view, filter: "", skipped: 0 };
    default:
      return view;
  }
}

function show(view: View, pane: Pane): View {
  return { ...view, pane, skipped: 0 };
}

function type(view: View, key: string): View {
  if (key === "\r" || key === "\n") return { ...view, isTyping: false };
  if (key === ESCAPE) return { ...view, isTyping: false, filter: "" };
  if (key === "\x7f" || key === "\b") return { ...view, filter: [...view.filter].slice(0, -1).join("") };
  const isText = key >= " " && !key.startsWith(ESCAPE);
  return isText && view.filter.length < FILTER_LENGTH_MAX ? { ...view, filter: view.filter + key } : view;
}
