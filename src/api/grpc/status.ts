/** Our errors as gRPC statuses. */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type ErrorCode, EscError } from "../../errors.ts";

const STATUS: Readonly<Partial<Record<ErrorCode, status>>> = {
  USAGE: status.INVALID_ARGUMENT,
  BAD_EVENT: status.INVALID_ARGUMENT,
  BAD_LENGTH: status.INVALID_ARGUMENT,
  BAD_CONTROL: status.INVALID_ARGUMENT,
  UNAUTHORIZED: status.UNAUTHENTICATED,
  FORBIDDEN: status.PERMISSION_DENIED,
  NOT_FOUND: status.NOT_FOUND,
  QUEUE_FULL: status.RESOURCE_EXHAUSTED,
  RATE_LIMITED: status.RESOURCE_EXHAUSTED,
  TOO_MANY_CONNECTIONS: status.RESOURCE_EXHAUSTED,
  SHUTTING_DOWN: status.UNAVAILABLE,
  LOG_UNAVAILABLE: status.UNAVAILABLE,
  STORE_UNAVAILABLE: status.UNAVAILABLE,
  TIMEOUT: status.DEADLINE_EXCEEDED,
};

/** A call's end with an error; the trailer `esc-code` carries our own code. */
export function statusError(code: ErrorCode, message: string): ServiceError {
  const metadata = new Metadata();
  metadata.set("esc-code", code);
  return Object.assign(new Error(message), {
    code: STATUS[code] ?? status.INTERNAL,
    details: message,
    metadata,
  });
}

/** The same for whatever was thrown. */
export function statusOfError(error: unknown): ServiceError {
  if (error instanceof EscError) return statusError(error.code, error.message);
  return statusError("INTERNAL", "The call failed inside the server");
}
