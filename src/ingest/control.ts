/** What a client's control frames ask for. */
import { CONTROL_HEADER_BYTES, controlFrame, jsonFrame, parseHello } from "../event/control-frame.ts";
import type { ErrorReport, Welcome } from "../event/control-frame.ts";
import {
  FRAME_PREFIX_BYTES,
  OP_CONFIRM,
  OP_HELLO,
  OP_PING,
  OP_PONG,
  OP_SUBSCRIBE,
  OP_WELCOME,
} from "../event/frame.ts";
import { ACKS_NAMES } from "../event/run.ts";
import type { AcksName } from "../event/run.ts";
import { BadRequest, parseConfirm, parseSubscribe } from "../deliver/request.ts";
import { patternProblem } from "../event/topic.ts";
import type { Session } from "./session.ts";

/**
 * Answers the control frame `bytes[at..end)`.
 *
 * One that cannot be understood is counted as `bad_control` and answered with ERROR; the connection
 * goes on, because its framing is intact. A control frame has no number in the sequence of events.
 */
export function answerControl(session: Session, bytes: Uint8Array, at: number, end: number): void {
  session.speaks = true;
  const payload = bytes.subarray(at + CONTROL_HEADER_BYTES, end);
  const problem = answer(session, bytes[at + FRAME_PREFIX_BYTES + 1] as number, payload);
  if (problem === undefined) return;
  if (typeof problem === "object") return session.sendError(problem);
  session.context.source.countRejected(session.connection.listener, "bad_control", 1);
  session.sendError({ code: "BAD_CONTROL", message: problem });
}

/** @returns What is wrong with the frame, for its sender; or that it is understood and refused. */
function answer(session: Session, opcode: number, payload: Uint8Array): string | ErrorReport | undefined {
  switch (opcode) {
    case OP_HELLO:
      return greet(session, payload);
    case OP_SUBSCRIBE:
      return subscribe(session, payload);
    case OP_CONFIRM:
      return confirm(session, payload);
    case OP_PING:
      session.send(controlFrame(OP_PONG, payload));
      return undefined;
    case OP_PONG:
      return undefined;
    default:
      return `Opcode ${opcode} is not one that a client sends`;
  }
}

function greet(session: Session, payload: Uint8Array): string | undefined {
  const { connection, context } = session;
  if (connection.seq > 0) return "HELLO must come before the first event";
  if (session.greeted) return "HELLO was sent before";
  const hello = parseHello(payload);
  if (hello.problem !== undefined) return hello.problem;
  session.greeted = true;
  connection.acks = ACKS_NAMES.indexOf(hello.value.acks);
  session.detailsAcks = hello.value.ack_details === true;
  const { token } = hello.value;
  // Somebody who is known by a certificate, or by the request that opened a WebSocket, needs no token.
  if (context.auth === undefined || (token === undefined && session.caller !== undefined)) {
    welcome(session, hello.value.acks);
  } else {
    session.identify(token === undefined ? {} : { token }, () => welcome(session, hello.value.acks));
  }
  return undefined;
}

function welcome(session: Session, acks: AcksName): void {
  const { serverVersion, maxFrameBytes } = session.context;
  const content: Welcome = {
    server: "esc",
    version: serverVersion,
    max_frame_bytes: maxFrameBytes,
    acks,
    ...(session.detailsAcks ? { ack_details: true } : {}),
  };
  session.send(jsonFrame(OP_WELCOME, content));
}

function subscribe(session: Session, payload: Uint8Array): string | ErrorReport | undefined {
  const { openSubscriptions } = session.context;
  if (openSubscriptions === undefined) return "This listener serves no subscriptions";
  const request = parseSubscribe(payload);
  if (request instanceof BadRequest) return request.message;
  const refusal = refuseSubscription(session, request.topics);
  if (refusal !== undefined) return refusal;
  session.subscriptions ??= openSubscriptions(session);
  return session.subscriptions.subscribe(request)?.message;
}

/** Whether the client may receive all that the patterns match. @returns The refusal. */
function refuseSubscription(session: Session, topics: readonly string[]): ErrorReport | undefined {
  const { caller, context } = session;
  if (context.auth === undefined) return undefined;
  if (caller === undefined) return { code: "UNAUTHORIZED", message: "Say HELLO with a token first" };
  // A pattern that is none is for the subscription to complain about.
  const pattern = caller.uncovered("subscribe", topics);
  if (pattern === undefined || patternProblem(pattern) !== undefined) return undefined;
  return { code: "FORBIDDEN", message: `Not allowed to subscribe to all of "${pattern.slice(0, 255)}"` };
}

function confirm(session: Session, payload: Uint8Array): string | undefined {
  if (session.subscriptions === undefined) return "Nothing is subscribed on this connection";
  const request = parseConfirm(payload);
  if (request instanceof BadRequest) return request.message;
  const problem = session.subscriptions.confirm(request);
  // Room in `max_in_flight`: what waited for it can go out.
  if (problem === undefined && session.pump()) session.context.wake();
  return problem?.message;
}
