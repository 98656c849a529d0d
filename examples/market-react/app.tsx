/** @jsxImportSource react */
/**
 * A page in React: the book, the newest trades and bars of one symbol, live; what it has seen survives a reload.
 *
 *     bun build examples/market-react/index.html --outdir dist/page        then serve it, by the relay for one
 *
 * The symbol is in the address: `?symbol=BTC-USDT`. The feed is the page's own origin, `/feed`, or `?feed=ws://…`.
 */
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import type { Observable } from "rxjs";
import { openIndexedDbShelf } from "../../src/client/market/cache-shelf.ts";
import type { BookView } from "../../src/client/market/live-book.ts";
import {
  createStreamingInfrastructure,
  type StreamingInfrastructure,
  type SystemHealth,
} from "../../src/client/market/streaming.ts";
import { StreamingUtils } from "../../src/client/market/presets.ts";
import type { PayloadData } from "../../src/market/decode-payload.ts";

const LEVELS = 10;
const TRADES_SHOWN = 10;

const query = new URLSearchParams(location.search);
const symbol = query.get("symbol") ?? "BTC-USDT";
const feed = query.get("feed") ?? `${location.origin.replace("http", "ws")}/feed`;

/** The newest value of a stream. */
function useNewest<Value>(stream: Observable<Value>): Value | undefined {
  const [value, setValue] = useState<Value>();
  useEffect(() => {
    const subscription = stream.subscribe(setValue);
    return () => subscription.unsubscribe();
  }, [stream]);
  return value;
}

/** The newest values of a stream, newest first. */
function useLast<Value>(stream: Observable<Value>, count: number): Value[] {
  const [values, setValues] = useState<Value[]>([]);
  useEffect(() => {
    const subscription = stream.subscribe((value) =>
      setValues((before) => [value, ...before].slice(0, count))
    );
    return () => subscription.unsubscribe();
  }, [stream, count]);
  return values;
}

interface Streams {
  readonly book: Observable<BookView>;
  readonly trades: Observable<PayloadData>;
  readonly bars: Observable<PayloadData>;
  readonly health: Observable<SystemHealth>;
}

function Ladder({ book }: { book: BookView | undefined }) {
  if (book === undefined) return <p>No book yet</p>;
  return (
    <table id="book">
      <tbody>
        {book.asks.slice(0, LEVELS).toReversed().map(([price, qty]) => (
          <tr key={price} className="ask">
            <td>{price}</td>
            <td>{qty}</td>
          </tr>
        ))}
        {book.bids.slice(0, LEVELS).map(([price, qty]) => (
          <tr key={price} className="bid">
            <td>{price}</td>
            <td>{qty}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Market({ streams, remembered }: { streams: Streams; remembered: number }) {
  const book = useNewest(streams.book);
  const bar = useNewest(streams.bars);
  const health = useNewest(streams.health);
  const trades = useLast(streams.trades, TRADES_SHOWN);
  return (
    <main>
      <h1>{symbol}</h1>
      <p>
        Line: <b id="health">{health?.status ?? "connecting"}</b>, remembered trades:{" "}
        <b id="remembered">{remembered}</b>
      </p>
      <p id="bar">
        {bar === undefined
          ? "No bar yet"
          : `${bar["open"]} ${bar["high"]} ${bar["low"]} ${bar["close"]} ${bar["volume"]}`}
      </p>
      <Ladder book={book} />
      <ol id="trades">
        {trades.map((trade, at) => <li key={at}>{`${trade["side"]} ${trade["qty"]} @ ${trade["price"]}`}
        </li>)}
      </ol>
    </main>
  );
}

/** Trades of earlier visits that the cache still has. */
async function rememberedTrades(streaming: StreamingInfrastructure): Promise<number> {
  const venue = query.get("venue") ?? "binance";
  return (await streaming.getCacheManager().getRange(`market.${venue}.${symbol}.trade`)).length;
}

const config = StreamingUtils.createCryptoConfig(feed, [symbol]);
const streaming = createStreamingInfrastructure({
  ...config,
  reportMs: 200,
  cache: { shelf: await openIndexedDbShelf("esc-market-example") },
});
const remembered = await rememberedTrades(streaming);
const streams: Streams = {
  book: streaming.getOrderBookStream(symbol, LEVELS),
  trades: streaming.getTradeStream(symbol),
  bars: streaming.getTickProcessor().getAggregatedStream(symbol, 1000),
  health: streaming.getSystemHealthStream(),
};
const root = document.getElementById("root");
if (root !== null) createRoot(root).render(<Market streams={streams} remembered={remembered} />);
