/** `esc dlq`: the events that could not be processed: look at them, send them back, give them up. */
import { type Command, InvalidArgumentError, Option } from "commander";
import process from "node:process";
import { EscError } from "../src/errors.ts";
import { DROP_REASONS } from "../src/event/frame.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import { addHttpPortOption, getJson, HOST_DEFAULT, requestJson } from "./server-options.ts";

interface DlqOptions {
  readonly host: string;
  readonly httpPort: number;
  readonly topic?: string;
  readonly reason?: string;
  readonly lane?: string;
  readonly since?: string;
  readonly until?: string;
}

interface Letter {
  readonly offset: number;
  readonly topic: string;
  readonly priority: number;
  readonly id?: string;
  readonly key?: string;
  readonly payload: string;
  readonly encoding?: "base64";
  readonly reason: string;
  readonly error?: string;
  readonly origin: { readonly lane?: string; readonly shard?: number; readonly offset?: number };
  readonly attempts: number;
  readonly group?: string;
  readonly received_us: number;
  readonly died_us?: number;
}

interface Requeued {
  readonly requeued: number;
  readonly duplicates: number;
  readonly failed: number;
  readonly cursor?: string;
}

/** Letters of one request: so many that requests cost little, so few that each is answered soon. */
const PAGE_COUNT = 1_000;
const PREVIEW_CHARACTERS = 60;
const SECOND_MS = 1_000;

const EXAMPLES = `
Examples:
  $ esc dlq list --reason queue_full --topic 'orders.>'
  $ esc dlq show 4711
  $ esc dlq requeue --lane transactional --dry-run
  $ esc dlq requeue --lane transactional --rate 500
  $ esc dlq purge --until 2026-01-01T00:00:00Z`;

/** Registers `esc dlq`. */
export function register(program: Command, context: CommandContext): void {
  const dlq = program.command("dlq")
    .summary("look at dead letters, requeue or purge them")
    .description(
      "Dead letters are events that could not be queued or processed. They are kept whole, with the reason, until " +
        "somebody requeues or purges them.",
    )
    .addHelpText("after", EXAMPLES);
  withFilters(dlq.command("list").description("List dead letters that nobody has dealt with, oldest first."))
    .option("--limit <n>", "at most n letters", wholeNumber(1, 10_000_000), 100)
    .action((options: DlqOptions & { limit: number }) => list(options, context));
  withServer(dlq.command("show").description("Show one dead letter whole."))
    .argument("<offset>", "its offset in the dead-letter log, as list shows it", wholeNumber(0))
    .action((offset: number, options: DlqOptions) => show(offset, options, context));
  withFilters(
    dlq.command("requeue").description(
      "Publish dead letters again: same topic, priority, payload, id, key and headers. A letter is dealt with once " +
        "its event is durable; running this twice, or again after a crash, stores no event twice.",
    ),
  )
    .option("--offset <n>", "only the letter at this offset", wholeNumber(0))
    .option("--rate <n>", "at most n events a second", wholeNumber(1, 10_000_000))
    .option("--dry-run", "only say how many there are")
    .action((options: RequeueOptions) => requeue(options, context));
  withFilters(
    dlq.command("purge").description(
      "Give dead letters up: they are never shown again, and their space is freed.",
    ),
  )
    .option("--offset <n>", "only the letter at this offset", wholeNumber(0))
    .option("--all", "needed when no filter is given")
    .option("--dry-run", "only say how many there are")
    .action((options: PurgeOptions) => purge(options, context));
}

type RequeueOptions = DlqOptions & { offset?: number; rate?: number; dryRun?: boolean };
type PurgeOptions = DlqOptions & { offset?: number; all?: boolean; dryRun?: boolean };

function withServer(command: Command): Command {
  return addHttpPortOption(command.option("--host <host>", "server's host", HOST_DEFAULT));
}

function withFilters(command: Command): Command {
  return withServer(command)
    .option("--topic <pattern>", "only topics that match; several with commas")
    .addOption(new Option("--reason <reason>", "only this reason").choices(DROP_REASONS))
    .option("--lane <lane>", "only events meant for this lane")
    .option("--since <time>", "only letters that died at or after: ISO 8601 or microseconds", time)
    .option("--until <time>", "only letters that died before", time);
}

function time(text: string): string {
  if (!/^\d{1,16}$/.test(text) && Number.isNaN(Date.parse(text))) {
    throw new InvalidArgumentError(
      "Expected a time such as 2026-01-31T12:00:00Z, or microseconds since 1970.",
    );
  }
  return text;
}

function queryOf(options: DlqOptions, more: Readonly<Record<string, unknown>> = {}): URLSearchParams {
  const { topic, reason, lane, since, until } = options;
  const fields = { topic, reason, lane, from_time: since, to_time: until, ...more };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) query.set(name, String(value));
  return query;
}

