/** Publish and PublishBatch: one request, one answer. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { handleUnaryCall, Metadata } from "@grpc/grpc-js";
import { ERROR_CODES, EscError } from "../../errors.ts";
import type { AcksName } from "../../event/run.ts";
import type { ApiContext } from "../context.ts";
import { admit, allowPublish, type Door } from "./door.ts";
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
    metadata: Metadata,
  ): Promise<Answer> => {
    const startedMs = performance.now();
    const name = ACKS[acks];
    if (name === undefined) throw new EscError("USAGE", `acks ${acks} is not known`);
    if (events.length === 0) throw new EscError("USAGE", "The batch is empty");
    allowPublish(await admit(door, metadata), events.map((event) => event?.topic ?? ""));
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
    Publish: ({ request, metadata }, answer) => {
      publish([request.event], request.acks, metadata).then(
        (response) => answer(null, response),
        (error: unknown) => answer(statusOfError(error)),
      );
    },
    PublishBatch: ({ request, metadata }, answer) => {
      publish(request.events, request.acks, metadata).then(
        (response) => answer(null, response),
        (error: unknown) => answer(statusOfError(error)),
      );
    },
  };
}
