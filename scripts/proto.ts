/**
 * `npx bun scripts/proto.ts`: makes `src/api/grpc/*_pb.ts` of `deploy/proto/*.proto`, by buf and protoc-gen-es,
 * which npx fetches. Run it after a change of a .proto; the result is committed.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./build.ts";

/** The generator's version is that of the library in package.json. */
const PACKAGES = ["@bufbuild/buf@1.75.0", "@bufbuild/protoc-gen-es@2.17.0"];
const OUT = join(ROOT, "src", "api", "grpc");

const folder = mkdtempSync(join(tmpdir(), "esc-proto-"));
try {
  const plugin = { local: "protoc-gen-es", out: folder, opt: ["target=ts", "import_extension=ts"] };
  const template = JSON.stringify({ version: "v2", plugins: [plugin] });
  const command = ["buf", "generate", join(ROOT, "deploy", "proto"), "--template", template];
  const { exitCode } = Bun.spawnSync([
    "npx",
    "--yes",
    ...PACKAGES.flatMap((name) => ["-p", name]),
    ...command,
  ], {
    cwd: folder,
    stdout: "inherit",
    stderr: "inherit",
  });
  if (exitCode !== 0) process.exit(1);
  for (const name of readdirSync(folder).filter((file) => file.endsWith("_pb.ts"))) {
    const made = readFileSync(join(folder, name), "utf8");
    // For another linter; and an empty type that ours refuses.
    writeFileSync(
      join(OUT, name),
      made.replace("/* eslint-disable */\n\n", "").replaceAll(/ & \{\s*\};/g, ";"),
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(Bun.spawnSync(["npx", "deno", "fmt", "--quiet", OUT], { cwd: ROOT }).exitCode);
