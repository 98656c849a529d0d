import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { EXCEPTIONS, importProblem, importsOf, withoutComments } from "./support/imports.ts";

const ROOT = join(import.meta.dir, "..");

interface Rule {
  /** What is wrong, for the list of findings. */
  readonly says: string;
  /** Files it looks at, by path from the repository root. */
  readonly files: RegExp;
  /** The text that must not be there. Looked for without comments unless `inComments`. */
  readonly forbids: RegExp;
  readonly inComments?: boolean;
}

// Written apart so that this file does not find itself.
const HOSTS = ["registry" + ".npmjs", "deb" + ".debian.org", "pypi" + ".org/simple", "proxy" + ".golang"];
const FOLDERS = ["work", "farm", "root", "home/[a-z]+"].map((name) => `/${name}/`);

const RULES: readonly Rule[] = [
  { says: "any", files: /\.tsx?$/, forbids: /(?:[:<,|&(]|\bas)\s*any\b(?!\s*\()/ },
  { says: "a cast through unknown", files: /\.tsx?$/, forbids: /\bas\s+unknown\s+as\b/ },
  {
    says: "a silenced compiler",
    files: /\.tsx?$/,
    forbids: new RegExp("@ts-" + "(ignore|nocheck)"),
    inComments: true,
  },
  {
    says: "a silenced linter",
    files: /\.tsx?$/,
    forbids: new RegExp("deno-" + "lint-ignore-file"),
    inComments: true,
  },
  {
    says: "a TODO without the condition that ends it",
    files: /\.tsx?$/,
    forbids: /\b(TODO|FIXME|XXX)\b(?!\([^)]{8,}\):)/,
    inComments: true,
  },
  { says: "a non-null assertion", files: /^(src|cli)\/.*\.tsx?$/, forbids: /[\w)\]]!(?=[.;,)[\]]|\s*$)/m },
  {
    says: "the environment outside cli/",
    files: /^src\/.*\.tsx?$/,
    forbids: /\bprocess\.env\b|\bBun\.env\b/,
  },
  { says: "an exit outside cli/", files: /^src\/.*\.tsx?$/, forbids: /\bprocess\.exit\(/ },
  {
    says: "a test alone or undone",
    files: /^tests\/.*\.ts$/,
    forbids: /\b(test|describe|it)\.(only|todo)\(/,
  },
  {
    says: "a machine's path",
    files: /./,
    forbids: new RegExp(`(^|[\\s"'\`(=])(${FOLDERS.join("|")})`, "m"),
    inComments: true,
  },
  { says: "the host of a registry", files: /./, forbids: new RegExp(HOSTS.join("|")), inComments: true },
];

const FORBIDDEN_NAME =
  /^(index|utils?|helpers?|common|misc|manager|types|constants|base|impl)\.tsx?$|-(utils?|helpers?|manager|impl)\.tsx?$/;

/** Every rule that a file breaks, as `path: what`. */
function findings(path: string, text: string): string[] {
  const found: string[] = [];
  if (FORBIDDEN_NAME.test(basename(path))) found.push(`${path}: a name that hides what the file is`);
  const code = /\.tsx?$/.test(path) ? withoutComments(text) : text;
  for (const { says, files, forbids, inComments } of RULES) {
    if (files.test(path) && forbids.test(inComments ? text : code)) found.push(`${path}: ${says}`);
  }
  if (/^(src|cli)\/.*\.tsx?$/.test(path)) {
    const { imports, reexports } = importsOf(path, text);
    for (const specifier of reexports) found.push(`${path}: re-exports ${specifier}`);
    for (const edge of imports) {
      const problem = importProblem(edge);
      if (problem !== undefined) found.push(`${path}: imports ${edge.to}: ${problem}`);
    }
  }
  return found;
}

/** What is committed, as text. */
function committedFiles(): string[] {
  const { stdout, exitCode } = Bun.spawnSync(["git", "ls-files", "-z"], { cwd: ROOT });
  if (exitCode !== 0) throw new Error("not a git repository: there is no list of files");
  return stdout.toString().split("\0").filter((path) => path !== "" && existsSync(join(ROOT, path)));
}

/** Recorded data are bytes of others, taken as they are; this file plants what it looks for. */
const LEFT_ALONE = /^tests\/.*\.(ndjson|jsonl|bin|txt|csv)$|^tests\/tidy\.test\.ts$/;

test("every committed file keeps the rules of the house", () => {
  const files = committedFiles().filter((path) => !LEFT_ALONE.test(path));
  expect(files.length).toBeGreaterThan(20);
  expect(files.flatMap((path) => findings(path, readFileSync(join(ROOT, path), "utf8")))).toEqual([]);
});

test("every exception of the import table is still made use of", () => {
  const edges = new Set(
    committedFiles().filter((path) => /^src\/.*\.ts$/.test(path)).flatMap((path) =>
      importsOf(path, readFileSync(join(ROOT, path), "utf8")).imports.map(({ from, to }) =>
        `${from} -> ${to}`
      )
    ),
  );
  expect(Object.keys(EXCEPTIONS).filter((edge) => !edges.has(edge))).toEqual([]);
});

test("package-lock.json names no download host", () => {
  const lock: { packages: Record<string, { resolved?: string; integrity?: string }> } = JSON.parse(
    readFileSync(join(ROOT, "package-lock.json"), "utf8"),
  );
  const entries = Object.values(lock.packages);
  expect(entries.length).toBeGreaterThan(10);
  expect(entries.filter((entry) => entry.resolved !== undefined)).toEqual([]);
});

describe("the checker finds what is planted", () => {
  test.each([
    ["src/ingest/tcp.ts", `import { append } from "../log/log.ts";\n`, []],
    ["src/ingest/tcp.ts", `import type { Lane } from "../process/lane.ts";\n`, []],
    ["src/ingest/tcp.ts", `import { type Lane, type Shard } from "../process/lane.ts";\n`, []],
    [
      "src/ingest/tcp.ts",
      `import { type Lane, run } from "../process/lane.ts";\n`,
      ["src/ingest/tcp.ts: imports src/process/lane.ts: stage ingest may use only types of stage process"],
    ],
    [
      "src/queue/ring.ts",
      `import {\n  a,\n  b,\n} from "../event/frame.ts";\n`,
      ["src/queue/ring.ts: imports src/event/frame.ts: queue must not import event"],
    ],
    [
      "src/dispatch/route.ts",
      `import type { Config } from "../config/config.ts";\n`,
      ["src/dispatch/route.ts: imports src/config/config.ts: dispatch must not import config"],
    ],
    [
      "src/process/worker.ts",
      `const engine = await import("../engine.ts");\n`,
      ["src/process/worker.ts: imports src/engine.ts: process must not import engine.ts"],
    ],
    [
      "src/api/stats.ts",
      `import { Output } from "../../cli/output.ts";\n`,
      ["src/api/stats.ts: imports cli/output.ts: api is below cli and must not know it"],
    ],
    [
      "src/engine-memory.ts",
      `import "./api/server.ts";\n`,
      ["src/engine-memory.ts: imports src/api/server.ts: engine-memory.ts is below api and must not know it"],
    ],
    [
      "src/novel/thing.ts",
      `import { ring } from "../queue/ring.ts";\n`,
      ["src/novel/thing.ts: imports src/queue/ring.ts: room novel is not in the table of tests/support/imports.ts"],
    ],
    ["src/queue/ring.ts", `export * from "./slots.ts";\n`, ["src/queue/ring.ts: re-exports ./slots.ts"]],
    ["src/queue/ring.ts", `// import { a } from "../engine.ts";\n`, []],
    ["src/queue/index.ts", "", ["src/queue/index.ts: a name that hides what the file is"]],
    ["cli/event-utils.ts", "", ["cli/event-utils.ts: a name that hides what the file is"]],
    ["src/a.ts", "let x: any;", ["src/a.ts: any"]],
    ["src/a.ts", "const x = y as any;", ["src/a.ts: any"]],
    ["src/a.ts", "const x: Map<string, any> = y;", ["src/a.ts: any"]],
    ["src/a.ts", `const hint = "in any case";\n// as any reader knows\nf(any(x));`, []],
    ["src/a.ts", "const x = y as unknown as Z;", ["src/a.ts: a cast through unknown"]],
    ["src/a.ts", "const x = list[0]!.name;", ["src/a.ts: a non-null assertion"]],
    ["src/a.ts", "if (a !== b && !c) d();", []],
    ["src/a.ts", "// @ts-" + "ignore", ["src/a.ts: a silenced compiler"]],
    ["src/a.ts", "// TO" + "DO: later", ["src/a.ts: a TODO without the condition that ends it"]],
    ["src/a.ts", "// TO" + "DO(when Bun has recvmmsg): drop this", []],
    ["src/a.ts", "const home = process.env.HOME;", ["src/a.ts: the environment outside cli/"]],
    ["src/a.ts", "process.exit(1);", ["src/a.ts: an exit outside cli/"]],
    ["tests/a.test.ts", `test.only("x", () => {});`, ["tests/a.test.ts: a test alone or undone"]],
    ["docs/a.md", "see /wo" + "rk/main/README.md", ["docs/a.md: a machine's path"]],
    ["docs/a.md", "data lie in /var/lib/esc and ./work/", []],
    [".npmrc", "registry=https://registry" + ".npmjs.org", [".npmrc: the host of a registry"]],
  ])("%s: %j", (path, text, expected) => {
    expect(findings(path, text)).toEqual(expected);
  });
});
