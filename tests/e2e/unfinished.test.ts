/** Requests that never end, through the executable: the connection is closed, and others notice nothing. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect } from "node:net";
import { EscServer } from "../support/esc.ts";

let server: EscServer;
beforeAll(async () => {
  server = await EscServer.start();
});
afterAll(() => server.remove());

/** Sends the beginning of a request. @returns Settles when the server closes the connection. */
function begin(start: string): Promise<void> {
  const socket = connect(server.httpPort, "127.0.0.1");
  socket.on("error", () => {});
  socket.resume();
  socket.write(start);
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

test("a request whose headers do not end is closed, wherever it stops", async () => {
  const closed = Promise.all([
    begin("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: 1"),
    begin("GET /healthz HTTP/1.1\r\n"),
    begin("GE"),
    begin("POST /api/v1/publish/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"),
  ]);
  // Meanwhile, and with them open, everybody else is served.
  expect((await fetch(server.url("/healthz"))).status).toBe(200);
  await closed;
  expect((await fetch(server.url("/healthz"))).status).toBe(200);
}, 60_000);
