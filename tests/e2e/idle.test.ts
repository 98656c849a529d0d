import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { EscServer } from "../support/esc.ts";
import { Wire } from "./wire.ts";

const servers: EscServer[] = [];
const wires: Wire[] = [];
afterEach(async () => {
  for (const wire of wires.splice(0)) wire.close();
  for (const server of servers.splice(0)) await server.remove();
});

/** Kernel ticks of user and system time that a process has used; 100 a second. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /, "").split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) / 1024;
}

test("an idle server needs less than 100 MiB and less than 1 % of a core", async () => {
  const server = await EscServer.start();
  servers.push(server);
  // Connected clients that say nothing are part of being idle.
  for (let count = 0; count < 10; count++) wires.push(await Wire.connect(server.tcpPort));
  // What start-up left to do must not count: wait until a whole second passes almost without work.
  for (let tries = 0; tries < 10; tries++) {
    const before = cpuTicks(server.pid);
    await Bun.sleep(1000);
    if (cpuTicks(server.pid) - before <= 1) break;
  }
  // The least of several stretches: what other programs make of its caches is not its doing.
  const seconds = 4;
  let ticks = Infinity;
  for (let tries = 0; tries < 4 && ticks > seconds; tries++) {
    const before = cpuTicks(server.pid);
    await Bun.sleep(seconds * 1000);
    ticks = Math.min(ticks, cpuTicks(server.pid) - before);
  }
  expect(ticks).toBeLessThanOrEqual(seconds);
  expect(residentMiB(server.pid)).toBeLessThan(100);
}, 60_000);
