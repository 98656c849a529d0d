/** What feeds will cost that their owner may not have meant: told by `esc config validate`, and no fault. */
import type { FeedConfig } from "./feeds.ts";
import type { PathProblem } from "./problems.ts";

const SYMBOLS_BUSY = 50;
const INTERVALS_BUSY = 10;

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
    if (feed.venue === "twelvedata" && hasBooks) say("channels", "twelvedata has no books");
    if (feed.backupUrl === null && feed.priority === 4) {
      say("backup_url", "a CRITICAL feed without a second line stands still while the first one reconnects");
    }
    return advice;
  });
}
