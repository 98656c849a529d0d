/** Keys of everything that listens: `ingestion`, `http`, `grpc`. */
import {
  count,
  duration,
  flag,
  optionalDuration,
  optionalSize,
  optionalText,
  port,
  priority,
  size,
  text,
} from "./leaves.ts";
import { byShape, list, section } from "./shapes.ts";

import { RING_BYTES_MAX, RING_BYTES_MIN } from "../queue/ring.ts";

const HOST = "Address to listen on; anything but loopback needs auth or insecure";

function fileSource(enabledByDefault: boolean) {
  return section("A file read line by line, one event a line, followed as it grows", {
    enable: flag("Follow this file", enabledByDefault),
    path: text("File to follow; it may appear later", ""),
    name: optionalText("Name of its checkpoint, unique; default: the file's name"),
    topic: optionalText("Topic of its events; default: the file's name without extension"),
    priority: priority("Priority of its events").prefault("MEDIUM"),
    poll_interval: optionalDuration("Time between looks at the file", "none", { min: 1 }),
    poll_interval_ms: duration("The same in the original's spelling; a bare number is milliseconds", "1s", {
      min: 1,
      bareUnit: "ms",
    }),
  });
}

const tcp = section("Frames over TCP", {
  enable: flag("Listen for TCP connections", true),
  host: text(HOST, "127.0.0.1", { min: 1 }),
  port: port("TCP port, 0 for any free one", 9000),
  maxConnections: count("Connections at a time; more are refused", 1000, 1, 65535),
  idle_timeout: optionalDuration("Closes a connection that sent nothing for so long", "none", { min: 1000 }),
});

const udp = section("Frames in UDP datagrams", {
  enable: flag("Listen for UDP datagrams", true),
  host: text(HOST, "127.0.0.1", { min: 1 }),
  port: port("UDP port, 0 for any free one", 9001),
  bufferSize: size("The original's buffer; raises receive_buffer's default when larger", "64KiB", 1, 2 ** 30),
  receive_buffer: optionalSize(
    "Receive buffer asked of the kernel; default: 4MiB or bufferSize, whichever is larger",
    "none",
    4096,
    2 ** 30,
  ),
});

export const ingestionSection = section("Where events come in", {
  max_frame_bytes: size("Largest frame accepted on any listener", "1MiB", 1024, 2 ** 28),
  workers: count("Ingest worker threads", 1, 1, 64),
  queue_bytes: size(
    "Queue of each ingest worker, rounded up to a power of two; holds four frames at least",
    "4MiB",
    RING_BYTES_MIN,
    RING_BYTES_MAX,
  ),
  tcp: tcp.prefault({}),
  udp: udp.prefault({}),
  file: byShape({
    description: "Files to follow: a list, or one file in the original's form",
    examples: [[{ path: "/var/log/app.log", topic: "app.log", priority: "LOW", poll_interval: "500ms" }]],
  }, {
    map: fileSource(false),
    list: list("Files to follow", fileSource(true)),
  }).prefault([]),
});

export const httpSection = section("HTTP: API, metrics, WebSocket and SSE", {
  host: text(HOST, "127.0.0.1", { min: 1 }),
  port: port("HTTP port, 0 for any free one", 8080),
  max_body_bytes: size("Largest request body", "16MiB", 1024, 2 ** 30),
  max_ndjson_bytes: optionalSize("Largest NDJSON body: it is published while it is read", "none", 1024),
  websocket_compression: flag("Compress text messages of WebSockets for clients that ask for it", false),
});

export const grpcSection = section("gRPC: eventstream.EventService, health and reflection", {
  enable: flag("Listen for gRPC", true),
  host: text(HOST, "127.0.0.1", { min: 1 }),
  port: port("gRPC port, 0 for any free one", 9200),
});
