/**
 * The main thread's turn of duty: verdicts for what HTTP and WebSocket have published, and events for
 * whom they serve. Sleeps on main's doorbell; costs nothing while nobody rings.
 */
import type { Source } from "../ingest/source.ts";
import { count } from "../metrics/counters.ts";
import { SOURCE_SUBSCRIBERS } from "../metrics/layout.ts";
import type { ThreadControl } from "../queue/control.ts";
import type { Doorbell } from "../queue/doorbell.ts";

/** Longest sleep: a ring that was missed is made good after this. */
const SLEEP_MS = 500;
/** Sleep while somebody waits for room in the ring or for a full lane: neither rings our bell. */
const WAITING_SLEEP_MS = 2;

/** Who has something to do in every turn. */
export interface Participant {
  /** Does what can be done now; must not throw. @returns Whether there is more to do at once. */
  turn(): boolean;
  /** Whether it waits for something that rings no bell. */
  readonly isWaiting: boolean;
}

export interface TurnsOptions {
  readonly source: Source;
  readonly doorbell: Doorbell;
  readonly control: ThreadControl;
}

export class Turns {
  readonly #source: Source;
  readonly #doorbell: Doorbell;
  readonly #control: ThreadControl;
  readonly #participants = new Set<Participant>();
  #isStopped = false;
  #ended: Promise<void> | undefined;

  constructor(options: TurnsOptions) {
    this.#source = options.source;
    this.#doorbell = options.doorbell;
    this.#control = options.control;
  }

  start(): void {
    this.#ended = this.#run();
  }

  /** Ends the loop; settles when it has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#doorbell.alarm();
    await this.#ended;
  }

  add(participant: Participant): void {
    this.#participants.add(participant);
    this.wake();
  }

  remove(participant: Participant): void {
    this.#participants.delete(participant);
  }

  /** Makes a turn come soon. */
  wake(): void {
    this.#doorbell.ring();
  }

  /** Notes subscriptions opened or closed: lane workers ring main only while there are some. */
  countSubscriptions(by: number): void {
    this.#control.subscriptionCount += by;
    count(this.#source.counters, SOURCE_SUBSCRIBERS, by);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      if (this.#turn()) {
        await new Promise<void>((resolve) => setImmediate(resolve));
        continue;
      }
      const ticket = this.#doorbell.arm();
      // Whatever was published before the bell was armed is found by this second look.
      if (this.#turn() || this.#isStopped) {
        this.#doorbell.disarm();
        continue;
      }
      await this.#doorbell.waitAsync(ticket, this.#isWaiting() ? WAITING_SLEEP_MS : SLEEP_MS);
      this.#doorbell.disarm();
    }
  }

  #turn(): boolean {
    let more = this.#source.poll();
    for (const participant of this.#participants) more = participant.turn() || more;
    return more;
  }

  #isWaiting(): boolean {
    for (const participant of this.#participants) {
      if (participant.isWaiting) return true;
    }
    return false;
  }
}
