/** Connections by TCP and TLS, for Node, Deno and Bun. */
export { dialNet as dialTcp } from "../../src/client/net.ts";
export type { Address, ClientTls } from "../../src/client/tcp.ts";
