/** Reads what a running server has stored, in the two ways a user can: `esc tail` and HTTP. */
import type { EscServer } from "../support/esc.ts";
import { EXECUTABLE } from "../support/esc.ts";

/** One event as `GET /api/v1/events` shows it; only what tests look at. */
export interface StoredEvent {
  readonly lane: string;
  readonly shard: number;
  readonly offset: number;
  readonly topic: string;
  readonly priority: number;
  readonly id?: string;
  readonly payload: string;
  readonly encoding?: "base64";
}

/** The counters of `/api/v1/stats`. */
export interface Stats {
  readonly events: Readonly<
    Record<
      "received" | "accepted" | "durable" | "processed" | "dropped" | "rejected" | "duplicates" | "dlq",
      number
    >
  >;
  readonly lanes: Readonly<
    Record<string, { readonly depth: number; readonly shards: readonly { readonly next_offset: number }[] }>
  >;
  readonly rejected: Readonly<Record<string, number>>;
}

/** Exactly the bytes that `esc tail --from earliest --until-end --format raw` prints. */
export async function tailBytes(server: EscServer, ...patterns: string[]): Promise<Buffer> {
  const { tcpPort, httpPort } = server;
  const process = Bun.spawn([
    EXECUTABLE,
    "tail",
    ...patterns,
    "--from=earliest",
    "--until-end",
    "--format=raw",
    `--port=${tcpPort}`,
    `--http-port=${httpPort}`,
  ], { cwd: "/", stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [bytes, stderr, status] = await Promise.all([
    new Response(process.stdout).arrayBuffer(),
    new Response(process.stderr).text(),
    process.exited,
  ]);
  if (status !== 0 || stderr !== "") throw new Error(`esc tail ended with ${status}: ${stderr}`);
  return Buffer.from(bytes);
}

/** Every stored event whose topic matches, page by page. */
export async function queryEvents(server: EscServer, topic: string): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ topic, limit: "10000", ...(cursor === undefined ? {} : { cursor }) });
    const response = await fetch(server.url(`/api/v1/events?${query}`));
    if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
    const page: { events: StoredEvent[]; cursor?: string } = await response.json();
    events.push(...page.events);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return events;
}

/** The payload's bytes. */
export function payloadOf(event: StoredEvent): Buffer {
  return Buffer.from(event.payload, event.encoding ?? "utf8");
}

export async function statsOf(server: EscServer): Promise<Stats> {
  return await (await fetch(server.url("/api/v1/stats"))).json();
}

/** Asks again until the counters satisfy the condition; fails with them after 20 s. */
export async function statsUntil(server: EscServer, isDone: (stats: Stats) => boolean): Promise<Stats> {
  const deadlineMs = performance.now() + 20_000;
  for (;;) {
    const stats = await statsOf(server);
    if (isDone(stats)) return stats;
    if (performance.now() > deadlineMs) throw new Error(`counters stay at ${JSON.stringify(stats.events)}`);
    await Bun.sleep(10);
  }
}

/** Whether every event received is accounted for: the identities that SPEC promises once drained. */
export function isBalanced({ events }: Stats): boolean {
  return events.received === events.accepted + events.rejected + events.duplicates &&
    events.accepted === events.durable + events.dropped;
}
