/**
 * `GET /api/v1/live`: everything a dashboard draws, as server-sent events.
 *
 *     event: hello     what the columns are, who the caller is
 *     event: rows      numbers of one or more seconds; its id says where to resume
 *     event: state     state, health and reasons, when they change
 *     event: alert     to those who may read everything
 */
import { z } from "zod";
import { type Alert, alertDocument } from "../process/alerts/alert.ts";
import type { ApiContext } from "./context.ts";
import { LIVE_INTERVAL_MS, type Viewer } from "./live.ts";
import { problem } from "./problem.ts";
import { type ApiRequest, checkQuery, type Route } from "./route.ts";
import { problemSchema } from "./schemas.ts";

/** Streams at a time; a row is written once for each. */
const VIEWERS_MAX = 64;
/** Messages that wait for a client that reads slowly; it gets the rows it missed when it has read them. */
const WAITING_MAX = 8;
/** Alerts that wait besides; beyond, they are not sent: `/api/v1/alerts` has them. */
const ALERTS_WAITING_MAX = 100;

const encoder = new TextEncoder();

const query = z.strictObject({
  last_event_id: z.string().max(100).optional().describe("The header Last-Event-ID, for who cannot set it"),
});

export function liveRoutes(context: ApiContext): Route[] {
  return [{
    method: "GET",
    path: "/api/v1/live",
    summary: "Counters, depths and latencies once a second, with the last minutes first",
    description:
      "Server-sent events: hello (columns), rows (numbers, one a column), state, alert. Resumes behind " +
      "Last-Event-ID as far as the history reaches; after a restart everything is sent.",
    tag: "health",
    query,
    responses: {
      200: { description: "The stream", contentType: "text/event-stream" },
      429: { description: "Too many streams, in all or of one address", schema: problemSchema },
      503: { description: "Too many watch already", schema: problemSchema },
    },
    handle: (call) => {
      const checked = checkQuery(query, call.url);
      if (checked.response) return checked.response;
      if (context.live.viewerCount >= VIEWERS_MAX) {
        return problem(503, `${VIEWERS_MAX} viewers watch already`, { headers: { "retry-after": "10" } });
      }
      const id = call.request.headers.get("last-event-id") ?? checked.value.last_event_id;
      const leave = context.streams.enter(call.server.requestIP(call.request)?.address ?? "");
      if (leave instanceof Response) return leave;
      const stream = new LiveStream(context, call, { lastId: id, leave });
      return new Response(stream.readable, {
        headers: {
          "content-type": "text/event-stream; charset=utf-8",
          "cache-control": "no-store",
          "x-accel-buffering": "no",
        },
      });
    },
  }];
}

/** One viewer: what waits for it is bounded, whatever it reads. */
class LiveStream implements Viewer {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #context: ApiContext;
  readonly #unwatch: () => void;
  readonly #leave: () => void;
  readonly #mayReadAlerts: boolean;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Number of the next row to send. */
  #next: number;
  #state = "";
  #isClosed = false;

  /** @param visit.leave Gives its place among all streams back. */
  constructor(
    context: ApiContext,
    call: ApiRequest,
    visit: { readonly lastId: string | undefined; readonly leave: () => void },
  ) {
    this.#context = context;
    this.#leave = visit.leave;
    this.#mayReadAlerts = call.caller.covers("read", ">");
    this.#next = resumeAt(visit.lastId, context);
    this.#unwatch = call.watch(() => this.end());
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        this.#send(`retry: 1000\nevent: hello\ndata: ${JSON.stringify(hello(context, call))}\n\n`);
        this.look();
      },
      cancel: () => this.#close(),
    }, new CountQueuingStrategy({ highWaterMark: WAITING_MAX + ALERTS_WAITING_MAX }));
    context.live.add(this);
  }

  look(): void {
    if (this.#room() <= ALERTS_WAITING_MAX) return;
    const { history } = this.#context.live;
    const id = `${this.#context.engine.startedMs}-${history.next}`;
    let text = this.#next === history.next
      ? ""
      : `id: ${id}\nevent: rows\ndata: ${history.json(this.#next)}\n\n`;
    this.#next = history.next;
    const state = JSON.stringify(this.#context.live.state());
    if (state !== this.#state) text += `event: state\ndata: ${state}\n\n`;
    this.#state = state;
    if (text !== "") this.#send(text);
  }

  alert(alert: Alert): void {
    if (!this.#mayReadAlerts || this.#room() <= 0) return;
    this.#send(`event: alert\ndata: ${JSON.stringify(alertDocument(alert))}\n\n`);
  }

  end(): void {
    if (this.#isClosed) return;
    this.#controller?.close();
    this.#close();
  }

  #send(text: string): void {
    this.#controller?.enqueue(encoder.encode(text));
  }

  /** Messages that may still wait. */
  #room(): number {
    return this.#controller?.desiredSize ?? 0;
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unwatch();
    this.#leave();
    this.#context.live.remove(this);
  }
}

function hello({ engine, live }: ApiContext, { caller }: ApiRequest) {
  const may = (scope: "publish" | "read" | "admin") => caller.has(scope);
  return {
    version: engine.version,
    started_ms: engine.startedMs,
    interval_ms: LIVE_INTERVAL_MS,
    columns: live.columns,
    lanes: [...new Set(engine.shards.map((shard) => shard.lane))],
    has_store: engine.store !== undefined,
    has_market: engine.market !== undefined,
    caller: {
      name: caller.name,
      publish: may("publish"),
      admin: may("admin"),
      read_everything: caller.covers("read", ">"),
    },
  };
}

/** An id of an earlier run of the server, or none at all, begins with the oldest row. */
function resumeAt(id: string | undefined, { engine, live }: ApiContext): number {
  const [, boot, next] = /^(\d{1,16})-(\d{1,16})$/.exec(id ?? "") ?? [];
  const isOurs = Number(boot) === engine.startedMs && Number(next) <= live.history.next;
  return isOurs ? Number(next) : 0;
}
