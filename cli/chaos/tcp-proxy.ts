/** A TCP proxy over a bad link. What waits is bounded: a side whose bytes are not taken is not read. */
import type { Socket, TCPSocketListener } from "bun";
import { corrupt, DelayLine, untilNext } from "./delay-line.ts";
import type { ChaosProxy, ChaosTarget, Weather } from "./proxy.ts";

/** Bytes of one direction of one connection that wait before its sender is not read any more. */
const WAITING_BYTES_MAX = 256 * 1024;
const CONNECTIONS_MAX = 4096;

/** One end of a connection: what it sends goes through its line to the other end. */
interface End {
  readonly pair: Pair;
  readonly line: DelayLine;
  socket: Socket<End> | undefined;
  /** Set as soon as both ends are made. */
  other: End | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
  isPaused: boolean;
  /** It has ended: the other one ends when the line is empty. */
  hasEnded: boolean;
}

interface Pair {
  readonly ends: End[];
  resetTimer: ReturnType<typeof setTimeout> | undefined;
}

export function startTcpProxy(listen: ChaosTarget, target: ChaosTarget, weather: Weather): ChaosProxy {
  const pairs = new Set<Pair>();

  function createEnd(pair: Pair): End {
    const line = new DelayLine(WAITING_BYTES_MAX, weather.random, true);
    return {
      pair,
      line,
      socket: undefined,
      other: undefined,
      timer: undefined,
      isPaused: false,
      hasEnded: false,
    };
  }

  /** Hands on what is due. */
  function pump(end: End): void {
    clearTimeout(end.timer);
    const { line } = end;
    const to = end.other?.socket;
    if (to === undefined || weather.faults.stall) return;
    for (
      let piece = line.take(performance.now());
      piece !== undefined;
      piece = line.take(performance.now())
    ) {
      weather.waiting(-piece.length);
      const written = Math.max(0, to.write(piece));
      weather.counts.passedBytes += written;
      if (written === piece.length) continue;
      line.putBack(piece.subarray(written));
      weather.waiting(piece.length - written);
      return;
    }
    if (end.isPaused && !line.isFull) {
      end.isPaused = false;
      end.socket?.resume();
    }
    if (!line.isEmpty) end.timer = setTimeout(() => pump(end), Math.max(1, line.dueMs - performance.now()));
    else if (end.hasEnded) to.end();
  }

  function drop(pair: Pair): void {
    if (!pairs.delete(pair)) return;
    clearTimeout(pair.resetTimer);
    for (const end of pair.ends) {
      clearTimeout(end.timer);
      weather.waiting(-end.line.bytes);
      end.socket?.terminate();
    }
  }

  function planReset(pair: Pair): void {
    clearTimeout(pair.resetTimer);
    const { resetMs } = weather.faults;
    if (resetMs === 0) return;
    pair.resetTimer = setTimeout(() => {
      weather.counts.resets++;
      drop(pair);
    }, untilNext(resetMs, weather.random));
  }

  const handlers = {
    data: (socket: Socket<End>, bytes: Uint8Array) => {
      const end = socket.data;
      const { faults } = weather;
      const piece = bytes.slice();
      if (corrupt(piece, faults.corrupt, weather.random)) weather.counts.corrupted++;
      end.line.push(piece, faults, performance.now());
      weather.waiting(piece.length);
      if (end.line.isFull && !end.isPaused) {
        end.isPaused = true;
        socket.pause();
      }
      pump(end);
    },
    drain: (socket: Socket<End>) => {
      if (socket.data.other !== undefined) pump(socket.data.other);
    },
    end: (socket: Socket<End>) => {
      socket.data.hasEnded = true;
      pump(socket.data);
    },
    error: (socket: Socket<End>) => drop(socket.data.pair),
    close: (socket: Socket<End>) => {
      const end = socket.data;
      end.socket = undefined;
      end.hasEnded = true;
      // What it has sent still arrives; what was for it does not.
      if (end.other?.socket === undefined) drop(end.pair);
      else pump(end);
    },
  };

  const listener: TCPSocketListener<End> = Bun.listen<End>({
    hostname: listen.host,
    port: listen.port,
    socket: {
      ...handlers,
      open: (socket) => {
        const pair: Pair = { ends: [], resetTimer: undefined };
        const [client, server] = [createEnd(pair), createEnd(pair)];
        client.other = server;
        server.other = client;
        client.socket = socket;
        socket.data = client;
        if (pairs.size >= CONNECTIONS_MAX) return void socket.terminate();
        pair.ends.push(client, server);
        pairs.add(pair);
        weather.counts.connections++;
        planReset(pair);
        Bun.connect<End>({
          hostname: target.host,
          port: target.port,
          data: server,
          socket: {
            ...handlers,
            open: (opened) => {
              server.socket = opened;
              if (!pairs.has(pair)) return void opened.terminate();
              pump(client);
            },
          },
        }).catch(() => drop(pair));
      },
    },
  });
  return {
    port: listener.port,
    poke: () => {
      for (const pair of pairs) {
        planReset(pair);
        for (const end of pair.ends) pump(end);
      }
    },
    reset: () => {
      for (const pair of [...pairs]) {
        weather.counts.resets++;
        drop(pair);
      }
    },
    stop: () => {
      listener.stop(true);
      for (const pair of [...pairs]) drop(pair);
    },
  };
}
