/**
 * Writes what follows from the configuration's schema: docs/configuration.md and config/config.yaml.
 *
 * Run `bun scripts/docs-config.ts` after a change of src/config/schema*.ts; a test fails until then.
 */
import { writeFileSync } from "node:fs";
import { type KeyReference, keyReference } from "../src/config/reference.ts";
import { configTemplate } from "../src/config/template.ts";

const INTRODUCTION = `# Configuration

One YAML file. Every key has a default, so an empty file is a valid configuration;
[config/config.yaml](../config/config.yaml) has every key with its default.

\`\`\`sh
esc config init                           # write a commented config.yaml
esc config validate config.yaml           # tell every problem: line, column, what is wrong, the nearest valid key
esc config print --config config.yaml     # print what is in force
esc config schema                         # JSON Schema, for completion in editors
\`\`\`

A file with a problem is refused before anything starts, with exit status 78.

## Values

- **Durations** have a unit: \`250ms\` \`5s\` \`2m\` \`1h\` \`7d\`. A bare number is allowed where the key's name says its
  unit (\`poll_interval_ms\`, \`health_check_interval_sec\`).
- **Sizes** are bytes, or have a unit: \`512\` \`64KiB\` \`1MiB\` \`10GiB\` (1024) or \`64KB\` \`1MB\` (1000).
- **\`none\`** switches a limit off, or says that a text is not set.
- A key without a value, \`null\` and \`~\` mean the default.
- **\`\${ENV}\`** is the value of an environment variable, \`\${ENV:-default}\` has a default for one that is not set or
  empty. **\`\${file:PATH}\`** is the content of a file without its last line break, for secrets: \`esc config print\` shows
  the expression, never the content. \`$\${\` stands for a plain \`\${\`. Expressions stand in values, not in keys;
  between braces, YAML needs quotes around them.
- **Paths**: \`topics_file\` and \`\${file:PATH}\` are relative to the folder of the configuration file, \`data.dir\` and
  \`ingestion.file\` to the working directory.
- \`true\` and \`false\` may be written \`yes\`, \`no\`, \`on\`, \`off\`. Scalars mean what their key wants: \`version: 1.0\` is
  the text \`1.0\`, \`port: "9000"\` is a number.

## Addresses

A listener on anything but loopback (\`127.0.0.0/8\`, \`::1\`, \`localhost\`) is refused unless \`insecure: true\` says that
it is meant. Port 0 lets the system choose.

## Topics

\`\`\`yaml
topics:
  "sensor/*": HIGH                       # a priority: raises lower ones, never lowers
  "audit.>": transactional               # a lane, whatever the priority
  "orders.*.new": { priority: CRITICAL, lane: transactional }
topics_file: topics.conf                 # lines topic:PRIORITY, as the original engine reads them
\`\`\`

Tokens are separated by \`.\` or \`/\`; \`*\` stands for one token, a final \`>\` for the rest. Of a topic that is in both
places, the rule in this file counts. A line of the topics file that is not understood is skipped and reported.

## Lanes

Three lanes exist without being named:

LANES

A lane of your own is a further name under \`lanes\`. Every priority belongs to exactly one lane: a lane that names it
takes it from its default lane, unless both name it, which is an error. A default lane that is not in the file and has
no priority left does not exist: \`lanes: { main: { priorities: [0, 1, 2, 3, 4] } }\` makes a single lane. A lane may
have no priority and live of \`topics\` alone. Names have 1 to 63 of the characters \`a-z 0-9 _ -\`.

\`queue_bytes\` is rounded up to a power of two; a queue that could not hold four frames of
\`ingestion.max_frame_bytes\` is made that large, which \`esc config validate\` says.
\`durability: none\` leaves writing to the operating system: a process that dies loses nothing, a machine that loses
power does.

## Files

\`ingestion.file\` is a list of files to follow; its entries are on unless they say \`enable: false\`. One map instead of a
list is the original engine's form, which is off unless it says \`enable: true\`.

## The original engine's files

All of its keys load unchanged. Those that have no effect in this version are checked, and named in a notice when they
differ from their default: never silently ignored. \`router.shards\` is the number of shards of the lane
\`transactional\`; \`ingestion.udp.bufferSize\` raises the receive buffer.

## Reload

\`SIGHUP\`, \`systemctl reload esc\` and \`POST /api/v1/control/reload\` read the file again. A file with a problem
changes nothing: the API answers 400 with every problem and its place, and the log says so. Otherwise the keys marked
*live* take effect at once, and no connection is closed unless its token is gone. Keys marked *restart* stay as they
are: the log line \`configuration reloaded\` and the answer of the API name both kinds, \`applied\` and
\`needs_restart\`, and go on naming the latter until the restart. A rule for a lane that is new waits with its lane.
\`GET /api/v1/config\` shows what is in effect.

A shorter \`dedup.window\` forgets at once; a longer one brings back nothing that was forgotten. Files that keys name
(\`topics_file\`, certificates, key sets) are read again, too.

## Messages

The server writes its log to stderr, one line a message: \`logging.format: text\` for people, in colour on a terminal,
or \`json\` with \`time\`, \`level\`, \`msg\` and the facts as further keys. Under systemd each line carries its priority,
so \`journalctl -p warning\` works, and text leaves the time to the journal. Control characters in what clients and
events say are escaped. No event costs a line: a message that repeats is written once in 10 s (alerts of a rule: 50
times), and then \`suppressed\` says how many were held back. \`POST /api/v1/control/log-level?level=debug\` changes the
level until the next reload or restart.
`;

