/**
 * Appends batches to one shard's log, makes them durable, and survives what disks do.
 *
 * Only the shard's lane worker uses it. Synchronous: `sync()` blocks for the disk.
 *
 * firstOffset ≤ durableOffset ≤ nextOffset; everything below durableOffset is on disk.
 *
 * When a write or a sync fails, the log is *failed*: nothing is appended until `recover()` succeeds. A failed
 * sync is never repeated, since the kernel may have dropped what it could not write and call the pages
 * clean; what was not durable is written anew, into a new segment that begins at the durable offset.
 */

import { EscError } from "../errors.ts";
import { BatchStamp } from "./batch-stamp.ts";
import { type DamageReport, type LogDamage, logUnavailable } from "./damage.ts";
import { carryOver } from "./carry-over.ts";
import { fileErrorCode, type FileHandle, type Files } from "./files.ts";
import { type IdMending, Mender } from "./mender.ts";
import { openLastSegment } from "./open.ts";
import { retainSegments, type Retention, type RetentionResult, SegmentLedger } from "./retention.ts";
import { ActiveSegment, createSegment, type LogOptions, type LogPlace, requireSpace } from "./segment.ts";

/** The writing end of a shard's log. */
export class LogWriter {
  readonly #place: LogPlace;
  #ledger: SegmentLedger;
  /** `undefined` when the log could not be opened for writing, or is closed. */
  #segment: ActiveSegment | undefined;
  #next = 0;
  #durable = 0;
  #receivedUsMax = 0;
  #failure: EscError | undefined;
  /** `undefined` until there was an idle moment. */
  #mender: Mender | undefined;
  /** A file that must be cut at a position before the log may go on. */
  #cut: { readonly handle: FileHandle; readonly position: number } | undefined;
  readonly #stamp = new BatchStamp();
  #isClosed = false;

  /**
   * Opens a log, or begins one, and finds its end.
   *
   * Never fails because of what is in the files, except for a newer format: a torn tail is cut and kept
   * beside the log, damage is reported and left. When the disk cannot be written, the log opens as failed
   * (`failure`), can be read, and `recover()` goes on.
   *
   * @param directory Made if it is not there.
   * @param report Is told of damage found here, and later of what a failed sync lost.
   * @throws {EscError} `LOG_VERSION`; `LOG_UNAVAILABLE` if the folder cannot be read or made.
   */
  static open(files: Files, directory: string, options: LogOptions, report: DamageReport): LogWriter {
    return new LogWriter({ files, directory, options, report });
  }

  private constructor(place: LogPlace) {
    this.#place = place;
    this.#ledger = new SegmentLedger(place, []);
    try {
      this.#open();
    } catch (error) {
      if (error instanceof EscError) throw error;
      this.#setFailure("open", error);
    }
  }

