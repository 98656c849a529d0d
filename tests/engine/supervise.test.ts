/** A worker that dies is followed by one that knows the same. */
import { afterEach, expect, test } from "bun:test";
import { createControl } from "../../src/queue/control.ts";
import { createDoorbell, Doorbell } from "../../src/queue/doorbell.ts";
import { SupervisedWorker } from "../../src/supervise.ts";

let worker: SupervisedWorker | undefined;
afterEach(() => worker?.abort());

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await Bun.sleep(1);
}

test(
  "postStanding() tells each successor what was said last, by type; post() is for the one that lives",
  async () => {
    const heard: unknown[] = [];
    const deaths: string[] = [];
    worker = new SupervisedWorker({
      name: "test",
      url: new URL("./standing-worker.ts", import.meta.url),
      options: {},
      control: createControl(),
      doorbell: new Doorbell(createDoorbell()),
      onMessage: (message) => heard.push(message),
      onDeath: (reason) => deaths.push(reason),
      onRestart: () => {},
    });
    worker.postStanding({ type: "routes", n: 1 });
    worker.postStanding({ type: "routes", n: 2 });
    worker.postStanding({ type: "limits", n: 3 });
    worker.post({ type: "once" });
    await until(() => heard.length === 4);
    worker.post({ type: "die" });
    await until(() => heard.length === 6);
    expect(deaths).toHaveLength(1);
    expect(deaths[0]).toContain("asked to die");
    expect(heard.slice(4)).toEqual([{ type: "routes", n: 2 }, { type: "limits", n: 3 }]);
  },
  60_000,
);
