/** Publish and PublishBatch: one request, one answer. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { handleUnaryCall } from "@grpc/grpc-js";
import { ERROR_CODES, EscError } from "../../errors.ts";
import type { RateLimit } from "../../auth/rate.ts";
import { LISTENERS } from "../../event/frame.ts";
import type { AcksName } from "../../event/run.ts";
import { count } from "../../metrics/counters.ts";
import { LIMITS, SOURCE_LIMITED } from "../../metrics/layout.ts";
import type { ApiContext } from "../context.ts";
import { admit, allowPublish, type Door } from "./door.ts";
import type { AnyCall } from "./peers.ts";
import { submissionOf } from "./event-message.ts";
import {
  Acks,
  type Event,
  type PublishBatchRequest,
  type PublishRequest,
  type PublishResponseSchema,
} from "./eventstream_pb.ts";
import { statusOfError } from "./status.ts";

type Answer = MessageInitShape<typeof PublishResponseSchema>;

const ACKS: Readonly<Record<Acks, AcksName>> = {
  [Acks.DURABLE]: "durable",
  [Acks.ACCEPTED]: "accepted",
  [Acks.NONE]: "none",
};
/** Events of one batch that are named one by one when they are refused. */
const ERRORS_MAX = 1000;

export interface PublishCalls {
  readonly Publish: handleUnaryCall<PublishRequest, Answer>;
  readonly PublishBatch: handleUnaryCall<PublishBatchRequest, Answer>;
}

export function publishCalls(context: ApiContext, door: Door): PublishCalls {
  const publish = async (
    events: readonly (Event | undefined)[],
    acks: Acks,
    call: AnyCall,
  ): Promise<Answer> => {
    const startedMs = performance.now();
    const name = ACKS[acks];
    if (name === undefined) throw new EscError("USAGE", `acks ${acks} is not known`);
    if (events.length === 0) throw new EscError("USAGE", "The batch is empty");
    const { caller, rate } = await admit(door, call);
    allowPublish(caller, events.map((event) => event?.topic ?? ""));
    charge(context, rate, events);
    const outcomes = await context.publisher.publish(events.map(submissionOf), name, "grpc");
    const refused = outcomes.flatMap((outcome, index) => outcome.ok ? [] : [{ index, ...outcome }]);
    const [first] = refused;
    // Nothing got through for a reason that is not the events' own, or the only event is none.
    if (first !== undefined && refused.length === outcomes.length) {
      const isOurs = ERROR_CODES[first.code].http !== 400;
      if (isOurs || outcomes.length === 1) throw new EscError(first.code, first.message);
    }
    return {
      success: first === undefined,
      message: first === undefined
        ? "ok"
        : `${refused.length} of ${outcomes.length} refused; event ${first.index}: ${first.message}`,
      latencyNs: BigInt(Math.round((performance.now() - startedMs) * 1e6)),
      errors: refused.slice(0, ERRORS_MAX).map(({ index, code, message }) => ({ index, code, message })),
    };
  };
  return {
    Publish: (call, answer) => {
      publish([call.request.event], call.request.acks, call).then(
        (response) => answer(null, response),
        (error: unknown) => answer(statusOfError(error)),
      ).finally(() => door.peers.pushAnswer(call));
    },
    PublishBatch: (call, answer) => {
      publish(call.request.events, call.request.acks, call).then(
        (response) => answer(null, response),
        (error: unknown) => answer(statusOfError(error)),
      ).finally(() => door.peers.pushAnswer(call));
    },
  };
}

/** Takes a batch from what the caller may send. @throws {EscError} `RATE_LIMITED`. */
function charge(
  { engine, meters }: ApiContext,
  rate: RateLimit | undefined,
  events: readonly (Event | undefined)[],
): void {
  if (rate === undefined) return;
  const waitMs = rate.waitMs(meters.nowUs());
  if (waitMs > 0) {
    engine.source.countRejected(LISTENERS.indexOf("grpc"), "rate_limited", 1);
    count(engine.source.counters, SOURCE_LIMITED + LIMITS.indexOf("rate"), 1);
    throw new EscError("RATE_LIMITED", `More than the caller may send now: wait ${Math.ceil(waitMs)} ms`);
  }
  rate.take(meters.nowUs(), events.length, payloadBytes(events));
}

/** Bytes of all payloads. */
export function payloadBytes(events: readonly (Event | undefined)[]): number {
  return events.reduce((bytes, event) => bytes + (event?.payload.length ?? 0), 0);
}
