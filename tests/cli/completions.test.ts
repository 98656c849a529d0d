import { expect, test } from "bun:test";
import { bashScript, fishScript, zshScript } from "../../cli/completion-scripts.ts";
import type { CommandShape } from "../../cli/completion-scripts.ts";

const HELP = { names: ["-h", "--help"], summary: "it's help", takesValue: false, choices: [] };

const COMMANDS: readonly CommandShape[] = [
  {
    path: [],
    words: [{ name: "log", summary: "logs: verify, inspect" }, { name: "send", summary: "send events" }],
    argumentChoices: [],
    options: [HELP],
  },
  { path: ["log"], words: [{ name: "verify", summary: "check" }], argumentChoices: [], options: [HELP] },
  { path: ["log", "verify"], words: [], argumentChoices: ["all"], options: [HELP] },
  {
    path: ["send"],
    words: [],
    argumentChoices: [],
    options: [
      { names: ["--acks"], summary: "answers", takesValue: true, choices: ["none", "durable"] },
      { names: ["-f", "--file"], summary: "lines", takesValue: true, choices: [] },
      HELP,
    ],
  },
];

/** What bash would offer after these words; the last one is being typed. */
async function offered(...words: readonly string[]): Promise<string[]> {
  const script = `${bashScript(COMMANDS)}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _esc; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const shell = Bun.spawn(["bash", "-c", script, "bash", "esc", ...words], { stderr: "inherit" });
  const text = await new Response(shell.stdout).text();
  expect(await shell.exited).toBe(0);
  return text.split("\n").filter((line) => line !== "");
}

test("bash completes commands, nested commands, options and choices", async () => {
  expect(await offered("")).toEqual(["log", "send", "-h", "--help"]);
  expect(await offered("s")).toEqual(["send"]);
  expect(await offered("log", "")).toEqual(["verify", "-h", "--help"]);
  expect(await offered("log", "verify", "a")).toEqual(["all"]);
  expect(await offered("send", "--a")).toEqual(["--acks"]);
  expect(await offered("send", "--acks", "")).toEqual(["none", "durable"]);
  expect(await offered("send", "--acks", "none", "--f")).toEqual(["--file"]);
});

test("bash leaves the value of any other option to the shell, which offers files", async () => {
  expect(await offered("send", "--file", "")).toEqual([]);
  expect(await offered("send", "-f", "")).toEqual([]);
});

// Skipped where that shell is not installed: nothing else can read its language.
for (const [shell, script] of [["zsh", zshScript(COMMANDS)], ["fish", fishScript(COMMANDS)]] as const) {
  const path = Bun.which(shell);
  test.skipIf(path === null)(`${shell} can parse its script`, async () => {
    const child = Bun.spawn([path ?? "", "-n", "/dev/stdin"], { stdin: Buffer.from(script), stderr: "pipe" });
    expect(await new Response(child.stderr).text()).toBe("");
    expect(await child.exited).toBe(0);
  });
}

test("fish is told commands, options and choices", () => {
  expect(fishScript(COMMANDS).split("\n")).toEqual([
    "# fish completion of esc",
    "complete -c esc -f -n 'not __fish_seen_subcommand_from log send' -a log -d 'logs: verify, inspect'",
    "complete -c esc -f -n 'not __fish_seen_subcommand_from log send' -a send -d 'send events'",
    "complete -c esc -n 'not __fish_seen_subcommand_from log send' -s h -l help -d 'it'\\''s help'",
    "complete -c esc -f -n '__fish_seen_subcommand_from log; and not __fish_seen_subcommand_from verify' -a verify -d 'check'",
    "complete -c esc -n '__fish_seen_subcommand_from log; and not __fish_seen_subcommand_from verify' -s h -l help -d 'it'\\''s help'",
    "complete -c esc -f -n '__fish_seen_subcommand_from log; and __fish_seen_subcommand_from verify' -a all",
    "complete -c esc -n '__fish_seen_subcommand_from log; and __fish_seen_subcommand_from verify' -s h -l help -d 'it'\\''s help'",
    "complete -c esc -n '__fish_seen_subcommand_from send' -l acks -x -a 'none durable' -d 'answers'",
    "complete -c esc -n '__fish_seen_subcommand_from send' -s f -l file -r -d 'lines'",
    "complete -c esc -n '__fish_seen_subcommand_from send' -s h -l help -d 'it'\\''s help'",
    "",
  ]);
});
