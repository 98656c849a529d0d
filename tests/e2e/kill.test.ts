import { afterEach, expect, test } from "bun:test";
import { EscServer } from "../support/esc.ts";
import { withRandom } from "../support/seed.ts";
import { NumberedProducer, numbersBelow, storedNumbers } from "./numbered-producer.ts";

/** `ESC_DRILL=1` asks for more. */
const CYCLES = process.env["ESC_DRILL"] === "1" ? 50 : 5;

const servers: EscServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
});

async function start(...given: Parameters<typeof EscServer.start>): Promise<EscServer> {
  const server = await EscServer.start(...given);
  servers.push(server);
  return server;
}

test(
  `SIGKILL ${CYCLES} times in the middle of it: nothing acknowledged is lost, nothing is stored twice`,
  () =>
    withRandom(async (random) => {
      const producer = new NumberedProducer();
      let server = await start();
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        const killAt = producer.acknowledged + random.between(1, 20_000);
        await producer.run(server, {
          onAcknowledged: (count) => {
            if (count >= killAt) server.signal("SIGKILL");
          },
        });
        await server.exited;
        const acknowledged = producer.acknowledged;
        server = await start({ folder: server.folder });
        const { numbers } = await storedNumbers(server);
        expect(numbers.slice(0, acknowledged)).toEqual(numbersBelow(acknowledged));
      }
      // The last unanswered ones come again, with the ids they had.
      await producer.run(server, { countMax: producer.sent });
      expect(producer.acknowledged).toBe(producer.sent);
      const { numbers } = await storedNumbers(server);
      expect(numbers).toEqual(numbersBelow(producer.sent));
    }),
  30_000 + CYCLES * 6_000,
);
