/** Reads everything of a stress run back from the server's log. */
import { Client } from "../../src/client/client.ts";
import type { Address } from "../../src/client/tcp.ts";
import { dialServer, serverAccess } from "../server-access.ts";
import { LogEnd } from "../log-end.ts";
import { readStats, type ShardRange } from "../shard-ranges.ts";
import type { Verifier } from "./verifier.ts";

export interface ReadBackOptions {
  readonly address: Address;
  readonly httpPort: number;
  /** Where every log stood before the run; without it everything is read, and the end is silence. */
  readonly before: ReadonlyMap<string, ShardRange> | undefined;
  /** Different events to be found. */
  readonly expected: number;
  /** Aborts reading; what was found until then counts. */
  readonly interrupted: AbortSignal;
  readonly onProgress: (found: number) => void;
}

/** Nothing new for this long: what is missing now will not come. */
const SILENCE_MS_MAX = 5_000;
/** How often it is looked; with all found, and the ends of the logs unknown, so long a silence is the end. */
const LOOK_MS = 1_000;

/**
 * Reads until everything was found and every log was read to where it ends now, so that an event that is
 * stored twice is met twice; or until nothing comes any more.
 *
 * @throws {EscError} When the server cannot be reached, or the connection breaks.
 */
export async function readBack(verifier: Verifier, options: ReadBackOptions): Promise<void> {
  const { address, httpPort, before, expected, interrupted } = options;
  const ranges = before === undefined
    ? new Map<string, ShardRange>()
    : (await readStats({ host: address.host, httpPort })).ranges;
  const grown = [...ranges].filter(([shard, { next }]) => next > (before?.get(shard)?.next ?? 0));
  const end = new LogEnd(new Map(grown.map(([shard, { next }]) => [shard, next])));
  const from = before === undefined
    ? "earliest" as const
    : { offsets: Object.fromEntries([...before].map(([shard, { next }]) => [shard, next])) };

  const client = await Client.connect({
    dial: dialServer(address),
    token: serverAccess().token,
    acks: "none",
    producer: "esc stress --verify",
  });
  const finished = Promise.withResolvers<void>();
  let framesSinceLook = 0;
  let silenceMs = 0;
  const look = () => {
    if (before !== undefined && verifier.found >= expected && end.isReached) finished.resolve();
  };
  const silence = setInterval(() => {
    silenceMs = framesSinceLook === 0 ? silenceMs + LOOK_MS : 0;
    framesSinceLook = 0;
    const isAllFound = before === undefined && verifier.found >= expected;
    if (silenceMs >= (isAllFound ? LOOK_MS : SILENCE_MS_MAX)) finished.resolve();
  }, LOOK_MS);
  try {
    // Every topic: only then do the offsets say how far the log was read.
    await client.subscribe({ topics: [">"], from }, (events) => {
      framesSinceLook++;
      verifier.read(events);
      end.reached(`${events.lane}/${events.shard}`, events.nextOffset);
      options.onProgress(verifier.found);
      look();
    });
    look();
    interrupted.addEventListener("abort", () => finished.resolve());
    const failure = await Promise.race([finished.promise, client.ended]);
    if (failure !== undefined) throw failure;
  } finally {
    clearInterval(silence);
    client.abort();
  }
}
