/** Ready-made parts of a configuration of the streaming client, and what is wrong or costly with one. */
import type { StreamSource } from "./market-source.ts";
import type { StreamingConfig } from "./streaming.ts";

const SOURCES_MAX = 10;
const SYMBOLS_BUSY = 50;
const FOREX_KINDS = ["quote", "bar", "quality", "integrity"];
const HFT_KINDS = ["trade", "book_snapshot", "book_delta", "flow", "integrity"];

export const StreamingUtils = {
  /** A source of these symbols (esc's names), all of them when none is named. */
  createStreamSource: (
    id: string,
    url: string,
    symbols: readonly string[] = [],
    more: Partial<StreamSource> = {},
  ): StreamSource => ({ id, url, ...(symbols.length === 0 ? {} : { supportedSymbols: symbols }), ...more }),

  /** Quotes and bars of currencies, history of a day. */
  createForexConfig: (url: string, symbols: readonly string[]): StreamingConfig => ({
    sources: [StreamingUtils.createStreamSource("forex", url, symbols, { supportedDataTypes: FOREX_KINDS })],
    reportMs: 5000,
    cache: { ageMaxMs: 86_400_000 },
  }),

  /** Everything of coins. */
  createCryptoConfig: (url: string, symbols: readonly string[]): StreamingConfig => ({
    sources: [StreamingUtils.createStreamSource("crypto", url, symbols)],
  }),

  /** Trades and books as fast as they come, a small cache, quick reports. */
  createHFTConfig: (url: string, symbols: readonly string[]): StreamingConfig => ({
    sources: [
      StreamingUtils.createStreamSource("hft", url, symbols, {
        supportedDataTypes: HFT_KINDS,
        reconnect: { initialMs: 50, maxMs: 2000 },
      }),
    ],
    reportMs: 250,
    cache: { bytesMax: 16 * 2 ** 20, kinds: ["trade"] },
  }),

  /** What is wrong with a configuration; [] when nothing is. */
  validateConfig({ sources = [], reportMs = 1000, cache }: StreamingConfig): string[] {
    const problems: string[] = [];
    const ids = new Set<string>();
    if (sources.length > SOURCES_MAX) problems.push(`${sources.length} sources: at most ${SOURCES_MAX}`);
    for (const { id, url, reconnect } of sources) {
      if (ids.has(id)) problems.push(`two sources are called "${id}"`);
      ids.add(id);
      if (!/^wss?:$/.test(URL.parse(url)?.protocol ?? "")) {
        problems.push(`source "${id}": "${url}" is no ws:// URL`);
      }
      const { initialMs = 250, maxMs = 30_000 } = reconnect ?? {};
      if (!(initialMs > 0 && maxMs >= initialMs)) {
        problems.push(`source "${id}": reconnect needs 0 < initialMs <= maxMs`);
      }
    }
    if (!(reportMs > 0)) problems.push("reportMs must be above 0");
    if (cache?.bytesMax !== undefined && !(cache.bytesMax > 0)) {
      problems.push("cache.bytesMax must be above 0");
    }
    return problems;
  },

  /** What of a configuration costs more than its owner may have meant; [] when nothing does. */
  getPerformanceRecommendations({ sources = [], reportMs = 1000 }: StreamingConfig): string[] {
    const advice: string[] = [];
    for (const { id, supportedSymbols, supportedDataTypes, topics } of sources) {
      const isAll = topics === undefined && supportedSymbols === undefined;
      if (isAll) advice.push(`source "${id}" takes every symbol; name those that are shown`);
      if ((supportedSymbols?.length ?? 0) > SYMBOLS_BUSY && supportedDataTypes === undefined) {
        advice.push(`source "${id}" takes every kind of ${supportedSymbols?.length} symbols; name the kinds`);
      }
    }
    if (reportMs < 100) advice.push(`reportMs ${reportMs}: nobody reads ten reports a second`);
    return advice;
  },
} as const;
