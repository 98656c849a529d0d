/**
 * One instrument's book from snapshot and updates: joined by the venue's rule, checked, never shown while wrong.
 *
 *     syncing ──snapshot joins──▶ live ──silence──▶ stale ──next update in order──▶ live
 *        ▲                         │                  │
 *        └── gap, checksum, crossed, bad levels, line lost ─┘      (this instrument only; the line stays)
 *
 * While syncing from a REST snapshot updates are buffered, at most `bufferUpdatesMax`. A book that fails a check is
 * emptied before anybody is told, so that no listener can read it by mistake.
 */
import { OrderBook } from "../../book/book.ts";
import { krakenChecksum, okxChecksum } from "../../book/checksum.ts";
import { checkLevels, type GapSeverity, gapSeverity, isCrossed } from "../../book/validation.ts";
import type { Instrument } from "../../market/instrument.ts";
import type { MarketMessage } from "../../market/message.ts";
import { JoinBuffer } from "./join-buffer.ts";
import { missingCount, type SequenceRule, type UpdateIds } from "./sequence.ts";

export type BookState = "syncing" | "live" | "stale";

/** Why a book had to start again. */
export type BookFault =
  | "gap_detected"
  | "checksum_mismatch"
  | "crossed"
  | "price_not_positive"
  | "quantity_negative"
  | "buffer_overflow"
  | "line_lost"
  | "snapshot_too_old";

export interface IntegrityReport {
  readonly fault: BookFault;
  readonly instrument: Instrument;
  /** Receipt time of the message that showed it. */
  readonly atUs: number;
  /** Ids for a gap (last good, first and last of the message), checksums (ours, theirs) for a mismatch; else NaN. */
  readonly expected: number;
  readonly received: number;
  readonly missing: number;
  readonly severity: GapSeverity;
}

/** The update just applied: a message, or one that had waited for the snapshot. Reused by its owner. */
export type BookUpdate = Pick<
  MarketMessage,
  "firstId" | "lastId" | "previousId" | "checksum" | "eventTimeUs" | "receivedUs" | "bids" | "asks"
>;

export interface BookFeedListener {
  /** An update was applied and all checks hold; called for buffered ones too, in order, once the book has joined. */
  onUpdate(feed: BookFeed, update: BookUpdate): void;
  /** The book was replaced by a snapshot, before any buffered update is applied. */
  onSnapshot(feed: BookFeed): void;
  /** The book is empty and syncing now, for the reason told. */
  onFault(feed: BookFeed, report: IntegrityReport): void;
  /** A new snapshot is needed: fetch it, or subscribe again. Asked once per need. */
  onSnapshotWanted(feed: BookFeed): void;
  onStateChange(feed: BookFeed, from: BookState): void;
}

export interface BookFeedOptions {
  readonly rule: SequenceRule;
  readonly checksum?: "none" | "kraken" | "okx";
  /** Levels a side the venue's subscription has; both sides are cut to it after each update. 0: all. */
  readonly depth?: number;
  readonly levelsMax?: number;
  /** Updates kept while a snapshot is awaited. Default 1,000. */
  readonly bufferUpdatesMax?: number;
}

/** Ids before any update. */
const NO_IDS: UpdateIds = { firstId: NaN, lastId: NaN, previousId: NaN };

export class BookFeed {
  readonly instrument: Instrument;
  readonly book: OrderBook;
  /** Updates applied, ignored as old or repeated, and faults, since the start. */
  appliedCount = 0;
  ignoredCount = 0;
  faultCount = 0;
  gapCount = 0;
  checksumOkCount = 0;
  readonly #rule: SequenceRule;
  readonly #listener: BookFeedListener;
  readonly #checksum: ((book: OrderBook) => number) | undefined;
  readonly #buffer: JoinBuffer;
  readonly #last = { firstId: NaN, lastId: NaN, previousId: NaN };
  #state: BookState = "syncing";
  #isJoined = false; // an update has followed the snapshot
  #isLoaded = false; // a snapshot has been loaded
  #snapshotAsked = false;

  constructor(instrument: Instrument, listener: BookFeedListener, options: BookFeedOptions) {
    this.instrument = instrument;
    this.#listener = listener;
    this.#rule = options.rule;
    this.book = new OrderBook({
      ...(options.levelsMax === undefined ? {} : { levelsMax: options.levelsMax }),
      ...(options.depth === undefined ? {} : { depth: options.depth }),
    });
    this.#checksum = options.checksum === "kraken"
      ? krakenChecksum
      : options.checksum === "okx"
      ? okxChecksum
      : undefined;
    this.#buffer = new JoinBuffer(options.bufferUpdatesMax ?? 1000);
  }

  get state(): BookState {
    return this.#state;
  }

  /** Ids of the newest update applied, or of the snapshot; NaN where the venue gives none. */
  get lastIds(): UpdateIds {
    return this.#last;
  }

  /** Id of the newest update applied, or of the snapshot; NaN where the venue gives none. */
  get lastId(): number {
    return this.#last.lastId;
  }

  /** Takes a `book_snapshot` or `book_delta` of this instrument. */
  take(message: MarketMessage): void {
    const defect = checkLevels(message.bids) ?? checkLevels(message.asks);
    if (defect === "price_not_positive" || defect === "quantity_negative") {
      return this.#fail(defect, message, NaN, NaN);
    }
    if (message.kind === "book_snapshot") this.#takeSnapshot(message);
    else this.#takeUpdate(message);
  }

