/** Can the configured listeners be bound, and who has them if not? */
import type { Config } from "../../src/config/config.ts";
import type { Finding } from "./finding.ts";

const ANSWER_MS_MAX = 1000;

interface Listener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly isUdp: boolean;
}

/** Binds each listener's address for a moment. */
export async function checkPorts(config: Config): Promise<Finding[]> {
  const { ingestion: { tcp, udp }, http, grpc } = config;
  const listeners: Listener[] = [
    ...(tcp.enable ? [{ name: "tcp", host: tcp.host, port: tcp.port, isUdp: false }] : []),
    ...(udp.enable ? [{ name: "udp", host: udp.host, port: udp.port, isUdp: true }] : []),
    { name: "http", host: http.host, port: http.port, isUdp: false },
    ...(grpc.enable ? [{ name: "grpc", host: grpc.host, port: grpc.port, isUdp: false }] : []),
  ];
  const problems = await Promise.all(listeners.map(bindProblem));
  const isTaken = problems.some((problem) => problem === "EADDRINUSE");
  const version = isTaken ? await runningVersion(http) : undefined;
  return listeners.map((listener, index) => finding(listener, problems[index], version));
}

function finding({ name, host, port }: Listener, problem: string | undefined, version?: string): Finding {
  const check = `port.${name}`;
  const place = `${host}:${port}`;
  if (problem === undefined) return { check, status: "ok", detail: `${place} is free` };
  if (problem === "EADDRINUSE") {
    if (version !== undefined) {
      return { check, status: "note", detail: `${place} is in use; esc ${version} runs here` };
    }
    return {
      check,
      status: "fail",
      detail: `${place} is in use`,
      advice: `'ss -lntup sport = :${port}' shows by whom; end it or choose another port`,
    };
  }
  if (problem === "EACCES") {
    return {
      check,
      status: "fail",
      detail: `${place} may not be bound`,
      advice: "Ports below 1024 need CAP_NET_BIND_SERVICE; choose another port",
    };
  }
  return { check, status: "fail", detail: `${place} cannot be bound: ${problem}` };
}

/** The error's code, or `undefined` when the address could be bound. */
async function bindProblem({ host, port, isUdp }: Listener): Promise<string | undefined> {
  try {
    if (isUdp) (await Bun.udpSocket({ hostname: host, port })).close();
    else Bun.listen({ hostname: host, port, socket: { data() {} } }).stop(true);
    return undefined;
  } catch (error) {
    if (error instanceof Error && "code" in error) return String(error.code);
    return error instanceof Error ? error.message : String(error);
  }
}

/** Version of an esc that answers at this address. */
async function runningVersion({ host, port }: Config["http"]): Promise<string | undefined> {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  try {
    const response = await fetch(`http://${address}/healthz`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    const body: unknown = await response.json();
    return typeof body === "object" && body !== null && "version" in body ? String(body.version) : undefined;
  } catch {
    return undefined;
  }
}
