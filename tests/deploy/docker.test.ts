/** What can be said of the container files without a container engine. */
import { expect, test } from "bun:test";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { EXECUTABLE, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

const ROOT = join(import.meta.dir, "..", "..");
const DOCKER = join(ROOT, "deploy", "docker");
/** Shared libraries that the base image `distroless/cc-debian12` has. */
const BASE_LIBRARIES = /^(linux-vdso|ld-linux-x86-64|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+))\.so/;

interface Compose {
  readonly services: Readonly<
    Record<string, { environment?: Record<string, string>; volumes?: string[]; ports?: string[] }>
  >;
}

const compose: Compose = parse(readFileSync(join(DOCKER, "compose.yaml"), "utf8"));

test("the container's configuration is valid, alone and as compose starts it", async () => {
  const validate = (env: Record<string, string>) =>
    runEsc(["config", "validate", join(DOCKER, "config.yaml")], { env });
  expect((await validate({})).status).toBe(0);
  expect((await validate(compose.services["esc"]?.environment ?? {})).status).toBe(0);
});

test("compose mounts files that there are, and publishes ports on this machine only", () => {
  const services = Object.values(compose.services);
  const mounted = services.flatMap(({ volumes = [] }) => volumes).filter((volume) => volume.startsWith("."));
  expect(
    mounted.map((volume) => volume.split(":")[0] ?? "").filter((path) => !existsSync(join(DOCKER, path))),
  )
    .toEqual([]);
  const ports = services.flatMap(({ ports = [] }) => ports);
  expect(ports.length).toBeGreaterThan(4);
  expect(ports.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
});

test("the Dockerfile copies what there is, and its base has every library the executable wants", () => {
  const lines = readFileSync(join(DOCKER, "Dockerfile"), "utf8").split("\n");
  const copied = lines.filter((line) => line.startsWith("COPY ") && !line.includes("--from"))
    .flatMap((line) => line.split(/\s+/).slice(1, -1));
  expect(copied.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  const libraries = Bun.spawnSync(["ldd", EXECUTABLE]).stdout.toString().trim().split("\n")
    .map((line) => line.trim().replace(/^\/\S*\//, ""));
  expect(libraries.filter((name) => !BASE_LIBRARIES.test(name))).toEqual([]);
});

test.skipIf(Bun.which("promtool") === null)("promtool accepts the Prometheus of compose", () => {
  const folder = new TemporaryFolder("docker");
  copyFileSync(join(DOCKER, "prometheus.yaml"), folder.path("prometheus.yml"));
  copyFileSync(join(ROOT, "deploy", "prometheus", "esc.rules.yaml"), folder.path("esc.rules.yaml"));
  const { exitCode } = Bun.spawnSync(["promtool", "check", "config", folder.path("prometheus.yml")]);
  folder.remove();
  expect(exitCode).toBe(0);
});
