/** How esc runs itself as another process. */
import { join } from "node:path";
import process from "node:process";
import { IS_EXECUTABLE } from "../src/threads.ts";

/** The executable, or from source the runtime and its first file. */
export function escCommand(): readonly string[] {
  return IS_EXECUTABLE ? [process.execPath] : [process.execPath, join(import.meta.dir, "esc.ts")];
}
