/**
 * The built executable, started and stopped by tests.
 *
 * `npm test` has built `dist/esc`. A test run by hand uses what lies there; run `npm run build` first.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryFolder } from "./temp.ts";

/** The executable under test; another one (a release, one built elsewhere) by ESC_EXECUTABLE. */
export const EXECUTABLE = process.env["ESC_EXECUTABLE"] ?? join(import.meta.dir, "..", "..", "dist", "esc");

const START_MS_MAX = 20_000;
const LOOK_MS = 5;

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly stdin?: string | Uint8Array;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly executable?: string;
}

/** Runs one command of esc to its end. */
export async function runEsc(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const process = Bun.spawn([options.executable ?? builtExecutable(), ...args], {
    cwd: options.cwd ?? "/",
    env: { ...environment(), ...options.env },
    stdin: options.stdin === undefined ? "ignore" : Buffer.from(options.stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, status] = await Promise.all([
    new Response(process.stdout).text(),
    new Response(process.stderr).text(),
    process.exited,
  ]);
  return { status, stdout, stderr };
}

export interface ServerOptions {
  /** Configuration over the test's own (free ports, data in the folder); sections are merged. */
  readonly config?: ConfigTree;
  /** Where configuration and data lie. Give the folder of a stopped server to start upon its data. */
  readonly folder?: TemporaryFolder;
  readonly env?: Readonly<Record<string, string>>;
  readonly executable?: string;
  /** Whether its HTTP listener speaks TLS. */
  readonly isTls?: boolean;
  /** Working directory; default: the folder. */
  readonly cwd?: string;
}

export interface ConfigTree {
  readonly [key: string]: unknown;
}

/** `host:port` that a listener is bound to, by listener; absent when that listener is off. */
export interface BoundAddresses {
  readonly http: string;
  readonly tcp?: string;
  readonly udp?: string;
  readonly grpc?: string;
}

/** A running `esc serve`, on free loopback ports, with its data in a temporary folder. */
export class EscServer {
  readonly folder: TemporaryFolder;
  readonly addresses: BoundAddresses;
  readonly #process: Bun.Subprocess<"ignore", "inherit", "pipe">;
  readonly #log: LogCapture;

  private constructor(
    folder: TemporaryFolder,
    process: Bun.Subprocess<"ignore", "inherit", "pipe">,
    log: LogCapture,
    addresses: BoundAddresses,
  ) {
    this.folder = folder;
    this.#process = process;
    this.#log = log;
    this.addresses = addresses;
  }

  /**
   * Starts a server and waits until `/readyz` answers 200.
   *
   * @throws {Error} With all of its stderr, when it ends or is not ready in time.
   */
  static async start(options: ServerOptions = {}): Promise<EscServer> {
    const folder = options.folder ?? new TemporaryFolder("serve");
    const configPath = folder.path("config.yaml");
    // Every JSON text is a YAML document.
    writeFileSync(configPath, JSON.stringify(merge(testConfig(folder), options.config ?? {}), undefined, 2));
    const process = Bun.spawn([options.executable ?? builtExecutable(), "serve", "--config", configPath], {
      cwd: options.cwd ?? folder.root,
      env: { ...environment(), ...options.env },
      stdin: "ignore",
      stdout: "inherit",
      stderr: "pipe",
    });
    const log = new LogCapture(process.stderr);
    const deadlineMs = Date.now() + START_MS_MAX;
    try {
      const addresses = await readyLine(process, log, deadlineMs);
      const scheme = options.isTls === true ? "https" : "http";
      await answersReady(`${scheme}://${addresses.http}/readyz`, process, deadlineMs);
      return new EscServer(folder, process, log, addresses);
    } catch (error) {
      process.kill("SIGKILL");
      await process.exited;
      throw new Error(
        `esc serve did not start: ${error instanceof Error ? error.message : error}\n${log.text}`,
      );
    }
  }

  /** Process id. */
  get pid(): number {
    return this.#process.pid;
  }

  /** All it has written to stderr so far. */
  get log(): string {
    return this.#log.text;
  }

  get tcpPort(): number {
    return portOf(this.addresses.tcp, "tcp");
  }
  get udpPort(): number {
    return portOf(this.addresses.udp, "udp");
  }
  get grpcPort(): number {
    return portOf(this.addresses.grpc, "grpc");
  }
  get httpPort(): number {
    return portOf(this.addresses.http, "http");
  }

  /** `http://host:port` and the path. */
  url(path: string): string {
    return `http://${this.addresses.http}${path}`;
  }

  /** Waits until a line of the log matches. */
  async logged(pattern: RegExp, timeoutMs = START_MS_MAX): Promise<string> {
    const deadlineMs = Date.now() + timeoutMs;
    for (;;) {
      const line = this.log.split("\n").find((candidate) => pattern.test(candidate));
      if (line !== undefined) return line;
      if (Date.now() > deadlineMs) throw new Error(`no line of the log matches ${pattern}:\n${this.log}`);
      await Bun.sleep(LOOK_MS);
    }
  }

  /** Sends a signal without waiting. */
  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Changes the configuration file and reloads it; settles when that is done. */
  async reconfigure(change: (config: ConfigTree) => ConfigTree): Promise<void> {
    const path = this.folder.path("config.yaml");
    writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, "utf8"))), undefined, 2));
    const seen = this.log.length;
    this.signal("SIGHUP");
    const deadlineMs = Date.now() + START_MS_MAX;
    while (!this.log.slice(seen).includes('"configuration reloaded"')) {
      if (Date.now() > deadlineMs) throw new Error(`the configuration was not reloaded:\n${this.log}`);
      await Bun.sleep(LOOK_MS);
    }
  }

  /** Exit status, once it has ended; 128 + signal number when a signal ended it. */
  get exited(): Promise<number> {
    return this.#process.exited;
  }

  /** Asks it to drain and end. @returns Its exit status: 0 when all went well. */
  async stop(): Promise<number> {
    this.#process.kill("SIGTERM");
    const status = await this.#process.exited;
    await this.#log.ended;
    return status;
  }

  /** Ends it at once, as a crash would. Its data stays. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }

  /** For `afterEach`: ends it if it still runs, and removes its folder. */
  async remove(): Promise<void> {
    await this.kill();
    this.folder.remove();
  }
}

