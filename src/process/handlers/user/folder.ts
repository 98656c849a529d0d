/**
 * Files of handlers: which there are in a folder, and whether they have changed.
 *
 * Files are looked at by name, size and time of change, which works on every file system and costs some calls a
 * look. A file counts as changed when two looks in a row see the same new version: one that is being written is
 * left alone.
 */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { HandlerSpec } from "../registry.ts";

const CODE = /\.(ts|js|mjs|json)$/;
/** Beginning with "_" or ".": code that handlers share. */
const NO_HANDLER = /^[_.]|\.d\.ts$|\.test\.ts$|\.json$/;
const NAME = /^[A-Za-z0-9_-]{1,63}$/;

/** Handlers of a folder by name: its `.ts`, `.js` and `.mjs` files. Empty when it cannot be read. */
export function handlersIn(folder: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const file of codeIn(folder).sort()) {
    if (NO_HANDLER.test(file)) continue;
    const name = basename(file).replace(CODE, "");
    if (NAME.test(name) && !files.has(name)) files.set(name, join(folder, file));
  }
  return files;
}

/** What a handler is made of: its file and the code that files beside it share; or the files its command names. */
export function filesOf({ use, command }: HandlerSpec): readonly string[] {
  if (command !== undefined) return command.filter((word) => isFile(word));
  const file = resolve(use);
  const folder = dirname(file);
  const shared = codeIn(folder).filter((name) => NO_HANDLER.test(name) && !name.endsWith(".d.ts"));
  return [file, ...shared.sort().map((name) => join(folder, name))];
}

/** Changes when one of the files does. */
export function versionOf(files: readonly string[]): string {
  return files.map((file) => {
    const stat = statSync(file, { throwIfNoEntry: false });
    return stat === undefined ? "-" : `${stat.ino}:${stat.size}:${stat.mtimeMs}`;
  }).join(" ");
}

/** Tells of new versions, when they have stopped changing. */
export class VersionWatch {
  #known: string;
  #seen: string;

  constructor(version: string) {
    this.#known = version;
    this.#seen = version;
  }

  /** @returns Whether this is a new version that was seen twice. */
  look(version: string): boolean {
    const isStable = version === this.#seen;
    this.#seen = version;
    if (!isStable || version === this.#known) return false;
    this.#known = version;
    return true;
  }
}

function codeIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => CODE.test(name));
  } catch {
    return [];
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
