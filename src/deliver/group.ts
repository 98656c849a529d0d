/**
 * A consumer group's events between the log and its members: who holds which, until when, how often tried.
 *
 * An event is ready → leased → done; a lease that ends without an answer, or with "retry", makes it ready
 * again, and after its last delivery it is dead. Two modes:
 *
 * - `queue`: any ready event goes to any member with room.
 * - `ordered`: events with the same key go out in their order. While a member holds events of a key, later
 *   ones go to that member only, and a failed one takes those after it back with it. A key that nobody
 *   holds is free for everybody, so members come and go without a pause for the others.
 *
 *     held by members + ready + dead ≤ windowCount        for the whole group
 *
 * Nothing here reads clocks, logs or sockets. One thread.
 */

export type GroupMode = "queue" | "ordered";

export interface GroupOptions {
  readonly mode: GroupMode;
  /** How long a member may hold an event without an answer. */
  readonly leaseMs: number;
  /** Deliveries of one event; after the last failed one it is dead. */
  readonly deliveriesMax: number;
  /** Events between the log and their end; more are not taken. */
  readonly windowCount: number;
  /** How often events have failed in an earlier life of the group, by `lane/shard@offset`. */
  readonly failures?: Readonly<Record<string, number>>;
}

/** An event as the log has it. */
export interface GroupEvent {
  /** `lane/shard`. */
  readonly shard: string;
  readonly offset: number;
  /** Hash of what keeps its order: the key, else the topic. */
  readonly key: number;
  /** Its whole frame, owned by the group. */
  readonly frame: Uint8Array;
  readonly receivedUs: number;
}

/** One worker of a group. */
export interface GroupMember {
  readonly name: string;
  /** Most events it holds at a time. */
  readonly inFlightMax: number;
}

/** An event that is not done yet. */
export interface GroupEntry extends GroupEvent {
  /** Deliveries so far, the current one included. */
  readonly attempts: number;
}

interface Entry extends GroupEvent {
  readonly seq: number;
  attempts: number;
  holder: GroupMember | undefined;
  heldSinceMs: number;
  deadlineMs: number;
}

/** How a group stands, for people. */
export interface GroupStanding {
  readonly ready: number;
  readonly held: number;
  readonly dead: number;
  /** The event that has been held longest. */
  readonly oldest: {
    readonly member: string;
    readonly shard: string;
    readonly offset: number;
    readonly sinceMs: number;
  } | undefined;
}

export class Group {
  readonly options: GroupOptions;
  /** Sorted by `seq`. */
  #ready: Entry[] = [];
  /** By shard and offset. */
  readonly #held = new Map<string, Entry>();
  readonly #dead = new Map<string, Entry>();
  /** Who holds events of a key, and how many; mode `ordered` only. */
  readonly #owners = new Map<number, { readonly member: GroupMember; count: number }>();
  readonly #inFlight = new Map<GroupMember, number>();
  #seq = 0;
  /** Failures of an earlier life whose events were not read again yet. */
  readonly #earlier: Map<string, number>;

  constructor(options: GroupOptions) {
    this.options = options;
    this.#earlier = new Map(Object.entries(options.failures ?? {}));
  }

