/**
 * Volume by price: how much was traded in each row of prices, the point of control and the value area.
 *
 * A trade at p belongs to row floor(p / row); rows are named by their lower edge. Row numbers do not change when the
 * instrument's scale grows.
 */
import { formatScaled, parseDecimal, pow10 } from "../book/decimal.ts";
import { ExactSum } from "../book/exact-sum.ts";

/** `pairs`: the Chicago Board of Trade's rule, two rows a step; `single`: one row a step. */
export type ValueAreaRule = "pairs" | "single";

export interface ValueArea {
  /** Row numbers of the highest and lowest row included. */
  readonly highRow: number;
  readonly lowRow: number;
  /** Quantity mantissa within. */
  readonly volume: number;
}

export interface ProfileRow {
  readonly row: number;
  readonly volume: number;
  readonly buy: number;
  readonly sell: number;
}

interface RowSums {
  volume: number;
  buy: number;
  sell: number;
}

export const PROFILE_ROWS_MAX_DEFAULT = 65_536;

export class VolumeProfile {
  /** Row size as configured: decimal text. */
  readonly rowSize: string;
  /** Trades left out because the profile had `rowsMax` rows already. */
  refusedCount = 0;
  readonly #rowsMax: number;
  readonly #rows = new Map<number, RowSums>();
  readonly #total = new ExactSum();
  readonly #row: { mantissa: number; decimals: number };
  /** Row of a price mantissa: floor(price · #priceFactor / #rowMantissa), both integers. */
  #priceFactor = 1;
  #rowMantissa = 1;
  #priceScale = -1;
  #qtyScale = 0;

  /** @throws {RangeError} If the row size is no positive decimal. */
  constructor(rowSize: string, rowsMax = PROFILE_ROWS_MAX_DEFAULT) {
    const row = parseDecimal(rowSize);
    if (row === undefined || row.mantissa <= 0) {
      throw new RangeError(`Row size "${rowSize}" is no positive decimal`);
    }
    this.#row = row;
    this.rowSize = rowSize;
    this.#rowsMax = rowsMax;
  }

  get rowCount(): number {
    return this.#rows.size;
  }

  /** Adds one trade at the given scales; `side` 1 bought, -1 sold. */
  add(price: number, qty: number, side: number, scales: { price: number; qty: number }): void {
    if (scales.price !== this.#priceScale || scales.qty !== this.#qtyScale) {
      this.#useScales(scales.price, scales.qty);
    }
    const row = Math.floor((price * this.#priceFactor) / this.#rowMantissa);
    let sums = this.#rows.get(row);
    if (sums === undefined) {
      if (this.#rows.size >= this.#rowsMax) {
        this.refusedCount++;
        return;
      }
      sums = { volume: 0, buy: 0, sell: 0 };
      this.#rows.set(row, sums);
    }
    sums.volume += qty;
    if (side > 0) sums.buy += qty;
    else if (side < 0) sums.sell += qty;
    this.#total.add(qty);
  }

  /** Volume of all rows, a quantity mantissa. */
  get total(): number {
    return this.#total.value();
  }

  /** The row with the greatest volume; ties go to the one nearest the middle of the range, then to the lower. */
  pointOfControl(): number | undefined {
    const range = this.range();
    if (range === undefined) return undefined;
    const middle = (range.low + range.high) / 2;
    let best: number | undefined;
    let bestVolume = -1;
    for (const [row, { volume }] of this.#rows) {
      if (volume < bestVolume) continue;
      if (volume > bestVolume || best === undefined || isNearer(row, best, middle)) {
        best = row;
        bestVolume = volume;
      }
    }
    return best;
  }

  /** Lowest and highest row with a trade. */
  range(): { low: number; high: number } | undefined {
    if (this.#rows.size === 0) return undefined;
    let low = Infinity;
    let high = -Infinity;
    for (const row of this.#rows.keys()) {
      if (row < low) low = row;
      if (row > high) high = row;
    }
    return { low, high };
  }

  /**
   * Grows from the point of control until `percent` of the volume is inside: each step takes the larger of the next
   * rows above and below, on a tie those above.
   */
  valueArea(rule: ValueAreaRule = "pairs", percent = 70): ValueArea | undefined {
    const range = this.range();
    const poc = this.pointOfControl();
    if (range === undefined || poc === undefined) return undefined;
    const step = rule === "pairs" ? 2 : 1;
    let highRow = poc;
    let lowRow = poc;
    let volume = this.#volume(poc);
    while (volume * 100 < this.total * percent && (highRow < range.high || lowRow > range.low)) {
      const aboveTo = Math.min(range.high, highRow + step);
      const belowTo = Math.max(range.low, lowRow - step);
      const above = this.#sum(highRow + 1, aboveTo);
      const below = this.#sum(belowTo, lowRow - 1);
      const takeAbove = belowTo === lowRow || (aboveTo > highRow && above >= below);
      volume += takeAbove ? above : below;
      if (takeAbove) highRow = aboveTo;
      else lowRow = belowTo;
    }
    return { highRow, lowRow, volume };
  }

  /** Rows by falling volume, then rising price. */
  topRows(count: number): ProfileRow[] {
    return [...this.#rows]
      .map(([row, sums]) => ({ row, ...sums }))
      .sort((a, b) => b.volume - a.volume || a.row - b.row)
      .slice(0, count);
  }

  /** Lower edge of a row as decimal text. */
  rowText(row: number): string {
    return formatScaled(row * this.#row.mantissa, this.#row.decimals);
  }

  qtyText(qty: number): string {
    return formatScaled(qty, this.#qtyScale);
  }

  save() {
    return {
      rowSize: this.rowSize,
      rows: [...this.#rows].map(([row, { volume, buy, sell }]) => [row, volume, buy, sell] as const),
      total: this.#total.save(),
      priceScale: this.#priceScale,
      qtyScale: this.#qtyScale,
      refusedCount: this.refusedCount,
    };
  }

  /** Takes over what `save()` gave, of rows of the same size. */
  restore({ rows, total, priceScale, qtyScale, refusedCount }: ReturnType<VolumeProfile["save"]>): void {
    this.#rows.clear();
    for (const [row, volume, buy, sell] of rows) this.#rows.set(row, { volume, buy, sell });
    this.#total.restore(total);
    this.#qtyScale = qtyScale;
    this.#useScales(Math.max(0, priceScale), qtyScale);
    this.refusedCount = refusedCount;
  }

  #volume(row: number): number {
    return this.#rows.get(row)?.volume ?? 0;
  }

  #sum(from: number, to: number): number {
    let sum = 0;
    for (let row = from; row <= to; row++) sum += this.#volume(row);
    return sum;
  }

  #useScales(priceScale: number, qtyScale: number): void {
    const factor = pow10(qtyScale - this.#qtyScale);
    if (factor !== 1) {
      for (const sums of this.#rows.values()) {
        sums.volume *= factor;
        sums.buy *= factor;
        sums.sell *= factor;
      }
      this.#total.rescale(factor);
    }
    this.#qtyScale = qtyScale;
    this.#priceFactor = pow10(Math.max(0, this.#row.decimals - priceScale));
    this.#rowMantissa = this.#row.mantissa * pow10(Math.max(0, priceScale - this.#row.decimals));
    this.#priceScale = priceScale;
  }
}

function isNearer(row: number, best: number, middle: number): boolean {
  const distance = Math.abs(row - middle) - Math.abs(best - middle);
  return distance < 0 || (distance === 0 && row < best);
}
