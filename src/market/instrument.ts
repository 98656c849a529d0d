/**
 * What is traded where: one instrument of one venue, its name in esc's notation, and the scales of its numbers.
 *
 * Scales are learnt: they grow to the most decimals seen and never shrink, so mantissas of different ages convert
 * by one multiplication. All venues' names become `BASE-QUOTE` (`BTCUSDT`, `XBT/USDT`, `btc_usdt` → `BTC-USDT`).
 */
import { pow10 } from "../book/decimal.ts";

/** Venues' own codes for currencies everybody else calls otherwise. */
const CURRENCY_ALIASES: ReadonlyMap<string, string> = new Map([["XBT", "BTC"], ["XDG", "DOGE"]]);

/** Quote currencies a name without separator may end with; the longest that fits wins. */
const QUOTES = [
  "FDUSD",
  "BUSD",
  "TUSD",
  "USDT",
  "USDC",
  "USDP",
  "USDD",
  "DAI",
  "USD",
  "EUR",
  "GBP",
  "JPY",
  "CHF",
  "AUD",
  "CAD",
  "NZD",
  "TRY",
  "BRL",
  "PLN",
  "MXN",
  "ZAR",
  "COP",
  "BTC",
  "ETH",
  "BNB",
  "XRP",
  "SOL",
  "PAX",
].sort((a, b) => b.length - a.length);

/** Longest symbol accepted from a venue. */
export const SYMBOL_LENGTH_MAX = 64;

export class Instrument {
  readonly venue: string;
  /** The venue's own name, as in its messages. */
  readonly venueSymbol: string;
  /** `BTC-USDT`, or `BTC-USD-PERP` for a derivative. */
  readonly symbol: string;
  priceScale = 0;
  qtyScale = 0;
  /** Largest price mantissa seen: no scale may push it over 2^53. */
  priceMax = 0;
  /** Decimals the venue declares, where a checksum needs them; -1: as written. */
  pricePrecision = -1;
  qtyPrecision = -1;

  constructor(venue: string, venueSymbol: string, symbol: string) {
    this.venue = venue;
    this.venueSymbol = venueSymbol;
    this.symbol = symbol;
  }

  /** Topic of one kind of message: `market.binance.BTC-USDT.trade`. */
  topic(kind: string): string {
    return `market.${this.venue}.${this.symbol}.${kind}`;
  }

  /** Grows the price scale; `false` when prices already seen would no longer be exact. */
  raisePriceScale(scale: number): boolean {
    const raised = this.priceMax * pow10(scale - this.priceScale);
    if (raised > Number.MAX_SAFE_INTEGER) return false;
    this.priceMax = raised;
    this.priceScale = scale;
    return true;
  }
}

/** The instruments of one venue by the venue's names; made on first sight, at most `countMax`. */
export class InstrumentTable {
  readonly venue: string;
  readonly #aliases: Readonly<Record<string, string>>;
  readonly #countMax: number;
  readonly #byName = new Map<string, Instrument>();

  /** @param aliases The venue's name → esc's, for names the rules get wrong. */
  constructor(venue: string, aliases: Readonly<Record<string, string>> = {}, countMax = 10_000) {
    this.venue = venue;
    this.#aliases = aliases;
    this.#countMax = countMax;
  }

  /** The instrument the venue calls so; `undefined` when the name is unusable or the table is full. */
  get(venueSymbol: string): Instrument | undefined {
    const known = this.#byName.get(venueSymbol);
    if (known !== undefined) return known;
    if (this.#byName.size >= this.#countMax) return undefined;
    const symbol = this.#aliases[venueSymbol] ?? canonicalSymbol(venueSymbol);
    if (symbol === undefined) return undefined;
    const instrument = new Instrument(this.venue, venueSymbol, symbol);
    this.#byName.set(venueSymbol, instrument);
    return instrument;
  }

  [Symbol.iterator](): IterableIterator<Instrument> {
    return this.#byName.values();
  }
}

/**
 * A venue's name in esc's notation; `undefined` when it holds anything but letters, digits and one of `-/_:`.
 * A name without separator that ends with no known quote currency stays as it is, in capitals.
 */
export function canonicalSymbol(venueSymbol: string): string | undefined {
  if (venueSymbol.length > SYMBOL_LENGTH_MAX || !/^[A-Za-z0-9]+([-/_:][A-Za-z0-9]+)*$/.test(venueSymbol)) {
    return undefined;
  }
  const [head = "", ...rest] = venueSymbol.toUpperCase().split(/[-/_:]/);
  const quoteIsInRest = rest.length > 0 && !isContract(rest[0] ?? "");
  const parts = quoteIsInRest ? [head, ...rest] : [...splitPair(head), ...rest];
  return parts.map((part) => CURRENCY_ALIASES.get(part) ?? part).join("-");
}

/** `PERP`, `SWAP` or a delivery date: what follows the pair in a derivative's name. */
function isContract(part: string): boolean {
  return part === "PERP" || part === "SWAP" || /^\d{6,8}$/.test(part);
}

function splitPair(name: string): string[] {
  const quote = QUOTES.find((candidate) => name.length > candidate.length && name.endsWith(candidate));
  return quote === undefined ? [name] : [name.slice(0, -quote.length), quote];
}
