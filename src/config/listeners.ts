/** Checks on addresses: nothing open to the network by accident, nothing bound twice. */
import type { Config } from "./config.ts";
import type { KeyPath, Report } from "./problems.ts";

interface Listener {
  readonly path: KeyPath;
  readonly protocol: "tcp" | "udp";
  readonly host: string;
  readonly port: number;
}

/** Refuses addresses beyond loopback without `auth` or `insecure`, and two listeners on one port. */
export function checkListeners(config: Config, report: Report): void {
  const listeners = listenersOf(config);
  for (const { path, host } of listeners) {
    if (isLoopback(host) || config.auth.enabled || config.insecure) continue;
    report(
      [...path, "host"],
      `${path.join(".")}.host ${JSON.stringify(host)} is open to the network without auth; ` +
        `listen on 127.0.0.1, or set "insecure: true" if that is meant`,
    );
  }
  for (const [index, listener] of listeners.entries()) {
    const { path, protocol, host, port } = listener;
    const other = listeners.slice(0, index).find((earlier) =>
      earlier.protocol === protocol && earlier.port === port && overlaps(earlier.host, host)
    );
    if (other === undefined || port === 0) continue;
    report([...path, "port"], `${path.join(".")}.port ${port} is taken by ${other.path.join(".")}`);
  }
}

function listenersOf({ ingestion, http, grpc }: Config): Listener[] {
  const listeners: Listener[] = [];
  if (ingestion.tcp.enable) listeners.push({ path: ["ingestion", "tcp"], protocol: "tcp", ...ingestion.tcp });
  if (ingestion.udp.enable) listeners.push({ path: ["ingestion", "udp"], protocol: "udp", ...ingestion.udp });
  listeners.push({ path: ["http"], protocol: "tcp", ...http });
  if (grpc.enable) listeners.push({ path: ["grpc"], protocol: "tcp", ...grpc });
  return listeners;
}

/** Whether only this machine reaches the address. A name other than `localhost` may mean anything. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

function overlaps(one: string, other: string): boolean {
  const everything = ["0.0.0.0", "::", "[::]"];
  const plain = (host: string) => isLoopback(host) && !host.includes(":") ? "127.0.0.1" : host;
  return plain(one) === plain(other) || everything.includes(one) || everything.includes(other);
}
