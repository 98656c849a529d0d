/**
 * What a handler remembers: names with JSON values, kept as JSON text, so that what a handler does to a value it
 * was given changes nothing here. In the handler's process.
 *
 *     changes of an event that failed are undone; changes of a batch go to esc with its answer, and are saved there
 *     with the place up to which events were handled
 */
import type { StateChange } from "./messages.ts";

/** All names and values together, in characters. */
export const STATE_CHARACTERS_MAX = 1024 * 1024;

export class HandlerState {
  readonly #texts = new Map<string, string>();
  /** What names had before the event in hand. */
  readonly #before = new Map<string, string | undefined>();
  readonly #changed = new Set<string>();
  #characters = 0;

  get size(): number {
    return this.#texts.size;
  }

  /** A copy of the value; `undefined` when there is none. */
  get(name: string): unknown {
    const text = this.#texts.get(name);
    return text === undefined ? undefined : JSON.parse(text);
  }

  has(name: string): boolean {
    return this.#texts.has(name);
  }

  keys(): IterableIterator<string> {
    return this.#texts.keys();
  }

  /** @throws {RangeError} When there would be more than STATE_CHARACTERS_MAX. @throws {TypeError} No JSON. */
  set(name: string, value: unknown): void {
    const text = JSON.stringify(value) as string | undefined;
    if (typeof name !== "string" || text === undefined) {
      throw new TypeError(`Cannot remember "${String(name)}": a name is text and a value is JSON`);
    }
    const before = this.#texts.get(name);
    const growth = text.length + (before === undefined ? name.length : -before.length);
    if (this.#characters + growth > STATE_CHARACTERS_MAX) {
      throw new RangeError(
        `Cannot remember "${name}": a handler's state has at most ${STATE_CHARACTERS_MAX} characters`,
      );
    }
    this.#touch(name, before);
    this.#texts.set(name, text);
    this.#characters += growth;
  }

  delete(name: string): boolean {
    const before = this.#texts.get(name);
    if (before === undefined) return false;
    this.#touch(name, before);
    this.#texts.delete(name);
    this.#characters -= before.length + name.length;
    return true;
  }

  /** Begins with what was saved. */
  load(entries: readonly (readonly [string, string])[]): void {
    this.#texts.clear();
    this.#characters = 0;
    for (const [name, text] of entries) {
      this.#texts.set(name, text);
      this.#characters += name.length + text.length;
    }
  }

  /** The event in hand is done: its changes stand. */
  keep(): void {
    if (this.#before.size === 0) return;
    for (const name of this.#before.keys()) this.#changed.add(name);
    this.#before.clear();
  }

  /** The event in hand has failed: its changes are undone. */
  undo(): void {
    for (const [name, before] of this.#before) {
      const now = this.#texts.get(name);
      if (now !== undefined) this.#characters -= now.length + name.length;
      if (before === undefined) this.#texts.delete(name);
      else {
        this.#texts.set(name, before);
        this.#characters += before.length + name.length;
      }
    }
    this.#before.clear();
  }

  /** What has changed since the last call. */
  takeChanges(): StateChange[] {
    const changes = [...this.#changed].map((name): StateChange => [name, this.#texts.get(name) ?? null]);
    this.#changed.clear();
    return changes;
  }

  #touch(name: string, before: string | undefined): void {
    if (!this.#before.has(name)) this.#before.set(name, before);
  }
}
