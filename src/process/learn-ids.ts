/** Fills a dedup table from the log, when a lane opens it. */
import type { DamageReport } from "../log/damage.ts";
import type { Files } from "../log/files.ts";
import { visitIds } from "../log/id-scan.ts";
import { type Dedup, UNKNOWN_ID } from "./dedup.ts";
import { hashId, ID_HASH } from "./id-hash.ts";

export interface LearnIdsOptions {
  readonly files: Files;
  /** Folder of the log. */
  readonly directory: string;
  /** Events received before are not needed, microseconds since the Unix epoch. */
  readonly fromUs: number;
  /** Ids of events from here on are left out. */
  readonly endOffset: number;
  readonly onDamage: DamageReport;
}

/**
 * Adds the ids of the log to an empty table, newest first and no more than it holds: what it costs depends on the
 * table, not on the log. Takes little memory beside; reads mostly id files.
 */
export function learnIds(dedup: Dedup, options: LearnIdsOptions): void {
  const { files, directory, fromUs, endOffset, onDamage } = options;
  const query = { hash: ID_HASH, hashId, fromUs, endOffset, countMax: dedup.idsMax };
  visitIds(files, directory, query, (low, high, offset, receivedUs) => {
    if (offset < endOffset && dedup.find(low, high) === UNKNOWN_ID) {
      dedup.addOldest(low, high, offset, receivedUs);
    }
    return dedup.count < dedup.idsMax;
  }, onDamage);
}
