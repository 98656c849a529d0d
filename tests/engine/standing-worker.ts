/** Thread entry for tests of supervision: says what it is told, and dies when asked to. */
import { parentPort } from "node:worker_threads";

parentPort?.on("message", (message: { readonly type: string }) => {
  if (message.type === "die") throw new Error("asked to die");
  parentPort?.postMessage(message);
});
