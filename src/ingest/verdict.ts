/** What refusals are called when a client is told of them: TCP, WebSocket and HTTP say the same. */
import type { ErrorReport } from "../event/control-frame.ts";
import { BODY_BYTES_MIN, DROP_REASONS } from "../event/frame.ts";
import type { RejectReason } from "../event/frame.ts";
import { STATUS_DROPPED } from "../queue/completions.ts";

/** One sentence a reason, for the sender. */
export const REJECT_MESSAGES: Readonly<Record<RejectReason, string>> = {
  bad_length: "Length is out of range",
  bad_head: "Head has reserved bits set",
  bad_priority: "Priority is over 4",
  bad_topic_length: "Topic length is 0, over 255, or past the end of the frame",
  bad_topic_utf8: "Topic is not UTF-8",
  bad_ext: "Extension area is malformed",
  bad_crc: "CRC does not match the body",
  bad_control: "Control frame is not understood",
  truncated: "Input ended inside a frame",
  backpressure: "The lane is full",
  unauthorized: "Not authorised",
  rate_limited: "Too many events",
  shutting_down: "The server is shutting down",
  forbidden: "Not allowed to publish to this topic",
};

/** @param length The prefix as it came. @param maxFrameBytes Largest body. */
export function badLengthMessage(length: number, maxFrameBytes: number): string {
  return `Frame length ${length} is not from ${BODY_BYTES_MIN} to ${maxFrameBytes}: framing is lost`;
}

/** The ERROR for events that were refused behind the listener (`ConnectionSink.problem`). */
export function verdictReport(status: number, detail: number, firstSeq: number, count: number): ErrorReport {
  const place = count === 1 ? { seq: firstSeq } : { seq: firstSeq, count };
  if (status !== STATUS_DROPPED) {
    return { code: "LOG_UNAVAILABLE", message: "The log cannot be written", ...place };
  }
  const reason = DROP_REASONS[detail] ?? "queue_full";
  const code = reason === "log_failed" ? "LOG_UNAVAILABLE" : "QUEUE_FULL";
  return { code, message: `Not stored in its lane (${reason})`, ...place };
}
