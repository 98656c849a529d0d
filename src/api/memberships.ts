/** The consumer groups that one WebSocket client works for. */
import { z } from "zod";
import type { GroupEntry, GroupMember } from "../deliver/group.ts";
import type { Groups } from "../deliver/groups.ts";
import { BadRequest } from "../deliver/request.ts";
import { groupRequestOf, groupSettle, groupSubscribe } from "./group-request.ts";

/** Groups that one client may work for. */
const MEMBERSHIPS_MAX = 64;
const extendRequest = groupSettle.pick({ id: true });

export interface MemberSocket {
  readonly hasRoom: () => boolean;
  /** Sends an event of the subscription. */
  readonly deliver: (subscription: string, entry: GroupEntry) => void;
}

export class Memberships {
  readonly #groups: Groups;
  readonly #socket: MemberSocket;
  /** By the subscription's id. */
  readonly #members = new Map<string, { readonly group: string; readonly member: GroupMember }>();

  constructor(groups: Groups, socket: MemberSocket) {
    this.#groups = groups;
    this.#socket = socket;
  }

  /** Joins the group that a `subscribe` names. @returns The subscription's id. */
  join(fields: Record<string, unknown>): string | BadRequest {
    const parsed = groupSubscribe.safeParse(fields);
    if (!parsed.success) return badRequest(parsed.error);
    const { id, group, member: name, max_in_flight: inFlightMax, ...request } = parsed.data;
    if (this.#members.has(id)) return new BadRequest(`Subscription "${id}" exists already`);
    if (this.#members.size >= MEMBERSHIPS_MAX) {
      return new BadRequest(`A connection may work for ${MEMBERSHIPS_MAX} groups`);
    }
    const member = {
      name: name ?? id,
      inFlightMax,
      hasRoom: this.#socket.hasRoom,
      deliver: (entry: GroupEntry) => this.#socket.deliver(id, entry),
    };
    const problem = this.#groups.open(groupRequestOf(group, request)) ?? this.#groups.join(group, member);
    if (problem) return problem;
    this.#members.set(id, { group, member });
    return id;
  }

  /** Takes an `ack`, `nack` or `extend`. @returns How many events it was about, and how many were not the member's any more. */
  settle(
    type: string,
    fields: Record<string, unknown>,
  ): { id: string; events: number; stale: number } | BadRequest {
    if (type === "extend") {
      const parsed = extendRequest.safeParse(fields);
      if (!parsed.success) return badRequest(parsed.error);
      const found = this.#members.get(parsed.data.id);
      if (found === undefined) return unknownSubscription(parsed.data.id);
      this.#groups.extend(found.group, found.member);
      return { id: parsed.data.id, events: 0, stale: 0 };
    }
    const parsed = groupSettle.safeParse(fields);
    if (!parsed.success) return badRequest(parsed.error);
    const { id, events } = parsed.data;
    const found = this.#members.get(id);
    if (found === undefined) return unknownSubscription(id);
    const answer = type === "ack" ? "done" : "retry";
    const taken = events.filter(([shard, offset]) =>
      this.#groups.settle(found.group, found.member, answer, shard, offset)
    );
    return { id, events: taken.length, stale: events.length - taken.length };
  }

  /** The client is gone: others get what it held. */
  close(): void {
    for (const { group, member } of this.#members.values()) this.#groups.leave(group, member);
    this.#members.clear();
  }
}

function unknownSubscription(id: string): BadRequest {
  return new BadRequest(`There is no subscription "${id}" with a group`);
}

function badRequest(error: z.ZodError): BadRequest {
  const [issue] = error.issues;
  return new BadRequest(`${issue?.path.map(String).join(".") ?? ""}: ${issue?.message}`);
}
