/** A UDP proxy over a bad link: datagrams are lost, late, out of order or damaged. */
import { corrupt, DelayLine } from "./delay-line.ts";
import type { ChaosProxy, ChaosTarget, Weather } from "./proxy.ts";

/** Bytes of one direction of one client that may be on their way: what comes beyond is lost, as in a router. */
const WAITING_BYTES_MAX = 1024 * 1024;
const CLIENTS_MAX = 1024;
/** A client that has sent nothing for so long is forgotten. */
const IDLE_MS = 60_000;

/** One direction of one client. */
interface Way {
  readonly line: DelayLine;
  readonly send: (bytes: Uint8Array) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
}

interface Client {
  readonly socket: Bun.udp.ConnectedSocket<"uint8array">;
  readonly there: Way;
  readonly back: Way;
  usedMs: number;
}

export async function startUdpProxy(
  listen: ChaosTarget,
  target: ChaosTarget,
  weather: Weather,
): Promise<ChaosProxy> {
  const clients = new Map<string, Client>();
  /** Opened one after the other: what comes while a client's socket is being opened is lost. */
  const opening = new Set<string>();

  const createWay = (send: Way["send"]): Way => ({
    line: new DelayLine(WAITING_BYTES_MAX, weather.random, false),
    send,
    timer: undefined,
  });

  function pass(way: Way, bytes: Uint8Array): void {
    const { faults, random, counts } = weather;
    if (faults.stall || way.line.isFull || random.chance(faults.loss)) {
      counts.lost++;
      return;
    }
    const piece = bytes.slice();
    if (corrupt(piece, faults.corrupt, random)) counts.corrupted++;
    way.line.push(piece, faults, performance.now());
    weather.waiting(piece.length);
    pump(way);
  }

  function pump(way: Way): void {
    clearTimeout(way.timer);
    const { line } = way;
    for (
      let piece = line.take(performance.now());
      piece !== undefined;
      piece = line.take(performance.now())
    ) {
      weather.waiting(-piece.length);
      weather.counts.passedBytes += piece.length;
      way.send(piece);
    }
    if (!line.isEmpty) way.timer = setTimeout(() => pump(way), Math.max(1, line.dueMs - performance.now()));
  }

  function drop(name: string, client: Client): void {
    clients.delete(name);
    for (const way of [client.there, client.back]) {
      clearTimeout(way.timer);
      weather.waiting(-way.line.bytes);
    }
    client.socket.close();
  }

  const server = await Bun.udpSocket({
    hostname: listen.host,
    port: listen.port,
    binaryType: "uint8array",
    socket: {
      data: (_, bytes, port, address) => {
        const name = `${address} ${port}`;
        const known = clients.get(name);
        if (known !== undefined) {
          known.usedMs = performance.now();
          pass(known.there, bytes);
        } else if (clients.size + opening.size >= CLIENTS_MAX) weather.counts.lost++;
        else void admit(name, port, address, bytes.slice());
      },
    },
  });

  async function admit(name: string, port: number, address: string, first: Uint8Array): Promise<void> {
    if (opening.has(name)) {
      weather.counts.lost++;
      return;
    }
    opening.add(name);
    try {
      const back = createWay((bytes) => void server.send(bytes, port, address));
      const socket = await Bun.udpSocket({
        connect: { hostname: target.host, port: target.port },
        binaryType: "uint8array",
        // A target that is not there refuses: the datagram is lost, as without a proxy.
        socket: { data: (_, bytes) => pass(back, bytes), error: () => {} },
      });
      const client = {
        socket,
        back,
        there: createWay((bytes) => void socket.send(bytes)),
        usedMs: performance.now(),
      };
      clients.set(name, client);
      weather.counts.connections++;
      pass(client.there, first);
    } catch {
      weather.counts.lost++;
    } finally {
      opening.delete(name);
    }
  }

  const sweep = setInterval(() => {
    for (const [name, client] of clients) {
      if (performance.now() - client.usedMs > IDLE_MS) drop(name, client);
    }
  }, IDLE_MS / 4);
  const reset = () => {
    for (const [name, client] of [...clients]) drop(name, client);
  };
  return {
    port: server.port,
    poke: () => {},
    reset,
    stop: () => {
      clearInterval(sweep);
      reset();
      server.close();
    },
  };
}
