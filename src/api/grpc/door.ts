/** Who is calling: the token of a call's metadata, checked once a call. */
import type { Metadata } from "@grpc/grpc-js";
import type { Authenticator } from "../../auth/authenticator.ts";
import { Caller, EVERYBODY } from "../../auth/caller.ts";
import { EscError } from "../../errors.ts";

/** Absent: auth is off, and everybody may do everything. */
export type Door = Pick<Authenticator, "authenticate"> | undefined;

/**
 * Finds out who calls.
 *
 * @param metadata With `authorization: Bearer TOKEN`.
 * @throws {EscError} `UNAUTHORIZED`.
 */
export async function admit(door: Door, metadata: Metadata): Promise<Caller> {
  if (door === undefined) return EVERYBODY;
  const [value] = metadata.get("authorization");
  const token = /^bearer +(\S+)$/i.exec(String(value ?? ""))?.[1];
  const verdict = await door.authenticate(token === undefined ? {} : { token });
  if (verdict.identity === undefined) throw new EscError("UNAUTHORIZED", verdict.problem);
  return new Caller(verdict.identity);
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
