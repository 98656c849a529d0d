/**
 * Runs the commands of a page as its reader does: in one shell, in one folder that looks like the clone, on a
 * network of its own so that the default ports are free.
 *
 * `esc serve` goes to the background and is waited for; what never ends by itself (`esc tail`, `curl -N`) runs
 * beside the rest until the page ends.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EXECUTABLE } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { type Block, commandsOf } from "./blocks.ts";
import { ROOT } from "./pages.ts";

/** What the reader has in the clone. */
const CLONE = ["config", "deploy", "docs", "tests", "package.json", "bench", "examples"];

/**
 * Functions in place of what would not end, or would be the reader's own. An answer of `curl` stands on a line of its
 * own, and an error status is a failure.
 */
const PRELUDE = `
set -eo pipefail
export NO_COLOR=1 PATH="$PWD/dist:$PATH"
server=
stop() { [ -z "$server" ] || { kill "$server" && wait "$server" || true; }; server=; }
finish() { trap - EXIT; stop; kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; }
trap finish EXIT
serve() {
  stop
  command esc serve "$@" &
  server=$!
  for _ in $(seq 1 1200); do
    if command curl -sfo /dev/null http://127.0.0.1:8080/readyz; then return 0; fi
    kill -0 "$server" || return 1
    sleep 0.05
  done
  return 1
}
esc() {
  case "$1" in
    serve) shift; serve "$@" ;;
    tail) case "$*" in *--until-end*|*--limit*) command esc "$@" ;; *) command esc "$@" & ;; esac ;;
    *) command esc "$@" ;;
  esac
}
curl() {
  case " $* " in *" -N "*|*" -sN "*) command curl "$@" & ;; *) command curl -sS --fail-with-body -w '\\n' "$@" ;; esac
}
xdg-open() { command curl -sfo /dev/null "$1"; }
`;

export interface BlockResult {
  readonly block: Block;
  /** What it printed on stdout and stderr; absent: the page ended before. */
  readonly printed: string | undefined;
  /** Exit status of its last command; absent: it did not come to an end. */
  readonly status: number | undefined;
}

/** Whether a network of one's own can be had; without it other servers might be in the way. */
export function hasOwnNetwork(): boolean {
  return Bun.spawnSync(["unshare", "-Urn", "ip", "link", "set", "lo", "up"]).exitCode === 0;
}

/** Runs blocks one after the other; a block that fails ends the page. */
export async function runPage(blocks: readonly Block[]): Promise<BlockResult[]> {
  const folder = new TemporaryFolder("docs");
  try {
    mkdirSync(folder.path("dist"));
    symlinkSync(EXECUTABLE, folder.path("dist", "esc"));
    for (const name of CLONE) {
      if (existsSync(join(ROOT, name))) symlinkSync(join(ROOT, name), folder.path(name));
    }
    writeFileSync(folder.path("prelude.sh"), PRELUDE);
    const script = ["ip link set lo up", ". ./prelude.sh"];
    for (const [index, block] of blocks.entries()) script.push(...step(folder, index, block));
    writeFileSync(folder.path("page.sh"), script.join("\n"));
    const process = Bun.spawn(["timeout", "-k5", "200", "unshare", "-Urn", "bash", "page.sh"], {
      cwd: folder.root,
      env: { PATH: Bun.env["PATH"] ?? "", HOME: folder.root, SHELL: "/bin/bash", TERM: "dumb" },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    await process.exited;
    return blocks.filter((block) => block.language !== "yaml").map((block) => {
      const index = blocks.indexOf(block);
      const printed = textOf(folder.path(`out-${index}`));
      const status = textOf(folder.path(`status-${index}`));
      return { block, printed, status: status === undefined ? undefined : Number(status) };
    });
  } finally {
    folder.remove();
  }
}

/** The lines of the script for one block. */
function step(folder: TemporaryFolder, index: number, block: Block): string[] {
  if (block.language === "yaml") {
    // A configuration that begins with its name is the file that later commands read.
    const name = /^# (\S+\.yaml)$/m.exec(block.text)?.[1];
    return name === undefined ? [] : [`cat > ${name} <<'END_OF_FILE'\n${block.text}\nEND_OF_FILE`];
  }
  const server = block.notes.find((note) => note === "server" || note.startsWith("server "));
  // In the background anyway; with "&" nobody would wait until it listens.
  const commands = commandsOf(block).commands.replace(/^(esc serve.*?) *&( *#.*)?$/gm, "$1");
  writeFileSync(folder.path(`block-${index}.sh`), `${commands}\n`);
  const run = `. ./block-${index}.sh > out-${index} 2>&1`;
  return [
    ...(server === undefined ? [] : [`serve ${server.slice("server ".length)} 2> server.log`]),
    // Where a failure is what is shown, it must not end the page.
    ...(statusOf(block) === 0
      ? [run, `echo 0 > status-${index}`]
      : [`set +e; ${run}; echo $? > status-${index}; set -e`]),
  ];
}

/** The status with which a block is to end. */
export function statusOf(block: Block): number {
  return Number(block.notes.find((note) => note.startsWith("status "))?.slice("status ".length) ?? 0);
}

function textOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}
