/**
 * Which CPUs each kind of thread may use, from the `numa` section.
 *
 * Binding helps where memory is nearer to some CPUs than to others; on a machine with one node there is
 * nothing to gain, so it is said once and left alone.
 */
import type { NumaConfig } from "./config/config.ts";
import type { Logger } from "./logging/logger.ts";
import { cpusOfNode } from "./system/affinity.ts";

/** CPUs by kind of thread; a kind that is missing is not bound. */
export interface ThreadCpus {
  readonly ingest?: readonly number[];
  readonly dispatcher?: readonly number[];
  /** By name of the lane. */
  readonly lanes: Readonly<Record<string, readonly number[]>>;
}

const UNBOUND: ThreadCpus = { lanes: {} };
const NOT_BOUND = -1;

/**
 * Looks the nodes up. Never fails: a node that does not exist is logged and its threads run anywhere.
 *
 * @param nodeCpus CPUs of a node, `undefined` where there is no such node.
 */
export function threadCpus(numa: NumaConfig, logger: Logger, nodeCpus = cpusOfNode): ThreadCpus {
  if (!numa.enable) return UNBOUND;
  if (nodeCpus(1) === undefined) {
    logger.warn("numa.enable has no effect: this machine has one memory node");
    return UNBOUND;
  }
  const cpusOf = (key: string, node: number): readonly number[] | undefined => {
    if (node === NOT_BOUND) return undefined;
    const cpus = nodeCpus(node);
    if (cpus === undefined || cpus.length === 0) {
      logger.warn("memory node has no CPUs here, its threads run anywhere", { key: `numa.${key}`, node });
      return undefined;
    }
    return cpus;
  };
  const ingest = cpusOf("ingest_node", numa.ingestNode);
  const dispatcher = cpusOf("dispatcher_node", numa.dispatcherNode);
  const lanes = Object.entries({
    realtime: cpusOf("realtime_proc_node", numa.realtimeProcNode),
    transactional: cpusOf("transactional_proc_node", numa.transactionalProcNode),
    batch: cpusOf("batch_proc_node", numa.batchProcNode),
  });
  return {
    ...(ingest === undefined ? {} : { ingest }),
    ...(dispatcher === undefined ? {} : { dispatcher }),
    lanes: Object.fromEntries(lanes.flatMap(([lane, cpus]) => (cpus === undefined ? [] : [[lane, cpus]]))),
  };
}
