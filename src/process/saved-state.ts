/**
 * What the processor remembers, as one text: rules, windows, alerts, retries, outputs under way, handlers.
 *
 * A part that is new in the configuration, or means something else than it did, begins with nothing.
 */
import type { AlertDesk } from "./alerts/desk.ts";
import type { Delegation } from "./handlers/delegation.ts";
import type { Outbox } from "./outbox.ts";
import type { Retries, SavedRetries } from "./retry.ts";
import type { Rule } from "./rules/rule.ts";
import type { RuleSpec } from "./rules/spec.ts";
import type { WindowFeed } from "./windows/feed.ts";
import type { WindowSpec } from "./windows/spec.ts";

/** Form of the saved state; one of another form is let go. */
const VERSION = 1;

/** Everything that is saved together. */
export interface Remembering {
  readonly rules: readonly Rule[];
  readonly windows: readonly WindowFeed[];
  readonly desk: AlertDesk;
  readonly retries: Retries;
  readonly outbox: Outbox;
  readonly delegation: Delegation | undefined;
}

interface SavedState {
  readonly version: typeof VERSION;
  readonly rules: readonly (readonly [name: string, shape: string, saved: unknown])[];
  readonly windows: readonly (readonly [name: string, shape: string, saved: unknown])[];
  readonly alerts: unknown;
  readonly retries?: SavedRetries;
  readonly outbox: readonly string[];
  readonly handlers?: unknown;
}

export function saveState({ rules, windows, desk, retries, outbox, delegation }: Remembering): Uint8Array {
  const state: SavedState = {
    version: VERSION,
    rules: rules.map((rule) => [rule.name, ruleShape(rule.spec), rule.save() ?? null]),
    windows: windows.map(({ spec, operator }) => [spec.name, windowShape(spec), operator.save()]),
    alerts: desk.save(),
    retries: retries.save(),
    outbox: outbox.save(),
    handlers: delegation?.save(),
  };
  return Buffer.from(JSON.stringify(state));
}

/** @returns Names of the parts whose state was let go. */
export function loadState(
  { rules, windows, desk, retries, outbox, delegation }: Remembering,
  saved: Uint8Array,
  nowUs: number,
): readonly string[] {
  const state = JSON.parse(Buffer.from(saved).toString()) as SavedState;
  if (state.version !== VERSION) return ["everything"];
  const forgotten: string[] = [];
  for (const [name, shape, saved] of state.rules) {
    const rule = rules.find((candidate) => candidate.name === name);
    if (rule !== undefined && ruleShape(rule.spec) === shape) rule.load(saved);
    else if (saved !== null) forgotten.push(name);
  }
  for (const [name, shape, saved] of state.windows) {
    const window = windows.find(({ spec }) => spec.name === name);
    if (window !== undefined && windowShape(window.spec) === shape) window.operator.load(saved, nowUs);
    else forgotten.push(name);
  }
  desk.load(state.alerts);
  // A checkpoint of an earlier version has none.
  retries.load(state.retries ?? []);
  outbox.load(state.outbox);
  if (state.handlers !== undefined && state.handlers !== null) {
    forgotten.push(...delegation?.load(state.handlers) ?? []);
  }
  return forgotten;
}

/** What the state of a rule depends on: with another shape, the state means nothing. */
function ruleShape({ when, filter, by, state, topics }: RuleSpec): string {
  return JSON.stringify([topics, when, filter, by, state]);
}

function windowShape({ topics, when, by, time, shape, aggregates }: WindowSpec): string {
  return JSON.stringify([topics, when, by, time, shape, aggregates]);
}
