/** One client of a stress run over UDP: nobody answers, so it only counts what it sent. */
import { DatagramSender } from "../../src/client/datagrams.ts";
import type { Address } from "../../src/client/tcp.ts";
import { Pacer, type Ramp } from "../pacer.ts";
import type { FrameBlock } from "./plan.ts";

export interface DatagramLoadOptions {
  readonly address: Address;
  readonly events: number;
  readonly rate: number;
  readonly ramp?: Ramp | undefined;
  readonly block: FrameBlock;
}

/** Events packed before the other clients get their turn. */
const TURN_COUNT = 512;

export class DatagramLoad {
  sentCount = 0;
  readonly #options: DatagramLoadOptions;
  readonly #sender: DatagramSender;
  #isStopping = false;

  private constructor(sender: DatagramSender, options: DatagramLoadOptions) {
    this.#sender = sender;
    this.#options = options;
  }

  /** @throws {EscError} `SERVER_UNREACHABLE` when the host is unknown. */
  static async open(options: DatagramLoadOptions): Promise<DatagramLoad> {
    return new DatagramLoad(await DatagramSender.open(options.address), options);
  }

  /** Sends everything. Resolves when the operating system has taken all of it. */
  async run(): Promise<void> {
    const { events, rate, ramp, block } = this.#options;
    const pacer = new Pacer(rate, performance.now(), ramp);
    while (this.sentCount < events && !this.#isStopping) {
      const nowMs = performance.now();
      const count = Math.min(TURN_COUNT, events - this.sentCount, pacer.due(nowMs));
      if (count <= 0) {
        this.#sender.flush();
        await Bun.sleep(Math.max(1, pacer.waitMs(nowMs)));
        continue;
      }
      pacer.take(count);
      for (let left = count; left > 0; left--) {
        const index = this.sentCount % block.count;
        const [at, end] = [block.starts[index] as number, block.starts[index + 1] as number];
        while (!this.#sender.publishFrame(block.bytes, at, end)) await this.#sender.room();
        this.sentCount++;
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    await this.#sender.close();
  }

  /** Sends nothing more. */
  stop(): void {
    this.#isStopping = true;
  }
}
