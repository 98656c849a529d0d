/** What feeds will cost that their owner may not have meant: told by `esc config validate`, and no fault. */
import type { FeedConfig } from "./feeds.ts";
import type { PathProblem } from "./problems.ts";

const SYMBOLS_BUSY = 50;
const INTERVALS_BUSY = 10;
const TICKS_BUSY = 500_000;
const CHECKPOINT_MS_BUSY = 1000;

/** Advice on the feeds, in their order. */
export function feedAdvice(feeds: readonly FeedConfig[]): PathProblem[] {
  return feeds.flatMap((feed, index) => {
    const advice: PathProblem[] = [];
    const say = (key: string, message: string) =>
      advice.push({
        path: ["feeds", index],
        at: "value",
        message: `feed "${feed.name}", ${key}: ${message}`,
      });
    const { symbols, channels, pipeline } = feed;
    const hasBooks = channels.includes("book");
    if (symbols.length > SYMBOLS_BUSY && channels.includes("quotes") && feed.quotesPerSecond === null) {
      say(
        "quotes_per_second",
        `${symbols.length} symbols without a limit; 60 is enough for people to look at`,
      );
    }
    if (symbols.length * pipeline.intervalsMs.length > SYMBOLS_BUSY * INTERVALS_BUSY) {
      say(
        "bars",
        `${symbols.length * pipeline.intervalsMs.length} rows of bars; fewer intervals take less of the CPU`,
      );
    }
    if (feed.raw) say("raw", "every message is stored twice: as it came, and normalised");
    if (feed.payload === "json" && hasBooks && symbols.length > SYMBOLS_BUSY) {
      say("payload", "binary takes a third of the room of JSON for books");
    }
    if (pipeline.barPrice === "trade" && !channels.includes("trades")) {
      say("bar_price", "bars are made of trades, which are not among the channels: there will be none");
    }
    if (pipeline.barPrice !== "trade" && !channels.includes("quotes")) {
      say("bar_price", "bars are made of quotes, which are not among the channels: there will be none");
    }
    const kept = symbols.length * (feed.buffer?.countMax ?? 0);
    if (kept > TICKS_BUSY && feed.buffer?.compress === false) {
      say(
        "buffer_size",
        `${kept} ticks take some ${Math.round(kept / 5000)} MB; buffer_compress takes a fifth`,
      );
    }
    if (feed.tradesPerSecond !== null) {
      say("trades_per_second", "the log has merged or fewer trades: bars of a restart will be incomplete");
    }
    if (feed.checkpointMs === 0) say("checkpoint", "bars and figures begin anew after every restart");
    if (feed.checkpointMs > 0 && feed.checkpointMs < CHECKPOINT_MS_BUSY && symbols.length > SYMBOLS_BUSY) {
      say(
        "checkpoint",
        `the state of ${symbols.length} symbols is written more than once a second; 5s is enough`,
      );
    }
    if (feed.venue === "twelvedata" && hasBooks) say("channels", "twelvedata has no books");
    if (feed.backupUrl === null && feed.priority === 4) {
      say("backup_url", "a CRITICAL feed without a second line stands still while the first one reconnects");
    }
    return advice;
  });
}
