/** `esc top`: what a server does now, in a terminal. */
import type { Command } from "commander";
import { EscError } from "../src/errors.ts";
import type { CommandContext } from "./command.ts";
import { addHttpPortOption, HOST_DEFAULT, type HttpAddress } from "./server-options.ts";

interface TopOptions extends HttpAddress {
  readonly once?: boolean;
}

/** Width of a snapshot that goes into a pipe. */
const PAGE_COLUMNS = 120;
/** The second round of questions, between which rates lie, comes after two seconds. */
const SNAPSHOT_MS_MAX = 15_000;

/** Registers `esc top`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("top")
    .summary("watch a server in the terminal")
    .description(
      "Watch a server: rates, queues and latencies of its lanes, listeners, threads, topics, consumers and how far " +
        "they are behind, alerts, and its health with the reasons.",
    )
    .option("--host <host>", "server's host", HOST_DEFAULT);
  addHttpPortOption(command)
    .option("--once", "print once and end; so it is, too, with --json or when stdout is no terminal")
    .addHelpText(
      "after",
      "\nKeys: p pauses the view, / filters topics and consumers, tab or 1-4 choose what is shown, arrows scroll, " +
        "q quits.\n\nExamples:\n  $ esc top\n  $ esc top --once | mail -s esc me\n" +
        "  $ esc top --json | jq '.lanes[] | {lane, accepted_per_s}'",
    )
    .action(async (options: TopOptions) => {
      const { output } = context;
      const isLive = options.once !== true && !output.json && output.isTerminal;
      await (isLive ? watch : snapshot)(options, context);
    });
}

async function snapshot(options: TopOptions, { output, interrupted }: CommandContext): Promise<void> {
  const { Feed } = await import("./top/feed.ts");
  const { figuresOf } = await import("./top/figures.ts");
  const { pageOf } = await import("./top/view.ts");
  const { render } = await import("./top/lines.ts");
  const done = Promise.withResolvers<void>();
  const feed = new Feed(options, () => {
    if ((feed.seen?.polls.length ?? 0) >= 2) done.resolve();
  });
  const running = feed.run();
  running.catch((error) => done.reject(error));
  const late = setTimeout(
    () => done.reject(new EscError("TIMEOUT", `Server told too little within ${SNAPSHOT_MS_MAX / 1000} s`)),
    SNAPSHOT_MS_MAX,
  );
  interrupted().addEventListener("abort", () => done.resolve());
  try {
    await done.promise;
  } finally {
    clearTimeout(late);
    feed.end();
  }
  if (feed.seen === undefined) return;
  const figures = figuresOf(feed.seen);
  const columns = process.stdout.columns ?? PAGE_COLUMNS;
  const moment = { connection: feed.connection, address: addressOf(options), nowMs: Date.now() };
  const paint = output.style.bind(output);
  output.result(
    figures,
    () => pageOf(figures, moment, columns).map((line) => render(line, columns, paint).trimEnd()).join("\n"),
  );
}

async function watch(options: TopOptions, { output, interrupted }: CommandContext): Promise<void> {
  const { Feed } = await import("./top/feed.ts");
  const { figuresOf } = await import("./top/figures.ts");
  const { FIRST_VIEW, keysOf, press } = await import("./top/keys.ts");
  const { render } = await import("./top/lines.ts");
  const { Screen } = await import("./top/screen.ts");
  const { screenOf } = await import("./top/view.ts");

  const address = addressOf(options);
  const paint = output.style.bind(output);
  let view = FIRST_VIEW;
  let shown: ReturnType<typeof figuresOf> | undefined;
  const draw = () => {
    if (!view.isPaused && feed.seen !== undefined) shown = figuresOf(feed.seen);
    const moment = { connection: feed.connection, address, nowMs: Date.now() };
    const { size } = screen;
    screen.draw(screenOf(shown, view, moment, size).map((line) => render(line, size.columns, paint)));
  };
  const screen = new Screen({
    key: (bytes) => {
      for (const key of keysOf(bytes)) view = press(view, key);
      if (view.isOver) feed.end();
      else draw();
    },
    resize: draw,
  });
  const feed = new Feed(options, draw);
  interrupted().addEventListener("abort", () => feed.end());
  screen.open();
  // Without a server nothing arrives that would tell how long it has been away.
  const clock = setInterval(draw, 1000);
  try {
    await feed.run();
  } finally {
    clearInterval(clock);
    screen.close();
  }
}

function addressOf({ host, httpPort }: HttpAddress): string {
  return `${host}:${httpPort}`;
}
