/** Zoom and pan on a chart by wheel and fingers; the mouse's drag is the chart library's. */
import type uPlot from "uplot";
import type { Span } from "./span.ts";

const WHEEL_FACTOR = 1.2;

/**
 * Listens on the chart's plotting area until it is destroyed.
 *
 * The plain wheel scrolls the page, as everywhere: with Ctrl (or a pinch on a touchpad) it zooms, with Shift or
 * sideways it pans. One finger pans, two zoom. Shift and drag pans, a double click ends the zoom.
 */
export function addGestures(plot: uPlot, span: Span): void {
  const { over } = plot;
  over.addEventListener("wheel", (event) => {
    const sideways = event.deltaX !== 0 ? event.deltaX : event.shiftKey ? event.deltaY : 0;
    if (event.ctrlKey || event.metaKey) {
      span.zoomBy(event.deltaY < 0 ? 1 / WHEEL_FACTOR : WHEEL_FACTOR, timeAt(plot, event.clientX));
    } else if (sideways !== 0) span.panBy(sideways / over.clientWidth);
    else return;
    event.preventDefault();
  }, { passive: false });
  over.addEventListener("dblclick", () => span.reset());
  panWithShift(over, span);
  touch(plot, span);
}

/** Before the library sees the button go down: it would begin a selection. */
function panWithShift(over: HTMLElement, span: Span): void {
  over.addEventListener("mousedown", (event) => {
    if (!event.shiftKey && event.button !== 1) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    let lastX = event.clientX;
    const move = (moved: MouseEvent) => {
      span.panBy((lastX - moved.clientX) / over.clientWidth);
      lastX = moved.clientX;
    };
    const end = () => document.removeEventListener("mousemove", move);
    document.addEventListener("mousemove", move);
    document.addEventListener("mouseup", end, { once: true });
  }, { capture: true });
}

function touch(plot: uPlot, span: Span): void {
  const { over } = plot;
  /** Where each finger is, by its id. */
  const fingers = new Map<number, number>();
  over.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") fingers.set(event.pointerId, event.clientX);
  });
  over.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (before === undefined) return;
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other === undefined) span.panBy((before - event.clientX) / over.clientWidth);
    else {
      const [was, is] = [Math.abs(before - other), Math.abs(event.clientX - other)];
      if (was > 1 && is > 1) span.zoomBy(was / is, timeAt(plot, other));
    }
    fingers.set(event.pointerId, event.clientX);
  });
  for (const name of ["pointerup", "pointercancel", "pointerleave"] as const) {
    over.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
}

function timeAt(plot: uPlot, clientX: number): number {
  return plot.posToVal(clientX - plot.over.getBoundingClientRect().left, "x");
}
