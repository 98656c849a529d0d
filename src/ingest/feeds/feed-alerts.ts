/** What of market data goes to the engine's alert board: bad quality, lines lost. */
import type { Instrument } from "../../market/instrument.ts";
import { type AlertChange, type Health, healthOf, type QualityReport } from "../../market/quality.ts";
import type { Alert } from "../../process/alerts/alert.ts";
import type { LossReason } from "./line.ts";
import type { FeedSpec } from "./spec.ts";

/** The quality of one instrument fell under its limit, or is good again. */
export function qualityAlert(
  instrument: Instrument,
  change: NonNullable<AlertChange>,
  report: QualityReport,
  nowUs: number,
): Alert {
  const { venue, symbol } = instrument;
  const health = healthOf(report.score, report.ageUs);
  const isWithdrawn = change === "withdrawn";
  return {
    id: `market.quality/${venue}.${symbol}/${nowUs}`,
    rule: "market.quality",
    severity: isWithdrawn ? "INFO" : health === "degraded" || health === "healthy" ? "WARNING" : "CRITICAL",
    message: `Quality of ${venue} ${symbol} is ${report.score.toFixed(1)}${
      isWithdrawn ? " again" : ""
    }: ${health}`,
    raisedUs: nowUs,
    source: "",
    topic: instrument.topic("quality"),
    key: `${venue}.${symbol}`,
    eventId: "",
    suppressed: 0,
    context: {
      change,
      health,
      score: report.score,
      completeness: report.completeness,
      timeliness: report.timeliness,
      accuracy: report.accuracy,
      consistency: report.consistency,
      counts: { ...report.counts },
    },
  };
}

/** A line was lost. A planned rotation is told as information, an open breaker as critical. */
export function lineAlert(
  { name }: FeedSpec,
  line: string,
  reason: LossReason,
  breaker: string,
  nowUs: number,
): Alert {
  return {
    id: `market.line/${name}.${line}/${nowUs}`,
    rule: "market.line",
    severity: reason === "rotation" ? "INFO" : breaker === "open" ? "CRITICAL" : "WARNING",
    message: `Line ${line} of feed ${name} was lost: ${reason}${
      breaker === "open" ? ", the breaker is open" : ""
    }`,
    raisedUs: nowUs,
    source: "",
    topic: "",
    key: `${name}.${line}`,
    eventId: "",
    suppressed: 0,
    context: { reason, breaker },
  };
}

/** The health of all feeds together has changed. */
export function systemAlert(from: Health, to: Health, json: string, nowUs: number): Alert {
  return {
    id: `market.system/${nowUs}`,
    rule: "market.system",
    severity: to === "healthy" ? "INFO" : to === "degraded" ? "WARNING" : "CRITICAL",
    message: `Market data is ${to}, was ${from}`,
    raisedUs: nowUs,
    source: "",
    topic: "market.system.health",
    key: "system",
    eventId: "",
    suppressed: 0,
    context: JSON.parse(json),
  };
}
