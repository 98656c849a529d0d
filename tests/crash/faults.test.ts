import { expect, test } from "bun:test";
import { type Fault, faultsSkipReason, runFault } from "./faults.ts";

const skipReason = faultsSkipReason();
const named = (what: string) => skipReason === undefined ? what : `${what} (skipped: ${skipReason})`;

const FAULTS: readonly Fault[] = [
  { syscall: "fdatasync", error: "EIO", when: 3 },
  { syscall: "fdatasync", error: "EIO", when: 40 },
  { syscall: "pwrite64", error: "EIO", when: 17 },
  { syscall: "pwrite64", error: "ENOSPC", when: 60 },
];

test.skipIf(skipReason !== undefined)(
  named("a failed write or sync is refused, said at /readyz, and recovered from; nothing is lost or doubled"),
  async () => {
    const results = [];
    for (const fault of FAULTS) results.push(await runFault(fault));
    expect(results.flatMap((result) => result.findings)).toEqual([]);
    expect(results.reduce((sum, result) => sum + result.refused, 0)).toBeGreaterThan(0);
    const reasons = new Set(results.flatMap((result) => result.reasons));
    expect([...reasons]).toEqual([
      "log of transactional/0 cannot be written: durable publishing is stopped",
    ]);
  },
  120_000,
);
