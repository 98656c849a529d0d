import { expect, test } from "bun:test";
import type { NumaConfig } from "../../src/config/config.ts";
import { threadCpus } from "../../src/engine-affinity.ts";
import { Logger } from "../../src/logging/logger.ts";

const NUMA: NumaConfig = {
  enable: true,
  dispatcherNode: 0,
  ingestNode: 0,
  realtimeProcNode: 1,
  transactionalProcNode: -1,
  batchProcNode: 7,
};

function logged(): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  return { lines, logger: new Logger({ level: "info", format: "text", write, nowMs: () => 0, repeatMs: 0 }) };
}

const TWO_NODES = (node: number) => [[0, 1], [2, 3]][node];

test("threadCpus() gives each kind of thread its node's CPUs, and -1 none", () => {
  const { logger, lines } = logged();
  expect(threadCpus({ ...NUMA, batchProcNode: 1 }, logger, TWO_NODES)).toEqual({
    ingest: [0, 1],
    dispatcher: [0, 1],
    lanes: { realtime: [2, 3], batch: [2, 3] },
  });
  expect(lines).toEqual([]);
});

test("threadCpus() names a node that does not exist and binds the others", () => {
  const { logger, lines } = logged();
  expect(threadCpus(NUMA, logger, TWO_NODES).lanes).toEqual({ realtime: [2, 3] });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("key=numa.batch_proc_node node=7");
});

test("threadCpus() says once that one node gives nothing to bind", () => {
  const { logger, lines } = logged();
  expect(threadCpus(NUMA, logger, (node) => (node === 0 ? [0, 1] : undefined))).toEqual({ lanes: {} });
  expect(lines).toHaveLength(1);
});

test("threadCpus() binds nothing unless numa.enable", () => {
  const { logger, lines } = logged();
  expect(threadCpus({ ...NUMA, enable: false }, logger, TWO_NODES)).toEqual({ lanes: {} });
  expect(lines).toEqual([]);
});
