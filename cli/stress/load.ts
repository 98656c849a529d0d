/** The sending part of a stress run: all clients at once, in one thread. */
import type { Refusal } from "../../src/client/connection.ts";
import type { Address } from "../../src/client/tcp.ts";
import { dialServer, serverAccess } from "../server-access.ts";
import type { EscError } from "../../src/errors.ts";
import type { AcksName } from "../../src/event/run.ts";
import { Histogram } from "../../src/metrics/histogram.ts";
import type { Ramp } from "../pacer.ts";
import { DatagramLoad } from "./datagram-load.ts";
import { FrameBlock, type StressPlan } from "./plan.ts";
import { StressProducer } from "./producer.ts";

export interface LoadOptions {
  readonly address: Address;
  readonly plan: StressPlan;
  readonly acks: AcksName;
  readonly inFlightMax: number;
  /** Events a second of all clients together. */
  readonly rate: number;
  /** How the rate begins. */
  readonly ramp?: Ramp | undefined;
  /** Whether each event gets its own number, so that it can be told from all others. */
  readonly numbers: boolean;
  readonly interrupted: AbortSignal;
  readonly onRefused: (refusal: Refusal) => void;
  /** Called now and then. */
  readonly onProgress: (sent: number, seconds: number) => void;
}

export interface LoadResult {
  /** Events each client sent. */
  readonly sentCounts: readonly number[];
  readonly sent: number;
  /** `undefined` where nothing is acknowledged. */
  readonly acknowledged: number | undefined;
  readonly refused: number;
  /** Why connections ended early. */
  readonly failures: readonly EscError[];
  readonly frameBytes: number;
  readonly seconds: number;
  readonly latencies: Histogram;
}

const PROGRESS_MS = 250;
/** Connections opened at a time: a listen queue holds some hundreds. */
const OPENING_COUNT = 64;

/** Sends everything over TCP. @throws {EscError} When a client cannot connect. */
export async function runTcpLoad(options: LoadOptions): Promise<LoadResult> {
  const { plan, acks, inFlightMax, rate, numbers, interrupted, onRefused } = options;
  const latencies = Histogram.empty();
  const shared = numbers ? undefined : new FrameBlock(plan, 0);
  const producers = Array.from({ length: plan.clients }, (_, client) =>
    new StressProducer({
      dial: dialServer(options.address),
      token: serverAccess().token,
      events: plan.events,
      acks,
      inFlightMax,
      rate: rate / plan.clients,
      ramp: shareOf(options),
      block: shared ?? new FrameBlock(plan, client),
      numbers,
      latencies,
      onRefused,
    }));
  try {
    for (let at = 0; at < producers.length; at += OPENING_COUNT) {
      const opening = producers.slice(at, at + OPENING_COUNT).map((producer) => producer.open());
      // Each to its end, even when one has failed: what opens late could not be closed otherwise.
      const failed = (await Promise.allSettled(opening)).find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    }
    const startMs = performance.now();
    interrupted.addEventListener("abort", () => producers.forEach((producer) => producer.stop()));
    const ticker = tick(options, producers, startMs);
    for (const producer of producers) producer.start();
    const failures = await Promise.all(producers.map((producer) => producer.finished));
    clearInterval(ticker);
    const refused = producers.reduce((sum, producer) => sum + producer.refusedCount, 0);
    const answered = producers.reduce((sum, producer) => sum + producer.answeredCount, 0);
    return {
      ...account(producers, plan, startMs),
      acknowledged: acks === "none" ? undefined : answered - refused,
      refused,
      failures: failures.filter((failure) => failure !== undefined),
      latencies,
    };
  } finally {
    for (const producer of producers) producer.abort();
  }
}

/** Sends everything as datagrams. @throws {EscError} When the host is unknown. */
export async function runUdpLoad(options: LoadOptions): Promise<LoadResult> {
  const { plan, rate, interrupted, address } = options;
  const block = new FrameBlock(plan, 0);
  const loads = await Promise.all(
    Array.from(
      { length: plan.clients },
      () =>
        DatagramLoad.open({
          address,
          events: plan.events,
          rate: rate / plan.clients,
          ramp: shareOf(options),
          block,
        }),
    ),
  );
  const startMs = performance.now();
  interrupted.addEventListener("abort", () => loads.forEach((load) => load.stop()));
  const ticker = tick(options, loads, startMs);
  await Promise.all(loads.map((load) => load.run()));
  clearInterval(ticker);
  return {
    ...account(loads, plan, startMs),
    acknowledged: undefined,
    refused: 0,
    failures: [],
    latencies: Histogram.empty(),
  };
}

/** One client's part of the ramp. */
function shareOf({ ramp, plan }: LoadOptions): Ramp | undefined {
  return ramp && { ...ramp, fromRate: ramp.fromRate / plan.clients };
}

interface Counted {
  readonly sentCount: number;
}

function tick(
  options: LoadOptions,
  clients: readonly Counted[],
  startMs: number,
): ReturnType<typeof setInterval> {
  return setInterval(
    () => options.onProgress(total(clients), (performance.now() - startMs) / 1000),
    PROGRESS_MS,
  );
}

function account(clients: readonly Counted[], plan: StressPlan, startMs: number) {
  const block = new FrameBlock(plan, 0);
  const sent = total(clients);
  return {
    sentCounts: clients.map((client) => client.sentCount),
    sent,
    frameBytes: Math.round(sent * block.bytes.length / block.count),
    seconds: (performance.now() - startMs) / 1000,
  };
}

function total(clients: readonly Counted[]): number {
  return clients.reduce((sum, client) => sum + client.sentCount, 0);
}
