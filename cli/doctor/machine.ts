/** What the machine gives a process: descriptors, memory, processors, socket buffers, time. Linux. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Config } from "../../src/config/config.ts";
import { bytesText, type Finding } from "./finding.ts";

/** Descriptors besides connections: log files, rings of the event loop, listeners. */
const DESCRIPTORS_SPARE = 256;
/** What threads and code take before the first event. */
const BASE_BYTES = 180 * 2 ** 20;
/** Clocks the kernel reads without a system call. */
const QUICK_CLOCKS = new Set(["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"]);

/** All checks that only read. */
export function checkMachine(config: Config): Finding[] {
  return [
    descriptors(config),
    memory(config),
    processors(config),
    ...receiveBuffer(config),
    clockSource(),
    timeSync(),
  ];
}

function descriptors({ ingestion }: Config): Finding {
  const check = "limits.descriptors";
  const soft = /^Max open files\s+(\S+)/m.exec(read("/proc/self/limits") ?? "")?.[1];
  const limit = soft === "unlimited" ? Infinity : Number(soft);
  const wanted = ingestion.tcp.maxConnections + DESCRIPTORS_SPARE;
  const detail = `${soft ?? "unknown"} files may be open; up to ${wanted} are needed (maxConnections ${
    String(ingestion.tcp.maxConnections)
  })`;
  if (!(limit < wanted)) return { check, status: "ok", detail };
  return {
    check,
    status: "warn",
    detail,
    advice: `ulimit -n ${wanted}, or LimitNOFILE=${wanted} in the unit, or a smaller maxConnections`,
  };
}

function memory({ lanes, ingestion, log }: Config): Finding {
  const check = "memory";
  const queues = lanes.reduce((sum, lane) => sum + lane.shards * (3 * lane.queueBytes + log.batchBytes), 0) +
    (ingestion.workers + 1) * ingestion.queueBytes;
  const wanted = BASE_BYTES + queues;
  const available = availableBytes();
  const detail = `${bytesText(available)} available; about ${bytesText(wanted)} with all queues full`;
  if (available > 2 * wanted) return { check, status: "ok", detail };
  return {
    check,
    status: available > wanted ? "note" : "warn",
    detail,
    advice:
      "Lower lanes.<name>.queue_bytes, or give esc more memory: the page cache that readers use needs some, too",
  };
}

/** Memory that may still be had: the machine's, or the control group's if that is less. */
function availableBytes(): number {
  const machine = Number(/^MemAvailable:\s+(\d+) kB/m.exec(read("/proc/meminfo") ?? "")?.[1] ?? NaN) * 1024;
  const limit = Number(read(`${controlGroup()}/memory.max`) ?? NaN);
  const used = Number(read(`${controlGroup()}/memory.current`) ?? 0);
  return Number.isNaN(limit) ? machine : Math.min(machine, limit - used);
}

function processors({ lanes, ingestion }: Config): Finding {
  const check = "processors";
  const count = availableParallelism();
  const [quota, period] = (read(`${controlGroup()}/cpu.max`) ?? "max").trim().split(" ").map(Number);
  const share = quota !== undefined && period !== undefined && quota > 0 ? quota / period : count;
  const busy = ingestion.workers + 1 + lanes.reduce((sum, lane) => sum + lane.shards, 0);
  const spinning = lanes.filter((lane) => lane.wait === "spin").reduce((sum, lane) => sum + lane.shards, 0);
  const detail = `${count} processors${
    share < count ? `, of which ${share.toFixed(1)} may be used` : ""
  }; ${busy} threads work on events`;
  if (spinning > 0 && spinning >= Math.floor(share)) {
    return {
      check,
      status: "warn",
      detail: `${detail}, ${spinning} of them spin`,
      advice: "A spinning lane needs a processor of its own: use wait: block",
    };
  }
  return { check, status: "ok", detail };
}

function receiveBuffer({ ingestion: { udp } }: Config): Finding[] {
  if (!udp.enable) return [];
  const check = "limits.udp_buffer";
  const max = Number(read("/proc/sys/net/core/rmem_max") ?? NaN);
  const detail = `net.core.rmem_max is ${bytesText(max)}; ingestion.udp.receiveBufferBytes is ${
    bytesText(udp.receiveBufferBytes)
  }`;
  if (!(max < udp.receiveBufferBytes)) return [{ check, status: "ok", detail }];
  return [{
    check,
    status: "warn",
    detail,
    advice: `Datagrams are lost in bursts: sysctl -w net.core.rmem_max=${udp.receiveBufferBytes}`,
  }];
}

function clockSource(): Finding {
  const check = "clock.source";
  const source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource")?.trim();
  if (source === undefined) return { check, status: "note", detail: "the kernel does not tell its clock" };
  if (QUICK_CLOCKS.has(source)) {
    return { check, status: "ok", detail: `${source}, read without a system call` };
  }
  return {
    check,
    status: "note",
    detail: `${source}: each reading is a system call`,
    advice: "Every batch of events reads the clock: latencies grow a little",
  };
}

/** Whether the kernel believes its time is right: bit STA_UNSYNC of adjtimex(2), as timedatectl shows it. */
function timeSync(): Finding {
  const check = "clock.synchronised";
  const { stdout, success } = run(["timedatectl", "show", "--property=NTPSynchronized", "--value"]);
  if (!success) {
    return { check, status: "note", detail: "timedatectl does not tell whether the time is right" };
  }
  if (stdout.trim() === "yes") return { check, status: "ok", detail: "the time is kept right" };
  return {
    check,
    status: "warn",
    detail: "nobody keeps the time right",
    advice: "Times of reception and retention by age follow this clock: run an NTP client",
  };
}

function run(command: string[]): { stdout: string; success: boolean } {
  try {
    const { stdout, success } = Bun.spawnSync(command, { stdin: "ignore", stderr: "ignore", timeout: 2000 });
    return { stdout: stdout.toString(), success };
  } catch {
    return { stdout: "", success: false };
  }
}

/** Folder of this process's control group (cgroups(7), version 2). */
function controlGroup(): string {
  const path = /^0::(.*)$/m.exec(read("/proc/self/cgroup") ?? "")?.[1] ?? "/";
  return `/sys/fs/cgroup${path === "/" ? "" : path}`;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