  /** Events it takes now. */
  get room(): number {
    return this.options.windowCount - this.#ready.length - this.#held.size - this.#dead.size;
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** Bytes of all events that are not done. */
  bytes(): number {
    let bytes = 0;
    for (const entries of [this.#ready, this.#held.values(), this.#dead.values()]) {
      for (const { frame } of entries) bytes += frame.length;
    }
    return bytes;
  }

  /** Events this member holds. */
  inFlight(member: GroupMember): number {
    return this.#inFlight.get(member) ?? 0;
  }

  /** Takes an event from the log; those of a shard come in their order. */
  add(event: GroupEvent): void {
    const place = placeOf(event);
    const attempts = this.#earlier.get(place) ?? 0;
    this.#earlier.delete(place);
    const entry = {
      ...event,
      seq: this.#seq++,
      attempts,
      holder: undefined,
      heldSinceMs: 0,
      deadlineMs: 0,
    };
    if (attempts >= this.options.deliveriesMax) this.#dead.set(place, entry);
    else this.#ready.push(entry);
  }

  /** Leases ready events to a member, at most `countMax` and what it has room for. @returns How many. */
  take(member: GroupMember, countMax: number, nowMs: number, handle: (entry: GroupEntry) => void): number {
    const limit = Math.min(countMax, member.inFlightMax - this.inFlight(member));
    if (limit <= 0 || this.#ready.length === 0) return 0;
    const isOrdered = this.options.mode === "ordered";
    const taken: Entry[] = [];
    const left: Entry[] = [];
    for (const entry of this.#ready) {
      const owner = isOrdered ? this.#owners.get(entry.key) : undefined;
      const isFree = owner === undefined || owner.member === member;
      if (taken.length === limit || !isFree) {
        left.push(entry);
        continue;
      }
      if (owner !== undefined) owner.count++;
      else if (isOrdered) this.#owners.set(entry.key, { member, count: 1 });
      taken.push(entry);
    }
    this.#ready = left;
    this.#inFlight.set(member, this.inFlight(member) + taken.length);
    for (const entry of taken) {
      entry.attempts++;
      entry.holder = member;
      entry.heldSinceMs = nowMs;
      entry.deadlineMs = nowMs + this.options.leaseMs;
      this.#held.set(placeOf(entry), entry);
    }
    for (const entry of taken) handle(entry);
    return taken.length;
  }

  /** Whether the member holds the event. */
  holds(member: GroupMember, shard: string, offset: number): boolean {
    return this.#heldBy(member, shard, offset) !== undefined;
  }

  /** A member is done with an event. @returns Whether it held it: if not, the lease had ended. */
  done(member: GroupMember, shard: string, offset: number): boolean {
    const entry = this.#heldBy(member, shard, offset);
    if (entry === undefined) return false;
    this.#letGo(entry);
    return true;
  }

  /** A member could not deal with an event. @returns Whether it held it. */
  retry(member: GroupMember, shard: string, offset: number): boolean {
    const entry = this.#heldBy(member, shard, offset);
    if (entry === undefined) return false;
    this.#fail(entry);
    return true;
  }

  /** A member needs more time for everything it holds. */
  extend(member: GroupMember, nowMs: number): void {
    for (const entry of this.#held.values()) {
      if (entry.holder === member) entry.deadlineMs = nowMs + this.options.leaseMs;
    }
  }

  /** A member is gone: what it held is ready again at once. A delivery that it may not have seen counts. */
  leave(member: GroupMember): void {
    const entries = [...this.#held.values()].filter((entry) => entry.holder === member);
    for (const entry of entries) if (entry.holder === member) this.#fail(entry);
    this.#inFlight.delete(member);
  }

  /** Ends leases whose time is over. @returns How many. */
  expire(nowMs: number): number {
    const late = [...this.#held.values()].filter((entry) => nowMs >= entry.deadlineMs);
    // One that was taken back with an earlier one has no holder any more.
    for (const entry of late) if (entry.holder !== undefined) this.#fail(entry);
    return late.length;
  }

  /** Events whose last delivery failed and that are not buried yet. */
  dead(): readonly GroupEntry[] {
    return [...this.#dead.values()];
  }

  /** A dead event is stored elsewhere: the group is done with it. */
  bury(entry: GroupEntry): void {
    this.#dead.delete(placeOf(entry));
  }

  /**
   * Where the group would go on after a restart: everything below is done.
   *
   * @param read Offsets up to which the log was read, by shard.
   */
  positions(read: Readonly<Record<string, number>>): Record<string, number> {
    const positions = { ...read };
    for (const entries of [this.#ready, this.#held.values(), this.#dead.values()]) {
      for (const { shard, offset } of entries) {
        positions[shard] = Math.min(positions[shard] ?? offset, offset);
      }
    }
    return positions;
  }

  /**
   * Deliveries that have failed, by `lane/shard@offset`, of events that are not done: what a restart must not forget.
   * One that is under way has not failed.
   */
  failures(): Record<string, number> {
    const failures: Record<string, number> = Object.fromEntries(this.#earlier);
    for (const entries of [this.#ready, this.#held.values(), this.#dead.values()]) {
      for (const entry of entries) {
        const failed = entry.attempts - (entry.holder === undefined ? 0 : 1);
        if (failed > 0) failures[placeOf(entry)] = failed;
      }
    }
    return failures;
  }

  standing(): GroupStanding {
    let oldest: Entry | undefined;
    for (const entry of this.#held.values()) {
      if (oldest === undefined || entry.heldSinceMs < oldest.heldSinceMs) oldest = entry;
    }
    return {
      ready: this.#ready.length,
      held: this.#held.size,
      dead: this.#dead.size,
      oldest: oldest?.holder === undefined ? undefined : {
        member: oldest.holder.name,
        shard: oldest.shard,
        offset: oldest.offset,
        sinceMs: oldest.heldSinceMs,
      },
    };
  }

  #heldBy(member: GroupMember, shard: string, offset: number): Entry | undefined {
    const entry = this.#held.get(`${shard}@${offset}`);
    return entry?.holder === member ? entry : undefined;
  }

  /** Takes an event out of its holder's hands. */
  #letGo(entry: Entry): void {
    const { holder } = entry;
    if (holder === undefined) return;
    this.#held.delete(placeOf(entry));
    this.#inFlight.set(holder, this.inFlight(holder) - 1);
    entry.holder = undefined;
    const owner = this.#owners.get(entry.key);
    if (owner !== undefined && --owner.count === 0) this.#owners.delete(entry.key);
  }

  /** A delivery has failed: with it go the later ones of its key, which are not to blame. */
  #fail(entry: Entry): void {
    const { holder, key, seq } = entry;
    this.#letGo(entry);
    if (entry.attempts >= this.options.deliveriesMax) this.#dead.set(placeOf(entry), entry);
    else this.#giveBack(entry);
    if (this.options.mode !== "ordered") return;
    for (const later of [...this.#held.values()]) {
      if (later.holder !== holder || later.key !== key || later.seq < seq) continue;
      this.#letGo(later);
      later.attempts--;
      this.#giveBack(later);
    }
  }

  #giveBack(entry: Entry): void {
    let low = 0;
    let high = this.#ready.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ready[middle] as Entry).seq < entry.seq) low = middle + 1;
      else high = middle;
    }
    this.#ready.splice(low, 0, entry);
  }
}

function placeOf({ shard, offset }: GroupEvent): string {
  return `${shard}@${offset}`;
}
