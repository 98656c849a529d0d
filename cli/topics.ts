/** `esc topics`: what topics a server has seen. */
import type { Command } from "commander";
import { EscError } from "../src/errors.ts";
import { patternProblem } from "../src/event/topic.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import { addHttpPortOption, getJson, HOST_DEFAULT } from "./server-options.ts";

interface TopicsOptions {
  readonly host: string;
  readonly httpPort: number;
  readonly limit: number;
}

interface TopicsAnswer {
  readonly topics: readonly {
    readonly topic: string;
    readonly lane: string;
    readonly events: number;
    readonly last_received_us: number;
  }[];
  readonly total: number;
}

/** Registers `esc topics`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("topics")
    .summary("list the topics a server has seen")
    .description("List the topics a server has seen, the busiest first.")
    .argument("[pattern]", "only topics that match", ">")
    .option("--host <host>", "server's host", HOST_DEFAULT);
  addHttpPortOption(command)
    .option("--limit <n>", "at most n topics", wholeNumber(1, 100_000), 1000)
    .addHelpText("after", "\nExamples:\n  $ esc topics\n  $ esc topics 'market.>' --json | jq -r .topic")
    .action(async (pattern: string, options: TopicsOptions) => {
      const problem = patternProblem(pattern);
      if (problem !== undefined) throw new EscError("USAGE", problem);
      const query = new URLSearchParams({ match: pattern, limit: String(options.limit) });
      printTopics(await getJson(options, `/api/v1/topics?${query}`) as TopicsAnswer, context);
    });
}

function printTopics({ topics, total }: TopicsAnswer, { output }: CommandContext): void {
  const width = Math.max(5, ...topics.map(({ topic }) => topic.length));
  if (!output.json && topics.length > 0) {
    output.line(
      output.style("bold", `${"TOPIC".padEnd(width)}  ${"LANE".padEnd(14)}  ${"EVENTS".padStart(12)}  LAST`),
    );
  }
  for (const topic of topics) {
    output.result(topic, () => {
      const last = topic.last_received_us === 0 ? "-" : new Date(topic.last_received_us / 1000).toISOString();
      const events = topic.events.toLocaleString("en").padStart(12);
      return `${topic.topic.padEnd(width)}  ${topic.lane.padEnd(14)}  ${events}  ${last}`;
    });
  }
  if (total > topics.length) output.note(`${total - topics.length} more: use --limit or a pattern`);
}
