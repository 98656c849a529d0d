import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EXECUTABLE } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

const DEPLOY = join(import.meta.dir, "..", "..", "deploy");

/** Highest exposure accepted, in tenths of `systemd-analyze security`: 2.0. */
const EXPOSURE_TENTHS_MAX = 20;

// Skipped where systemd is not installed: nothing else knows its unit files.
const analyze = Bun.which("systemd-analyze");
const withSystemd = test.skipIf(analyze === null);

let folder: TemporaryFolder;
let unit: string;

beforeAll(() => {
  folder = new TemporaryFolder("deploy");
  unit = folder.path("esc.service");
  // The executable is not installed here; everything else is checked as it is.
  const text = readFileSync(join(DEPLOY, "esc.service"), "utf8");
  writeFileSync(unit, text.replace("/usr/local/bin/esc", EXECUTABLE));
});
afterAll(() => folder.remove());

async function run(command: readonly string[]): Promise<{ status: number; output: string }> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const texts = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { status: await child.exited, output: texts.join("") };
}

withSystemd("esc.service passes systemd-analyze verify without a word", async () => {
  expect(await run([analyze ?? "", "verify", unit])).toEqual({ status: 0, output: "" });
});

withSystemd("esc.socket passes systemd-analyze verify without a word", async () => {
  const socket = folder.path("esc.socket");
  copyFileSync(join(DEPLOY, "esc.socket"), socket);
  expect(await run([analyze ?? "", "verify", socket])).toEqual({ status: 0, output: "" });
});

withSystemd("esc.service is exposed 2.0 at most", async () => {
  const { status, output } = await run([
    analyze ?? "",
    "security",
    "--offline=true",
    `--threshold=${EXPOSURE_TENTHS_MAX}`,
    unit,
  ]);
  expect(output).toContain("Overall exposure level for esc.service");
  expect(status).toBe(0);
});

test("esc.service keeps the variables away that would take over the runtime", () => {
  expect(readFileSync(unit, "utf8")).toMatch(/^UnsetEnvironment=.*\bBUN_BE_BUN BUN_OPTIONS\b/m);
});

test("install.sh --root installs everything, and keeps a configuration that is there", async () => {
  const root = folder.path("root");
  const install = [join(DEPLOY, "install.sh"), "--root", root, EXECUTABLE];
  expect(await run(install)).toMatchObject({ status: 0 });
  const modes = Object.fromEntries(
    ["usr/local/bin/esc", "etc/systemd/system/esc.service", "etc/esc", "etc/esc/config.yaml"]
      .map((path) => [path, (statSync(join(root, path)).mode & 0o777).toString(8)]),
  );
  expect(modes).toEqual({
    "usr/local/bin/esc": "755",
    "etc/systemd/system/esc.service": "644",
    "etc/esc": "750",
    "etc/esc/config.yaml": "640",
  });
  writeFileSync(join(root, "etc/esc/config.yaml"), "app_name: mine\n");
  expect(await run(install)).toMatchObject({ status: 0 });
  expect(readFileSync(join(root, "etc/esc/config.yaml"), "utf8")).toBe("app_name: mine\n");
});

test("install.sh refuses an executable that is not there", async () => {
  const { status, output } = await run([
    join(DEPLOY, "install.sh"),
    "--root",
    folder.path("none"),
    "/absent/esc",
  ]);
  expect(status).toBe(1);
  expect(output).toContain("there is no executable /absent/esc");
});

withSystemd("the account and the folders are understood by systemd", async () => {
  const root = folder.path("image");
  expect(await run(["systemd-sysusers", "--dry-run", `--root=${root}`, join(DEPLOY, "esc.sysusers.conf")]))
    .toMatchObject({ status: 0, output: expect.stringContaining("esc") });
});