/** The text of docs/configuration.md. */
export function configurationPage(): string {
  const keys = keyReference();
  const parts = [INTRODUCTION.replace("LANES", laneTable(keys)), "## Keys\n"];
  for (const [section, members] of sectionsOf(keys)) {
    parts.push(`### ${section}\n`, table(members), "");
  }
  return `${parts.join("\n").trimEnd()}\n`;
}

const LANES = ["realtime", "transactional", "batch"];

/** What the default lanes differ in. */
function laneTable(keys: readonly KeyReference[]): string {
  const rows = LANES.map((lane) => {
    const cells = ["priorities", "overflow", "durability"].map((name) => {
      const key = keys.find(({ path }) => path.join(".") === `lanes.${lane}.${name}`);
      return shown(key?.default).replaceAll('"', "").replaceAll("[", "").replaceAll("]", "");
    });
    return `| \`${lane}\` | ${cells.join(" | ")} |`;
  });
  return ["| lane | priorities | overflow | durability |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** Keys by their first step; keys of the first level together; the default lanes once, as `<name>`. */
function sectionsOf(keys: readonly KeyReference[]): Map<string, KeyReference[]> {
  const sections = new Map<string, KeyReference[]>();
  for (const key of keys) {
    const [first = "", second = ""] = key.path;
    if (first === "lanes" && LANES.includes(second)) continue;
    const isTop = !key.isSection && key.path.length === 1;
    const section = isTop ? "first level" : first;
    if (key.isSection && key.path.length === 1 && !sections.has(section)) sections.set(section, []);
    if (!key.isSection || section === "topics") sections.set(section, [...sections.get(section) ?? [], key]);
  }
  return sections;
}

function table(keys: readonly KeyReference[]): string {
  const rows = keys.map((key) => {
    const path = key.path.join(".").replaceAll(".[]", "[]");
    const applies = !key.hasEffect ? "no effect" : key.isLive ? "live" : "restart";
    return `| \`${path}\` | ${key.kind} | ${shown(key.default)} | ${applies} | ${key.description} |`;
  });
  return ["| key | values | default | applies | meaning |", "| --- | --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
}

function shown(fallback: unknown): string {
  if (fallback === undefined) return "";
  return `\`${typeof fallback === "string" && fallback !== "" ? fallback : JSON.stringify(fallback)}\``;
}

if (import.meta.main) {
  writeFileSync(new URL("../docs/configuration.md", import.meta.url), configurationPage());
  writeFileSync(new URL("../config/config.yaml", import.meta.url), configTemplate());
}
