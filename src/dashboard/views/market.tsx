/** One instrument of a feed: candles, order book, volume by price, quality. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { activate, Span } from "../chart/span.ts";
import { Candles } from "../market/candles.tsx";
import { streamEvents } from "../live/event-stream.ts";
import { Ladder } from "../market/ladder.tsx";
import { type Book, type Instrument, learn, NOTHING } from "../market/market-data.ts";
import { ProfileCard } from "../market/profile-card.tsx";
import { type Feed, Lines, QualityCard } from "../market/quality-card.tsx";
import { Field } from "../parts/field.tsx";
import { useLoaded } from "../parts/loaded.ts";
import { Problem } from "../parts/notice.tsx";

const FEEDS_EVERY_MS = 2_000;
const BOOK_EVERY_MS = 500;
/** How far back bars are read when an instrument is chosen. */
const PAST_MS = 30 * 60_000;
const LEVELS = 10;

export function MarketView() {
  const { data, problem } = useLoaded<{ feeds: readonly Feed[] }>("/api/v1/market/feeds", FEEDS_EVERY_MS);
  const instruments = (data?.feeds ?? []).flatMap(({ venue, symbols }) =>
    symbols.map((symbol) => `${venue} ${symbol}`)
  );
  const typed = useSignal("");
  const chosen = instruments.includes(typed.value) ? typed.value : instruments[0];
  return (
    <>
      <Problem text={problem} />
      {data !== undefined && chosen === undefined && (
        <p class="empty">No feed is configured. Feeds are set under the key feeds of the configuration.</p>
      )}
      {chosen !== undefined && (
        <>
          <form class="filters" onSubmit={(event) => event.preventDefault()}>
            <Field label="Instrument">
              <select value={chosen} onChange={(event) => typed.value = event.currentTarget.value}>
                {instruments.map((name) => <option key={name}>{name}</option>)}
              </select>
            </Field>
          </form>
          <InstrumentView key={chosen} name={chosen} />
        </>
      )}
      {data !== undefined && data.feeds.length > 0 && <Lines feeds={data.feeds} />}
    </>
  );
}

function InstrumentView({ name }: { readonly name: string }) {
  const [venue = "", symbol = ""] = name.split(" ");
  const known = useSignal<Instrument>(NOTHING);
  const streamProblem = useSignal<string | undefined>(undefined);
  const interval = useSignal<number | undefined>(undefined);
  useEffect(() =>
    streamEvents({
      topics: ["bar", "profile", "quality"].map((kind) => `market.${venue}.${symbol}.${kind}`),
      from: new Date(Date.now() - PAST_MS).toISOString(),
      onEvents: (events) => known.value = learn(known.value, events),
      onProblem: (problem) => streamProblem.value = problem,
    }), [name]);
  const path = `/api/v1/market/books/${encodeURIComponent(venue)}/${
    encodeURIComponent(symbol)
  }?levels=${LEVELS}`;
  const book = useLoaded<Book>(path, BOOK_EVERY_MS);
  const intervals = [...known.value.bars.keys()].sort((a, b) => a - b);
  const shown = interval.value ?? intervals[0];
  const bars = shown === undefined ? [] : known.value.bars.get(shown) ?? [];
  const span = useBarSpan(bars.at(0)?.start_us, bars.at(-1)?.start_us, shown ?? 1000);
  return (
    <>
      <Problem text={streamProblem.value} />
      <div class="market">
        <div class="market-main">
          <div class="chips" role="group" aria-label="Length of bars">
            {intervals.map((ms) => (
              <button
                type="button"
                class="chip plain"
                key={ms}
                aria-pressed={ms === shown}
                onClick={() => {
                  interval.value = ms;
                  span.reset();
                }}
              >
                {ms < 60_000 ? `${ms / 1000} s` : `${ms / 60_000} min`}
              </button>
            ))}
          </div>
          <Candles title={`${symbol} at ${venue}`} bars={bars} span={span} />
          <div class="charts">
            <ProfileCard profile={known.value.profile} />
            <QualityCard quality={known.value.quality} />
          </div>
        </div>
        {book.data === undefined ? <Problem text={book.problem} /> : <Ladder book={book.data} />}
      </div>
    </>
  );
}

/** Shown without zoom: the newest hundred bars. */
const BARS_SHOWN = 100;

function useBarSpan(firstUs = 0, lastUs = 0, intervalMs = 1000): Span {
  const whole = useSignal({ from: 0, to: 1 });
  const span = useMemo(() => new Span(() => whole.value), []);
  useEffect(() => {
    const seconds = intervalMs / 1000;
    const to = lastUs / 1e6 + 2 * seconds;
    const earliest = Math.min(firstUs / 1e6, to - 20 * seconds);
    whole.value = { from: Math.max(earliest, to - BARS_SHOWN * seconds), to };
  }, [firstUs, lastUs, intervalMs]);
  useEffect(() => activate(span), []);
  return span;
}
