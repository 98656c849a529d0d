/** The volume profile of the session that runs, and its description as an event. */
import type { Instrument } from "./instrument.ts";
import { VolumeProfile } from "./profile.ts";

const ROWS_SHOWN = 50;

export class SessionProfile {
  readonly #instrument: Instrument;
  readonly #rowSize: string;
  #profile: VolumeProfile;

  /** @throws {RangeError} If the row size is no positive decimal. */
  constructor(instrument: Instrument, rowSize: string) {
    this.#instrument = instrument;
    this.#rowSize = rowSize;
    this.#profile = new VolumeProfile(rowSize);
  }

  beginSession(): void {
    this.#profile = new VolumeProfile(this.#rowSize);
  }

  add(price: number, qty: number, side: number, scales: { price: number; qty: number }): void {
    this.#profile.add(price, qty, side, scales);
  }

  /** As an event shows it; `undefined` before the first trade. */
  json(sessionStartUs: number, timeUs: number): string | undefined {
    const profile = this.#profile;
    const range = profile.range();
    const control = profile.pointOfControl();
    const area = profile.valueArea();
    const single = profile.valueArea("single");
    if (range === undefined || control === undefined || area === undefined || single === undefined) {
      return undefined;
    }
    const text = (row: number) => profile.rowText(row);
    return JSON.stringify({
      kind: "profile",
      venue: this.#instrument.venue,
      symbol: this.#instrument.symbol,
      session_start_us: sessionStartUs,
      time_us: timeUs,
      row: profile.rowSize,
      rows: profile.rowCount,
      low_row: text(range.low),
      high_row: text(range.high),
      volume: profile.qtyText(profile.total),
      poc: text(control),
      vah: text(area.highRow),
      val: text(area.lowRow),
      value_area_volume: profile.qtyText(area.volume),
      single: {
        vah: text(single.highRow),
        val: text(single.lowRow),
        value_area_volume: profile.qtyText(single.volume),
      },
      top: profile.topRows(ROWS_SHOWN).map(({ row, volume, buy, sell }) => [
        text(row),
        profile.qtyText(volume),
        profile.qtyText(buy),
        profile.qtyText(sell),
      ]),
    });
  }

  save() {
    return this.#profile.save();
  }

  restore(state: ReturnType<SessionProfile["save"]>): void {
    if (state.rowSize === this.#rowSize) this.#profile.restore(state);
  }
}