  /** The line is lost: nothing is known until it is back and a snapshot has come. */
  lineLost(nowUs: number): void {
    this.#snapshotAsked = true; // the new subscription brings it, or `lineRestored` asks
    this.#reset({
      fault: "line_lost",
      atUs: nowUs,
      expected: NaN,
      received: NaN,
      missing: NaN,
      severity: "high",
    });
  }

  /** The line is back and subscribed; asks for a snapshot where the venue does not send one by itself. */
  lineRestored(): void {
    this.#snapshotAsked = false;
    if (this.#rule.snapshot === "rest" && this.#state === "syncing") this.#askSnapshot();
  }

  /** Marks a live book stale when nothing came for longer than `silenceUsMax`; the next update in order revives it. */
  checkSilence(nowUs: number, silenceUsMax: number): void {
    if (this.#state === "live" && nowUs - this.book.receivedUs > silenceUsMax) this.#setState("stale");
  }

  #takeSnapshot(message: MarketMessage): void {
    const { book, instrument } = this;
    const tooNew = this.#buffer.firstNotCovered(this.#rule, message.lastId);
    if (tooNew !== undefined) {
      this.#snapshotAsked = false;
      return this.#fail("snapshot_too_old", message, tooNew.lastId, message.lastId);
    }
    book.useScales(instrument.priceScale, instrument.qtyScale);
    book.load(message.bids, message.asks);
    book.eventTimeUs = message.eventTimeUs;
    book.receivedUs = message.receivedUs;
    this.#remember(message);
    this.#isJoined = false;
    this.#isLoaded = true;
    this.#snapshotAsked = false;
    if (!this.#verify(message)) return;
    this.#setState("live");
    this.#listener.onSnapshot(this);
    this.#replayBuffer();
  }

  #takeUpdate(message: MarketMessage): void {
    if (!this.#isLoaded) {
      if (this.#rule.snapshot === "rest") this.#bufferUpdate(message);
      else this.#askSnapshot();
      return;
    }
    const verdict = this.#judge(message);
    if (verdict === "ignore") {
      this.ignoredCount++;
      return;
    }
    if (verdict === "gap") {
      this.#fail("gap_detected", message, this.#last.lastId, message.firstId);
      if (this.#rule.snapshot === "rest") this.#buffer.add(message);
      return;
    }
    this.book.useScales(this.instrument.priceScale, this.instrument.qtyScale);
    this.book.apply(message.bids, message.asks);
    this.#applied(message);
  }

  #applied(message: BookUpdate): void {
    const { book } = this;
    book.eventTimeUs = message.eventTimeUs;
    book.receivedUs = message.receivedUs;
    this.#remember(message);
    this.#isJoined = true;
    if (!this.#verify(message)) return;
    this.appliedCount++;
    if (this.#state === "stale") this.#setState("live");
    this.#listener.onUpdate(this, message);
  }

  #judge(update: UpdateIds) {
    return this.#isJoined ? this.#rule.next(update, this.#last) : this.#rule.join(update, this.#last.lastId);
  }

  #bufferUpdate(message: MarketMessage): void {
    if (!this.#buffer.add(message)) {
      this.#buffer.clear();
      this.#snapshotAsked = false;
      return this.#fail("buffer_overflow", message, NaN, NaN);
    }
    this.#askSnapshot();
  }

  #replayBuffer(): void {
    while (this.#isLoaded && this.#buffer.count > 0) {
      const update = this.#buffer.take();
      const verdict = this.#judge(update);
      if (verdict === "ignore") {
        this.ignoredCount++;
      } else if (verdict === "gap") {
        // A hole within the buffer: what comes after it waits for a newer snapshot.
        this.#buffer.putBack(update);
        return this.#fail("gap_detected", update, this.#last.lastId, update.firstId);
      } else {
        this.book.useScales(this.instrument.priceScale, this.instrument.qtyScale);
        update.rescale(this.instrument);
        this.book.apply(update.bids, update.asks);
        this.#applied(update);
      }
    }
  }

  /** Compares the book with the message's checksum and looks for a crossed top; `false` when it failed. */
  #verify(message: Pick<MarketMessage, "checksum" | "receivedUs"> & UpdateIds): boolean {
    if (this.#checksum !== undefined && !Number.isNaN(message.checksum)) {
      const ours = this.#checksum(this.book);
      if (ours !== message.checksum) {
        this.#fail("checksum_mismatch", message, message.checksum, ours);
        return false;
      }
      this.checksumOkCount++;
    }
    if (isCrossed(this.book)) {
      this.#fail("crossed", message, NaN, NaN);
      return false;
    }
    return true;
  }

  #fail(
    fault: BookFault,
    message: UpdateIds & { receivedUs: number },
    expected: number,
    received: number,
  ): void {
    const isGap = fault === "gap_detected";
    if (isGap) this.gapCount++;
    const missing = isGap ? missingCount(message, expected) : NaN;
    const severity = isGap ? gapSeverity(missing) : "critical";
    this.#reset({ fault, atUs: message.receivedUs, expected, received, missing, severity });
    this.#askSnapshot();
  }

  #reset(report: Omit<IntegrityReport, "instrument">): void {
    this.faultCount++;
    this.book.clear();
    this.#remember(NO_IDS);
    this.#isJoined = false;
    this.#isLoaded = false;
    if (report.fault === "line_lost") this.#buffer.clear();
    this.#setState("syncing");
    this.#listener.onFault(this, { ...report, instrument: this.instrument });
  }

  #askSnapshot(): void {
    if (this.#snapshotAsked) return;
    this.#snapshotAsked = true;
    this.#listener.onSnapshotWanted(this);
  }

  #setState(state: BookState): void {
    if (state === this.#state) return;
    const from = this.#state;
    this.#state = state;
    this.#listener.onStateChange(this, from);
  }

  #remember(ids: UpdateIds): void {
    this.#last.firstId = ids.firstId;
    this.#last.lastId = ids.lastId;
    this.#last.previousId = ids.previousId;
  }
}
