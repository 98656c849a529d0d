/** Every client does what `clients/conformance.json` says, in every runtime that is installed. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { buildPackage } from "../../clients/typescript/build.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { expected, play, Servers } from "./world.ts";
import type { World } from "../../clients/typescript/conformance.ts";

const ROOT = join(import.meta.dir, "..", "..");
const TEST_MS = 120_000;
const folder = new TemporaryFolder("clients");
let servers: Servers;
beforeAll(async () => {
  [servers] = await Promise.all([
    Servers.start(),
    buildPackage(folder.path("package"), ["conformance.ts"]),
    Bun.which("go") === null ? undefined : go("build", "-o", goProgram, "./conformance"),
  ]);
}, TEST_MS);
afterAll(async () => {
  await servers.remove();
  folder.remove();
});

/** Runs the go tool on the client's module. @throws {Error} With what it says when it does not like something. */
async function go(...args: readonly string[]): Promise<void> {
  const child = Bun.spawn(["go", ...args], {
    cwd: join(ROOT, "clients", "go"),
    env: { ...process.env, GOFLAGS: "-mod=mod", GOTOOLCHAIN: "local", GOPROXY: "off" },
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  if (await child.exited !== 0) throw new Error(`go ${args.join(" ")}: ${said}`);
}

interface Runner {
  readonly name: string;
  readonly transport: World["transport"];
  /** `undefined`: not installed. */
  readonly command: readonly string[] | undefined;
}

const built = folder.path("package", "conformance.js");
const goProgram = folder.path("go-conformance");
const deno = join(ROOT, "node_modules", ".bin", "deno");
const RUNNERS: readonly Runner[] = [
  { name: "node", transport: "tcp", command: installed("node", [built]) },
  { name: "deno", transport: "tcp", command: [deno, "run", "--quiet", "-A", built] },
  { name: "bun", transport: "websocket", command: [process.execPath, built] },
  {
    name: "python3",
    transport: "tcp",
    command: installed("python3", ["-B", join(ROOT, "clients", "python", "conformance.py")]),
  },
  { name: "go", transport: "tcp", command: Bun.which("go") === null ? undefined : [goProgram] },
];

function installed(program: string, args: readonly string[]): readonly string[] | undefined {
  const path = Bun.which(program);
  return path === null ? undefined : [path, ...args];
}

describe.each([...RUNNERS])("$name by $transport", ({ name, transport, command }) => {
  const skipped = command === undefined ? ` (skipped: ${name} is not installed)` : "";
  test.skipIf(command === undefined)(`conforms${skipped}`, async () => {
    const world = await servers.world(`${name}-${transport}`, transport);
    expect(await play(command ?? [], world, servers)).toEqual(await expected(world));
  }, TEST_MS);
});

test.skipIf(Bun.which("go") === null)(
  "the Go client is as gofmt writes it, and go vet finds nothing",
  async () => {
    await go("vet", "./...");
    const { stdout } = Bun.spawnSync(["gofmt", "-l", join(ROOT, "clients", "go")]);
    expect(stdout.toString()).toBe("");
  },
  TEST_MS,
);
