import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ESC = new URL("../../cli/esc.ts", import.meta.url).pathname;
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "esc-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs esc in the test's folder. */
function esc(...args: string[]): { status: number; stdout: string; stderr: string } {
  const child = Bun.spawnSync([process.execPath, ESC, ...args], {
    cwd: folder,
    env: { ...process.env, ESC_PORT: "8099" },
  });
  return { status: child.exitCode, stdout: child.stdout.toString(), stderr: child.stderr.toString() };
}

test("esc config init writes a file that loads, and replaces one only with --force", () => {
  expect(esc("config", "init", "new/config.yaml")).toEqual({
    status: 0,
    stdout: "new/config.yaml written\n",
    stderr: "",
  });
  expect(esc("config", "validate", "new/config.yaml")).toEqual({
    status: 0,
    stdout: "new/config.yaml is valid\n",
    stderr: "",
  });
  writeFileSync(join(folder, "new/config.yaml"), "app_name: mine\n");
  const refused = esc("config", "init", "new/config.yaml");
  expect([refused.status, refused.stdout]).toEqual([2, ""]);
  expect(refused.stderr).toContain("new/config.yaml exists already");
  expect(readFileSync(join(folder, "new/config.yaml"), "utf8")).toBe("app_name: mine\n");
  expect(esc("config", "init", "--force", "new/config.yaml").status).toBe(0);
  expect(esc("config", "init").status).toBe(0);
  expect(existsSync(join(folder, "config.yaml"))).toBe(true);
});

test("esc config print and validate take the file with and without --config", () => {
  writeFileSync(join(folder, "named.yaml"), "app_name: named\n");
  for (const file of [["named.yaml"], ["--config", "named.yaml"]]) {
    expect(esc("config", "print", ...file).stdout).toContain("app_name: named\n");
    expect(esc("config", "validate", ...file).stdout).toBe("named.yaml is valid\n");
  }
  expect(esc("config", "validate").status).toBe(2);
});

test("esc --version prints the version alone", () => {
  const { version } = JSON.parse(esc("version", "--json").stdout);
  expect(esc("--version")).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
});

test("esc config validate exits 78 and tells every problem", () => {
  writeFileSync(join(folder, "bad.yaml"), "ingestion:\n  tcp:\n    prot: 1\nhttp: {port: x}\n");
  const text = esc("config", "validate", "bad.yaml");
  expect([text.status, text.stdout]).toEqual([78, ""]);
  expect(text.stderr).toContain('bad.yaml:3:5: unknown key "prot" in ingestion.tcp; did you mean "port"?');
  expect(text.stderr).toContain('bad.yaml:4:14: http.port must be a whole number from 0 to 65535, not "x"');

  const json = esc("--json", "config", "validate", "bad.yaml");
  expect([json.status, json.stderr]).toEqual([78, ""]);
  const result = JSON.parse(json.stdout);
  expect(result.valid).toBe(false);
  expect(result.problems.map(({ line, column }: { line: number; column: number }) => [line, column]))
    .toEqual([[3, 5], [4, 14]]);
});

test("esc config validate tells keys without effect on stderr", () => {
  writeFileSync(join(folder, "old.yaml"), "plugins: {load: [a.so]}\n");
  expect(esc("config", "validate", "old.yaml")).toEqual({
    status: 0,
    stdout: "old.yaml is valid\n",
    stderr: "old.yaml:1:1: plugins is accepted and has no effect in this version\n",
  });
});

test("esc config validate refuses a file that does not exist", () => {
  const { status, stderr } = esc("config", "validate", "gone.yaml");
  expect(status).toBe(78);
  expect(stderr).toContain("Cannot read configuration gone.yaml");
});

test("esc config print shows what is in force, reads the environment and hides secrets", () => {
  writeFileSync(join(folder, "secret.txt"), "hunter2\n");
  writeFileSync(
    join(folder, "p.yaml"),
    "http: {port: '${ESC_PORT}'}\nplugins: {load: ['${file:secret.txt}']}\n",
  );
  const yaml = esc("config", "print", "--config", "p.yaml");
  expect([yaml.status, yaml.stderr]).toEqual([0, ""]);
  expect(yaml.stdout).toContain("port: 8099");
  expect(yaml.stdout).toContain("${file:secret.txt}");
  expect(yaml.stdout).not.toContain("hunter2");
  const json = JSON.parse(esc("config", "print", "--config", "p.yaml", "--json").stdout);
  expect([json.http.port, json.plugins.load]).toEqual([8099, ["${file:secret.txt}"]]);
  expect(JSON.parse(esc("--json", "config", "print").stdout).http.port).toBe(8080);
});

test("esc config schema prints a JSON Schema", () => {
  const { status, stdout } = esc("config", "schema");
  expect(status).toBe(0);
  expect(JSON.parse(stdout).properties.lanes.properties.realtime.properties.overflow.default).toBe(
    "drop_old",
  );
});