async function list(options: DlqOptions & { limit: number }, { output }: CommandContext): Promise<void> {
  let shown = 0;
  let cursor: string | undefined;
  do {
    const limit = Math.min(PAGE_COUNT, options.limit - shown);
    const page = await getJson(options, `/api/v1/dlq?${queryOf(options, { limit, cursor })}`) as {
      events: Letter[];
      cursor?: string;
    };
    for (const letter of page.events) output.result(letter, () => lineOf(letter));
    shown += page.events.length;
    ({ cursor } = page);
  } while (cursor !== undefined && shown < options.limit);
  if (shown === 0) output.note("There are no such dead letters");
  else if (cursor !== undefined) output.note(`There are more: see --limit`);
}

async function show(offset: number, options: DlqOptions, { output }: CommandContext): Promise<void> {
  const { events } = await getJson(options, `/api/v1/dlq?offset=${offset}`) as { events: Letter[] };
  const [letter] = events;
  if (letter === undefined) {
    throw new EscError("NOT_FOUND", `There is no dead letter at offset ${offset}, or it was dealt with`);
  }
  output.result(letter, () => textOf(letter));
}

/** Asks for so many letters a second as the rate says, each second's share in one request. */
async function requeue(options: RequeueOptions, { output, interrupted }: CommandContext): Promise<void> {
  const { rate, offset, dryRun } = options;
  const signal = interrupted();
  const total = { requeued: 0, duplicates: 0, failed: 0 };
  let cursor: string | undefined;
  let nextMs = performance.now();
  do {
    const limit = Math.min(PAGE_COUNT, rate ?? PAGE_COUNT);
    const query = queryOf(options, { offset, limit, cursor, dry_run: dryRun });
    const answer = await requestJson(options, "POST", `/api/v1/dlq/requeue?${query}`) as Requeued;
    total.requeued += answer.requeued;
    total.duplicates += answer.duplicates;
    total.failed += answer.failed;
    ({ cursor } = answer);
    output.progress(`${total.requeued} requeued`);
    if (rate === undefined || cursor === undefined || dryRun === true) continue;
    nextMs += SECOND_MS * limit / rate;
    await Bun.sleep(Math.max(0, nextMs - performance.now()));
  } while (cursor !== undefined && !signal.aborted);
  output.result({ ...total, dry_run: dryRun === true }, () => requeuedText(total, dryRun === true));
  if (total.failed > 0) process.exitCode = 1;
}

function requeuedText(total: Requeued, isDry: boolean): string {
  if (isDry) return `${total.requeued} dead letters would be requeued`;
  const duplicates = total.duplicates === 0 ? "" : `, ${total.duplicates} were stored already`;
  const failed = total.failed === 0 ? "" : `, ${total.failed} could not be stored and stay`;
  return `${total.requeued} dead letters requeued${duplicates}${failed}`;
}

async function purge(options: PurgeOptions, { output }: CommandContext): Promise<void> {
  const { offset, all, dryRun } = options;
  const filter = queryOf(options, { offset, dry_run: dryRun });
  const hasFilter = queryOf(options, { offset }).size > 0;
  if (!hasFilter && all !== true && dryRun !== true) {
    throw new EscError("USAGE", "This would purge every dead letter", { hint: "Add --all, or a filter" });
  }
  const answer = await requestJson(options, "DELETE", `/api/v1/dlq?${filter}`) as { deleted: number };
  output.result(
    answer,
    () => `${answer.deleted} dead letters ${dryRun === true ? "would be purged" : "purged"}`,
  );
}

function lineOf(letter: Letter): string {
  const { lane = "?", shard, offset } = letter.origin;
  const origin = `${lane}${shard === undefined ? "" : `/${shard}`}${
    offset === undefined ? "" : `@${offset}`
  }`;
  return [
    String(letter.offset).padStart(8),
    timeText(letter.died_us ?? letter.received_us),
    letter.reason,
    origin,
    letter.topic,
    preview(letter),
  ].join("  ");
}

function textOf(letter: Letter): string {
  const { lane, shard, offset } = letter.origin;
  const fields: readonly (readonly [string, unknown])[] = [
    ["offset", letter.offset],
    ["reason", letter.reason],
    ["error", letter.error],
    ["died", timeText(letter.died_us ?? letter.received_us)],
    ["attempts", letter.attempts],
    ["group", letter.group],
    ["origin", [lane, shard, offset].filter((part) => part !== undefined).join("/")],
    ["topic", letter.topic],
    ["priority", letter.priority],
    ["id", letter.id],
    ["key", letter.key],
    ["encoding", letter.encoding],
  ];
  const lines = fields.filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name.padEnd(10)}${value}`);
  return [...lines, "", letter.payload].join("\n");
}

function timeText(us: number): string {
  return new Date(us / 1000).toISOString();
}

function preview({ payload }: Letter): string {
  const line = JSON.stringify(payload).slice(1, -1);
  return line.length <= PREVIEW_CHARACTERS ? line : `${line.slice(0, PREVIEW_CHARACTERS - 1)}…`;
}
