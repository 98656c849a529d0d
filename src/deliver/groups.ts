/**
 * All consumer groups: from the log to their members, and their positions to disk.
 *
 * A group exists while somebody works for it, and IDLE_MS longer; its position stays as that of a durable
 * consumer of its name. Main thread: it serves members that WebSockets and HTTP bring.
 */
import { TagCursor, topicLength, topicStart } from "../event/ext.ts";
import { TAG_KEY } from "../event/frame.ts";
import type { ConsumerStore, Failures } from "./consumer.ts";
import { Group, type GroupEntry, type GroupMember, type GroupMode, type GroupStanding } from "./group.ts";
import { BadRequest, Conflict, type SubscriptionRequest } from "./request.ts";
import { openSubscription, type Subscription, type SubscriptionOptions } from "./subscription.ts";

/** Groups at work at the same time, and members of one. */
export const GROUPS_MAX = 256;
export const GROUP_MEMBERS_MAX = 1024;
/** Events of one group between the log and their end, and their bytes. */
const WINDOW_COUNT = 4096;
const WINDOW_BYTES = 8 * 1024 * 1024;
const READ_LIMITS = { countMax: 512, bytesMax: 512 * 1024 };
const TAKE_COUNT = 128;
/** Events that a member may hold which asks for them itself. */
const PULLED_COUNT_MAX = 1000;
const TICK_MS = 100;
const IDLE_MS = 60_000;

/** What a member asks of its group. All members of a group ask the same. */
export interface GroupRequest {
  readonly name: string;
  readonly topics: readonly string[];
  /** Where a new group starts. */
  readonly from: SubscriptionRequest["from"];
  readonly mode: GroupMode;
  readonly leaseMs: number;
  readonly deliveriesMax: number;
}

/** A member that events are pushed to. */
export interface PushedMember extends GroupMember {
  /** Whether its socket takes events now. */
  readonly hasRoom: () => boolean;
  readonly deliver: (entry: GroupEntry) => void;
}

export interface GroupsOptions extends Omit<SubscriptionOptions, "stored"> {
  readonly consumers: ConsumerStore;
  readonly nowMs: () => number;
  readonly graveyard: Graveyard;
  /** Something may be there to deliver. */
  readonly wake: () => void;
  readonly onCountChange: (by: number) => void;
}

/** Where events go that no member could deal with. */
export interface Graveyard {
  /** It takes nothing now. */
  readonly isFull: boolean;
  /** All that it took is in the hands of the log. */
  readonly isEmpty: boolean;
  /** Hands on what it took, as far as there is room. */
  readonly flush: () => void;
  readonly bury: (group: string, entry: GroupEntry) => void;
}

/** How a group at work stands. */
export interface WorkingGroup extends GroupStanding {
  readonly request: GroupRequest;
  readonly members: readonly { readonly name: string; readonly inFlight: number; readonly isFull: boolean }[];
  /** Events that the log has and the group has not looked at. */
  readonly isReading: boolean;
}

/** One group at work. */
class Working {
  readonly group: Group;
  readonly members: PushedMember[] = [];
  /** Members that ask for events, by name. */
  readonly pullers = new Map<string, GroupMember>();
  usedMs: number;
  heldBytes = 0;
  turn = 0;
  isDirty = true;
  /** Dead events on their way into the dead-letter log. */
  readonly burying = new Set<GroupEntry>();

  /** @param failures How often events have failed before, by place. */
  constructor(
    readonly request: GroupRequest,
    readonly subscription: Subscription,
    { nowMs, failures }: { readonly nowMs: number; readonly failures: Failures },
  ) {
    const { mode, leaseMs, deliveriesMax } = request;
    this.group = new Group({ mode, leaseMs, deliveriesMax, windowCount: WINDOW_COUNT, failures });
    this.usedMs = nowMs;
  }
}

