/** Config → handlers of the user's, and the command that starts the process of one. */
import { join } from "node:path";
import type { Config } from "./config/config.ts";
import { BUILTIN_NAMES } from "./process/handlers/builtin.ts";
import type { HandlerSpec } from "./process/handlers/registry.ts";
import type { DeskOptions, HandlerFacts } from "./process/handlers/user/desk.ts";
import { IS_EXECUTABLE } from "./threads.ts";

/** Processor → main: what is known of the handlers of the user's, when it has changed. */
export interface HandlersMessage {
  readonly type: "handlers";
  readonly handlers: readonly HandlerFacts[];
}

/** Starts a process that hosts the TypeScript handler given as one more argument: esc itself, once more. */
export function hostCommand(): readonly string[] {
  const program = IS_EXECUTABLE ? [] : [join(import.meta.dir, "..", "cli", "esc.ts")];
  return [process.execPath, ...program, "handlers", "host"];
}

/** `undefined` when there are none, and no folder where some may come to be. */
export function handlerOptions({ processing }: Config): DeskOptions | undefined {
  const { handlers, handlersFolder } = processing;
  const specs = handlers.filter((spec) => !isBuiltin(spec));
  if (specs.length === 0 && handlersFolder === null) return undefined;
  return {
    specs,
    ...(handlersFolder === null ? {} : { folder: handlersFolder }),
    hostCommand: hostCommand(),
  };
}

export function isBuiltin({ use }: HandlerSpec): boolean {
  return BUILTIN_NAMES.some((name) => name === use);
}