/** Collects a stream as text while the process runs. */
class LogCapture {
  text = "";
  readonly ended: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.ended = this.#collect(stream);
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) this.text += decoder.decode(bytes, { stream: true });
  }
}

/** Waits for the line `{"msg":"ready","http":"127.0.0.1:…","tcp":…,"udp":…}`. */
async function readyLine(
  process: Bun.Subprocess,
  log: LogCapture,
  deadlineMs: number,
): Promise<BoundAddresses> {
  for (;;) {
    for (const line of log.text.split("\n")) {
      if (line.startsWith("{") && line.endsWith("}") && line.includes(`"msg":"ready"`)) {
        return JSON.parse(line);
      }
    }
    if (process.exitCode !== null || process.signalCode !== null) {
      await log.ended;
      throw new Error(`it ended with ${process.exitCode ?? process.signalCode}`);
    }
    if (Date.now() > deadlineMs) throw new Error("no line with its addresses came");
    await Bun.sleep(LOOK_MS);
  }
}

async function answersReady(url: string, process: Bun.Subprocess, deadlineMs: number): Promise<void> {
  for (;;) {
    // Whether the certificate is good is not the question here. With client_auth it refuses us, and is up.
    const response = await fetch(url, { tls: { rejectUnauthorized: false } }).catch((error: unknown) =>
      error
    );
    if (response instanceof Response && response.status === 200) return;
    if (url.startsWith("https") && !(response instanceof Response) && isTlsRefusal(response)) return;
    if (process.exitCode !== null) throw new Error(`it ended with ${process.exitCode}`);
    if (Date.now() > deadlineMs) {
      throw new Error(`not ready: ${response instanceof Response ? await response.text() : response}`);
    }
    await Bun.sleep(LOOK_MS);
  }
}

/** The server has spoken TLS and ended it: it wants a client certificate. */
function isTlsRefusal(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code !== "ConnectionRefused";
}

function testConfig(folder: TemporaryFolder): ConfigTree {
  const anyPort = { host: "127.0.0.1", port: 0 };
  return {
    ingestion: { tcp: anyPort, udp: anyPort },
    http: anyPort,
    grpc: anyPort,
    data: { dir: folder.path("data") },
    logging: { format: "json" },
    // A busy machine is late: only tests of lateness hear of it.
    control: { sla: { max_latency: "1h" } },
  };
}

/** `over` laid over `base`, section by section; lists and values are replaced whole. */
function merge(base: ConfigTree, over: ConfigTree): ConfigTree {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isTree(below) && isTree(value) ? merge(below, value) : value;
  }
  return merged;
}

function isTree(value: unknown): value is ConfigTree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The least that a program needs: what the developer's own environment says must not matter. */
function environment(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/" };
}

function builtExecutable(): string {
  if (existsSync(EXECUTABLE)) return EXECUTABLE;
  throw new Error(`There is no ${EXECUTABLE}: run \`npm run build\` first`);
}

function portOf(address: string | undefined, listener: string): number {
  const port = Number(address?.slice(address.lastIndexOf(":") + 1) ?? NaN);
  if (!Number.isInteger(port)) throw new Error(`The server has no ${listener} listener`);
  return port;
}
