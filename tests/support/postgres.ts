/** A real PostgreSQL server for a test: a primary, and replicas that stream from it. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { freePort } from "./ports.ts";

/** Debian keeps each version's programs in a folder of its own. */
const VERSIONS = "/usr/lib/postgresql";
const START_MS_MAX = 20_000;

/** Why there is no PostgreSQL here, for `describe.skipIf`; `undefined` when there is. */
export const POSTGRES_MISSING: string | undefined = programs() === undefined
  ? "PostgreSQL is not installed (Debian: postgresql)"
  : process.getuid?.() === 0 && !hasUser()
  ? "PostgreSQL does not run as root, and there is no user postgres to run it as"
  : undefined;

/** The newest installed version's programs. */
function programs(): string | undefined {
  if (!existsSync(VERSIONS)) return undefined;
  const newest =
    readdirSync(VERSIONS).filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(b) - Number(a))[0];
  const folder = newest === undefined ? undefined : join(VERSIONS, newest, "bin");
  return folder !== undefined && existsSync(join(folder, "initdb")) ? folder : undefined;
}

function postgresUser(): { uid: number; gid: number } | undefined {
  const line = readFileSync("/etc/passwd", "utf8").split("\n").find((line) => line.startsWith("postgres:"));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

function hasUser(): boolean {
  return postgresUser() !== undefined;
}

export interface PostgresServerOptions {
  /** Lines of postgresql.conf as `name=value`. */
  readonly settings?: readonly string[];
  /** Certificate and key, PEM: the server then speaks TLS, too. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

/** One server process with its own folder and port. */
export class PostgresServer {
  readonly port: number;
  readonly folder: string;
  readonly #settings: readonly string[];
  #process: Bun.Subprocess | undefined;

  private constructor(folder: string, port: number, settings: readonly string[]) {
    this.folder = folder;
    this.port = port;
    this.#settings = settings;
  }

  /** Makes an empty database cluster and starts it. */
  static async start({ settings = [], tls }: PostgresServerOptions = {}): Promise<PostgresServer> {
    const folder = newFolder();
    const all = tls === undefined ? settings : [...settings, "ssl=on", ...tlsFiles(folder, tls)];
    const server = new PostgresServer(folder, await freePort(), all);
    run("initdb", ["-D", server.data, "-U", "esc", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale"]);
    await server.up();
    return server;
  }

  /** Copies the primary and starts a replica that streams from it. */
  async replica(): Promise<PostgresServer> {
    const replica = new PostgresServer(newFolder(), await freePort(), this.#settings);
    const from = ["-h", "127.0.0.1", "-p", String(this.port), "-U", "esc"];
    run("pg_basebackup", ["-D", replica.data, "-R", "-X", "stream", "-c", "fast", "--no-sync", ...from]);
    await replica.up();
    return replica;
  }

  get data(): string {
    return join(this.folder, "data");
  }

  get url(): string {
    return `postgres://esc@127.0.0.1:${this.port}/postgres`;
  }

  /** The same server as seen through another port, such as a proxy's. */
  urlAt(port: number): string {
    return `postgres://esc@127.0.0.1:${port}/postgres`;
  }

  /** Starts the process and waits until it answers. */
  async up(): Promise<void> {
    const settings = [
      `port=${this.port}`,
      "listen_addresses=127.0.0.1",
      "unix_socket_directories=",
      "fsync=off",
      "shared_buffers=32MB",
      "max_wal_senders=5",
      "hot_standby=on",
      ...this.#settings,
    ];
    const args = ["-D", this.data, ...settings.flatMap((setting) => ["-c", setting])];
    const command = asUser([join(programs() ?? "", "postgres"), ...args]);
    const deadlineMs = Date.now() + START_MS_MAX;
    const logPath = join(this.folder, "log");
    const spawn = () => Bun.spawn(command, { stdout: "ignore", stderr: Bun.file(logPath), cwd: this.folder });
    this.#process = spawn();
    while (!this.#answers()) {
      const log = () => readFileSync(logPath, "utf8");
      if (Date.now() > deadlineMs) throw new Error(`PostgreSQL did not start in time:\n${log()}`);
      if (this.#process.exitCode !== null) {
        // Right after a kill: the processes that died have not let go of the shared memory yet.
        if (!log().includes("still in use")) throw new Error(`PostgreSQL did not start:\n${log()}`);
        this.#process = spawn();
      }
      await Bun.sleep(20);
    }
  }

  /** Runs one statement through psql, as an outside observer. @returns Its rows, columns parted by `|`. */
  sql(statement: string): string {
    const at = ["-h", "127.0.0.1", "-p", String(this.port), "-U", "esc", "-d", "postgres"];
    return run("psql", [...at, "-v", "ON_ERROR_STOP=1", "-q", "-A", "-t", "-c", statement]).trim();
  }

  /** Ends it at once, as a crash would: SIGKILL to all its processes. */
  async kill(): Promise<void> {
    const postmaster = this.#pid();
    if (postmaster !== undefined) {
      // Stopped first, so that it makes no new child while its children are looked up.
      tryKill(postmaster, "SIGSTOP");
      const children = Bun.spawnSync(["pgrep", "-P", String(postmaster)]).stdout.toString().split("\n");
      for (const pid of children.filter((text) => text !== "").map(Number)) tryKill(pid, "SIGKILL");
      tryKill(postmaster, "SIGKILL");
    }
    await this.#process?.exited;
  }

  /** Stops it in order, ending connections. */
  async stop(): Promise<void> {
    const pid = this.#pid();
    if (pid !== undefined) process.kill(pid, "SIGINT");
    await this.#process?.exited;
  }

  /** Stops it and removes its folder. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** `postmaster.pid` of a running server names the process itself, not the program that changed the user. */
  #pid(): number | undefined {
    if (this.#process === undefined || this.#process.exitCode !== null) return undefined;
    const path = join(this.data, "postmaster.pid");
    return existsSync(path) ? Number(readFileSync(path, "utf8").split("\n", 1)[0]) : undefined;
  }

  #answers(): boolean {
    const args = ["-h", "127.0.0.1", "-p", String(this.port), "-U", "esc", "-d", "postgres", "-t", "1"];
    return Bun.spawnSync([join(programs() ?? "", "pg_isready"), ...args]).exitCode === 0;
  }
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "esc-postgres-"));
  const user = process.getuid?.() === 0 ? postgresUser() : undefined;
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  chmodSync(folder, 0o700);
  return folder;
}

function tlsFiles(folder: string, tls: NonNullable<PostgresServerOptions["tls"]>): string[] {
  const user = process.getuid?.() === 0 ? postgresUser() : undefined;
  const write = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    if (user !== undefined) chownSync(path, user.uid, user.gid);
    return path;
  };
  return [`ssl_cert_file=${write("tls.crt", tls.certificate)}`, `ssl_key_file=${write("tls.key", tls.key)}`];
}

/** PostgreSQL refuses to run as root. */
function asUser(command: readonly string[]): string[] {
  return process.getuid?.() === 0
    ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL", ...command]
    : [...command];
}

function run(program: string, args: readonly string[]): string {
  const command = asUser([join(programs() ?? "", program), ...args]);
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: tmpdir() });
  if (exitCode !== 0) throw new Error(`${program} failed: ${stderr}`);
  return stdout.toString();
}

function tryKill(pid: number, signal: "SIGSTOP" | "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself meanwhile.
  }
}
