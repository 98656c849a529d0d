/** What a view asks the server for: asked when it is shown, again when the question changes, and regularly. */
import { useEffect, useState } from "preact/hooks";
import { requestJson } from "../session.ts";

export interface Loaded<T> {
  /** The last good answer; it stays while the next one is on its way. */
  readonly data: T | undefined;
  readonly problem: string | undefined;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

/**
 * @param path What to ask for; `undefined`: nothing yet.
 * @param everyMs Asks again so long after each answer, while the page is seen.
 */
export function useLoaded<T>(path: string | undefined, everyMs?: number): Loaded<T> {
  const [answer, setAnswer] = useState<{ path?: string; data?: T; problem?: string }>({});
  const [isLoading, setLoading] = useState(false);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (path === undefined) return;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      setLoading(true);
      try {
        const data = await requestJson<T>(path, { signal: controller.signal });
        setAnswer({ path, data });
      } catch (error) {
        if (controller.signal.aborted) return;
        const problem = error instanceof Error ? error.message : String(error);
        setAnswer((before) => ({ ...(before.path === path ? before : {}), path, problem }));
      }
      setLoading(false);
      if (everyMs !== undefined && !controller.signal.aborted) timer = setTimeout(again, everyMs);
    };
    const again = () => {
      if (document.hidden) timer = setTimeout(again, everyMs);
      else void load();
    };
    void load();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs, turn]);
  return { data: answer.data, problem: answer.problem, isLoading, reload: () => setTurn((last) => last + 1) };
}
