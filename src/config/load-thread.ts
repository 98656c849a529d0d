/** Thread entry: loads one configuration, answers once, and ends. See `load-aside.ts`. */
import { parentPort, workerData } from "node:worker_threads";
import { EscError } from "../errors.ts";
import type { LoadAnswer } from "./load-aside.ts";
import { loadServed, type ServedConfigSource } from "./load-served.ts";

function answer(source: ServedConfigSource): LoadAnswer {
  try {
    return { type: "loaded", served: loadServed(source) };
  } catch (error) {
    if (!(error instanceof EscError)) throw error;
    const { code, message, hint, cause } = error;
    return {
      type: "refused",
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      ...(cause === undefined ? {} : { cause: cause instanceof Error ? cause.message : String(cause) }),
    };
  }
}

parentPort?.postMessage(answer(workerData as ServedConfigSource));
