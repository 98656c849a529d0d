import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpusOfNode, parseCpuList } from "../../src/system/affinity.ts";
import { TemporaryFolder } from "../support/temp.ts";

let folder: TemporaryFolder;
beforeAll(() => {
  folder = new TemporaryFolder("affinity");
});
afterAll(() => folder.remove());

test("parseCpuList() reads single CPUs, ranges and the empty list", () => {
  expect(parseCpuList("0-3,8,10-11\n")).toEqual([0, 1, 2, 3, 8, 10, 11]);
  expect(parseCpuList("5\n")).toEqual([5]);
  expect(parseCpuList("\n")).toEqual([]);
});

test("cpusOfNode() reads the node's list and answers undefined for a node that is not there", () => {
  mkdirSync(folder.path("node1"));
  writeFileSync(folder.path("node1/cpulist"), "4-5\n");
  expect(cpusOfNode(1, folder.path("."))).toEqual([4, 5]);
  expect(cpusOfNode(7, folder.path("."))).toBeUndefined();
});

test("pinThread() pins the calling thread alone", async () => {
  const allowedBefore = allowedCpus("/proc/thread-self/status");
  const cpu = parseCpuList(allowedBefore)[0];
  // In a worker, so that the thread of the tests keeps its CPUs.
  const source = `
    const { pinThread } = await import(${
    JSON.stringify(import.meta.resolve("../../src/system/affinity.ts"))
  });
    const { readFileSync } = await import("node:fs");
    const answers = [pinThread([]), pinThread([-1]), pinThread([1024]), pinThread([${cpu}])];
    postMessage({ answers, status: readFileSync("/proc/thread-self/status", "utf8") });
  `;
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "application/javascript" })));
  try {
    const { answers, status } = await new Promise<{ answers: boolean[]; status: string }>(
      (resolve, reject) => {
        worker.onmessage = (message) => resolve(message.data);
        worker.onerror = reject;
      },
    );
    expect(answers).toEqual([false, false, false, true]);
    expect(cpusIn(status)).toBe(String(cpu));
  } finally {
    worker.terminate();
  }
  expect(allowedCpus("/proc/thread-self/status")).toBe(allowedBefore);
});

function allowedCpus(path: string): string {
  return cpusIn(readFileSync(path, "utf8"));
}

function cpusIn(status: string): string {
  return /^Cpus_allowed_list:\t(.*)$/m.exec(status)?.[1] ?? "";
}
