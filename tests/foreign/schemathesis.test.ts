/** The HTTP interface against its own description, by a fuzzer that is not ours: schemathesis. */
import { describe, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { EscServer } from "../support/esc.ts";
import { pythonWith } from "../support/foreign.ts";

const SETTINGS = join(import.meta.dir, "schemathesis.toml");
/** Requests of each kind for one route; all of them together take about 10 s. */
const EXAMPLES = "5";
/** They end the server, hold up what the others wait for, and never end. */
const LEFT_OUT = ["/api/v1/control/drain", "/api/v1/control/pause", "/api/v1/subscribe", "/api/v1/live"];
/** It leaves out by itself where it has read the description. */
const ITSELF = "/openapi.json";
const python = await pythonWith("schemathesis", ["schemathesis==4.32.5"]);

describe.skipIf(python.missing !== undefined)(`schemathesis (${python.missing ?? "installed"})`, () => {
  test("finds no answer that /openapi.json does not promise", async () => {
    const server = await EscServer.start({
      config: { store: { topics: ["kept.>"] } },
    });
    const { paths } = await (await fetch(server.url("/openapi.json"))).json() as {
      paths: Record<string, object>;
    };
    const tested = Object.entries(paths).filter(([path]) => ![...LEFT_OUT, ITSELF].includes(path));
    const operations = tested.reduce((count, [, methods]) => count + Object.keys(methods).length, 0);
    const command = [
      "run",
      server.url("/openapi.json"),
      ...LEFT_OUT.flatMap((path) => ["--exclude-path", path]),
      ...["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1", "--no-shrink"],
      ...["--continue-on-failure", "--request-timeout", "20"],
    ];
    const child = Bun.spawn(
      [join(dirname(python.program ?? ""), "schemathesis"), "--config-file", SETTINGS, ...command],
      { cwd: server.folder.root, env: { ...process.env, NO_COLOR: "1" }, stdout: "pipe", stderr: "pipe" },
    );
    const output = await new Response(child.stdout).text();
    const status = await child.exited;
    const found = output.split("\n").filter((line) => line.length < 500).join("\n");
    await server.remove();
    expect(status, found).toBe(0);
    const selected = Number(/Operations: +(\d+) selected/.exec(found)?.[1]);
    // Nothing but what is left out on purpose.
    expect(selected).toBe(operations);
    expect(found).toMatch(new RegExp(`Tested: +${selected}\\b`));
    expect(server.log).not.toContain("Defect");
  }, 180_000);
});
