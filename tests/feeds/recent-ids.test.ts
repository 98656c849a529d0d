import { expect, test } from "bun:test";
import { RecentIds } from "../../src/ingest/feeds/recent-ids.ts";

test("add() takes each id once while it is among the last 4,096", () => {
  const ids = new RecentIds();
  for (let id = 0; id < 4096; id++) expect(ids.add(`t${id}`)).toBe(true);
  for (let id = 0; id < 4096; id++) expect(ids.add(`t${id}`)).toBe(false);
  for (let id = 4096; id < 3 * 4096; id++) ids.add(`t${id}`);
  expect(ids.add("t0")).toBe(true);
});
