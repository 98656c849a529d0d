/** Events of some topics as they come, from a moment in the past on; resumed when the connection is lost. */
import { readMessages } from "./sse.ts";
import type { EventView } from "../parts/event-detail.tsx";
import { queryOf, request, RequestFailure } from "../session.ts";

const RETRY_MS = 2_000;
/** Events that come close together are handed over together: a page is drawn sixty times a second at most. */
const GATHER_MS = 100;

export interface StreamOptions {
  readonly topics: readonly string[];
  /** Only these; default: all but the dead letters. */
  readonly lanes?: readonly string[];
  /** `latest`, or a time (ISO 8601). */
  readonly from: string;
  readonly onEvents: (events: readonly EventView[]) => void;
  /** What keeps the stream from going on; `undefined`: it goes. */
  readonly onProblem: (problem: string | undefined) => void;
}

/** @returns Ends it. */
export function streamEvents({ topics, lanes, from, onEvents, onProblem }: StreamOptions): () => void {
  const controller = new AbortController();
  let waiting: EventView[] = [];
  let lastId: string | undefined;
  const timer = setInterval(() => {
    if (waiting.length > 0) onEvents(waiting.splice(0));
  }, GATHER_MS);

  const run = async () => {
    while (!controller.signal.aborted) {
      try {
        const path = `/api/v1/subscribe${
          queryOf({
            topics: topics.join(","),
            lanes: lanes?.join(","),
            from,
            last_event_id: lastId,
          })
        }`;
        const headers = { accept: "text/event-stream" };
        const { body } = await request(path, { headers, signal: controller.signal });
        onProblem(undefined);
        if (body !== null) {
          for await (const { data, id } of readMessages(body)) {
            lastId = id ?? lastId;
            if (data !== "") waiting.push(JSON.parse(data) as EventView);
          }
        }
      } catch (error) {
        if (controller.signal.aborted) return;
        onProblem(error instanceof Error ? error.message : String(error));
        // Asking again would be refused again.
        if (error instanceof RequestFailure && error.status >= 400 && error.status < 500) return;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  };
  void run();
  return () => {
    waiting = [];
    clearInterval(timer);
    controller.abort();
  };
}
