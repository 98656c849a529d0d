/**
 * The trace to which an event belongs, as producers tell it: https://www.w3.org/TR/trace-context/.
 *
 *     traceparent = version (2 hex digits) '-' trace id (32) '-' parent id (16) '-' flags (2)
 */

/** Name of the event header that carries it, as in HTTP. */
export const TRACEPARENT = "traceparent";

/** As long as every version known is; later ones may append more. */
const SHAPE = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.{0,200})?$/;

/**
 * Whether a text is a trace context that may be handed on. What is not is ignored, as the standard asks: a producer's
 * broken tracing must not cost its events.
 */
export function isTraceparent(text: string): boolean {
  const [, version = "", traceId = "", parentId = "", rest] = SHAPE.exec(text) ?? [];
  if (version === "" || version === "ff" || (version === "00" && rest !== undefined)) return false;
  return !/^0+$/.test(traceId) && !/^0+$/.test(parentId);
}
