/**
 * Stream: a client sends events and hears of each, in order, what became of it; with `esc-subscribe` it is
 * delivered events as well.
 *
 * Events that come while others are being published are gathered: at most GATHERED_MAX of them, then the
 * client is not read until there is room. One publish at a time keeps their order.
 */
import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import type { Caller } from "../../auth/caller.ts";
import type { RateLimit } from "../../auth/rate.ts";
import { EscError } from "../../errors.ts";
import type { AcksName } from "../../event/run.ts";
import { count } from "../../metrics/counters.ts";
import { LIMITS, SOURCE_LIMITED } from "../../metrics/layout.ts";
import type { ApiContext } from "../context.ts";
import type { PublishOutcome } from "../publish-request.ts";
import { acksQuery } from "../schemas.ts";
import { admit, allowPublish, type Door } from "./door.ts";
import { answerOf, type EventFields, submissionOf } from "./event-message.ts";
import { EventPump } from "./event-pump.ts";
import type { Event } from "./eventstream_pb.ts";
import type { OpenCalls } from "./open-calls.ts";
import type { Peers } from "./peers.ts";
import { payloadBytes } from "./publish-calls.ts";
import { statusError, statusOfError } from "./status.ts";

const GATHERED_MAX = 1024;
const GATHERED_BYTES_MAX = 4 * 1024 * 1024;
/** While the lane is full the client is not read; after this its events are refused. */
const FULL_MS_MAX = 10_000;
const FULL_LOOK_MS = 5;
/** Whoever must wait for its rate is looked at so often: it may be gone. */
const RATE_LOOK_MS = 250;

type Call = ServerDuplexStream<Event, EventFields>;

export function streamCall(
  context: ApiContext,
  door: Door,
  calls: OpenCalls,
): handleBidiStreamingCall<Event, EventFields> {
  return (call) => {
    // Nothing is read before it is clear who calls.
    call.pause();
    serve(context, door, calls, call).catch((error: unknown) => call.emit("error", statusOfError(error)));
  };
}

async function serve(context: ApiContext, door: Door, calls: OpenCalls, call: Call): Promise<void> {
  const { caller, rate, watch } = await admit(door, call);
  const [wanted] = call.metadata.get("esc-acks");
  const acks = acksQuery.safeParse(wanted === undefined ? {} : { acks: String(wanted) });
  if (!acks.success) throw new EscError("USAGE", "esc-acks is not none, accepted or durable");
  const release = calls.take();
  call.once("close", release);
  const [pattern] = call.metadata.get("esc-subscribe");
  const pump = pattern === undefined
    ? undefined
    : EventPump.open(context, call, { pattern: String(pattern), minPriority: 0, from: "latest" }, {
      caller,
      peers: door.peers,
    });
  const unwatch = watch((reason) => {
    close();
    call.emit("error", statusError("UNAUTHORIZED", reason));
  });
  const close = () => {
    unwatch();
    pump?.close();
  };
  call.once("cancelled", close);
  call.once("close", close);
  call.sendMetadata(calls.greeting());
  new Inflow(context, call, { caller, rate, acks: acks.data.acks, peers: door.peers }).start(() => {
    close();
    call.end();
  });
}

interface InflowParts {
  readonly caller: Caller;
  readonly rate: RateLimit | undefined;
  readonly acks: AcksName;
  readonly peers: Peers;
}

/** Events of one call on their way in. */
class Inflow {
  readonly #context: ApiContext;
  readonly #call: Call;
  readonly #caller: Caller;
  readonly #acks: AcksName;
  readonly #rate: RateLimit | undefined;
  readonly #peers: Peers;
  #gathered: Event[] = [];
  #gatheredBytes = 0;
  #isBusy = false;
  #isEnded = false;

  constructor(
    context: ApiContext,
    call: Call,
    { caller, rate, acks, peers }: InflowParts,
  ) {
    this.#context = context;
    this.#call = call;
    this.#caller = caller;
    this.#rate = rate;
    this.#peers = peers;
    this.#acks = acks;
  }

  /** @param done Is called when the client has ended its side and everything is answered. */
  start(done: () => void): void {
    const call = this.#call;
    const go = () => {
      if (this.#isBusy) return;
      this.#isBusy = true;
      // What has arrived together is published together.
      setImmediate(() =>
        this.#publishAll().then(
          () => {
            if (this.#isEnded) done();
          },
          (error: unknown) => call.emit("error", statusOfError(error)),
        )
      );
    };
    call.on("data", (event) => {
      this.#gathered.push(event);
      this.#gatheredBytes += event.payload.length;
      if (this.#gathered.length >= GATHERED_MAX || this.#gatheredBytes >= GATHERED_BYTES_MAX) call.pause();
      go();
    });
    call.on("end", () => {
      this.#isEnded = true;
      go();
    });
    call.resume();
  }

  async #publishAll(): Promise<void> {
    const call = this.#call;
    while (this.#gathered.length > 0 && !call.cancelled) {
      const events = this.#gathered;
      this.#gathered = [];
      this.#gatheredBytes = 0;
      call.resume();
      allowPublish(this.#caller, events.map((event) => event.topic));
      await this.#takeTurn(events);
      const outcomes = await this.#publish(events);
      let hasRoom = true;
      for (const [index, event] of events.entries()) {
        const outcome = outcomes[index];
        if (outcome !== undefined) hasRoom = call.write(answerOf(event, outcome));
      }
      this.#peers.push(call);
      if (!hasRoom && !call.cancelled) await drained(call);
    }
    this.#isBusy = false;
  }

  /** Waits until the caller may send again: meanwhile its client is not read beyond what is gathered. */
  async #takeTurn(events: readonly Event[]): Promise<void> {
    const rate = this.#rate;
    if (rate === undefined) return;
    const { engine, meters } = this.#context;
    let isLimited = false;
    for (;;) {
      const waitMs = rate.waitMs(meters.nowUs());
      if (waitMs === 0 || this.#call.cancelled) break;
      if (!isLimited) count(engine.source.counters, SOURCE_LIMITED + LIMITS.indexOf("rate"), 1);
      isLimited = true;
      await new Promise((resolve) => setTimeout(resolve, Math.min(Math.ceil(waitMs), RATE_LOOK_MS)));
    }
    rate.take(meters.nowUs(), events.length, payloadBytes(events));
  }

  async #publish(events: readonly Event[]): Promise<readonly PublishOutcome[]> {
    const submissions = events.map(submissionOf);
    const deadlineMs = Date.now() + FULL_MS_MAX;
    for (;;) {
      const outcomes = await this.#context.publisher.publish(submissions, this.#acks, "grpc");
      const isFull = outcomes.every((outcome) => !outcome.ok && outcome.code === "QUEUE_FULL");
      if (!isFull || this.#call.cancelled || Date.now() > deadlineMs) return outcomes;
      await new Promise((resolve) => setTimeout(resolve, FULL_LOOK_MS));
    }
  }
}

/** Waits until the client has taken its answers, or is gone. */
function drained(call: Call): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      call.off("drain", settle);
      call.off("cancelled", settle);
      call.off("close", settle);
      resolve();
    };
    call.on("drain", settle);
    call.on("cancelled", settle);
    call.on("close", settle);
  });
}
