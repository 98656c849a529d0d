/**
 * Positions of durable consumers: where each one goes on after its connection, or the server, is gone.
 *
 *     <directory>/<name>.json    {"consumer": name, "updated_us": t, "offsets": {"lane/shard": next},
 *                                 "failures"?: {"lane/shard@offset": count}}
 *
 * The main thread owns the store. A file is replaced as a whole (written beside, fsynced, renamed,
 * folder fsynced), so a crash leaves the old position or the new one. Writes are gathered for up to
 * WRITE_DELAY_MS: a position lost with them costs repeated events, never lost ones.
 *
 *     position on disk ≤ position in memory ≤ confirmed by the consumer
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { EscError } from "../errors.ts";
import { syncDirectory } from "../system/directory-sync.ts";
import { replaceFile } from "./replace-file.ts";
import { BadRequest, isConsumerName, type Positions, readPositions } from "./request.ts";

/** How long a confirmed position may wait for its write. */
export const WRITE_DELAY_MS = 100;
export const CONSUMERS_MAX = 10_000;

/** Failed deliveries of a group's events that are not done, by `lane/shard@offset`. */
export type Failures = Readonly<Record<string, number>>;

export interface ConsumerPosition {
  readonly name: string;
  readonly offsets: Positions;
  readonly failures: Failures;
  /** Last confirmation, microseconds since the Unix epoch. */
  readonly updatedUs: number;
}

export interface ConsumerStoreOptions {
  /** Made when it does not exist. */
  readonly directory: string;
  readonly nowUs: () => number;
  /** Is told of a file that cannot be read or written. */
  readonly report: (problem: string, cause: unknown) => void;
}

interface Entry {
  offsets: Record<string, number>;
  failures: Failures;
  updatedUs: number;
  isDirty: boolean;
}

export class ConsumerStore {
  readonly #directory: string;
  readonly #nowUs: () => number;
  readonly #report: (problem: string, cause: unknown) => void;
  readonly #entries = new Map<string, Entry>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @throws {EscError} `STORE_UNAVAILABLE` If the folder cannot be made or listed. */
  constructor(options: ConsumerStoreOptions) {
    this.#directory = options.directory;
    this.#nowUs = options.nowUs;
    this.#report = options.report;
    try {
      mkdirSync(this.#directory, { recursive: true });
      for (const file of readdirSync(this.#directory)) this.#load(file);
    } catch (error) {
      throw new EscError("STORE_UNAVAILABLE", `Cannot read consumers in '${this.#directory}'`, {
        cause: error,
        hint: "Make data.dir readable and writable for esc",
      });
    }
  }

  /** All consumers, by name. */
  list(): ConsumerPosition[] {
    const names = [...this.#entries.keys()].sort();
    return names.map((name) => this.get(name)).filter((position) => position !== undefined);
  }

  get(name: string): ConsumerPosition | undefined {
    const entry = this.#entries.get(name);
    return entry &&
      { name, offsets: { ...entry.offsets }, failures: entry.failures, updatedUs: entry.updatedUs };
  }

  /**
   * Moves a consumer on, and makes it when it is new. A position never goes back: two connections that
   * share a name cannot undo each other. To go back, delete the consumer.
   *
   * @param failures Of its events that are not done; those told before are forgotten.
   * @returns What is wrong: the name, or that there are CONSUMERS_MAX already. `undefined` when taken.
   */
  confirm(name: string, offsets: Positions, failures: Failures = {}): BadRequest | undefined {
    if (!isConsumerName(name)) return new BadRequest(`Consumer name "${name.slice(0, 100)}" is not valid`);
    let entry = this.#entries.get(name);
    if (!entry) {
      if (this.#entries.size >= CONSUMERS_MAX) {
        return new BadRequest(`There are ${CONSUMERS_MAX} consumers already`);
      }
      entry = { offsets: Object.create(null), failures, updatedUs: 0, isDirty: true };
      this.#entries.set(name, entry);
    }
    for (const key of Object.keys(offsets)) {
      entry.offsets[key] = Math.max(entry.offsets[key] ?? 0, offsets[key] as number);
    }
    entry.failures = failures;
    entry.updatedUs = this.#nowUs();
    entry.isDirty = true;
    this.#timer ??= setTimeout(() => this.flush(), WRITE_DELAY_MS);
    return undefined;
  }

  /** Puts a consumer that exists somewhere else, back as well as on. Whoever works for it must be gone. */
  moveTo(name: string, offsets: Positions): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.offsets = Object.assign(Object.create(null), offsets);
    entry.failures = {};
    entry.updatedUs = this.#nowUs();
    entry.isDirty = true;
    this.flush();
  }

  /**
   * Forgets a consumer, on disk too.
   *
   * @returns Whether it existed.
   * @throws {EscError} `STORE_UNAVAILABLE` If its file cannot be removed; it is kept then.
   */
  delete(name: string): boolean {
    if (!this.#entries.has(name)) return false;
    try {
      rmSync(this.#pathOf(name), { force: true });
      syncDirectory(this.#directory);
    } catch (error) {
      throw new EscError("STORE_UNAVAILABLE", `Cannot delete consumer "${name}"`, { cause: error });
    }
    return this.#entries.delete(name);
  }

  /**
   * Writes every position that has changed. What cannot be written is reported and tried again with the
   * next confirmation or flush.
   */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let written = 0;
    for (const [name, entry] of this.#entries) {
      if (!entry.isDirty) continue;
      try {
        this.#write(name, entry);
        entry.isDirty = false;
        written++;
      } catch (error) {
        this.#report(`Cannot store the position of consumer "${name}"`, error);
      }
    }
    if (written > 0) syncDirectory(this.#directory);
  }

  #write(name: string, entry: Entry): void {
    const { updatedUs, offsets } = entry;
    const failures = Object.keys(entry.failures).length === 0 ? undefined : entry.failures;
    const document = { consumer: name, updated_us: updatedUs, offsets, failures };
    replaceFile(this.#pathOf(name), JSON.stringify(document));
  }

  #load(file: string): void {
    if (!file.endsWith(".json")) return;
    const name = file.slice(0, -".json".length);
    try {
      const stored = readStored(JSON.parse(readFileSync(join(this.#directory, file), "utf8")));
      if (!isConsumerName(name)) throw new RangeError("The file name is no consumer name");
      this.#entries.set(name, { ...stored, isDirty: false });
    } catch (error) {
      this.#report(`Cannot read consumer "${name}"; it starts anew`, error);
    }
  }

  #pathOf(name: string): string {
    return join(this.#directory, `${name}.json`);
  }
}

/** @throws {RangeError} If the file's JSON is not a position. */
function readStored(json: unknown): Pick<Entry, "offsets" | "failures" | "updatedUs"> {
  const isObject = typeof json === "object" && json !== null;
  const offsets = readPositions("offsets", isObject && "offsets" in json ? json.offsets : undefined);
  if (offsets instanceof BadRequest) throw new RangeError(offsets.message);
  const updatedUs = isObject && "updated_us" in json ? json.updated_us : 0;
  return {
    offsets: Object.assign(Object.create(null), offsets),
    failures: readFailures(isObject && "failures" in json ? json.failures : {}),
    updatedUs: typeof updatedUs === "number" ? updatedUs : 0,
  };
}

/** Failures are a courtesy: what does not look like one is left out, and its event begins anew. */
function readFailures(json: unknown): Failures {
  const failures: Record<string, number> = {};
  if (typeof json !== "object" || json === null) return failures;
  for (const [place, count] of Object.entries(json)) {
    if (Number.isSafeInteger(count) && count > 0) failures[place] = count;
  }
  return failures;
}
