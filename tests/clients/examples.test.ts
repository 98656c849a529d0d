/** The examples of `docs/clients.md` run as they are written, but for the ports. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildPackage } from "../../clients/typescript/build.ts";
import { EscServer } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

const ROOT = join(import.meta.dir, "..", "..");
const TEST_MS = 120_000;
const folder = new TemporaryFolder("examples");
let server: EscServer;
beforeAll(async () => {
  server = await EscServer.start();
}, TEST_MS);
afterAll(async () => {
  await server.remove();
  folder.remove();
});

/** The first block of code in this language, speaking to the test's server. */
function example(language: string): string {
  const text = readFileSync(join(ROOT, "docs", "clients.md"), "utf8");
  const code = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(text)?.[1];
  if (code === undefined) throw new Error(`docs/clients.md has no example in ${language}`);
  return code.replace("9000", String(server.tcpPort)).replace("8080", String(server.httpPort));
}

/** What a program writes to stdout. */
async function outputOf(command: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const child = Bun.spawn([...command], {
    cwd: folder.root,
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if (await child.exited !== 0) throw new Error(`${command.join(" ")} failed:\n${stdout}${stderr}`);
  return stdout;
}

test("the TypeScript examples run on Bun, and the first has types that fit", async () => {
  const place = folder.path("node_modules", "esc-client");
  mkdirSync(place, { recursive: true });
  cpSync(join(ROOT, "clients", "typescript", "package.json"), join(place, "package.json"));
  await buildPackage(join(place, "dist"));
  writeFileSync(folder.path("example.ts"), `${example("ts")}export {};\n`);
  writeFileSync(folder.path("browser.mjs"), example("js"));
  expect(await outputOf([process.execPath, "example.ts"])).toBe("orders.ts hello\n");
  expect(await outputOf([process.execPath, "browser.mjs"])).toBe("orders.web hello\n");
  const flags =
    "--noEmit --strict --target esnext --module esnext --moduleResolution bundler --lib esnext,dom";
  expect(await outputOf([join(ROOT, "node_modules", ".bin", "tsc"), ...flags.split(" "), "example.ts"])).toBe(
    "",
  );
}, TEST_MS);

const PYTHON = Bun.which("python3");
const NO_PYTHON = PYTHON === null ? " (skipped: python3 is not installed)" : "";
test.skipIf(PYTHON === null)(`the Python example runs${NO_PYTHON}`, async () => {
  writeFileSync(folder.path("example.py"), example("python"));
  const env = { PYTHONPATH: join(ROOT, "clients", "python"), PYTHONDONTWRITEBYTECODE: "1" };
  expect(await outputOf([PYTHON ?? "", "example.py"], env)).toBe("orders.python hello\n");
}, TEST_MS);

const GO = Bun.which("go");
const NO_GO = GO === null ? " (skipped: go is not installed)" : "";
test.skipIf(GO === null)(`the Go example runs${NO_GO}`, async () => {
  const name = "eventstreamcore/clients/go";
  writeFileSync(
    folder.path("go.mod"),
    `module example\n\ngo 1.19\n\nrequire ${name} v0.0.0\n\nreplace ${name} => ${
      join(ROOT, "clients", "go")
    }\n`,
  );
  writeFileSync(folder.path("main.go"), example("go"));
  const env = { GOTOOLCHAIN: "local", GOPROXY: "off", GOFLAGS: "" };
  expect(await outputOf([GO ?? "", "run", "main.go"], env)).toBe("orders.go hello\n");
}, TEST_MS);
