/**
 * A decoder made of a mapping: any venue that sends JSON, without code.
 *
 * The mapping is compiled once: paths become step lists, value tables become sets, and each message kind one function.
 * The first entry without `each` whose conditions hold ends the search; entries with `each` all get their turn, so
 * that several may pick different items of one message. A message no entry wants is ignored.
 */
import { type Instrument, InstrumentTable } from "../../market/instrument.ts";
import { MarketMessage } from "../../market/message.ts";
import type { BookFeedOptions } from "./book-feed.ts";
import type { Decoder, DecodeResult, MessageSink } from "./decoder.ts";
import { parseJson, parseJsonKeepingDigits, textOf } from "./json.ts";
import { comparable, compileFill, compileSnapshot, type Fill, texts } from "./mapping-fill.ts";
import { compileEach, compileFirst, compilePath, type Getter, type Scope } from "./mapping-path.ts";
import type { ConditionSpec, MappingSpec, MessageSpec, SymbolSpec } from "./mapping-spec.ts";
import { SEQUENCE_RULES } from "./sequence.ts";

type Test = (scope: Scope) => boolean;

interface CompiledMessage {
  readonly emit: MessageSpec["emit"];
  readonly when: Test;
  readonly where: Test;
  readonly each: ReturnType<typeof compileEach> | undefined;
  readonly symbol: ((scope: Scope) => string) | undefined;
  readonly reset: Test | undefined;
  readonly fill: Fill;
  readonly text: Getter | undefined;
}

export class MappingDecoder implements Decoder {
  readonly instruments: InstrumentTable;
  readonly #message = new MarketMessage();
  readonly #sink: MessageSink;
  readonly #entries: readonly CompiledMessage[];
  readonly #snapshotFill: Fill | undefined;
  readonly #parse: (text: string) => unknown;

  constructor(sink: MessageSink, venue: string, spec: MappingSpec) {
    this.#sink = sink;
    this.instruments = new InstrumentTable(venue, spec.aliases);
    this.#entries = spec.messages.map(compileMessage);
    this.#snapshotFill = spec.snapshot && compileSnapshot(spec.snapshot);
    this.#parse = spec.exact_numbers ? parseJsonKeepingDigits : parseJson;
    for (const [venueSymbol, precision] of Object.entries(spec.precisions)) {
      const instrument = this.instruments.get(venueSymbol);
      if (instrument === undefined) continue;
      instrument.pricePrecision = precision.price;
      instrument.qtyPrecision = precision.qty;
    }
  }

  decode(text: string, receivedUs: number): DecodeResult {
    const root = this.#parse(text);
    if (root === undefined) return "not_json";
    const scope = [root];
    for (const entry of this.#entries) {
      if (!entry.when(scope)) continue;
      if (entry.each === undefined) {
        if (entry.where(scope)) return this.#emit(entry, scope, receivedUs);
        continue;
      }
      let result: DecodeResult = "ok";
      entry.each(root, (item) => {
        if (entry.where(item)) result = this.#emit(entry, item, receivedUs);
        return result === "ok";
      });
      if (result !== "ok") return result;
    }
    return "ok";
  }

  decodeSnapshot(text: string, instrument: Instrument, receivedUs: number): DecodeResult {
    const root = this.#parse(text);
    if (root === undefined) return "not_json";
    if (this.#snapshotFill === undefined) return "bad_message";
    this.#message.begin("book_snapshot", instrument, receivedUs);
    const result = this.#snapshotFill(this.#message, [root]);
    if (result === "ok") this.#sink(this.#message);
    return result;
  }

  #emit(entry: CompiledMessage, scope: Scope, receivedUs: number): DecodeResult {
    const message = this.#message;
    const { emit } = entry;
    const name = entry.symbol?.(scope);
    const text = entry.text === undefined ? "" : textOf(entry.text(scope));
    if (
      emit === "ack" || emit === "error" || emit === "reconnect" ||
      (emit === "heartbeat" && name === undefined)
    ) {
      message.beginText(emit, text, receivedUs);
      this.#sink(message);
      return "ok";
    }
    const instrument = name === undefined ? undefined : this.instruments.get(name);
    if (instrument === undefined) return "unknown_symbol";
    message.begin(entry.reset?.(scope) === true ? "book_snapshot" : emit, instrument, receivedUs);
    const result = entry.fill(message, scope);
    if (result === "ok") this.#sink(message);
    return result;
  }
}

/** How a mapping's books are kept; the sequence rule also says where snapshots come from. */
export function mappedBookOptions(spec: MappingSpec): BookFeedOptions {
  const rule = SEQUENCE_RULES[spec.book.sequence];
  const isRest = spec.snapshot !== undefined;
  const { checksum, depth } = spec.book;
  return {
    rule: { ...rule, snapshot: isRest ? "rest" : "stream" },
    checksum: checksum === "kraken_v2" ? "kraken" : checksum,
    depth,
  };
}

function compileMessage(spec: MessageSpec): CompiledMessage {
  return {
    emit: spec.emit,
    when: compileConditions(spec.when),
    where: compileConditions(spec.where),
    each: spec.each === undefined ? undefined : compileEach(spec.each),
    symbol: spec.symbol === undefined ? undefined : compileSymbol(spec.symbol),
    reset: spec.reset_when && compileConditions(spec.reset_when),
    fill: compileFill(spec),
    text: spec.text === undefined ? undefined : compileFirst(spec.text),
  };
}

function compileConditions(specs: readonly ConditionSpec[]): Test {
  const tests = specs.map(compileCondition);
  return (scope) => tests.every((test) => test(scope));
}

function compileCondition(spec: ConditionSpec): Test {
  const get = compilePath(spec.path);
  const { prefix } = spec;
  if (prefix !== undefined) return (scope) => textOf(get(scope)).startsWith(prefix);
  if (spec.exists !== undefined) return (scope) => (get(scope) !== undefined) === spec.exists;
  const values = texts(spec.equals ?? spec.not_equals ?? []);
  const wanted = spec.equals !== undefined;
  return (scope) => values.has(comparable(get(scope))) === wanted;
}

function compileSymbol(spec: SymbolSpec): (scope: Scope) => string {
  if (typeof spec === "string") return compileSymbol({ path: spec });
  if (spec.template !== undefined) {
    const pieces = spec.template.split(/\{([^}]*)\}/); // texts at even places, paths at odd ones
    const getters = pieces.map((piece, at) => at % 2 === 1 ? compilePath(piece) : () => piece);
    return (scope) => getters.map((get) => textOf(get(scope))).join("");
  }
  const get = compilePath(spec.path ?? "");
  const { strip_prefix: prefix = "", strip_suffix: suffix = "" } = spec;
  return (scope) => {
    let name = textOf(get(scope));
    if (name.startsWith(prefix)) name = name.slice(prefix.length);
    return suffix !== "" && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
  };
}
