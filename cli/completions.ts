/** `esc completions`: a script that teaches a shell the commands and options of esc, made from their definitions. */
import { Argument, type Command, type Option } from "commander";
import type { CommandContext } from "./command.ts";
import { bashScript, fishScript, zshScript } from "./completion-scripts.ts";
import type { CommandShape, OptionShape } from "./completion-scripts.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
type Shell = keyof typeof SCRIPTS;

/** Registers `esc completions`. */
export function register(program: Command, context: CommandContext): void {
  program.command("completions")
    .summary("print a completion script for a shell")
    .description("Print a script that completes commands, options and their values in your shell.")
    .addArgument(new Argument("<shell>", "shell to complete in").choices(Object.keys(SCRIPTS)))
    .addHelpText(
      "after",
      `
Examples:
  $ source <(esc completions bash)
  $ esc completions bash > /etc/bash_completion.d/esc
  $ esc completions zsh > "\${fpath[1]}/_esc"
  $ esc completions fish > ~/.config/fish/completions/esc.fish`,
    )
    .action((shell: Shell) => {
      const script = SCRIPTS[shell](shapesOf(program, []));
      context.output.result({ shell, script }, () => script.trimEnd());
    });
}

/** The command and all below it, outermost first. */
function shapesOf(command: Command, path: readonly string[]): CommandShape[] {
  const help = command.createHelp();
  const below = help.visibleCommands(command).filter((child) => child.name() !== "help");
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
  return [
    {
      path,
      words: below.map((child) => ({ name: child.name(), summary: child.summary() || child.description() })),
      argumentChoices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
      options: options.map(optionShape),
    },
    ...below.flatMap((child) => shapesOf(child, [...path, child.name()])),
  ];
}

function optionShape(option: Option): OptionShape {
  return {
    names: [option.short, option.long].filter((name) => name !== undefined),
    summary: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
  };
}
