/** `esc chaos`: trouble on purpose. */
import type { Command } from "commander";
import { EscError } from "../src/errors.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import { portNumber } from "./server-options.ts";

interface ProxyOptions {
  readonly listen: string;
  readonly to: string;
  readonly udp?: boolean;
  readonly seed: number;
  readonly controlPort?: number;
}

const EXAMPLES = `
While it runs, each fault can be changed by a line on stdin ("latency 200ms", "stall on", "reset-every 0s"); "reset"
cuts all connections, "show" prints faults and counts, "quit" ends. With --control-port the same goes by HTTP, on
loopback: GET / shows, POST / with {"latency": "200ms"} changes, POST /reset cuts.

Examples:
  $ esc chaos proxy --listen 127.0.0.1:9100 --to 127.0.0.1:9000 --latency 50ms --jitter 20ms --reset-every 5s
  $ esc chaos proxy --udp --listen 127.0.0.1:9101 --to 127.0.0.1:9001 --loss 1% --corrupt 0.1%`;

/** Registers `esc chaos`. */
export function register(program: Command, context: CommandContext): void {
  const chaos = program.command("chaos")
    .summary("trouble on purpose: a bad network link")
    .description("Trouble on purpose, to see how producers, servers and subscribers bear it.");
  chaos.command("proxy")
    .summary("a proxy over a bad link")
    .description("Pass TCP connections or datagrams on to a server, over a link with faults.")
    .option("--listen <address>", "host:port to listen on; port 0: a free one", "127.0.0.1:0")
    .requiredOption("--to <address>", "host:port to pass everything on to")
    .option("--udp", "pass datagrams on instead of connections")
    .option("--latency <duration>", "delay each way", "0ms")
    .option(
      "--jitter <duration>",
      "delays are longer or shorter by up to this; datagrams may overtake",
      "0ms",
    )
    .option("--loss <share>", "datagrams that are lost, such as 1%", "0")
    .option("--corrupt <share>", "datagrams, or reads of TCP, in which one bit is flipped", "0")
    .option("--bandwidth <bytes>", "bytes a second, each way of each connection; 0: no limit", "0")
    .option("--reset-every <duration>", "TCP: mean time between resets of a connection; 0s: none", "0s")
    .option("--stall <switch>", "on: nothing passes. TCP waits, datagrams are lost", "off")
    .option(
      "--seed <n>",
      "of chance: the same gives the same sequence of decisions",
      wholeNumber(0, 2 ** 32 - 1),
      1,
    )
    .option("--control-port <port>", "port on loopback to change faults by HTTP", portNumber)
    .addHelpText("after", EXAMPLES)
    .action((options: ProxyOptions & Record<string, unknown>) => proxy(options, context));
}

async function proxy(
  options: ProxyOptions & Record<string, unknown>,
  { output, interrupted }: CommandContext,
): Promise<void> {
  const { FAULT_READERS, NO_FAULTS } = await import("./chaos/faults.ts");
  const { Weather } = await import("./chaos/proxy.ts");
  const { obey, serveControl, stdinLines } = await import("./chaos/control.ts");
  const weather = new Weather(options.seed, NO_FAULTS);
  weather.change(
    Object.keys(FAULT_READERS).map((name) => {
      const option = name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
      return [name, String(options[option])] as const;
    }),
  );
  const target = addressOf("--to", options.to, 1);
  const listen = addressOf("--listen", options.listen, 0);
  const running = await start(options.udp === true, listen, target, weather);
  const control = options.controlPort === undefined
    ? undefined
    : serveControl(options.controlPort, weather, running);
  const address = `${listen.host}:${running.port}`;
  output.result(
    {
      listening: address,
      to: options.to,
      transport: options.udp === true ? "udp" : "tcp",
      seed: options.seed,
    },
    () => `${options.udp === true ? "UDP" : "TCP"} ${address} -> ${options.to}, seed ${options.seed}`,
  );
  const done = Promise.withResolvers<void>();
  interrupted().addEventListener("abort", () => done.resolve());
  const listenToStdin = async () => {
    for await (const line of stdinLines(Bun.stdin.stream())) {
      try {
        const answer = obey(line, weather, running);
        if (answer === undefined) return done.resolve();
        output.result(answer, () => JSON.stringify(answer));
      } catch (error) {
        if (!(error instanceof EscError)) throw error;
        output.note(error.message);
      }
    }
  };
  // Without stdin it goes on until a signal.
  listenToStdin().catch((error: unknown) => done.reject(error));
  await done.promise;
  running.stop();
  await control?.stop(true);
  process.exit(0);
}

async function start(
  isUdp: boolean,
  listen: ReturnType<typeof addressOf>,
  target: ReturnType<typeof addressOf>,
  weather: InstanceType<typeof import("./chaos/proxy.ts").Weather>,
) {
  try {
    if (isUdp) return await (await import("./chaos/udp-proxy.ts")).startUdpProxy(listen, target, weather);
    return (await import("./chaos/tcp-proxy.ts")).startTcpProxy(listen, target, weather);
  } catch (cause) {
    throw new EscError("ADDRESS_IN_USE", `Cannot listen on ${listen.host}:${listen.port}`, { cause });
  }
}

function addressOf(
  flag: string,
  text: string,
  portMin: number,
): { readonly host: string; readonly port: number } {
  const [, host = "", digits = ""] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (host !== "" && digits !== "" && port >= portMin && port <= 65_535) return { host, port };
  throw new EscError("USAGE", `${flag} "${text}" is not host:port`);
}
