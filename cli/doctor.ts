/** `esc doctor`: is this machine fit for this configuration? */
import type { Command } from "commander";
import process from "node:process";
import type { CommandContext } from "./command.ts";
import { type Finding, FINDING_STATUSES, type FindingStatus } from "./doctor/finding.ts";
import { escCommand } from "./self.ts";

interface DoctorOptions {
  readonly config?: string;
  readonly capacity: boolean;
}

const STYLES = { ok: "green", note: "cyan", warn: "yellow", fail: "red" } as const;

/** Registers `esc doctor`. */
export function register(program: Command, context: CommandContext): void {
  program.command("doctor")
    .summary("check machine and configuration, with advice")
    .description(
      "Check the configuration, its ports, disk, limits, memory, processors and clock, and measure how many events " +
        "a second this machine takes. Writes below the data directory and removes it again. Exit status 1 if " +
        "something does not work.",
    )
    .option("--config <file>", "configuration file; without it, the defaults")
    .option("--no-capacity", "do not measure how many events a second it takes (some 10 s)")
    .addHelpText(
      "after",
      "\nExamples:\n  $ esc doctor --config config.yaml\n  $ esc doctor --no-capacity --json",
    )
    .action((options: DoctorOptions) => examine(options, context));
}

async function examine(options: DoctorOptions, { output, env }: CommandContext): Promise<void> {
  const { loadConfig, loadConfigFile } = await import("../src/config/load.ts");
  const { formatProblem } = await import("../src/config/problems.ts");
  const { config, notices } = options.config === undefined
    ? loadConfig("", { file: "(defaults)", environment: env, readText: () => "" })
    : loadConfigFile(options.config, env);
  const counts: Record<FindingStatus, number> = { ok: 0, note: 0, warn: 0, fail: 0 };
  const show = (findings: readonly Finding[]) => {
    for (const finding of findings) {
      counts[finding.status]++;
      output.result(finding, () => {
        const status = output.style(STYLES[finding.status], finding.status.padEnd(4));
        const advice = finding.advice === undefined ? "" : `\n${" ".repeat(30)}→ ${finding.advice}`;
        return `${status}  ${finding.check.padEnd(22)}  ${finding.detail}${advice}`;
      });
    }
  };

  show([{ check: "config", status: "ok", detail: `${options.config ?? "the defaults"} can be used` }]);
  show(notices.map((notice) => ({ check: "config", status: "note", detail: formatProblem(notice) })));
  const { checkPorts } = await import("./doctor/ports.ts");
  show(await checkPorts(config));
  const { checkMachine } = await import("./doctor/machine.ts");
  show(checkMachine(config));
  const { checkDisk, nearestFolder } = await import("./doctor/disk.ts");
  show(checkDisk(config));
  if (options.capacity) {
    output.progress("measuring how many events a second it takes ...");
    const { measureCapacity } = await import("./doctor/capacity.ts");
    show(await measureCapacity(escCommand(), nearestFolder(config.data.dir)));
  }
  if (!output.json) {
    output.line(`\n${FINDING_STATUSES.map((status) => `${counts[status]} ${status}`).join(", ")}`);
  }
  if (counts.fail > 0) process.exitCode = 1;
}
