import { afterAll, beforeAll, expect, test } from "bun:test";
import { LIVE_INTERVAL_MS } from "../../src/api/live.ts";
import { readMessages, type ServerMessage } from "../../src/dashboard/live/sse.ts";
import { type ApiRig, startApi } from "./rig.ts";

let rig: ApiRig;
beforeAll(async () => {
  rig = await startApi();
}, 30_000);
afterAll(() => rig.stop());

interface Hello {
  readonly columns: readonly { readonly name: string; readonly lane?: string; readonly kind: string }[];
}
type Rows = readonly (readonly (number | null)[])[];

/** A client that reads message after message. */
class LiveClient {
  readonly #messages: AsyncGenerator<ServerMessage>;

  private constructor(response: Response) {
    if (response.body === null) throw new Error("No body");
    this.#messages = readMessages(response.body);
  }

  static async open(headers: Record<string, string> = {}): Promise<LiveClient> {
    const response = await rig.fetch("/api/v1/live", { headers });
    expect([response.status, response.headers.get("content-type")]).toEqual([
      200,
      "text/event-stream; charset=utf-8",
    ]);
    return new LiveClient(response);
  }

  /** The next message of this kind. */
  async next(event: string): Promise<{ readonly id: string; readonly data: string }> {
    for (;;) {
      const { value, done } = await this.#messages.next();
      if (done) throw new Error("The stream has ended");
      if (value.event === event) return { id: value.id ?? "", data: value.data };
    }
  }

  async rows(): Promise<{ readonly id: string; readonly rows: Rows }> {
    const { id, data } = await this.next("rows");
    return { id, rows: JSON.parse(data) };
  }

  async close(): Promise<void> {
    await this.#messages.return(undefined);
  }
}

test("live begins with the columns and the history; each row has a number or null for every column", async () => {
  const client = await LiveClient.open();
  const { columns } = JSON.parse((await client.next("hello")).data) as Hello;
  expect(columns[0]).toMatchObject({ name: "time", kind: "gauge" });
  expect([...new Set(columns.map(({ lane }) => lane))]).toEqual([
    undefined,
    "realtime",
    "transactional",
    "batch",
  ]);
  const { rows } = await client.rows();
  expect(rows.length).toBeGreaterThan(0);
  for (const row of rows) expect(row.length).toBe(columns.length);
  expect(JSON.parse((await client.next("state")).data)).toMatchObject({
    pipeline: "RUNNING",
    health: "HEALTHY",
    ready: true,
    lanes: { realtime: "running", transactional: "running", batch: "running" },
  });
  await client.close();
});

test("live counts what is published, and measures how long it took", async () => {
  const client = await LiveClient.open();
  const { columns } = JSON.parse((await client.next("hello")).data) as Hello;
  const at = (name: string) =>
    columns.findIndex((column) => column.name === name && column.lane === "realtime");
  const events = Array.from({ length: 30 }, () => ({ topic: "a.b", priority: 4, payload: "x" }));
  const answer = await rig.fetch("/api/v1/publish", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(events),
  });
  expect(answer.status).toBe(200);
  for (;;) {
    const { rows } = await client.rows();
    const row = rows.find((candidate) => candidate[at("durable")] === 30);
    if (row === undefined) continue;
    expect(row[at("accepted")]).toBe(30);
    break;
  }
  // In one of the rows, the one in which they became durable, there is a latency; in all others there is none.
  const other = await LiveClient.open();
  const { rows } = await other.rows();
  await other.close();
  const measured = rows.map((row) => row[at("append_p99")]).filter((value) => value !== null);
  expect(measured.length).toBeGreaterThan(0);
  expect(measured.every((value) => typeof value === "number" && value > 0)).toBe(true);
  await client.close();
});

test("live resumes behind Last-Event-ID: no row is sent twice, none is left out", async () => {
  const first = await LiveClient.open();
  const before = await first.rows();
  const more = await first.rows();
  await first.close();
  const second = await LiveClient.open({ "last-event-id": before.id });
  const { rows } = await second.rows();
  expect(rows[0]).toEqual(more.rows[0] ?? []);
  await second.close();
  // An id of another run of the server, or none of ours at all: everything there is.
  for (const id of ["1-999999", "nonsense", `${before.id}9999`]) {
    const other = await LiveClient.open({ "last-event-id": id });
    expect((await other.rows()).rows[0]).toEqual(before.rows[0] ?? []);
    await other.close();
  }
});

test("live says when the state changes, and only then", async () => {
  const client = await LiveClient.open();
  await client.next("state");
  rig.engine.pause();
  const paused = JSON.parse((await client.next("state")).data);
  expect(paused.pipeline).toBe("PAUSED");
  expect(paused.reasons.join("\n")).toContain("Paused");
  rig.engine.resume();
  for (;;) {
    if (JSON.parse((await client.next("state")).data).pipeline === "RUNNING") break;
  }
  await client.close();
});

test("more than 64 viewers are refused with Retry-After, until one of them goes", async () => {
  const clients: ReadableStream<Uint8Array>[] = [];
  let refused: Response | undefined;
  while (clients.length <= 64 && refused === undefined) {
    const response = await rig.fetch("/api/v1/live");
    if (response.status === 200 && response.body !== null) clients.push(response.body);
    else refused = response;
  }
  // Those of the tests before may not have been noticed to be gone.
  expect(clients.length).toBeLessThanOrEqual(64);
  expect([refused?.status, refused?.headers.get("retry-after")]).toEqual([503, "10"]);
  for (const client of clients) await client.cancel();
  for (;;) {
    const response = await rig.fetch("/api/v1/live");
    await response.body?.cancel();
    if (response.status === 200) break;
    await Bun.sleep(LIVE_INTERVAL_MS / 20);
  }
});
