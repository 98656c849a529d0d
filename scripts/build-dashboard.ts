/** Makes the dashboard's files: bundled, minified, compressed once for every request to come. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** Where the executable's build finds them, from the repository. */
const FOLDER = join("dist", "dashboard");
const FILES = ["page.html", "main.js", "main.css", "icon.svg"];

/**
 * Builds `src/dashboard/` into `dist/dashboard/*.{br,gz}`. A repository without a dashboard is left alone.
 *
 * @param root Repository to build.
 * @returns Exit status; when it is not 0 the bundler has said on stderr what is wrong.
 */
export function buildDashboard(root: string): number {
  const source = join(root, "src", "dashboard");
  if (!existsSync(source)) return 0;
  const folder = join(root, FOLDER);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { exitCode } = Bun.spawnSync([
    process.execPath,
    "build",
    "--minify",
    "--target=browser",
    "--production",
    "--outdir",
    FOLDER,
    "src/dashboard/main.tsx",
    "src/dashboard/main.css",
  ], { cwd: root, stdin: "ignore", stdout: "ignore", stderr: "inherit" });
  if (exitCode !== 0) return exitCode;
  for (const name of ["page.html", "icon.svg"]) {
    writeFileSync(join(folder, name), readFileSync(join(source, name)));
  }
  for (const name of FILES) {
    const bytes = readFileSync(join(folder, name));
    const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
    writeFileSync(join(folder, `${name}.br`), brotliCompressSync(bytes, { params }));
    writeFileSync(join(folder, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  }
  return 0;
}
