/** Webhooks against a real HTTP endpoint that fails in all the ways endpoints do. */
import { afterEach, expect, test } from "bun:test";
import { BREAKER_FAILURES, WAITING_MAX, Webhook } from "../../../src/process/alerts/webhook.ts";
import { alertOf } from "./alert-of.ts";

/** Nothing waits longer than this for an endpoint on the same machine. */
const PATIENCE_MS = 20_000;

interface Taken {
  readonly id: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Headers;
}

/** An endpoint that answers as it is told, request after request; 204 when nothing is left to say. */
class Endpoint {
  readonly taken: Taken[] = [];
  readonly answers: (number | "hang")[];
  readonly server: Bun.Server<undefined>;

  constructor(answers: readonly (number | "hang")[] = [], port = 0) {
    this.answers = [...answers];
    this.server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 0,
      fetch: async (request) => {
        const body: Readonly<Record<string, unknown>> = await request.json();
        this.taken.push({ id: String(body["id"]), body, headers: request.headers });
        const answer = this.answers.shift() ?? 204;
        if (answer === "hang") return await new Promise<Response>(() => {});
        return new Response(null, { status: answer });
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.server.port}/hook?token=secret`;
  }
}

const open: { endpoint?: Endpoint; webhook?: Webhook } = {};
const reports: string[] = [];

function start(answers: readonly (number | "hang")[] = [], timeoutMs = 5_000) {
  const endpoint = new Endpoint(answers);
  return { endpoint, webhook: webhookTo(endpoint.url, timeoutMs, endpoint) };
}

function webhookTo(url: string, timeoutMs: number, endpoint?: Endpoint): Webhook {
  reports.length = 0;
  const webhook = new Webhook({ url, timeoutMs, headers: [["authorization", "Bearer x"]] }, {
    report: (problem) => reports.push(problem),
    firstPauseMs: 1,
    pauseMsMax: 20,
    breakerOpenMs: 20,
  });
  Object.assign(open, { endpoint, webhook });
  return webhook;
}

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error("it did not come to that");
    await Bun.sleep(2);
  }
}

afterEach(async () => {
  open.webhook?.close();
  await open.endpoint?.server.stop(true);
});

test("an alert arrives as JSON, with a text for chat programs, its id and the configured headers", async () => {
  const { endpoint, webhook } = start();
  webhook.send(alertOf("a-1"));
  await until(() => webhook.sentCount === 1);
  const [{ body, headers } = { body: {}, headers: new Headers() }] = endpoint.taken;
  expect(body).toEqual({
    id: "a-1",
    rule: "hot",
    severity: "CRITICAL",
    message: "it burns",
    raised_us: 1_000_000,
    source: "realtime/0/7",
    topic: "sensor.1",
    key: "",
    event_id: "",
    suppressed: 0,
    context: { payload: 1 },
    text: "CRITICAL hot: it burns",
  });
  const names = ["content-type", "idempotency-key", "authorization"];
  expect(names.map((name) => headers.get(name))).toEqual(["application/json", "a-1", "Bearer x"]);
});

test("what fails is tried again until it is taken, in order, and beyond the circuit breaker", async () => {
  const failures = [500, 503, 429, 408, ...new Array<number>(BREAKER_FAILURES + 2).fill(502)];
  const { endpoint, webhook } = start(failures);
  for (const id of ["a", "b", "c"]) webhook.send(alertOf(id));
  await until(() => webhook.sentCount === 3);
  const ids = endpoint.taken.map(({ id }) => id);
  expect(ids).toEqual([...failures.map(() => "a"), "a", "b", "c"]);
  expect([webhook.failedCount, webhook.lostCount, webhook.waitingCount]).toEqual([failures.length, 0, 0]);
  expect(reports[0]).toContain(`does not take alerts, which wait: status 500`);
  // A URL may carry a secret.
  expect(reports.join()).not.toContain("secret");
});

test("while the circuit is open nothing is asked of the endpoint", async () => {
  const { endpoint, webhook } = start(new Array<number>(1000).fill(500));
  const slow = new Webhook({ url: endpoint.url, timeoutMs: 5000, headers: [] }, {
    report: () => {},
    firstPauseMs: 1,
    pauseMsMax: 20,
    breakerOpenMs: 3_600_000,
  });
  webhook.close();
  slow.send(alertOf("a"));
  await until(() => slow.failedCount === BREAKER_FAILURES);
  // More attempts than the breaker allows have come and gone when a second webhook has got through.
  const probe = webhookTo(endpoint.url, 5000, endpoint);
  probe.send(alertOf("probe"));
  await until(() => probe.failedCount > 2 * BREAKER_FAILURES);
  expect(endpoint.taken.filter(({ id }) => id === "a")).toHaveLength(BREAKER_FAILURES);
  expect(slow.waitingCount).toBe(1);
  slow.close();
});

test("an alert that is refused for good is given up, and the next one goes on", async () => {
  const { endpoint, webhook } = start([400, 413]);
  for (const id of ["a", "b", "c"]) webhook.send(alertOf(id));
  await until(() => webhook.sentCount === 1);
  expect(endpoint.taken.map(({ id }) => id)).toEqual(["a", "b", "c"]);
  expect(webhook.lostCount).toBe(2);
  expect(reports[0]).toContain("refuses an alert, which is given up: status 400");
});

test("an endpoint that does not answer is given its time, and then tried again", async () => {
  const { endpoint, webhook } = start(["hang"], 50);
  webhook.send(alertOf("a"));
  await until(() => webhook.sentCount === 1);
  expect(endpoint.taken.map(({ id }) => id)).toEqual(["a", "a"]);
});

test("an endpoint that is not there loses nothing, and gets all of it when it comes", async () => {
  const gone = new Endpoint();
  const { url } = gone;
  const port = gone.server.port;
  await gone.server.stop(true);
  const webhook = webhookTo(url, 5000);
  for (const id of ["a", "b"]) webhook.send(alertOf(id));
  await until(() => webhook.failedCount > BREAKER_FAILURES);
  const back = new Endpoint([], port);
  open.endpoint = back;
  await until(() => webhook.sentCount === 2);
  expect(back.taken.map(({ id }) => id)).toEqual(["a", "b"]);
});

test("beyond its limit the oldest alerts are lost, and counted", () => {
  const webhook = webhookTo("http://127.0.0.1:1/", 5000);
  for (let number = 0; number < WAITING_MAX + 3; number++) webhook.send(alertOf(`a${number}`));
  expect([webhook.waitingCount, webhook.lostCount]).toEqual([WAITING_MAX, 3]);
  expect(webhook.save().at(0)?.id).toBe("a3");
});

test("close() stops at once; what waited is sent by the one that loads it", async () => {
  const first = start(["hang"]);
  for (const id of ["a", "b"]) first.webhook.send(alertOf(id));
  await until(() => first.endpoint.taken.length === 1);
  const saved = JSON.parse(JSON.stringify(first.webhook.save()));
  first.webhook.close();
  const second = webhookTo(first.endpoint.url, 5000, first.endpoint);
  second.load(saved);
  await until(() => second.sentCount === 2);
  expect(first.endpoint.taken.map(({ id }) => id)).toEqual(["a", "a", "b"]);
});
