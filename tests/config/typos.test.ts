import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { loadConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { keyReference } from "../../src/config/reference.ts";
import { configTemplate } from "../../src/config/template.ts";
import { keysAt } from "../../src/config/unknown-keys.ts";
import { problemsOf, sourceOf } from "./loading.ts";

/** Maps whose entries have names of the user's and keys that must be there: a slip is not their only problem. */
const NAMED = ["rules", "windows", "handlers"];

/** Every key whose place in a file is a chain of maps. */
const PATHS = keyReference()
  .map(({ path }) => path.map((step) => step === "<name>" ? "audit" : step))
  .filter((path) => !path.includes("[]") && path[0] !== "topics")
  .filter(([first = "", ...below]) => below.length === 0 || !NAMED.includes(first))
  .filter((path) => path.length > 1 || keysAt([]).includes(path[0] ?? ""));

/** One slip of the pen: a letter left out, doubled, replaced, or swapped with its neighbour. */
function slip(word: string, kind: number, at: number, letter: string): string {
  const index = at % word.length;
  const [before, here, after] = [word.slice(0, index), word.charAt(index), word.slice(index + 1)];
  if (kind === 0) return before + after;
  if (kind === 1) return before + here + here + after;
  if (kind === 2) return before + letter + after;
  return before + after.charAt(0) + here + after.slice(1);
}

test("a slip in any key is answered with the right key, at the line and column of the slip", () => {
  const scenario = fc.record({
    path: fc.constantFrom(...PATHS),
    kind: fc.integer({ min: 0, max: 3 }),
    at: fc.nat(40),
    letter: fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz_"),
    blank: fc.nat(5),
  });
  fc.assert(
    fc.property(scenario, ({ path, kind, at, letter, blank }) => {
      const key = path.at(-1) ?? "";
      const typo = slip(key, kind, at, letter);
      const parents = path.slice(0, -1);
      // A slip that makes another valid key, the same one, or nothing is none; lanes may have any name.
      fc.pre(typo !== "" && !keysAt(parents).includes(typo) && parents.join() !== "lanes");
      const lines = [
        ...Array<string>(blank).fill("# a comment"),
        "",
        ...parents.map((step, depth) => `${"  ".repeat(depth)}${step}:`),
      ];
      const text = `${lines.join("\n")}\n${"  ".repeat(parents.length)}"${typo}": 1\n`;
      const [problem = "", ...others] = problemsOf(text);
      expect(others).toEqual([]);
      expect(problem).toStartWith(`${lines.length + 1}:${2 * parents.length + 1}: unknown key "${typo}"`);
      expect(problem).toContain(`"${key}"`);
    }),
    { numRuns: 1500 },
  );
}, 20_000);

test("whatever happens to a file, it loads or is refused with places inside it", () => {
  const template = configTemplate().split("\n");
  const line = fc.oneof(
    fc.constantFrom(
      "\t",
      "- ",
      "}",
      "{",
      "[",
      '"',
      "'",
      "a: b: c",
      "? x",
      "<<: *a",
      "&a",
      "*a",
      "!!int",
      "---",
      "lanes: 5",
      "${X}",
      "|",
      "\u0000",
      "%YAML 1.1",
    ),
    fc.string({ maxLength: 12 }),
  );
  const change = fc.record({
    at: fc.nat(template.length - 1),
    column: fc.nat(60),
    remove: fc.nat(12),
    text: line,
    whole: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
      const lines = [...template];
      for (const { at, column, remove, text, whole } of changes) {
        const old = lines[at] ?? "";
        lines[at] = whole ? text : old.slice(0, column) + text + old.slice(column + remove);
      }
      const text = lines.join("\n");
      try {
        loadConfig(text, sourceOf());
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        expect(error.problems.length).toBeGreaterThan(0);
        const lineCount = text.split(/\r\n|\r|\n/).length;
        for (const problem of error.problems) {
          expect(problem.message).not.toBe("");
          expect(problem.line).toBeWithin(1, lineCount + 1);
          expect(problem.column).toBeGreaterThanOrEqual(1);
        }
      }
    }),
    { numRuns: 300 },
  );
}, 20_000);