  /** Finds the end of the log and gets a segment to write to. */
  #open(place: LogPlace = this.#place): void {
    const opened = openLastSegment(place);
    this.#ledger = new SegmentLedger(this.#place, opened.sealed);
    this.#segment = opened.segment;
    this.#next = opened.nextOffset;
    this.#durable = opened.durableOffset;
    this.#receivedUsMax = opened.receivedUsMax;
    if (opened.failure !== undefined) throw opened.failure;
    if (this.#segment !== undefined) return;
    requireSpace(this.#place);
    this.#begin();
  }

  /** Offset the next event will get. */
  get nextOffset(): number {
    return this.#next;
  }

  /** Every event below is on disk. */
  get durableOffset(): number {
    return this.#durable;
  }

  /** Offset of the oldest event kept. */
  get firstOffset(): number {
    return this.#ledger.firstOffset ?? this.#segment?.baseOffset ?? this.#next;
  }

  /** Offset at which the segment being written begins; -1 when there is none. */
  get segmentOffset(): number {
    return this.#segment?.baseOffset ?? -1;
  }

  /** Bytes of all segments; room reserved and not yet used is left out. */
  get bytes(): number {
    return this.#ledger.bytes + (this.#segment?.position ?? 0);
  }

  /** Why the log cannot be written now; `undefined` while it can. */
  get failure(): EscError | undefined {
    return this.#failure;
  }

  /**
   * Appends one batch: visible to readers of the files at once, durable after `sync()`.
   *
   * The caller leaves `LOG_BATCH_HEADER_BYTES` free before the body; header and body are written in one call
   * straight from its memory. Begins a new segment when this one is full, which syncs what came before.
   *
   * @param bytes The caller's buffer; shared memory is fine. Not kept, except for its words.
   * @param headerAt Index of the free room, a multiple of 8. The body follows it: whole run records.
   * @param bodyBytes A multiple of 8.
   * @param count Events in the body.
   * @param receivedMinUs Smallest `receivedUs` of its runs. @param receivedMaxUs The largest.
   * @param flags `BATCH_HAS_IDS` if an event may carry a message id.
   * @returns Offset of the first event of the batch.
   * @throws {EscError} `LOG_UNAVAILABLE` if it cannot be written: nothing of it counts, the log has failed.
   * @throws {RangeError} If the sizes make no sense.
   */
  append(
    bytes: Uint8Array,
    headerAt: number,
    bodyBytes: number,
    count: number,
    receivedMinUs: number,
    receivedMaxUs: number,
    flags: number,
  ): number {
    if (this.#failure !== undefined) throw this.#failure;
    const stamp = this.#stamp;
    stamp.begin(bytes, headerAt, bodyBytes, count);
    const segment = this.#segmentFor(stamp.length);
    const offset = this.#next;
    stamp.baseOffset = offset;
    stamp.firstReceivedUs = receivedMinUs;
    stamp.lastReceivedUs = receivedMaxUs;
    stamp.durableOffset = this.#durable;
    stamp.salt = segment.salt;
    stamp.flags = flags;
    stamp.write(headerAt);
    try {
      segment.write(bytes, headerAt, stamp.length, offset, this.#receivedUsMax);
    } catch (error) {
      throw this.#setFailure("append to", error);
    }
    this.#receivedUsMax = Math.max(this.#receivedUsMax, receivedMaxUs);
    this.#next = offset + count;
    return offset;
  }

  #segmentFor(length: number): ActiveSegment {
    const segment = this.#segment;
    if (segment === undefined) throw this.#failure ?? new Error("A log that has not failed has no segment");
    if (segment.hasRoomFor(length)) return segment;
    this.sync();
    return this.#tryBegin(true);
  }

  #tryBegin(checksSpace: boolean): ActiveSegment {
    try {
      if (checksSpace) requireSpace(this.#place);
      return this.#begin();
    } catch (error) {
      throw this.#setFailure("begin a segment in", error);
    }
  }

  /** Begins a segment at the next offset; everything before is durable. */
  #begin(): ActiveSegment {
    const full = this.#segment;
    const segment = createSegment(this.#place, {
      baseOffset: this.#next,
      nextOffset: this.#next,
      createdUs: this.#createdUs(),
    });
    this.#segment = segment;
    if (full !== undefined) {
      full.seal(this.#next);
      this.#ledger.add(full.baseOffset, full.position, this.#receivedUsMax);
    }
    this.#place.files.syncDirectory(this.#place.directory);
    return segment;
  }

  /** Not before anything in the segments so far was received, whatever the clock says. */
  #createdUs(): number {
    return Math.max(this.#place.options.nowUs(), this.#receivedUsMax);
  }

  #setFailure(action: string, error: unknown): EscError {
    this.#failure = logUnavailable(
      `${action} the log in '${this.#place.directory}'`,
      error,
      fileErrorCode(error),
    );
    return this.#failure;
  }

  /**
   * Remembers a message id of an appended event in the segment's id file. Offsets ascend; each id of a batch
   * is added after its `append()` and before the next `append()` or `sync()`.
   */
  addId(hashLo: number, hashHi: number, offset: number, receivedUs: number): void {
    this.#segment?.addId(hashLo, hashHi, offset, receivedUs);
  }

  /**
   * Makes everything appended durable. Does nothing when it is already.
   *
   * @throws {EscError} `LOG_UNAVAILABLE` if the disk says no: what was appended since the last `sync()` may be
   *   lost, the log has failed, and only `recover()` goes on.
   */
  sync(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#durable === this.#next || this.#segment === undefined) return;
    try {
      this.#segment.sync(this.#next);
    } catch (error) {
      throw this.#setFailure("sync", error);
    }
    this.#durable = this.#next;
  }

  /**
   * Tries to make a failed log writable again; does nothing to one that has not failed or is closed.
   *
   * A new segment is begun at the durable offset. Events from there up to `keepBelow` are read back from the
   * old segment and written and synced anew; those that cannot be read back are reported as `lost` and their
   * offsets are not used again. (A log that opened as failed is opened again; should its un-synced end have
   * been damaged meanwhile, that is `lost` too and its offsets are used again.) Events from `keepBelow` on are forgotten.
   *
   * Afterwards everything below `nextOffset` is durable. A caller that still has batches in hand compares the
   * offset `append()` gave each: below `nextOffset` it is safe, from there on it has to be appended again.
   *
   * @param keepBelow What readers may have seen (`visibleOffset`), and where a batch begins; the durable offset
   *   (all a reader sees in a lane with `durability: fsync`) if that is larger.
   * @throws {EscError} `LOG_UNAVAILABLE` if it still cannot be written: try again later, with the same
   *   `keepBelow`.
   */
  recover(keepBelow: number = this.#durable): void {
    if (this.#failure === undefined || this.#isClosed) return;
    if (keepBelow > this.#next) {
      throw new RangeError(`Cannot keep events below ${keepBelow}: the next one is ${this.#next}`);
    }
    try {
      if (this.#segment === undefined) this.#reopen();
      else this.#replace(this.#segment, Math.max(keepBelow, this.#durable));
    } catch (error) {
      throw this.#setFailure("recover", error);
    }
    this.#failure = undefined;
  }

  /**
   * Goes on at `offset`, if that lies ahead: readers have seen events up to there, and what was not durable of them
   * is gone. Reported as `lost`; their offsets are not used again, so that no reader takes new events for old ones.
   *
   * For the successor of a thread that met a failed sync and could not `recover()`. Does nothing in a failed log.
   *
   * @throws {EscError} `LOG_UNAVAILABLE` if the new end cannot be made durable: the log has failed.
   */
  skipTo(offset: number): void {
    if (this.#failure !== undefined || this.#segment === undefined || offset <= this.#next) return;
    const { path, position } = this.#segment;
    this.#place.report({
      kind: "lost",
      file: path,
      position,
      bytes: 0,
      fromOffset: this.#next,
      toOffset: offset,
    });
    this.#next = offset;
    try {
      this.#segment.sync(offset);
    } catch (error) {
      throw this.#setFailure("sync", error);
    }
    this.#durable = offset;
  }

  /** Opens once more what could be read but not be written. What it held then need not be whole any more. */
  #reopen(): void {
    const next = this.#next;
    const { directory, report } = this.#place;
    // Damage was reported by the first attempt, and would be by each of them.
    const isNews = (damage: LogDamage) => damage.kind === "torn" || damage.kind === "lost";
    this.#open({ ...this.#place, report: (damage) => isNews(damage) && report(damage) });
    if (this.#next >= next) return;
    report({ kind: "lost", file: directory, position: 0, bytes: 0, fromOffset: this.#next, toOffset: next });
  }

  #replace(old: ActiveSegment, keepBelow: number): void {
    const place = this.#place;
    const baseOffset = this.#durable;
    this.#finishCut();
    requireSpace(this.#place);
    const segment = createSegment(
      place,
      { baseOffset, nextOffset: keepBelow, createdUs: this.#createdUs() },
      (handle, salt) => carryOver(place, old, { handle, salt, fromOffset: baseOffset, toOffset: keepBelow }),
    );
    this.#segment = segment;
    this.#next = keepBelow;
    if (old.baseOffset !== baseOffset) {
      this.#ledger.add(old.baseOffset, old.durablePosition);
      // What lies behind the durable end belongs to the new segment now. A reader that is still in the old
      // file must not come to it, so the log goes on only when it is cut.
      this.#cut = { handle: old.release(), position: old.durablePosition };
    } else place.files.close(old.release());
    place.files.syncDirectory(place.directory);
    this.#finishCut();
    this.#durable = keepBelow;
  }

  #finishCut(): void {
    if (this.#cut === undefined) return;
    const { files } = this.#place;
    files.truncate(this.#cut.handle, this.#cut.position);
    // Or a power loss brings back what was cut, and it looks like damage.
    files.sync(this.#cut.handle);
    files.close(this.#cut.handle);
    this.#cut = undefined;
  }

  /**
   * Removes whole segments that are too old or too many, oldest first; never the one being written.
   *
   * Each removal is durable before the next, so that a crash leaves no hole. Works in a failed log too.
   *
   * @throws {EscError} `LOG_UNAVAILABLE` if a removal fails: the log goes on as it is. Also if a wholly outdated
   *   log cannot begin a new segment: then it has failed.
   */
  retain(retention: Retention): RetentionResult {
    if (this.#isAllOlderThan(retention)) {
      this.sync();
      // Whatever is free: this is about to free more.
      this.#tryBegin(false);
    }
    const segment = this.#segment;
    return retainSegments(this.#place, this.#ledger, retention, {
      bytes: segment?.position ?? 0,
      baseOffset: segment?.baseOffset,
    });
  }

  /** Whether even the segment being written holds only events that are too old. */
  #isAllOlderThan({ maxAgeUs, nowUs }: Retention): boolean {
    return this.#failure === undefined && this.#segment !== undefined && maxAgeUs !== undefined &&
      this.#next > this.#segment.baseOffset && this.#receivedUsMax < nowUs - maxAgeUs;
  }

  /**
   * Rebuilds side files of finished segments that are missing or damaged, newest first, a piece each call: for idle
   * moments. Every segment is looked at once; `lookForMissing()` notes those whose files go missing later.
   *
   * @param ids Absent: nobody reads id files. Only what the first call says counts.
   * @returns `false` when there was nothing to do.
   */
  mend(ids?: IdMending): boolean {
    if (this.#isClosed) return false;
    this.#mender ??= new Mender(this.#place, {
      bounds: () => [...this.#ledger.baseOffsets(), this.#segment?.baseOffset ?? this.#next],
      createdUs: (baseOffset) => this.#ledger.createdUs(baseOffset),
    }, ids);
    return this.#mender.step();
  }

  /** Looks by name whether side files of finished segments are missing; `mend()` rebuilds them. */
  lookForMissing(): void {
    this.#mender?.look();
  }

  /**
   * Syncs and closes. The segment gives back the room it did not use, so the next `open` finds its end at once.
   *
   * @throws {EscError} `LOG_UNAVAILABLE` if the sync fails; the files are closed all the same.
   */
  close(): void {
    const segment = this.#segment;
    if (this.#isClosed) return;
    this.#mender?.close();
    try {
      if (this.#failure === undefined) this.sync();
    } finally {
      this.#segment = undefined;
      this.#isClosed = true;
      if (this.#cut !== undefined) this.#place.files.close(this.#cut.handle);
      this.#cut = undefined;
      if (segment !== undefined && this.#failure === undefined) segment.seal(this.#next);
      else if (segment !== undefined) this.#place.files.close(segment.release());
      this.#failure ??= new EscError("LOG_UNAVAILABLE", `The log in '${this.#place.directory}' is closed`);
    }
  }
}
