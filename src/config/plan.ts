/** What a reload changes: which keys differ between two configurations, and which of them need a restart. */
import type { Config } from "./config.ts";
import { type Document, type DocumentValue, toDocument, topicsDocument } from "./document.ts";

/** Keys that a running server can take over; `*` stands for one step, a final `>` for the key and all below. */
export const LIVE_KEYS = [
  "topics.>",
  "topics_file.>",
  "lanes.*.topics.>",
  "lanes.*.retention.>",
  "logging.level.>",
  "dedup.window.>",
  "control.>",
  "auth.tokens.>",
  "auth.certificates.>",
  "auth.jwt.>",
  "auth.udp.>",
  "tls.cert_file.>",
  "tls.key_file.>",
  "tls.ca_file.>",
] as const;

/** A key whose value differs. Absent on one side: `undefined`. */
export interface Change {
  /** In the file's spelling, such as `lanes.batch.retention.max_age`. */
  readonly key: string;
  readonly from: DocumentValue | undefined;
  readonly to: DocumentValue | undefined;
}

export interface ReloadPlan {
  /** Can be applied at once. */
  readonly live: readonly Change[];
  /** Stay as they were until the next start. */
  readonly restart: readonly Change[];
}

/**
 * Compares two configurations key by key.
 *
 * Topic rules of lanes and of the topics file show as changes of `topics`: what counts is the table
 * that results.
 */
export function planReload(running: Config, wanted: Config): ReloadPlan {
  const from = flatten(comparable(running));
  const to = flatten(comparable(wanted));
  const live: Change[] = [];
  const restart: Change[] = [];
  for (const id of new Set([...from.keys(), ...to.keys()])) {
    const change = { key: pathOf(id).join("."), from: from.get(id), to: to.get(id) };
    if (JSON.stringify(change.from) === JSON.stringify(change.to)) continue;
    (isLive(pathOf(id)) ? live : restart).push(change);
  }
  return { live, restart };
}

/** Whether a key can change while the server runs. */
export function isLive(path: readonly string[]): boolean {
  return LIVE_KEYS.some((pattern) => {
    const steps = pattern.split(".").slice(0, -1);
    return path.length >= steps.length && steps.every((step, index) => step === "*" || step === path[index]);
  });
}

function comparable(config: Config): Document {
  return { ...toDocument(config), topics: topicsDocument(config.topics) };
}

/** Leaves by path; lists count as one value. A topic may contain dots, so the id is not the dotted path. */
function flatten(document: Document): Map<string, DocumentValue> {
  const leaves = new Map<string, DocumentValue>();
  const visit = (value: DocumentValue, path: readonly string[]): void => {
    if (typeof value !== "object" || isList(value)) leaves.set(JSON.stringify(path), value);
    else for (const [key, inner] of Object.entries(value)) visit(inner, [...path, key]);
  };
  visit(document, []);
  return leaves;
}

function pathOf(id: string): string[] {
  return JSON.parse(id);
}

function isList(value: DocumentValue): value is readonly DocumentValue[] {
  return Array.isArray(value);
}
