import { afterEach, expect, test } from "bun:test";
import { EscServer } from "../support/esc.ts";

let server: EscServer | undefined;

afterEach(async () => {
  await server?.remove();
});

test("a disk with less than log.low_free is said in the log and in the health, and events are taken", async () => {
  server = await EscServer.start({ config: { log: { low_free: "1000000GiB" } } });
  expect(JSON.parse(await server.logged(/the disk is filling up/))).toMatchObject({ level: "warn" });
  const stats = await (await fetch(server.url("/api/v1/stats"))).json() as { pipeline: { health: string } };
  expect(stats.pipeline.health).toBe("ELEVATED");
  const published = await fetch(server.url("/api/v1/publish/t"), { method: "POST", body: "x" });
  expect([published.status, (await fetch(server.url("/readyz"))).status]).toEqual([200, 200]);
});
