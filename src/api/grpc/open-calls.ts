/** Streams that are open at the same time, and their limit. */
import { Metadata } from "@grpc/grpc-js";
import { EscError } from "../../errors.ts";

/** Subscribe, Stream and Watch calls at a time. */
export const STREAMS_MAX = 10_000;

export class OpenCalls {
  readonly #version: string;
  #count = 0;

  /** @param version The server's, for the greeting. */
  constructor(version: string) {
    this.#version = version;
  }

  /** Counts a stream. @returns Uncounts it. @throws {EscError} `TOO_MANY_CONNECTIONS`. */
  take(): () => void {
    if (this.#count >= STREAMS_MAX) {
      throw new EscError("TOO_MANY_CONNECTIONS", `There are ${STREAMS_MAX} streams already`);
    }
    this.#count++;
    let isTaken = true;
    return () => {
      if (isTaken) this.#count--;
      isTaken = false;
    };
  }

  /** The headers that open a stream. */
  greeting(): Metadata {
    const metadata = new Metadata();
    metadata.set("esc-version", this.#version);
    return metadata;
  }
}
