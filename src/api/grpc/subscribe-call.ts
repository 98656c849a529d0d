/** Subscribe: events of one pattern until the client ends the call. */
import type { handleServerStreamingCall } from "@grpc/grpc-js";
import { BadRequest, type From, readPositions } from "../../deliver/request.ts";
import { EscError } from "../../errors.ts";
import type { ApiContext } from "../context.ts";
import { admit, type Door } from "./door.ts";
import type { EventFields } from "./event-message.ts";
import { EventPump } from "./event-pump.ts";
import type { SubscribeRequest } from "./eventstream_pb.ts";
import type { OpenCalls } from "./open-calls.ts";
import { statusError, statusOfError } from "./status.ts";

export function subscribeCall(
  context: ApiContext,
  door: Door,
  calls: OpenCalls,
): handleServerStreamingCall<SubscribeRequest, EventFields> {
  return async (call) => {
    try {
      const { caller, watch } = await admit(door, call);
      if (call.cancelled) return;
      const { topicPattern: pattern, minPriority } = call.request;
      const release = calls.take();
      call.once("close", release);
      const wanted = { pattern, minPriority, from: fromOf(call.request) };
      const pump = EventPump.open(context, call, wanted, { caller, peers: door.peers });
      const unwatch = watch((reason) => {
        pump.close();
        call.emit("error", statusError("UNAUTHORIZED", reason));
      });
      const close = () => {
        unwatch();
        pump.close();
      };
      call.once("cancelled", close);
      call.once("close", close);
      // The client learns that it is subscribed before the first event comes.
      call.sendMetadata(calls.greeting());
    } catch (error) {
      call.emit("error", statusOfError(error));
    }
  };
}

function fromOf({ from, offsets }: SubscribeRequest): From {
  const entries = Object.entries(offsets);
  if (entries.length > 0) {
    const positions = readPositions(
      "offsets",
      Object.fromEntries(entries.map(([key, offset]) => [key, Number(offset)])),
    );
    if (positions instanceof BadRequest) throw new EscError("USAGE", positions.message);
    return { offsets: positions };
  }
  if (from === "" || from === "latest") return "latest";
  if (from === "earliest") return "earliest";
  throw new EscError("USAGE", `from "${from.slice(0, 100)}" is neither "latest" nor "earliest"`);
}
