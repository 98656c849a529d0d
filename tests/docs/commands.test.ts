/** Every command in README.md and docs/ is run against the executable, and prints what the page shows. */
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Block, blocksOf, commandsOf, isCommands, missingLines, reasonNotRun } from "./blocks.ts";
import { pages, PAGES_NOT_RUN, ROOT } from "./pages.ts";
import { hasOwnNetwork, runPage, statusOf } from "./shell.ts";

/** For the last page, the wait for the others included, on a machine that is slow. */
const PAGE_TIMEOUT_MS = 400_000;
const canRun = hasOwnNetwork();
if (!canRun) {
  console.warn("docs: commands are not run: this system gives no network of its own (unshare -Urn)");
}

const notRun: string[] = Object.entries(PAGES_NOT_RUN).map(([page, reason]) => `${page}: ${reason}`);
afterAll(() => console.info(`docs: not run here:\n  ${notRun.join("\n  ")}`));

/** Pages at a time. */
const PAGES_MAX = 3;
const turns = Array.from({ length: PAGES_MAX }, () => Promise.resolve<unknown>(undefined));
let nextTurn = 0;

function inTurn<T>(run: () => Promise<T>): Promise<T> {
  const turn = nextTurn++ % PAGES_MAX;
  const result = (turns[turn] ?? Promise.resolve()).then(run);
  turns[turn] = result.catch(() => {});
  return result;
}

function describeBlock({ page, line, text }: Block): string {
  return `${page}:${line}: ${text.split("\n")[0]}`;
}

describe.each(pages().filter((page) => !(page in PAGES_NOT_RUN)))("%s", (page) => {
  const blocks = blocksOf(page, join(ROOT, page));
  for (const block of blocks) {
    const reason = reasonNotRun(block);
    if (reason !== undefined && isCommands(block)) notRun.push(`${describeBlock(block)}: ${reason}`);
  }
  const shown = blocks.filter((block) => isCommands(block) && reasonNotRun(block) === undefined);
  if (shown.length === 0) return;
  // Each has a network of its own, and they mostly wait.
  (canRun ? test.concurrent : test.skip)("its commands work and print what it shows", async () => {
    const files = blocks.filter(({ language, text }) => language === "yaml" && /^# \S+\.yaml$/m.test(text));
    const inOrder = blocks.filter((block) => shown.includes(block) || files.includes(block));
    for (const { block, printed, status } of await inTurn(() => runPage(inOrder))) {
      const where = describeBlock(block);
      const expected = statusOf(block);
      if (status !== expected) {
        throw new Error(
          `${where}: ended with ${status ?? "an error"}, not ${expected}\n${printed ?? "not reached"}`,
        );
      }
      const { output } = commandsOf(block);
      if (output === undefined) continue;
      const missing = missingLines(output, printed ?? "");
      if (missing.length > 0) {
        throw new Error(`${where}: shown, but not printed:\n${missing.join("\n")}\nprinted:\n${printed}`);
      }
    }
  }, PAGE_TIMEOUT_MS);
});

test("missingLines() forgives numbers and spaces, and nothing else", () => {
  const printed = "sent 200, errors 0 in 0.5 s\nTOPIC   LANE\na b";
  expect(missingLines("sent 1,000, errors 3 in 12.25 s\nTOPIC LANE\n", printed)).toEqual([]);
  expect(missingLines("sent … in 1 s\na…", printed)).toEqual([]);
  expect(missingLines("TOPIC LANE\nsent 1, errors 0 in 1 s", printed)).toEqual(["sent 1, errors 0 in 1 s"]);
  expect(missingLines("sent 200, error 0 in 0.5 s", printed)).toEqual(["sent 200, error 0 in 0.5 s"]);
});
