import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { loadAside } from "../../src/config/load-aside.ts";
import { loadConfigFile } from "../../src/config/load.ts";
import { printableConfig } from "../../src/config/print.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { EscError } from "../../src/errors.ts";
import { TemporaryFolder } from "../support/temp.ts";

const folder = new TemporaryFolder("load-aside");
afterAll(() => folder.remove());

test("loadAside() gives what loading here gives, frozen", async () => {
  const path = folder.path("c.yaml");
  writeFileSync(path, "topics: { a.b: high }\nrouter:\n  shards: ${SHARDS}\nnuma: { dispatcher_node: 0 }\n");
  const environment = { SHARDS: "2" };
  const here = loadConfigFile(path, environment);
  const aside = await loadAside({ path, environment });
  expect(aside.config).toEqual(here.config);
  expect(aside.printable).toEqual(printableConfig(here));
  expect(aside.notices).toEqual(here.notices.map(formatProblem));
  expect(Object.isFrozen(aside.config.ingestion.tcp)).toBe(true);
});

test("loadAside() refuses as loading here does: code, every problem, hint, cause", async () => {
  const path = folder.path("c.yaml");
  writeFileSync(path, "http: { port: 70000 }\nhtpp: {}\n");
  for (const file of [path, folder.path("missing.yaml")]) {
    const there = await loadAside({ path: file, environment: {} }).catch((error: unknown) => error);
    const here = failureOf(() => loadConfigFile(file, {}));
    if (!(there instanceof EscError)) throw new Error(`not an EscError: ${there}`);
    expect(there.code).toBe("CONFIG_INVALID");
    expect(there.message).toBe(here.message);
    expect(there.hint).toBe(here.hint);
    const reason = here.cause instanceof Error ? here.cause.message : here.cause;
    expect(there.cause).toBe(reason);
  }
});

function failureOf(action: () => unknown): EscError {
  try {
    action();
  } catch (error) {
    if (error instanceof EscError) return error;
    throw error;
  }
  throw new Error("nothing failed");
}
