/** Counts the damage that readers meet, whichever thread they run on. */

import type { DamageReport } from "./damage.ts";
import { type ShardInfo, ShardState } from "./shard-state.ts";

/** The same report, with every damaged batch counted in the shard's state on its way. */
export function countingCorrupt({ state: memory }: ShardInfo, report: DamageReport): DamageReport {
  const state = new ShardState(memory);
  return (damage) => {
    if (damage.kind === "corrupt") state.countCorrupt();
    report(damage);
  };
}
