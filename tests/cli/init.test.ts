import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

let folder: TemporaryFolder;
beforeEach(() => {
  folder = new TemporaryFolder("init");
});
afterEach(() => folder.remove());

test.each(["iot", "market", "gaming", "analytics"])(
  "init --preset %s writes a valid configuration, once",
  async (preset) => {
    const init = (...args: string[]) =>
      runEsc(["init", "--preset", preset, "new", ...args], { cwd: folder.root });
    const made = await init();
    expect([made.status, made.stderr]).toEqual([0, ""]);
    expect(made.stdout).toContain("esc serve --config new/config.yaml");
    const path = folder.path("new", "config.yaml");
    expect((await runEsc(["config", "validate", path])).status).toBe(0);
    expect(readFileSync(path, "utf8")).toContain("esc serve --config new/config.yaml");
    const again = await init();
    expect([again.status, again.stderr]).toEqual([2, expect.stringContaining("--force replaces it")]);
    expect((await init("--force")).status).toBe(0);
  },
);

test("init without a preset, or with one that there is not, says which there are", async () => {
  expect((await runEsc(["init"])).status).toBe(2);
  const { status, stderr } = await runEsc(["init", "--preset", "shop"]);
  expect([status, stderr]).toEqual([2, expect.stringContaining("iot, market, gaming, analytics")]);
});
