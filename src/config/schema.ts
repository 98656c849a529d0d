/**
 * Every key of the configuration file: its kind, range, default and one line of meaning.
 *
 * One zod schema is the source of checking, defaults, `esc config schema`, config/config.yaml and
 * docs/configuration.md. Its input is the tree of `tree.ts` (all scalars text); its output has the
 * file's keys and checked values; `build.ts` makes the engine's `Config` of that.
 */
import type * as z from "zod";
import { choice, count, decimal, duration, flag, optionalSize, optionalText, size, text } from "./leaves.ts";
import { section } from "./shapes.ts";
import { grpcSection, httpSection, ingestionSection } from "./schema-listeners.ts";
import { lanesSection, routerSection, topicsFileKey, topicsSection } from "./schema-lanes.ts";
import {
  authorKey,
  broadcastSection,
  descriptionKey,
  numaSection,
  pluginsSection,
  pythonIntegrationSection,
  ruleEngineSection,
  storageSection,
  threadsPoolSection,
} from "./schema-original.ts";
import { authSection, limitsSection, tlsSection } from "./schema-security.ts";
import {
  alertsSection,
  handlersSection,
  processingSection,
  rulesSection,
  windowsSection,
} from "./schema-processing.ts";
import { feedsSection } from "./schema-feeds.ts";
import { cacheSection, storeSection } from "./schema-store.ts";

const data = section("Where esc keeps its files", {
  dir: text("Folder of logs, checkpoints and consumers, relative to the working directory", "./data", {
    min: 1,
  }),
});

const dedup = section("Recognition of repeated message ids", {
  window: duration("Time for which an id is remembered", "1h", { min: 1 }),
  max_ids: count("Ids remembered by each shard", 1_000_000, 16, 50_000_000),
});

const log = section("Log files of the shards", {
  segment_bytes: size("Size of a segment file", "64MiB", 65_536, 2 ** 31),
  low_free: size("Free disk space below which esc warns and its health is ELEVATED", "1GiB"),
  min_free: size("Free disk space below which the log takes nothing more", "128MiB"),
  max_total_bytes: optionalSize("Size of all logs together; the oldest segments go first", "none", 1_048_576),
  batch_bytes: size("Most that one write and fsync covers; a larger frame goes alone", "1MiB", 4096, 2 ** 28),
});

const control = section("Health checks and what follows from them", {
  health_check_interval_sec: duration("Time between health checks; a bare number is seconds", "10s", {
    min: 100,
    bareUnit: "s",
  }),
  thresholds: section("Limits that the health levels are measured by", {
    max_queue_depth: count("Events that may wait in the queue of a shard", 5000, 1, 2 ** 31),
    max_drop_rate: decimal("Events dropped, in percent", 2, 0, 100),
    max_latency_ms: duration(
      "Time until an event is stored, and wait from which a deep queue counts; a bare number is milliseconds",
      "100ms",
      { min: 1, bareUnit: "ms" },
    ),
    min_events_for_evaluation: count(
      "Events between two checks from which rates are judged; with fewer only a full queue counts",
      1000,
      0,
      2 ** 31,
    ),
    recovery_factor: decimal("A level is left below this share of its limit", 0.8, 0, 1),
  }).prefault({}),
  sla: section("Promise of the lanes with CRITICAL events; a breach is counted, and alerts", {
    max_latency: duration("Time from reception until processed", "5ms", { min: 1 }),
    cooldown: duration("Silence after an alert", "1m"),
  }).prefault({}),
  policies: section("Reactions", {
    auto_resume: flag(
      "End what a level called for with that level; otherwise by POST /api/v1/control/resume",
      true,
    ),
    max_unhealthy_cycles: count("Checks in a row at DEGRADED before CRITICAL is tried", 5, 1, 1000),
    verbose_logging: flag("Log the figures of every check", false),
  }).prefault({}),
});

const logging = section("Messages of the server, on stderr", {
  level: choice("Least severe message written", ["debug", "info", "warn", "error"], "info", {
    trace: "debug",
    warning: "warn",
    err: "error",
    critical: "error",
  }),
  format: choice("Lines for people or for machines", ["text", "json"], "text"),
  pattern: optionalText({ description: "Line pattern of the original engine", "x-effect": "none" }),
});

/** The whole file. */
export const configSchema = section("Configuration of esc", {
  app_name: text("Name of this server in messages and metrics", "EventStreamCore", { min: 1 }),
  version: text("Version of this configuration, for your own use", "1.0.0"),
  insecure: flag("Allow listeners on any address without auth", false),
  shutdown_timeout: duration("Time for draining on SIGTERM", "10s", { min: 100, max: 3_600_000 }),
  data: data.prefault({}),
  ingestion: ingestionSection.prefault({}),
  http: httpSection.prefault({}),
  grpc: grpcSection.prefault({}),
  router: routerSection.prefault({}),
  topics: topicsSection.prefault({}),
  topics_file: topicsFileKey,
  lanes: lanesSection.prefault({}),
  dedup: dedup.prefault({}),
  log: log.prefault({}),
  store: storeSection.prefault({}),
  cache: cacheSection.prefault({}),
  auth: authSection.prefault({}),
  tls: tlsSection.prefault({}),
  limits: limitsSection.prefault({}),
  control: control.prefault({}),
  processing: processingSection.prefault({}),
  rules: rulesSection.prefault({}),
  windows: windowsSection.prefault({}),
  handlers: handlersSection.prefault({}),
  alerts: alertsSection.prefault({}),
  feeds: feedsSection.prefault([]),
  logging: logging.prefault({}),
  numa: numaSection.prefault({}),
  description: descriptionKey,
  author: authorKey,
  rule_engine: ruleEngineSection.prefault({}),
  storage: storageSection.prefault({}),
  python_integration: pythonIntegrationSection.prefault({}),
  broadcast: broadcastSection.prefault({}),
  plugins: pluginsSection.prefault({}),
  Threads_pool: threadsPoolSection.prefault({}),
});

/** The file's keys with checked values: text, numbers in milliseconds and bytes, priorities as numbers. */
export type CheckedFile = z.output<typeof configSchema>;
