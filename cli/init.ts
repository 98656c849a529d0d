/** `esc init`: a configuration to begin with. */
import { type Command, Option } from "commander";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ecommerce from "../config/examples/ecommerce.yaml" with { type: "text" };
import gaming from "../config/examples/gaming.yaml" with { type: "text" };
import iot from "../config/examples/iot.yaml" with { type: "text" };
import market from "../config/examples/market.yaml" with { type: "text" };
import { EscError } from "../src/errors.ts";
import type { CommandContext } from "./command.ts";

interface Preset {
  readonly about: string;
  readonly text: string;
  /** What `esc generate` calls the world it is for. */
  readonly world: string;
}

const PRESETS: Readonly<Record<string, Preset>> = {
  iot: { about: "machines with sensors", text: iot, world: "iot" },
  market: { about: "prices and trades", text: market, world: "market" },
  gaming: { about: "players and matches", text: gaming, world: "gaming" },
  analytics: { about: "page views and purchases of a shop", text: ecommerce, world: "ecommerce" },
};

interface InitOptions {
  readonly preset: string;
  readonly force?: boolean;
}

/** Registers `esc init`. */
export function register(program: Command, context: CommandContext): void {
  const worlds = Object.entries(PRESETS).map(([name, { about }]) => `${name}: ${about}`).join("; ");
  program.command("init")
    .summary("write a small configuration to begin with")
    .description(
      `Write a small configuration with rules and windows to begin with (${worlds}). A file with every key there is: ` +
        "esc config init.",
    )
    .argument("[folder]", "where config.yaml goes", ".")
    .addOption(
      new Option("--preset <name>", "what it is for").choices(Object.keys(PRESETS)).makeOptionMandatory(),
    )
    .option("--force", "replace the file if it exists")
    .addHelpText("after", "\nExamples:\n  $ esc init --preset iot\n  $ esc init --preset analytics shop")
    .action((folder: string, options: InitOptions) => write(folder, options, context));
}

function write(folder: string, { preset, force }: InitOptions, { output }: CommandContext): void {
  const { text, world } = PRESETS[preset] as Preset;
  const path = join(folder, "config.yaml");
  // The example speaks of itself by the path it has in the repository.
  const own = text.replaceAll(/config\/examples\/\w+\.yaml/g, path);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, own, { flag: force === true ? "w" : "wx" });
  } catch (cause) {
    const isThere = cause instanceof Error && "code" in cause && cause.code === "EEXIST";
    throw new EscError("USAGE", isThere ? `File ${path} exists already` : `Cannot write ${path}`, {
      cause,
      ...(isThere ? { hint: "--force replaces it" } : {}),
    });
  }
  output.result({ path, preset }, () =>
    `${path} written. Then:

  esc serve --config ${path}
  esc generate --preset ${world} --rate 200        # made-up events, until you have your own
  curl http://127.0.0.1:8080/api/v1/alerts`);
}
