/** How many events a second this machine takes with this configuration's disk: measured, not computed. */
import { StressedServer, type StressPlan } from "../../bench/stressed.ts";
import type { Finding } from "./finding.ts";

const PAYLOAD_BYTES = 128;
const ROUNDS = 3;
const PLANS: readonly { readonly check: string; readonly what: string; readonly plan: StressPlan }[] = [
  {
    check: "capacity.durable",
    what: "durable",
    plan: { acks: "durable", size: PAYLOAD_BYTES, events: 400_000, inFlight: 16_384 },
  },
  {
    check: "capacity.accepted",
    what: "accepted",
    plan: { acks: "accepted", size: PAYLOAD_BYTES, events: 1_000_000, inFlight: 65_536 },
  },
];

/**
 * Starts a server with its data below `folder`, loads it with `esc stress` from the same machine, and removes both.
 *
 * @param esc How to run esc.
 */
export async function measureCapacity(esc: readonly string[], folder: string): Promise<Finding[]> {
  const server = new StressedServer(esc, { durability: "fsync", parent: folder });
  const findings: Finding[] = [];
  try {
    for (const { check, what, plan } of PLANS) {
      const rates: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const { operations, ns } = await server.round(plan);
        rates.push(operations / ns * 1e9);
      }
      rates.sort((a, b) => a - b);
      const [least = 0, median = 0, most = 0] = rates;
      findings.push({
        check,
        status: "ok",
        detail:
          `${text(median)} events/s ${what}, ${PAYLOAD_BYTES}-byte payloads, 4 clients on this machine ` +
          `(${text(least)} to ${text(most)} of ${ROUNDS} rounds)`,
        ...(check === "capacity.durable"
          ? { advice: `Plan for half of it: ${text(median / 2)} events/s leaves room for readers and bursts` }
          : {}),
      });
    }
    return findings;
  } finally {
    await server.close();
  }
}

function text(rate: number): string {
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(1)} M` : `${Math.round(rate / 1000)} k`;
}
