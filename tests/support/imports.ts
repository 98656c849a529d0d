/**
 * The rules of who may import whom, as a table, and a checker that knows them.
 *
 * Things ← stages ← engine ← api ← cli. A *room* is a folder of `src/`; a file right in `src/` is a room of its
 * own, and so is `cli/`.
 */
import { dirname, join, normalize } from "node:path";

/** Rooms whose every export a room may use. A room may always use itself and `errors.ts`. */
const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  // Things.
  "errors.ts": [],
  "threads.ts": [],
  event: [],
  queue: [],
  metrics: [],
  book: [],
  system: [],
  logging: [],
  tracing: [],
  auth: ["event"],
  client: ["event", "market"],
  market: ["event", "book"],
  log: ["event", "metrics", "queue", "system"],
  control: ["metrics"],
  // Stages, in flow order.
  ingest: ["event", "queue", "metrics", "book", "system", "auth", "log", "market", "logging"],
  dispatch: ["event", "queue", "metrics", "book", "system", "auth", "log", "logging"],
  process: ["event", "queue", "metrics", "book", "system", "auth", "log", "market", "logging"],
  store: ["event", "queue", "metrics", "system", "log", "logging"],
  deliver: ["event", "queue", "metrics", "book", "system", "auth", "log", "client", "logging"],
  // What the engine keeps alive and where it finds it.
  "supervise.ts": ["queue"],
};

/** Of another stage, a stage may use only types. */
const STAGES = ["ingest", "dispatch", "process", "store", "deliver"];

/** Files that every room may use: constants that both sides of a wall must agree on. */
const FREE_FOR_ALL = ["errors.ts"];

/** Rooms that build the whole: they may use whatever lies below them, but not each other upwards. */
const UPPER: Readonly<Record<string, readonly string[]>> = {
  // The configuration checks its limits against the rooms that own them, so it sees their constants and types.
  config: ["engine", "api", "cli", "dashboard"],
  engine: ["api", "cli", "dashboard"],
  api: ["cli", "dashboard"],
  // Runs in a browser; knows the shapes of what the API answers.
  dashboard: ["cli"],
  cli: [],
};

/** Uses across a wall that the design wants, each with its reason. */
export const EXCEPTIONS: Readonly<Record<string, string>> = {
  "src/ingest/source.ts -> src/deliver/acks.ts": "the source answers the connections it owns",
  "src/ingest/control.ts -> src/deliver/request.ts":
    "SUBSCRIBE and CONFIRM come in over an ingest connection",
  "src/ingest/tcp.ts -> src/deliver/events-frame.ts": "EVENTS go out over an ingest connection",
  "src/ingest/worker.ts -> src/deliver/consumer-link.ts":
    "the thread of a connection serves its subscriptions",
  "src/ingest/worker.ts -> src/deliver/subscriptions.ts":
    "the thread of a connection serves its subscriptions",
  "src/ingest/worker.ts -> src/deliver/tail.ts": "the thread of a connection serves its subscriptions",
  "src/metrics/expose.ts -> src/event/frame.ts": "names of the reject reasons, which are labels",
  "src/metrics/snapshot.ts -> src/event/frame.ts": "names of the reject reasons, which are counted by number",
  "src/metrics/snapshot.ts -> src/log/shard-state.ts": "offsets are read where the log publishes them",
  "src/metrics/snapshot.ts -> src/queue/ring.ts": "depth is read where the ring publishes it",
};

export interface Import {
  /** The file that imports, from the repository root. */
  readonly from: string;
  /** What it imports: a file from the repository root, or a package. */
  readonly to: string;
  /** Only types: erased before the program runs. */
  readonly typeOnly: boolean;
}

/** The imports and re-exports of a source text. */
export function importsOf(file: string, text: string): { imports: Import[]; reexports: string[] } {
  const imports: Import[] = [];
  const reexports: string[] = [];
  const code = withoutComments(text);
  const statements =
    /(?:^|\n)[ \t]*(import|export)\s+(type\s+)?((?:[^"'`;]|\{[^}]*\})*?)\s*from\s*["']([^"']+)["']/g;
  for (const [, verb, type, names = "", specifier = ""] of code.matchAll(statements)) {
    const typeOnly = type !== undefined || /^\{\s*(?:type\s+[^,{}]+,?\s*)+\}$/.test(names.trim());
    imports.push({ from: file, to: resolve(file, specifier), typeOnly });
    if (verb === "export") reexports.push(specifier);
  }
  for (const [, specifier = ""] of code.matchAll(/\bimport\s*\(\s*["']([^"']+)["']/g)) {
    imports.push({ from: file, to: resolve(file, specifier), typeOnly: false });
  }
  for (const [, specifier = ""] of code.matchAll(/(?:^|\n)[ \t]*import\s+["']([^"']+)["']/g)) {
    imports.push({ from: file, to: resolve(file, specifier), typeOnly: false });
  }
  return { imports, reexports };
}

/** What is wrong with an import, or `undefined`. */
export function importProblem({ from, to, typeOnly }: Import): string | undefined {
  const here = roomOf(from);
  const there = roomOf(to);
  if (here === undefined || there === undefined || here === there || FREE_FOR_ALL.includes(there)) {
    return undefined;
  }
  const above = UPPER[layerOf(here)];
  if (above !== undefined) {
    return above.includes(layerOf(there)) ? `${here} is below ${there} and must not know it` : undefined;
  }
  const allowed = MAY_USE[here];
  if (allowed === undefined) return `room ${here} is not in the table of tests/support/imports.ts`;
  if (allowed.includes(there) || EXCEPTIONS[`${from} -> ${to}`] !== undefined) return undefined;
  if (!STAGES.includes(here) || !STAGES.includes(there)) return `${here} must not import ${there}`;
  return typeOnly ? undefined : `stage ${here} may use only types of stage ${there}`;
}

/** Text without comments; strings are kept, as a specifier is one. */
export function withoutComments(text: string): string {
  const strings = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replace(strings, (part) => part.startsWith("/") ? "" : part);
}

function resolve(file: string, specifier: string): string {
  return specifier.startsWith(".") ? normalize(join(dirname(file), specifier)) : specifier;
}

function roomOf(file: string): string | undefined {
  const [top, room] = file.split("/");
  if (top === "cli") return "cli";
  return top === "src" ? room : undefined;
}

/** `src/engine.ts` and its parts `src/engine-*.ts` are one layer. */
function layerOf(room: string): string {
  return /^(engine|data-directory)[-a-z]*\.ts$/.test(room) ? "engine" : room;
}
