/** Is the disk of the data directory there, large enough, honest, and how fast does it sync? */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Config } from "../../src/config/config.ts";
import { bytesText, type Finding } from "./finding.ts";

const SMALL_BYTES = 4096;
const SMALL_SYNCS = 100;
const LARGE_BYTES = 1 << 20;
const LARGE_SYNCS = 32;
/** No disk that keeps what it acknowledges is faster than this, nor a network. */
const SYNC_US_MIN = 15;
/** Beyond, waiting for an acknowledgement is felt. */
const SYNC_US_SLOW = 10_000;
/** File systems on which a sync does not mean what esc promises. */
const VOLATILE = new Set(["tmpfs", "ramfs"]);
const NETWORKED = new Set(["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"]);

/** Writes some 33 MiB below the data directory, or below the nearest folder that exists, and removes it. */
export function checkDisk({ data, log }: Config): Finding[] {
  const wanted = resolve(data.dir);
  const folder = nearestFolder(wanted);
  const findings: Finding[] = [fileSystemFinding(wanted, folder)];
  const { bavail, bsize } = statfsSync(folder);
  const freeBytes = bavail * bsize;
  findings.push(spaceFinding(freeBytes, log));
  const probe = join(folder, `.esc-doctor-${process.pid}`);
  try {
    if (freeBytes < 4 * LARGE_SYNCS * LARGE_BYTES) {
      findings.push({ check: "disk.sync", status: "note", detail: "not measured: too little space is free" });
    } else findings.push(...syncFindings(probe));
  } catch (error) {
    findings.push({
      check: "disk.write",
      status: "fail",
      detail: `${folder} cannot be written: ${error instanceof Error ? error.message : error}`,
      advice: `Give the user of esc the right to write ${wanted}, or set data.dir`,
    });
  } finally {
    rmSync(probe, { force: true });
  }
  return findings;
}

/** The folder itself, or the nearest above it that exists. */
export function nearestFolder(path: string): string {
  let folder = resolve(path);
  while (!existsSync(folder)) folder = dirname(folder);
  return folder;
}

function spaceFinding(freeBytes: number, { lowFreeBytes, minFreeBytes }: Config["log"]): Finding {
  const check = "disk.space";
  const detail = `${bytesText(freeBytes)} free; esc warns below ${bytesText(lowFreeBytes)} and stops below ${
    bytesText(minFreeBytes)
  }`;
  if (freeBytes >= lowFreeBytes) return { check, status: "ok", detail };
  return {
    check,
    status: freeBytes < minFreeBytes ? "fail" : "warn",
    detail,
    advice: "Free some space, or lower lanes.<name>.retention or log.max_total_bytes",
  };
}

function fileSystemFinding(wanted: string, folder: string): Finding {
  const check = "disk.file_system";
  const { type, source, mountPoint } = mountOf(folder);
  const detail = `${wanted} lies on ${type} (${source} at ${mountPoint})`;
  if (VOLATILE.has(type)) {
    return {
      check,
      status: "warn",
      detail,
      advice: "Everything there is lost when the machine stops: set data.dir to a disk",
    };
  }
  if (NETWORKED.has(type)) {
    return {
      check,
      status: "warn",
      detail,
      advice: "What a sync means there depends on the server and its mount options: prefer a local disk",
    };
  }
  return { check, status: "ok", detail };
}

interface Mount {
  readonly type: string;
  readonly source: string;
  readonly mountPoint: string;
}

/** The mount a folder lies on, as of /proc/self/mountinfo (proc(5)). */
function mountOf(folder: string): Mount {
  let best: Mount = { type: "unknown", source: "?", mountPoint: "" };
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const [head = "", tail = ""] = line.split(" - ");
    const mountPoint = (head.split(" ")[4] ?? "").replaceAll("\\040", " ");
    const [type = "unknown", source = "?"] = tail.split(" ");
    const isAbove = mountPoint === "/" || folder === mountPoint || folder.startsWith(`${mountPoint}/`);
    // The later of two mounts at one place hides the earlier.
    if (mountPoint !== "" && isAbove && mountPoint.length >= best.mountPoint.length) {
      best = { type, source, mountPoint };
    }
  }
  return best;
}

function syncFindings(probe: string): Finding[] {
  mkdirSync(dirname(probe), { recursive: true });
  const descriptor = openSync(probe, "w");
  try {
    const small = timeSyncs(descriptor, SMALL_BYTES, SMALL_SYNCS);
    const large = timeSyncs(descriptor, LARGE_BYTES, LARGE_SYNCS);
    fsyncSync(descriptor);
    const p50 = small[small.length >> 1] ?? 0;
    const p99 = small[Math.floor(small.length * 0.99)] ?? 0;
    const rate = LARGE_BYTES * LARGE_SYNCS / large.reduce((sum, us) => sum + us, 0);
    const detail = `fdatasync of 4 KiB: p50 ${p50.toFixed(0)} us, p99 ${p99.toFixed(0)} us; of 1 MiB: ${
      rate.toFixed(0)
    } MB/s`;
    return [{ check: "disk.sync", detail, ...syncJudgement(p50) }];
  } finally {
    closeSync(descriptor);
  }
}

function syncJudgement(p50Us: number): Pick<Finding, "status" | "advice"> {
  if (p50Us < SYNC_US_MIN) {
    return {
      status: "warn",
      advice: "No disk is that fast: syncs seem to be ignored, and a power cut may take acknowledged events",
    };
  }
  if (p50Us > SYNC_US_SLOW) {
    return {
      status: "warn",
      advice:
        "A durable acknowledgement takes at least this long: use a faster disk, or durability: interval",
    };
  }
  return { status: "ok" };
}

/** Durations of one write and sync each, in microseconds, ascending. */
function timeSyncs(descriptor: number, bytes: number, count: number): number[] {
  const block = new Uint8Array(bytes).fill(0x65);
  return Array.from({ length: count }, () => {
    const startNs = Bun.nanoseconds();
    writeSync(descriptor, block);
    fdatasyncSync(descriptor);
    return (Bun.nanoseconds() - startNs) / 1000;
  }).sort((a, b) => a - b);
}
