/** Which view is shown: the part of the address behind `#`, so that it can be linked to and gone back from. */
import { signal } from "@preact/signals";

export const VIEWS = [
  { id: "overview", title: "Overview" },
  { id: "topics", title: "Topics" },
  { id: "consumers", title: "Consumers" },
  { id: "alerts", title: "Alerts" },
  { id: "windows", title: "Windows" },
  { id: "dlq", title: "Dead letters" },
  { id: "log", title: "Log" },
  { id: "publish", title: "Publish" },
  { id: "config", title: "Configuration" },
  { id: "market", title: "Market" },
] as const;
export type ViewId = (typeof VIEWS)[number]["id"];

export interface Route {
  readonly view: ViewId;
  /** What the address says behind `?`. */
  readonly query: URLSearchParams;
}

export const route = signal<Route>(readRoute());

globalThis.addEventListener("hashchange", () => route.value = readRoute());

/** Shows a view. @param query What it shall begin with, such as a filter. */
export function show(view: ViewId, query: Readonly<Record<string, string>> = {}): void {
  location.hash = linkTo(view, query);
}

export function linkTo(view: ViewId, query: Readonly<Record<string, string>> = {}): string {
  const text = new URLSearchParams(query).toString();
  return `#/${view}${text === "" ? "" : `?${text}`}`;
}

function readRoute(): Route {
  const [path = "", text = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const view = VIEWS.find(({ id }) => id === path)?.id ?? "overview";
  return { view, query: new URLSearchParams(text) };
}
