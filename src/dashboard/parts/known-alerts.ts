/** Alerts from before the page was opened; the stream brings those that follow. */
import { useEffect } from "preact/hooks";
import { type LiveAlert, mergeAlerts } from "../live/alerts.ts";
import { connection } from "../live/source.ts";
import { useLoaded } from "./loaded.ts";

/** Loads them, and again after each loss of the connection: some may have been raised meanwhile. */
export function useKnownAlerts(mayRead: boolean): void {
  const isWanted = mayRead && connection.value === "live";
  const { data } = useLoaded<{ readonly alerts: readonly LiveAlert[] }>(
    isWanted ? "/api/v1/alerts?limit=500" : undefined,
  );
  useEffect(() => {
    if (data !== undefined) mergeAlerts(data.alerts);
  }, [data]);
}
