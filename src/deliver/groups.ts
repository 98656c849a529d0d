/**
 * All consumer groups: from the log to their members, and their positions to disk.
 *
 * A group exists while somebody works for it, and IDLE_MS longer; its position stays as that of a durable
 * consumer of its name. Main thread: it serves members that WebSockets and HTTP bring.
 */
import { TagCursor, topicLength, topicStart } from "../event/ext.ts";
import { TAG_KEY } from "../event/frame.ts";
import type { ConsumerStore } from "./consumer.ts";
import { Group, type GroupEntry, type GroupMember, type GroupMode, type GroupStanding } from "./group.ts";
import { BadRequest, Conflict, type SubscriptionRequest } from "./request.ts";
import {
  type EventView,
  openSubscription,
  type Subscription,
  type SubscriptionOptions,
} from "./subscription.ts";

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
  /** Stores an event that nobody could deal with. @returns Whether it is durable; if not, it is tried again. */
  readonly bury: (group: string, entry: GroupEntry) => Promise<boolean>;
  /** Something may be there to deliver. */
  readonly wake: () => void;
  readonly onCountChange: (by: number) => void;
  readonly warn: (message: string) => void;
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
  readonly burying = new Set<GroupEntry>();

  constructor(readonly request: GroupRequest, readonly subscription: Subscription, nowMs: number) {
    const { mode, leaseMs, deliveriesMax } = request;
    this.group = new Group({ mode, leaseMs, deliveriesMax, windowCount: WINDOW_COUNT });
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
    const stored = consumers.get(request.name)?.offsets;
    const subscription = openSubscription(
      { id: request.name, topics: request.topics, from: request.from },
      { ...this.#options, stored },
    );
    if (subscription instanceof BadRequest) return subscription;
    const refused = consumers.confirm(request.name, subscription.positions());
    if (refused !== undefined) return refused;
    this.#working.set(request.name, new Working(request, subscription, this.#options.nowMs()));
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
  }

  #close(working: Working): void {
    this.#store(working);
    this.#working.delete(working.request.name);
    this.#options.onCountChange(-1);
    if (this.#working.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Fills the group's window from the log. */
  #read(working: Working): void {
    const { group, subscription, request } = working;
    const countMax = Math.min(group.room, READ_LIMITS.countMax);
    if (countMax <= 0 || working.heldBytes >= WINDOW_BYTES) return;
    const own = deadTopic(request.name);
    subscription.next((event) => {
      // What the group has buried is not for itself.
      if (topicOf(event) === own) return;
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
      if (group.expire(nowMs) > 0) this.#options.wake();
      for (const entry of group.dead()) this.#bury(working, entry);
      working.heldBytes = group.bytes();
      if (working.isDirty) this.#store(working);
      if (working.members.length > 0 || group.heldCount > 0) working.usedMs = nowMs;
      if (nowMs - working.usedMs > IDLE_MS) this.#close(working);
    }
  }

  #bury(working: Working, entry: GroupEntry): void {
    if (working.burying.has(entry)) return;
    working.burying.add(entry);
    this.#options.bury(working.request.name, entry).then((isStored) => {
      working.burying.delete(entry);
      if (isStored) working.group.bury(entry);
      working.isDirty = true;
    }, (error: unknown) => {
      working.burying.delete(entry);
      this.#options.warn(`Cannot bury an event of group "${working.request.name}": ${error}`);
    });
  }

  #store({ request, group, subscription }: Working): void {
    const working = this.#working.get(request.name);
    if (working !== undefined) working.isDirty = false;
    this.#options.consumers.confirm(request.name, group.positions(subscription.positions()));
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

/** Where a group's dead events go. */
export function deadTopic(group: string): string {
  return `dead.${group}`;
}

function topicOf({ bytes, at }: EventView): string {
  const from = topicStart(at);
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, topicLength(bytes, at)).toString("utf8");
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
