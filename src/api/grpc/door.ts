/** Who is calling: the token of a call's metadata or the certificate of its connection, checked once a call. */
import type { Metadata } from "@grpc/grpc-js";
import type { Credentials } from "../../auth/authenticator.ts";
import type { Caller } from "../../auth/caller.ts";
import type { RateLimit } from "../../auth/rate.ts";
import { EscError } from "../../errors.ts";
import type { Access } from "../access.ts";
import type { AnyCall, Peers } from "./peers.ts";

/** What admits callers; the same for HTTP. */
export type Visitors = Pick<Access, "identify" | "watch" | "rateOf">;

export interface Door {
  readonly visitors: Visitors;
  readonly peers: Peers;
}

/** Somebody who calls, and may. */
export interface Visitor {
  readonly caller: Caller;
  /** How much it may still send; `undefined`: no limit. */
  readonly rate: RateLimit | undefined;
  /** Looks after a call that lasts. @param end Is told why the caller is not welcome any more. @returns Stops. */
  readonly watch: (end: (reason: string) => void) => () => void;
}

/**
 * Finds out who calls: by `authorization: Bearer TOKEN`, else by the client certificate.
 *
 * @throws {EscError} `UNAUTHORIZED`.
 */
export async function admit(door: Door, call: AnyCall): Promise<Visitor> {
  const { visitors } = door;
  const credentials = credentialsOf(door, call);
  const { caller, problem } = await visitors.identify(credentials);
  if (caller === undefined) throw new EscError("UNAUTHORIZED", problem);
  return {
    caller,
    rate: visitors.rateOf(caller),
    watch: (end) => visitors.watch({ credentials, caller, end }),
  };
}

function credentialsOf({ peers }: Door, call: AnyCall): Credentials {
  const token = tokenOf(call.metadata);
  if (token !== undefined) return { token };
  const subject = peers.subjectOf(call);
  return subject === undefined ? {} : { subject };
}

function tokenOf(metadata: Metadata): string | undefined {
  const [value] = metadata.get("authorization");
  return /^bearer +(\S+)$/i.exec(String(value ?? ""))?.[1];
}

/** @throws {EscError} `FORBIDDEN` If one of the topics is not the caller's to publish to. */
export function allowPublish(caller: Caller, topics: readonly string[]): void {
  const refused = topics.find((topic) => !caller.may("publish", topic));
  if (refused !== undefined) {
    throw new EscError("FORBIDDEN", `"${caller.name}" may not publish to "${refused.slice(0, 255)}"`);
  }
}

/** @throws {EscError} `FORBIDDEN` If the pattern is not the caller's to subscribe to. */
export function allowSubscribe(caller: Caller, pattern: string): void {
  if (!caller.covers("subscribe", pattern)) {
    throw new EscError("FORBIDDEN", `"${caller.name}" may not subscribe to "${pattern.slice(0, 255)}"`);
  }
}
