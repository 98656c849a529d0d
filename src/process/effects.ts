/** What the processor found out → rows of the store. */
import type { StoredAlert, WindowResult } from "../store/store.ts";
import type { Alert } from "./alerts/alert.ts";
import { plain } from "./rules/expression.ts";
import type { PaneResult } from "./windows/operator.ts";
import type { AggregateKind, WindowSpec } from "./windows/spec.ts";

/** The row of a result. Its `sum`, `min` and `max` are those of the first aggregate of that kind. */
export function windowRow(spec: WindowSpec, result: PaneResult): WindowResult {
  const { window: name, key, startUs, endUs, count, values, revision, isClosed, replaces } = result;
  const measure = (kind: AggregateKind): number | null => {
    const aggregate = spec.aggregates.find((candidate) => candidate.kind === kind);
    const value = aggregate === undefined ? undefined : values[aggregate.name];
    return typeof value === "number" ? value : null;
  };
  return {
    name,
    key,
    startUs,
    endUs,
    count,
    sum: measure("sum"),
    min: measure("min"),
    max: measure("max"),
    result: JSON.stringify({ count, ...values, revision, closed: isClosed }, plain),
    replaces,
  };
}

export function alertRow(alert: Alert): StoredAlert {
  const { id, rule, severity, raisedUs, topic, key, message, source, eventId, suppressed, context } = alert;
  return {
    id,
    rule,
    severity,
    raisedUs,
    topic,
    key: key === "" ? null : key,
    message,
    context: JSON.stringify({ source, event_id: eventId, suppressed, context }, plain),
  };
}
