/** A whole engine and its HTTP server on free ports, in a folder of its own. */
import { viewEngine } from "../../src/api/engine-adapter.ts";
import { HttpServer } from "../../src/api/server.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Engine } from "../../src/engine.ts";
import { Logger } from "../../src/logging/logger.ts";
import { TemporaryFolder } from "../support/temp.ts";

export interface ApiRig {
  readonly engine: Engine;
  readonly http: HttpServer;
  readonly url: string;
  /** Lines the server has logged. */
  readonly logged: string[];
  /** What `drain` and `reload` were asked for. */
  readonly asked: string[];
  fetch(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
}

/** Starts it. @param yaml More configuration; ports and the data folder are set. */
export async function startApi(
  yaml = "",
  options: {
    maxBodyBytes?: number;
    maxNdjsonBytes?: number;
    compressesWebSockets?: boolean;
    maxFrame?: string;
  } = {},
): Promise<ApiRig> {
  const folder = new TemporaryFolder("api");
  const text = `
data: { dir: "${folder.path("data")}" }
ingestion: { max_frame_bytes: ${options.maxFrame ?? "1MiB"}, tcp: { port: 0 }, udp: { port: 0 } }
http: { port: 0 }
# A busy machine is late: only tests of lateness hear of it.
control: { sla: { max_latency: 1h } }
${yaml}`;
  const { config } = loadConfig(text, {
    file: "test.yaml",
    environment: {},
    readText: (path) => {
      throw new Error(`Nothing names ${path}`);
    },
  });
  const logged: string[] = [];
  const asked: string[] = [];
  const write = (line: string) => void logged.push(line);
  const logger = new Logger({ level: "warn", format: "json", write, nowMs: Date.now, repeatMs: 0 });
  const engine = await Engine.start(config, { version: "0.0.0-test", logger });
  const view = viewEngine(engine, {
    effectiveConfig: () => ({ http: { port: 0 }, auth: { secret: "***" } }),
    drain: () => void asked.push("drain"),
    reload: () => {
      asked.push("reload");
      return Promise.resolve({ applied: ["topics"], needsRestart: [] });
    },
    warn: (message) => void logged.push(message),
    setLogLevel: (level) => void asked.push(`log level ${level}`),
  });
  const { maxBodyBytes = 1 << 20, maxNdjsonBytes = null, compressesWebSockets = false } = options;
  const http = await HttpServer.start(view, {
    host: "127.0.0.1",
    port: 0,
    maxBodyBytes,
    maxNdjsonBytes,
    compressesWebSockets,
  });
  const url = `http://127.0.0.1:${http.port}`;
  return {
    engine,
    http,
    url,
    logged,
    asked,
    fetch: (path, init) => fetch(`${url}${path}`, init),
    stop: async () => {
      await http.quiesce();
      await engine.stop(5000);
      await http.stop();
      folder.remove();
    },
  };
}
