import { expect, test } from "bun:test";
import { byteSize, wholeNumber } from "../../cli/command.ts";

interface Streams {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Runs statements with an `output` in a process of its own, as Output writes to the process's descriptors. */
async function run(
  statements: string,
  options: { terminal?: boolean; env?: Record<string, string> } = {},
): Promise<Streams> {
  const source = `
    import { Output } from ${JSON.stringify(import.meta.resolve("../../cli/output.ts"))};
    import { EscError } from ${JSON.stringify(import.meta.resolve("../../src/errors.ts"))};
    const output = new Output({
      stdoutIsTerminal: ${options.terminal === true}, stderrIsTerminal: ${options.terminal === true},
      env: process.env, exit: (status) => process.exit(status),
    });
    ${statements}
  `;
  const child = Bun.spawn([process.execPath, "run", "-"], {
    stdin: Buffer.from(source),
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env["PATH"] ?? "", ...options.env },
  });
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr, status };
}

test("result() prints the text for people and one JSON line with --json", async () => {
  const print = `output.result({ n: 1 }, () => "one");`;
  expect(await run(print)).toEqual({ stdout: "one\n", stderr: "", status: 0 });
  expect(await run(`output.useJson(); ${print}`)).toEqual({ stdout: '{"n":1}\n', stderr: "", status: 0 });
});

test("style() and progress() are for terminals only", async () => {
  const speak = `output.progress("50 %"); output.line(output.style("red", "x"));`;
  expect(await run(speak)).toEqual({ stdout: "x\n", stderr: "", status: 0 });
  expect(await run(speak, { terminal: true })).toEqual({
    stdout: "\x1b[31mx\x1b[0m\n",
    stderr: "\r\x1b[K50 %\r\x1b[K",
    status: 0,
  });
  expect((await run(speak, { terminal: true, env: { NO_COLOR: "1" } })).stdout).toBe("x\n");
  expect((await run(speak, { terminal: true, env: { TERM: "dumb" } })).stdout).toBe("x\n");
  expect((await run(`output.useJson(); ${speak}`, { terminal: true })).stderr).toBe("");
});

const FAIL = `
  const error = new EscError("CONFIG_INVALID", "Cannot load esc.yaml", { hint: "Look at line 3", cause: new TypeError("bad") });
  process.exitCode = output.failure(error);`;

test("failure() prints message, causes and hint of an EscError, and returns its exit status", async () => {
  expect(await run(FAIL)).toEqual({
    stdout: "",
    stderr: "error: Cannot load esc.yaml\n  cause: TypeError: bad\n  hint: Look at line 3\n",
    status: 78,
  });
});

test("failure() prints JSON with --json", async () => {
  const { stderr, status } = await run(`output.useJson(); ${FAIL}`);
  expect(JSON.parse(stderr)).toEqual({
    error: {
      code: "CONFIG_INVALID",
      message: "Cannot load esc.yaml",
      hint: "Look at line 3",
      causes: ["TypeError: bad"],
    },
  });
  expect(status).toBe(78);
});

test("failure() prints name and message of any other error, its stack with ESC_DEBUG=1 only", async () => {
  const fail = `process.exitCode = output.failure(new RangeError("too far"));`;
  expect(await run(fail)).toEqual({ stdout: "", stderr: "error: RangeError: too far\n", status: 1 });
  const debugged = await run(fail, { env: { ESC_DEBUG: "1" } });
  expect(debugged.stderr).toStartWith("error: RangeError: too far\nRangeError: too far\n    at ");
});

test("failure() ends with causes that form a circle", async () => {
  const { stderr } = await run(`const a = new Error("a"); a.cause = a; output.failure(a);`);
  expect(stderr.match(/cause: /g)).toHaveLength(8);
});

// Only Python can make its own stdout non-blocking here; skipped where there is none.
const python = Bun.which("python3");
test.skipIf(python === null)("bytes() writes everything to a non-blocking pipe that fills", async () => {
  const byteCount = 1 << 20;
  const source = `
    import { Output } from ${JSON.stringify(import.meta.resolve("../../cli/output.ts"))};
    const output = new Output({ stdoutIsTerminal: false, stderrIsTerminal: false, env: {}, exit: (s) => process.exit(s) });
    output.bytes(new Uint8Array(${byteCount}).fill(120));`;
  const launch = "import os, sys; os.set_blocking(1, False); os.execv(sys.argv[1], sys.argv[1:])";
  const script = `set -o pipefail; "$PYTHON" -c "$LAUNCH" "$BUN" -e "$SOURCE" | wc -c`;
  const shell = Bun.spawn(["bash", "-c", script], {
    env: {
      PYTHON: python ?? "",
      LAUNCH: launch,
      BUN: process.execPath,
      SOURCE: source,
      PATH: process.env["PATH"] ?? "",
    },
  });
  expect((await new Response(shell.stdout).text()).trim()).toBe(String(byteCount));
  expect(await shell.exited).toBe(0);
});

test("wholeNumber() takes whole numbers within its bounds only", () => {
  const parse = wholeNumber(1, 10);
  expect([parse("1"), parse("10")]).toEqual([1, 10]);
  for (const text of ["0", "11", "-1", "1.5", "1e1", "", " 1", "one"]) {
    expect(() => parse(text)).toThrow("Expected a whole number from 1 to 10.");
  }
});

test("byteSize() takes sizes with units within its bounds only", () => {
  const parse = byteSize(1, 1 << 20);
  expect([parse("1"), parse("64KiB"), parse("1MiB"), parse("1kB")]).toEqual([1, 65536, 1 << 20, 1000]);
  for (const text of ["0", "1048577", "2MiB", "1XB", "", "-1"]) {
    expect(() => parse(text)).toThrow("Expected 1 to 1048576 bytes");
  }
});
