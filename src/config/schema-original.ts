/** Sections of the original engine that esc accepts and checks, but that have no effect yet. */
import { choice, count, flag, port, requiredText, text } from "./leaves.ts";
import { list, section } from "./shapes.ts";

/** Marks a key as accepted without effect. */
function unused(description: string) {
  return { description, "x-effect": "none" } as const;
}

export const descriptionKey = text(unused("Free text"), "");
export const authorKey = text(unused("Free text"), "");

export const ruleEngineSection = section(unused("Rule engine of the original"), {
  threads: count("Threads", 1, 1, 1024),
  enable_cache: flag("Cache results", false),
  cache_size: count("Cached results", 0, 0, 2 ** 31),
  rules_file: text("File of rules", ""),
});

export const storageSection = section(unused("Storage of the original"), {
  backend: choice("Kind of store", ["sqlite", "filesystem"], "sqlite"),
  path: text("File of events", "data/events.bin"),
  sqlite_path: text("Database file", "data/eventstream.db"),
});

export const pythonIntegrationSection = section(unused("Python scripts of the original"), {
  enable: flag("Run scripts", false),
  script_path: text("File or folder of scripts", ""),
});

function broadcastTarget(description: string, defaultPort: number) {
  return section(description, {
    enable: flag("Send", false),
    host: text("Address", "127.0.0.1"),
    port: port("Port", defaultPort),
  });
}

export const broadcastSection = section(unused("Broadcast of the original"), {
  tcp_push: broadcastTarget("Push over TCP", 9100).prefault({}),
  websocket_push: broadcastTarget("Push over WebSocket", 9200).prefault({}),
});

export const pluginsSection = section(unused("Plugins of the original"), {
  load: list("Libraries to load", requiredText("A library")).prefault([]),
});

export const threadsPoolSection = section(unused("Thread pool of the original"), {
  min_threads: count("Fewest threads", 2, 1, 1024),
  max_threads: count("Most threads", 8, 1, 1024),
});

function node(description: string) {
  return count(`NUMA node of ${description}, -1 for none`, -1, -1, 1023);
}

export const numaSection = section(
  { description: "Binding of threads to the CPUs of memory nodes (Linux)" },
  {
    enable: flag("Bind threads", false),
    dispatcher_node: node("the dispatcher"),
    ingest_node: node("the ingest workers"),
    realtime_proc_node: node("the realtime lane"),
    transactional_proc_node: node("the transactional lane"),
    batch_proc_node: node("the batch lane"),
  },
);
