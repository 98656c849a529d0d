/** Is it serving: the standard health service, and the original's HealthCheck. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { handleServerStreamingCall, handleUnaryCall } from "@grpc/grpc-js";
import type { EngineView } from "../engine-view.ts";
import { uptimeSeconds } from "../stats.ts";
import { EventService, type HealthResponseSchema } from "./eventstream_pb.ts";
import {
  type HealthCheckRequest,
  HealthCheckResponse_ServingStatus as Serving,
  type HealthCheckResponseSchema,
} from "./health_pb.ts";
import type { OpenCalls } from "./open-calls.ts";
import { statusError, statusOfError } from "./status.ts";

type Answer = MessageInitShape<typeof HealthCheckResponseSchema>;

/** How often a watched state is looked at. */
const WATCH_MS = 1000;

export interface HealthCalls {
  readonly Check: handleUnaryCall<HealthCheckRequest, Answer>;
  readonly Watch: handleServerStreamingCall<HealthCheckRequest, Answer>;
}

export function healthCalls(engine: EngineView, calls: OpenCalls): HealthCalls {
  const statusOf = (service: string): Serving => {
    if (service !== "" && service !== EventService.typeName) return Serving.SERVICE_UNKNOWN;
    return engine.notReadyReasons().length === 0 ? Serving.SERVING : Serving.NOT_SERVING;
  };
  return {
    Check: ({ request: { service } }, answer) => {
      const status = statusOf(service);
      if (status !== Serving.SERVICE_UNKNOWN) answer(null, { status });
      else answer(statusError("NOT_FOUND", `There is no service "${service.slice(0, 100)}"`));
    },
    Watch: (call) => {
      let release: () => void;
      try {
        release = calls.take();
      } catch (error) {
        call.emit("error", statusOfError(error));
        return;
      }
      let last: Serving | undefined;
      const look = () => {
        const status = statusOf(call.request.service);
        if (status !== last) call.write({ status: last = status });
      };
      look();
      const timer = setInterval(look, WATCH_MS);
      const stop = () => {
        clearInterval(timer);
        release();
      };
      call.once("cancelled", stop);
      call.once("close", stop);
    },
  };
}

/** The original's own. */
export function healthCheck(
  engine: EngineView,
): handleUnaryCall<unknown, MessageInitShape<typeof HealthResponseSchema>> {
  return (_, answer) =>
    answer(null, {
      healthy: engine.notReadyReasons().length === 0,
      version: engine.version,
      uptimeSeconds: BigInt(Math.floor(uptimeSeconds(engine))),
    });
}
