/** `esc consumers`: who reads, how far behind, and why they stand still. */
import type { Command } from "commander";
import { EscError } from "../src/errors.ts";
import type { CommandContext } from "./command.ts";
import { addHttpPortOption, getJson, HOST_DEFAULT, requestJson } from "./server-options.ts";

interface Address {
  readonly host: string;
  readonly httpPort: number;
}

interface Consumer {
  readonly name: string;
  readonly updated_us: number;
  readonly offsets: Readonly<Record<string, number>>;
  readonly lag: number;
  readonly standing: string;
  readonly group?: {
    readonly mode: string;
    readonly topics: readonly string[];
    readonly lease_ms: number;
    readonly max_deliveries: number;
    readonly ready: number;
    readonly held: number;
    readonly dead: number;
    readonly members: readonly {
      readonly name: string;
      readonly in_flight: number;
      readonly is_full: boolean;
    }[];
  };
}

/** Registers `esc consumers`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("consumers")
    .summary("list durable consumers and groups, and why they stand still")
    .description("Look at durable consumers and consumer groups, move them, forget them.")
    .addHelpText(
      "after",
      "\nExamples:\n  $ esc consumers list\n  $ esc consumers show billing\n  $ esc consumers reset billing --to earliest",
    );
  const sub = (name: string, summary: string) =>
    addHttpPortOption(
      command.command(name).summary(summary).description(`${summary}.`)
        .option("--host <host>", "server's host", HOST_DEFAULT),
    );
  sub("list", "List all consumers: how far behind each is, and what it waits for").action(
    async (address: Address) => {
      printList(await consumersOf(address), context);
    },
  );
  sub("show", "Show one consumer: its position and members, and why it stands still").argument("<name>")
    .action(async (name: string, address: Address) => {
      const consumer = (await consumersOf(address)).find((candidate) => candidate.name === name);
      if (consumer === undefined) throw new EscError("NOT_FOUND", `Consumer "${name}" does not exist`);
      context.output.result(consumer, () => describe(consumer));
    });
  sub("reset", "Move a consumer to the beginning or the end of the log").argument("<name>")
    .requiredOption("--to <place>", "earliest or latest")
    .action(async (name: string, options: Address & { to: string }) => {
      if (options.to !== "earliest" && options.to !== "latest") {
        throw new EscError("USAGE", `--to "${options.to}" is neither earliest nor latest`);
      }
      const path = `/api/v1/consumers/${encodeURIComponent(name)}/reset?to=${options.to}`;
      const moved = await requestJson(options, "POST", path) as Consumer;
      context.output.result(moved, () => describe(moved));
    });
  sub("delete", "Forget a consumer and its position").argument("<name>").action(
    async (name: string, address: Address) => {
      const path = `/api/v1/consumers?name=${encodeURIComponent(name)}`;
      context.output.result(await requestJson(address, "DELETE", path), () => `Forgot "${name}"`);
    },
  );
}

async function consumersOf(address: Address): Promise<readonly Consumer[]> {
  return (await getJson(address, "/api/v1/consumers") as { consumers: readonly Consumer[] }).consumers;
}

function printList(consumers: readonly Consumer[], { output }: CommandContext): void {
  const width = Math.max(8, ...consumers.map(({ name }) => name.length));
  if (!output.json && consumers.length > 0) {
    const heads = `${"CONSUMER".padEnd(width)}  ${"LAG".padStart(12)}  ${"MEMBERS".padStart(7)}  STANDING`;
    output.line(output.style("bold", heads));
  }
  for (const consumer of consumers) {
    output.result(consumer, () => {
      const lag = consumer.lag.toLocaleString("en").padStart(12);
      const members = String(consumer.group?.members.length ?? "-").padStart(7);
      return `${consumer.name.padEnd(width)}  ${lag}  ${members}  ${consumer.standing}`;
    });
  }
  if (consumers.length === 0) output.note("No consumer has confirmed anything yet");
}

function describe({ name, standing, lag, updated_us, offsets, group }: Consumer): string {
  const lines = [
    `${name}: ${standing}`,
    `  lag        ${lag.toLocaleString("en")} events`,
    `  confirmed  ${new Date(updated_us / 1000).toISOString()}`,
    ...Object.entries(offsets).map(([shard, offset]) =>
      `  ${shard.padEnd(20)} ${offset.toLocaleString("en")}`
    ),
  ];
  if (group !== undefined) {
    lines.push(
      `  group      mode ${group.mode}, lease ${
        group.lease_ms / 1000
      } s, ${group.max_deliveries} deliveries, ` +
        `topics ${group.topics.join(" ")}`,
      `  events     ${group.ready} ready, ${group.held} held, ${group.dead} dead`,
      ...group.members.map((member) =>
        `  member     ${member.name}: holds ${member.in_flight}${member.is_full ? ", full" : ""}`
      ),
    );
  }
  return lines.join("\n");
}
