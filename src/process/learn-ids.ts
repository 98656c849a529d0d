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

/** Adds the ids of the log, oldest first. Takes memory for nothing but the table; reads mostly id files. */
export function learnIds(dedup: Dedup, options: LearnIdsOptions): void {
  const { files, directory, fromUs, endOffset, onDamage } = options;
  const hash = new Int32Array(2);
  const onHash = (low: number, high: number, offset: number, receivedUs: number) => {
    if (offset < endOffset && dedup.find(low, high) === UNKNOWN_ID) dedup.add(low, high, offset, receivedUs);
  };
  visitIds(files, directory, { hash: ID_HASH, fromUs, endOffset }, {
    onHash,
    onId: (bytes, start, length, offset, receivedUs) => {
      hashId(bytes, start, length, hash);
      onHash(hash[0] as number, hash[1] as number, offset, receivedUs);
    },
  }, onDamage);
}
