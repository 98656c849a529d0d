/**
 * The streams of a handler's process: what the handler prints must not get between the messages to esc, and the
 * process must not outlive the thread that started it, even when it is stuck and esc was killed.
 */
import { writeSync } from "node:fs";
import { bindLibc } from "../../../system/libc.ts";

const STDOUT = 1;
const STDERR = 2;
/** prctl(2): the signal that this process gets when the thread that started it ends. */
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/**
 * Gives stdout to the messages alone: everything else that is written to it goes to stderr from now on.
 *
 * @returns Writes to what was stdout, and returns when all is written.
 */
export function takeStdout(): (bytes: Uint8Array) => void {
  const libc = bindLibc({
    dup: { args: ["i32"], returns: "i32" },
    dup2: { args: ["i32", "i32"], returns: "i32" },
    prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  });
  const copy = libc?.dup(STDOUT) ?? -1;
  if (copy >= 0) libc?.dup2(STDERR, STDOUT);
  libc?.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const descriptor = copy >= 0 ? copy : STDOUT;
  return (bytes) => {
    for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at);
  };
}
