/**
 * Completion scripts for bash, zsh and fish.
 *
 * A script holds the whole command tree as text and starts no process when Tab is pressed. What it does not know
 * (a topic, a number) it leaves to the shell, which then offers files.
 */

export interface OptionShape {
  /** `-h` and `--help`, whichever exist. */
  readonly names: readonly string[];
  readonly summary: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

export interface CommandShape {
  /** Words that lead to it after `esc`: none for esc itself, `config validate`. */
  readonly path: readonly string[];
  /** Commands below it. */
  readonly words: readonly { readonly name: string; readonly summary: string }[];
  readonly argumentChoices: readonly string[];
  readonly options: readonly OptionShape[];
}

/** For bash: `source <(esc completions bash)`. */
export function bashScript(commands: readonly CommandShape[]): string {
  const cases = commands.map(({ path, words, argumentChoices, options }) => {
    const offered = [...words.map(({ name }) => name), ...argumentChoices, ...namesOf(options)];
    return `    ${caseOf(path)}) offered=${quoted(offered.join(" "))} ;;`;
  });
  return `# bash completion of esc
_esc() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command="" offered="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$command $word" in
${
    knownPaths(commands).map((path) => `      ${quoted(` ${path}`)}) command=${quoted(` ${path}`)} ;;`).join(
      "\n",
    )
  }
    esac
  done
  case "$command $previous" in
${valueCases(commands, (choices) => `offered=${quoted(choices.join(" "))}`, "COMPREPLY=(); return")}
    *) case "$command" in
${cases.join("\n")}
    esac ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$current")
}
complete -o default -F _esc esc
`;
}

/** For zsh: a file named `_esc` in a folder of `fpath`. */
export function zshScript(commands: readonly CommandShape[]): string {
  const cases = commands.map(({ path, words, argumentChoices, options }) => {
    const offered = [
      ...words.map(({ name, summary }) => described(name, summary)),
      ...argumentChoices.map((choice) => described(choice, "")),
      ...options.flatMap(({ names, summary }) => names.map((name) => described(name, summary))),
    ];
    return `    ${caseOf(path)}) offered=(${offered.map(quoted).join(" ")}) ;;`;
  });
  return `#compdef esc
# zsh completion of esc
_esc() {
  local current=\${words[CURRENT]} previous=\${words[CURRENT-1]} command="" word
  local -a offered
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$command $word" in
${
    knownPaths(commands).map((path) => `      ${quoted(` ${path}`)}) command=${quoted(` ${path}`)} ;;`).join(
      "\n",
    )
  }
    esac
  done
  case "$command $previous" in
${valueCases(commands, (choices) => `offered=(${choices.map(quoted).join(" ")})`, "_files; return")}
    *) case "$command" in
${cases.join("\n")}
    esac ;;
  esac
  _describe 'esc' offered || _files
}
if [ "$funcstack[1]" = "_esc" ]; then _esc "$@"; else compdef _esc esc; fi
`;
}

/** For fish: a file named `esc.fish` in its folder of completions. */
export function fishScript(commands: readonly CommandShape[]): string {
  const lines = commands.flatMap(({ path, words, argumentChoices, options }) => {
    const nested = words.map(({ name }) => name).join(" ");
    const here = path.map((word) => `__fish_seen_subcommand_from ${word}`);
    const notBelow = nested === "" ? [] : [`not __fish_seen_subcommand_from ${nested}`];
    const when = [...here, ...notBelow].join("; and ") || "true";
    return [
      ...words.map(({ name, summary }) =>
        `complete -c esc -f -n ${quoted(when)} -a ${name} -d ${quoted(summary)}`
      ),
      ...argumentChoices.map((choice) => `complete -c esc -f -n ${quoted(when)} -a ${choice}`),
      ...options.map((option) =>
        `complete -c esc -n ${quoted(when)}${fishOption(option)} -d ${quoted(option.summary)}`
      ),
    ];
  });
  return `# fish completion of esc\n${lines.join("\n")}\n`;
}

function fishOption({ names, takesValue, choices }: OptionShape): string {
  const flags = names.map((name) => name.startsWith("--") ? ` -l ${name.slice(2)}` : ` -s ${name.slice(1)}`);
  const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(" "))}` : takesValue ? " -r" : "";
  return flags.join("") + value;
}

/** Cases of `command previous` for options that take a value: their choices, or what the shell does with files. */
function valueCases(
  commands: readonly CommandShape[],
  withChoices: (choices: readonly string[]) => string,
  withoutChoices: string,
): string {
  return commands.flatMap(({ path, options }) =>
    options.filter(({ takesValue }) => takesValue).map(({ names, choices }) => {
      const patterns = names.map((name) => quoted(`${lead(path)} ${name}`)).join(" | ");
      return `    ${patterns}) ${choices.length > 0 ? withChoices(choices) : withoutChoices} ;;`;
    })
  ).join("\n");
}

function knownPaths(commands: readonly CommandShape[]): string[] {
  return commands.filter(({ path }) => path.length > 0).map(({ path }) => path.join(" "));
}

/** The command so far, as the scripts keep it: a space before each word. */
function lead(path: readonly string[]): string {
  return path.map((word) => ` ${word}`).join("");
}

function caseOf(path: readonly string[]): string {
  return quoted(lead(path));
}

function namesOf(options: readonly OptionShape[]): string[] {
  return options.flatMap(({ names }) => names);
}

/** `name:summary` as zsh's _describe reads it. */
function described(name: string, summary: string): string {
  return `${name.replaceAll(":", "\\:")}:${summary}`;
}

/** In single quotes; a quote inside ends them, is escaped, and starts them again. All three shells read it alike. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
