import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import manifest from "../../package.json" with { type: "json" };
import { EscServer, EXECUTABLE, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

/** A folder that tries to take over whatever runs in it: its traces must not appear. */
let hostile: TemporaryFolder;
let alone: string;

beforeAll(() => {
  hostile = new TemporaryFolder("hostile");
  writeFileSync(
    hostile.path(".env"),
    `NO_COLOR=\nESC_DEBUG=1\nBUN_OPTIONS=--preload=${hostile.path("preload.ts")}\n`,
  );
  writeFileSync(
    hostile.path("bunfig.toml"),
    `preload = ["./preload.ts"]\n[run]\npreload = ["./preload.ts"]\n`,
  );
  const taken = JSON.stringify(hostile.path("taken"));
  writeFileSync(hostile.path("preload.ts"), `require("node:fs").writeFileSync(${taken}, "");\n`);
  writeFileSync(hostile.path("package.json"), `{"name":"hostile","type":"commonjs"}`);
  writeFileSync(hostile.path("tsconfig.json"), `{"compilerOptions":{"paths":{"*":["./preload.ts"]}}}`);
  mkdirSync(hostile.path("src"));
  writeFileSync(hostile.path("src", "threads.ts"), `require("node:fs").writeFileSync(${taken}, "");\n`);
  alone = hostile.path("esc-alone");
  copyFileSync(EXECUTABLE, alone);
});
afterAll(() => hostile.remove());

describe("the executable, alone in a hostile folder", () => {
  test("prints its version", async () => {
    const { status, stdout, stderr } = await runEsc(["version"], { executable: alone, cwd: hostile.root });
    expect(stdout).toBe(
      `esc ${manifest.version} (bun ${Bun.version}, ${process.platform}-${process.arch})\n`,
    );
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });

  test("neither reads .env nor runs the preload of bunfig.toml", async () => {
    // ESC_DEBUG=1 of the .env file would print the stack of this error.
    const missing = hostile.path("absent.yaml");
    const { status, stderr } = await runEsc(["config", "validate", missing], {
      executable: alone,
      cwd: hostile.root,
    });
    expect(status).not.toBe(0);
    expect(stderr).toContain(missing);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(existsSync(hostile.path("taken"))).toBe(false);
  });
});

test(
  "the executable serves from a hostile folder, and ends with 0 when asked to",
  async () => {
    // Ready means that every worker thread has reported for duty: each was found inside the executable.
    const server = await EscServer.start({ executable: alone, cwd: hostile.root });
    try {
      const response = await fetch(server.url("/healthz"));
      expect(response.status).toBe(200);
      expect(await server.stop()).toBe(0);
      expect(existsSync(hostile.path("taken"))).toBe(false);
    } finally {
      await server.remove();
    }
  },
);

describe("exit status and streams", () => {
  test("help goes to stdout with 0", async () => {
    const { status, stdout, stderr } = await runEsc(["--help"]);
    expect(status).toBe(0);
    expect(stdout).toStartWith("Usage: esc [options] [command]\n");
    expect(stderr).toBe("");
  });

  test.each([
    [[], "Usage: esc [options] [command]"],
    [["vesion"], "error: unknown command 'vesion'\n(Did you mean version?)"],
    [["version", "--colour"], "error: unknown option '--colour'"],
    [["version", "1.0"], "error: too many arguments"],
  ])("usage %j goes to stderr with 2", async (args, message) => {
    const { status, stdout, stderr } = await runEsc(args);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toStartWith(message);
  });

  test("--json is understood before and after the command", async () => {
    const before = await runEsc(["--json", "version"]);
    const after = await runEsc(["version", "--json"]);
    expect(before.stdout).toBe(after.stdout);
    expect(JSON.parse(before.stdout)).toMatchObject({
      name: "esc",
      version: manifest.version,
      bun: Bun.version,
    });
  });

  test("a reader of stdout that goes away is no failure", async () => {
    // The reader has ended before the command starts to write.
    const { status, stderr } = await runShell(
      `exec 3> >(exec true); wait $!; "$ESC" --help >&3; echo $? >&2`,
    );
    expect(status).toBe(0);
    expect(stderr).toBe("0\n");
  });
});

async function runShell(script: string): Promise<{ status: number; stderr: string }> {
  const shell = Bun.spawn(["bash", "-c", script], {
    env: { ESC: alone, PATH: process.env["PATH"] ?? "" },
    stderr: "pipe",
  });
  const stderr = await new Response(shell.stderr).text();
  return { status: await shell.exited, stderr };
}
