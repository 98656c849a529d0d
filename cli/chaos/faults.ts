/** What a bad link does, as flags, stdin and the control page name it. Pure. */
import { parseDuration, parseSize } from "../../src/config/units.ts";
import { EscError } from "../../src/errors.ts";

export interface Faults {
  /** Delay of everything, each way. */
  readonly latencyMs: number;
  /** Each delay is longer or shorter by up to so much. */
  readonly jitterMs: number;
  /** Share of datagrams that are lost; TCP would repair it: see `stall`. */
  readonly loss: number;
  /** Nothing passes; on TCP it waits, as datagrams are lost. */
  readonly stall: boolean;
  /** Share of pieces (reads of TCP, datagrams of UDP) in which one bit is flipped. */
  readonly corrupt: number;
  /** Bytes a second, each way of each connection; 0: no limit. */
  readonly bandwidth: number;
  /** Mean time between resets of a TCP connection; 0: none. */
  readonly resetMs: number;
}

export const NO_FAULTS: Faults = {
  latencyMs: 0,
  jitterMs: 0,
  loss: 0,
  stall: false,
  corrupt: 0,
  bandwidth: 0,
  resetMs: 0,
};

const DURATION_MS_MAX = 600_000;

/** By the name that flags and commands have. */
export const FAULT_READERS: Readonly<Record<string, (text: string) => Partial<Faults>>> = {
  latency: (text) => ({ latencyMs: durationOf("latency", text) }),
  jitter: (text) => ({ jitterMs: durationOf("jitter", text) }),
  loss: (text) => ({ loss: shareOf("loss", text) }),
  stall: (text) => ({ stall: switchOf(text) }),
  corrupt: (text) => ({ corrupt: shareOf("corrupt", text) }),
  bandwidth: (text) => ({ bandwidth: bytesOf(text) }),
  "reset-every": (text) => ({ resetMs: durationOf("reset-every", text) }),
};

/** The faults with one of them changed. @throws {EscError} `USAGE`. */
export function changed(faults: Faults, name: string, text: string): Faults {
  const read = FAULT_READERS[name];
  if (read === undefined) {
    throw new EscError("USAGE", `"${name}" is none of ${Object.keys(FAULT_READERS).join(", ")}`);
  }
  return { ...faults, ...read(text) };
}

function durationOf(name: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms > DURATION_MS_MAX) {
    throw new EscError("USAGE", `${name} "${text}" is no duration up to 10m, such as 50ms`);
  }
  return ms;
}

function shareOf(name: string, text: string): number {
  const [, digits = "", percent = ""] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const share = digits === "" ? NaN : Number(digits) / (percent === "" ? 1 : 100);
  if (share >= 0 && share <= 1) return share;
  throw new EscError("USAGE", `${name} "${text}" is no share, such as 0.01 or 1%`);
}

function switchOf(text: string): boolean {
  if (text === "on" || text === "off") return text === "on";
  throw new EscError("USAGE", `stall "${text}" is neither on nor off`);
}

function bytesOf(text: string): number {
  const bytes = text === "0" ? 0 : parseSize(text);
  if (bytes !== undefined) return bytes;
  throw new EscError("USAGE", `bandwidth "${text}" is no number of bytes a second, such as 1MiB`);
}
