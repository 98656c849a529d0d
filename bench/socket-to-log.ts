/**
 * From a client's socket to the log, with 128 bytes and 1 KiB a payload and every kind of acknowledgement: what the
 * machine does as a whole, load generator included.
 *
 *     bun bench/socket-to-log.ts [rounds]
 */
import { join } from "node:path";
import { figureText, machine } from "../cli/bench/figure.ts";
import { measureSocketToLog } from "../cli/bench/socket-to-log.ts";

const rounds = Number(process.argv[2] ?? 5);
const { cpu, cores, bun } = machine();
console.log(`${cpu} x ${cores}, Bun ${bun}; 4 connections; median of ${rounds} rounds (min to max)`);
await measureSocketToLog({
  esc: [process.execPath, join(import.meta.dir, "..", "cli", "esc.ts")],
  rounds,
  roundBytes: 256 << 20,
  onFigure: (figure) => console.log(figureText(figure)),
});
