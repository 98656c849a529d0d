/** Options of commands that read a recording of a venue. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { BOOK_DEPTHS, type BookDepth } from "../src/ingest/feeds/spec.ts";
import { RECORDED_VENUES } from "../src/ingest/feeds/recording.ts";

export interface RecordingFlags {
  readonly venue: string;
  readonly rest?: string;
  readonly snapshotSymbol?: string;
  readonly depth: BookDepth;
  readonly speed: number;
}

/** Adds `--venue`, `--rest`, `--snapshot-symbol`, `--depth` and `--speed`. */
export function addRecordingOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--venue <venue>", "whose messages they are").choices([...RECORDED_VENUES])
        .makeOptionMandatory(),
    )
    .option("--rest <file>", "file of recorded REST answers")
    .option("--snapshot-symbol <symbol>", "symbol of book snapshots that lie among the messages")
    .addOption(
      new Option(
        "--depth <levels>",
        `levels of books, where the venue offers a choice: ${BOOK_DEPTHS.join(", ")}`,
      )
        .argParser(parseDepth).default(1000),
    )
    .addOption(
      new Option("--speed <factor>", "times the recorded pace, or max").argParser(parseSpeed).default(1),
    );
}

function parseDepth(text: string): BookDepth {
  const depth = BOOK_DEPTHS.find((one) => String(one) === text);
  if (depth === undefined) throw new InvalidArgumentError(`Expected one of ${BOOK_DEPTHS.join(", ")}.`);
  return depth;
}

function parseSpeed(text: string): number {
  const speed = text === "max" ? Infinity : Number(text);
  if (!(speed > 0)) throw new InvalidArgumentError("Expected a number above 0, such as 1 or 10, or max.");
  return speed;
}
