/** What a reload changes: which keys differ between two configurations, and which of them need a restart. */
import type { Config } from "./config.ts";
import { type Document, type DocumentValue, toDocument, topicsDocument } from "./document.ts";
import { freeze } from "./freeze.ts";

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
  /** What runs once the plan is applied. */
  readonly next: Config;
  /** Can be applied at once. */
  readonly live: readonly Change[];
  /** Stay as they were until the next start. */
  readonly restart: readonly Change[];
}

/**
 * What becomes of a running server that is to take over another configuration.
 *
 * Topic rules of lanes and of the topics file show as changes of `topics`: what counts is the table
 * that results.
 */
export function planReload(running: Config, wanted: Config): ReloadPlan {
  const next = takeOver(running, wanted);
  return { next, live: changes(running, next), restart: changes(next, wanted) };
}

/**
 * `running` with the keys of `wanted` that a running server can take over. Rules for lanes that only the next
 * start has wait for it with their lane.
 */
export function takeOver(running: Config, wanted: Config): Config {
  const hasLane = (name: string) => running.lanes.some((lane) => lane.name === name);
  const { jwt, jwksFile, tokens, certificates, udp } = wanted.auth;
  const { certFile, keyFile, caFile, cert, key, ca } = wanted.tls;
  return freeze({
    ...running,
    topics: wanted.topics.flatMap((rule) => {
      if (rule.lane === null || hasLane(rule.lane)) return [rule];
      return rule.priority === null ? [] : [{ ...rule, lane: null }];
    }),
    topicsFile: wanted.topicsFile,
    lanes: running.lanes.map((lane) => {
      const other = wanted.lanes.find(({ name }) => name === lane.name);
      return other === undefined ? lane : { ...lane, topics: other.topics, retention: other.retention };
    }),
    dedup: { ...running.dedup, windowMs: wanted.dedup.windowMs },
    control: wanted.control,
    logging: { ...running.logging, level: wanted.logging.level },
    auth: { ...running.auth, jwt, jwksFile, tokens, certificates, udp },
    // Without TLS there is no listener that could use them.
    tls: running.tls.enabled && wanted.tls.enabled
      ? { ...running.tls, certFile, keyFile, caFile, cert, key, ca }
      : running.tls,
  });
}

/**
 * The configuration in effect for people, after a reload: what was taken over as `wanted` shows it, secrets
 * hidden, and the rest as it was shown before.
 */
export function printableNext(
  next: Config,
  running: { readonly printable: DocumentValue },
  wanted: { readonly config: Config; readonly printable: DocumentValue },
): DocumentValue {
  return pick(toDocument(next), toDocument(wanted.config), running.printable, wanted.printable);
}

function pick(
  next: DocumentValue,
  wanted: DocumentValue | undefined,
  shownBefore: DocumentValue | undefined,
  shownNow: DocumentValue | undefined,
): DocumentValue {
  if (isTree(next)) {
    const below = (value: DocumentValue | undefined, key: string) =>
      value !== undefined && isTree(value) ? value[key] : undefined;
    return Object.fromEntries(
      Object.entries(next).map(([key, value]) => [
        key,
        pick(value, below(wanted, key), below(shownBefore, key), below(shownNow, key)),
      ]),
    );
  }
  const shown = JSON.stringify(next) === JSON.stringify(wanted) ? shownNow : shownBefore;
  return shown ?? next;
}

/** Every key whose value differs, or the content of the file that it names. */
function changes(before: Config, after: Config): Change[] {
  const from = flatten(comparable(before));
  const to = flatten(comparable(after));
  const contents = changedFiles(before, after);
  return [...new Set([...from.keys(), ...to.keys()])]
    .map((id) => ({ key: pathOf(id).join("."), from: from.get(id), to: to.get(id) }))
    .filter(({ key, from, to }) => contents.has(key) || JSON.stringify(from) !== JSON.stringify(to));
}

/** Keys of files whose content differs. */
function changedFiles(before: Config, after: Config): Set<string> {
  const files = (config: Config) => ({
    "tls.cert_file": config.tls.cert,
    "tls.key_file": config.tls.key,
    "tls.ca_file": config.tls.ca,
    "auth.jwt.secret": config.auth.jwt?.secret,
    "auth.jwt.jwks_file": config.auth.jwt?.jwks,
  });
  const old = files(before);
  const found = Object.entries(files(after)).filter(([key, content]) =>
    JSON.stringify(content) !== JSON.stringify(old[key as keyof typeof old])
  );
  return new Set(found.map(([key]) => key));
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
    if (!isTree(value)) leaves.set(JSON.stringify(path), value);
    else for (const [key, inner] of Object.entries(value)) visit(inner, [...path, key]);
  };
  visit(document, []);
  return leaves;
}

function pathOf(id: string): string[] {
  return JSON.parse(id);
}

function isTree(value: DocumentValue): value is Document {
  return typeof value === "object" && !Array.isArray(value);
}