export class Groups {
  readonly isWaiting = false;
  readonly #options: GroupsOptions;
  readonly #working = new Map<string, Working>();
  readonly #cursor = new TagCursor();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: GroupsOptions) {
    this.#options = options;
  }

  /** Opens the group, or finds it. Its members must agree. */
  open(request: GroupRequest): BadRequest | undefined {
    const found = this.#working.get(request.name);
    if (found !== undefined) {
      found.usedMs = this.#options.nowMs();
      return disagreement(found.request, request);
    }
    if (this.#working.size >= GROUPS_MAX) {
      return new BadRequest(`There are ${GROUPS_MAX} groups at work already`);
    }
    const { consumers } = this.#options;
    const known = consumers.get(request.name);
    const stored = known?.offsets;
    const subscription = openSubscription(
      { id: request.name, topics: request.topics, from: request.from },
      { ...this.#options, stored },
    );
    if (subscription instanceof BadRequest) return subscription;
    const refused = consumers.confirm(request.name, subscription.positions(), known?.failures);
    if (refused !== undefined) return refused;
    const nowMs = this.#options.nowMs();
    const failures = known?.failures ?? {};
    this.#working.set(request.name, new Working(request, subscription, { nowMs, failures }));
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    this.#options.onCountChange(1);
    return undefined;
  }

  /** A member joins; events come to it from the next turn on. */
  join(name: string, member: PushedMember): BadRequest | undefined {
    const working = this.#working.get(name);
    if (working === undefined) return new BadRequest(`Group "${name}" is not open`);
    if (working.members.length >= GROUP_MEMBERS_MAX) {
      return new BadRequest(`Group "${name}" has ${GROUP_MEMBERS_MAX} members already`);
    }
    working.members.push(member);
    this.#options.wake();
    return undefined;
  }

  /** A member is gone: others get what it held. */
  leave(name: string, member: GroupMember): void {
    const working = this.#working.get(name);
    if (working === undefined) return;
    const index = working.members.findIndex((other) => other === member);
    if (index >= 0) working.members.splice(index, 1);
    working.group.leave(member);
    working.isDirty = true;
    working.usedMs = this.#options.nowMs();
    this.#options.wake();
  }

  /** The member of this name that asks for its events itself; absent when the group is not at work. */
  puller(name: string, who: string): GroupMember | BadRequest | undefined {
    const working = this.#working.get(name);
    if (working === undefined) return undefined;
    let member = working.pullers.get(who);
    if (member === undefined) {
      if (working.pullers.size >= GROUP_MEMBERS_MAX) {
        return new BadRequest(`Group "${name}" has ${GROUP_MEMBERS_MAX} members already`);
      }
      working.pullers.set(who, member = { name: who, inFlightMax: PULLED_COUNT_MAX });
    }
    return member;
  }

  /** Takes events for a member that asks for them. */
  pull(name: string, member: GroupMember, countMax: number, handle: (entry: GroupEntry) => void): number {
    const working = this.#working.get(name);
    if (working === undefined) return 0;
    this.#read(working);
    working.usedMs = this.#options.nowMs();
    return working.group.take(member, countMax, working.usedMs, handle);
  }

  /**
   * A member says what became of an event.
   *
   * @returns Whether it still held it. If not, the event may be delivered again, or has been.
   */
  settle(
    name: string,
    member: GroupMember,
    answer: "done" | "retry",
    shard: string,
    offset: number,
  ): boolean {
    const working = this.#working.get(name);
    if (working === undefined) return false;
    const { group } = working;
    const isHeld = answer === "done" ? group.done(member, shard, offset) : group.retry(member, shard, offset);
    if (isHeld) {
      working.isDirty = true;
      this.#options.wake();
    }
    return isHeld;
  }

  /** A member needs more time for everything it holds. */
  extend(name: string, member: GroupMember): void {
    this.#working.get(name)?.group.extend(member, this.#options.nowMs());
  }

  standing(name: string): WorkingGroup | undefined {
    const working = this.#working.get(name);
    if (working === undefined) return undefined;
    const { group, request, members, pullers, subscription } = working;
    return {
      ...group.standing(),
      request,
      isReading: subscription.hasMore,
      members: [
        ...members.map((member) => ({
          name: member.name,
          inFlight: group.inFlight(member),
          isFull: group.inFlight(member) >= member.inFlightMax || !member.hasRoom(),
        })),
        // Those that ask for events are there as long as they hold some.
        ...[...pullers.values()].map((member) => ({
          name: member.name,
          inFlight: group.inFlight(member),
          isFull: group.inFlight(member) >= member.inFlightMax,
        })).filter(({ inFlight }) => inFlight > 0),
      ],
    };
  }

  /** Ends a group's work, so that its position can be changed. Members that are there must go first. */
  retire(name: string): BadRequest | undefined {
    const working = this.#working.get(name);
    if (working === undefined) return undefined;
    if (working.members.length > 0 || working.group.heldCount > 0) {
      return new Conflict(`Group "${name}" is at work: stop its members first`);
    }
    this.#close(working);
    return undefined;
  }

  /** Delivers what is ready. @returns Whether more is ready now. */
  turn(): boolean {
    let more = false;
    for (const working of this.#working.values()) {
      if (working.members.length === 0) continue;
      this.#read(working);
      more = this.#deliver(working) || more;
    }
    return more;
  }

  close(): void {
    for (const working of [...this.#working.values()]) this.#close(working);
    this.#options.consumers.flush();
  }

  #close(working: Working): void {
    this.#settleBuried(working);
    this.#store(working);
    this.#working.delete(working.request.name);
    this.#options.onCountChange(-1);
    if (this.#working.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Fills the group's window from the log. */
  #read(working: Working): void {
    const { group, subscription } = working;
    const countMax = Math.min(group.room, READ_LIMITS.countMax);
    if (countMax <= 0 || working.heldBytes >= WINDOW_BYTES) return;
    subscription.next((event) => {
      const frame = event.bytes.slice(event.at, event.end);
      working.heldBytes += frame.length;
      group.add({
        shard: `${event.lane}/${event.shard}`,
        offset: event.offset,
        key: this.#keyOf(frame),
        frame,
        receivedUs: event.receivedUs,
      });
    }, { countMax, bytesMax: READ_LIMITS.bytesMax });
    working.isDirty = true;
  }

  #deliver(working: Working): boolean {
    const { group, members, subscription } = working;
    const nowMs = this.#options.nowMs();
    let taken = 0;
    for (let tried = 0; tried < members.length; tried++) {
      const member = members[working.turn++ % members.length] as PushedMember;
      if (member.hasRoom()) taken += group.take(member, TAKE_COUNT, nowMs, member.deliver);
    }
    return taken > 0 || (subscription.hasMore && group.room > 0 && working.heldBytes < WINDOW_BYTES);
  }

  #tick(): void {
    const nowMs = this.#options.nowMs();
    for (const working of [...this.#working.values()]) {
      const { group } = working;
      if (group.expire(nowMs) > 0) {
        working.isDirty = true;
        this.#options.wake();
      }
      this.#bury(working);
      working.heldBytes = group.bytes();
      if (working.isDirty) this.#store(working);
      if (working.members.length > 0 || group.heldCount > 0) working.usedMs = nowMs;
      if (nowMs - working.usedMs > IDLE_MS) this.#close(working);
    }
    this.#options.graveyard.flush();
  }

  /** Sends dead events to the dead-letter log, and is done with those that lie there. */
  #bury(working: Working): void {
    this.#settleBuried(working);
    const { graveyard } = this.#options;
    for (const entry of working.group.dead()) {
      if (graveyard.isFull) return;
      if (working.burying.has(entry)) continue;
      working.burying.add(entry);
      graveyard.bury(working.request.name, entry);
    }
  }

  #settleBuried({ request, group, burying }: Working): void {
    if (burying.size === 0 || !this.#options.graveyard.isEmpty) return;
    for (const entry of burying) group.bury(entry);
    burying.clear();
    const working = this.#working.get(request.name);
    if (working !== undefined) working.isDirty = true;
  }

  #store({ request, group, subscription }: Working): void {
    const working = this.#working.get(request.name);
    if (working !== undefined) working.isDirty = false;
    const positions = group.positions(subscription.positions());
    this.#options.consumers.confirm(request.name, positions, group.failures());
  }

  #keyOf(frame: Uint8Array): number {
    const cursor = this.#cursor;
    cursor.open(frame, 0);
    while (cursor.next(frame)) {
      if (cursor.tag === TAG_KEY) {
        return Bun.hash.xxHash32(frame.subarray(cursor.start, cursor.start + cursor.length));
      }
    }
    const topicAt = topicStart(0);
    return Bun.hash.xxHash32(frame.subarray(topicAt, topicAt + topicLength(frame, 0)));
  }
}

function disagreement(group: GroupRequest, member: GroupRequest): BadRequest | undefined {
  const isSame = group.mode === member.mode && group.leaseMs === member.leaseMs &&
    group.deliveriesMax === member.deliveriesMax &&
    JSON.stringify(group.topics.toSorted()) === JSON.stringify(member.topics.toSorted());
  if (isSame) return undefined;
  return new Conflict(
    `Group "${group.name}" works with mode ${group.mode}, lease ${group.leaseMs} ms, ${group.deliveriesMax} ` +
      `deliveries, topics ${group.topics.join(" ")}: its members must ask for the same`,
  );
}
