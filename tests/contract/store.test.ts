import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Effects, Store, StoredAlert, WindowResult } from "../../src/store/store.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import { type Backend, BACKENDS } from "../store/backends.ts";
import { type PlacedEvent, rowsOf, T0_US } from "../store/rows.ts";
import { type Random, withRandom } from "../support/seed.ts";

const WINDOW: WindowResult = {
  name: "load",
  key: "eu",
  startUs: T0_US,
  endUs: T0_US + 60_000_000,
  count: 3,
  sum: 7.5,
  min: 1.25,
  max: 4,
  result: `{"avg":2.5}`,
};

const ALERT: StoredAlert = {
  id: "a-1",
  rule: "too-hot",
  severity: "CRITICAL",
  raisedUs: T0_US,
  topic: "sensor.1",
  key: null,
  message: `He said "hot" \\ {x}, 40 °C`,
  context: `{"value":41}`,
};

for (const { name, missing, create } of BACKENDS) {
  const title = missing === undefined ? name : `${name} (skipped: ${missing})`;
  describe.skipIf(missing !== undefined)(`store ${title}`, () => {
    let backend: Backend;
    let store: Store;
    /** Each test has its own consumer and logs, so that all share one database. */
    let lane = 0;

    beforeAll(async () => {
      backend = await create();
      store = await backend.open();
    });
    afterAll(async () => {
      await store?.close();
      await backend?.remove();
    });

    async function newLog(consumer: string, startOffset = 0): Promise<number> {
      const [position] = await store.positions(consumer, [{ lane: `lane${lane++}`, shard: 0, startOffset }]);
      return position?.logId ?? -1;
    }

    async function eventsOf(logId: number): Promise<string[]> {
      return (await backend.content()).events.filter((event) => event.startsWith(`${logId}:`));
    }

    test("positions() starts where it is told, and afterwards where the consumer is", async () => {
      const places = [{ lane: "p", shard: 0, startOffset: 7 }, { lane: "p", shard: 1, startOffset: 0 }];
      const [first, second] = await store.positions("p1", places);
      expect([first?.nextOffset, second?.nextOffset]).toEqual([7, 0]);
      expect(first?.logId).not.toBe(second?.logId);
      const logId = first?.logId ?? -1;
      await store.commit({ consumer: "p1", moves: [{ logId, fromOffset: 7, nextOffset: 12 }] });
      const later = places.map((place) => ({ ...place, startOffset: 99 }));
      expect(await store.positions("p1", later)).toEqual([
        { logId, nextOffset: 12 },
        { logId: second?.logId ?? -1, nextOffset: 0 },
      ]);
      expect((await store.positions("p2", later)).map((position) => position.nextOffset)).toEqual([99, 99]);
    });

    test("commit() writes every kind of effect as it is", async () => {
      const logId = await newLog("all");
      const events: PlacedEvent[] = [
        { logId, offset: 0, topic: "plain", payload: "x" },
        {
          logId,
          offset: 1,
          topic: "tout.ça/☃",
          payload: new Uint8Array([0, 255, 128, 10]),
          priority: 4,
          id: "id-1",
          key: "kéy",
          timeUs: -5,
          headers: [["a", "1"], ["a", `"\\\n`]],
        },
        { logId, offset: 2, topic: "nul\0topic", payload: "", id: "a\0b", key: "\0" },
        { logId, offset: 3, topic: "big", payload: new Uint8Array(300_000).fill(7), timeUs: T0_US },
      ];
      const result = await store.commit({
        consumer: "all",
        moves: [{ logId, fromOffset: 0, nextOffset: 4 }],
        events: rowsOf(events),
        windows: [WINDOW],
        alerts: [ALERT],
        checkpoints: [{ name: "open-windows", state: new Uint8Array([1, 0, 255]) }],
      });
      expect(result).toBe("committed");
      expect(await eventsOf(logId)).toEqual([
        `${logId}:0 ["plain",0,${T0_US},null,null,null,null,"eA=="]`,
        `${logId}:1 ["tout.ça/☃",4,${T0_US + 1},-5,"id-1","kéy",${
          JSON.stringify(JSON.stringify([["a", "1"], ["a", `"\\\n`]]))
        },"AP+ACg=="]`,
        `${logId}:2 ["nul\uFFFDtopic",0,${T0_US + 2},null,"a\uFFFDb","\uFFFD",null,""]`,
        `${logId}:3 ["big",0,${T0_US + 3},${T0_US},null,null,null,"${
          Buffer.alloc(300_000, 7).toString("base64")
        }"]`,
      ]);
      const content = await backend.content();
      expect(content.windows).toEqual([
        JSON.stringify(["load", "eu", T0_US, T0_US + 60_000_000, 3, 7.5, 1.25, 4, `{"avg":2.5}`]),
      ]);
      expect(content.alerts).toEqual([
        JSON.stringify([
          "a-1",
          "too-hot",
          "CRITICAL",
          T0_US,
          "sensor.1",
          null,
          ALERT.message,
          `{"value":41}`,
        ]),
      ]);
      expect(Buffer.from(await store.checkpoint("all", "open-windows") ?? []).toString("hex")).toBe("0100ff");
      expect(await store.checkpoint("all", "another")).toBeUndefined();
    });

    test("commit() answers conflict, and writes nothing, when the position is elsewhere", async () => {
      const logId = await newLog("late");
      const effects = (): Effects => ({
        consumer: "late",
        moves: [{ logId, fromOffset: 0, nextOffset: 1 }],
        events: rowsOf([{ logId, offset: 0, topic: "late", payload: "x" }]),
        checkpoints: [{ name: "c", state: new Uint8Array([1]) }],
      });
      expect(await store.commit(effects())).toBe("committed");
      const before = await backend.content();
      expect(await store.commit({ ...effects(), alerts: [{ ...ALERT, id: "late" }] })).toBe("conflict");
      expect(await backend.content()).toEqual(before);
    });

    test("commit() with one wrong move of several writes nothing", async () => {
      const right = await newLog("several");
      const wrong = await newLog("several");
      const result = await store.commit({
        consumer: "several",
        moves: [{ logId: right, fromOffset: 0, nextOffset: 1 }, {
          logId: wrong,
          fromOffset: 5,
          nextOffset: 6,
        }],
        events: rowsOf([{ logId: right, offset: 0, topic: "several", payload: "x" }]),
      });
      expect(result).toBe("conflict");
      expect(await eventsOf(right)).toEqual([]);
      const again = { consumer: "several", moves: [{ logId: right, fromOffset: 0, nextOffset: 1 }] };
      expect(await store.commit(again)).toBe("committed");
    });

    test("two consumers of one name: only one of two equal commits wins", async () => {
      const logId = await newLog("twins");
      const twin = await backend.open();
      const effects = (): Effects => ({
        consumer: "twins",
        moves: [{ logId, fromOffset: 0, nextOffset: 3 }],
        events: rowsOf([{ logId, offset: 0, topic: "twins", payload: "x" }]),
      });
      const results = await Promise.all([store.commit(effects()), twin.commit(effects())]);
      expect(results.sort()).toEqual(["committed", "conflict"]);
      expect(await eventsOf(logId)).toHaveLength(1);
      if (twin !== store) await twin.close();
    });

    test("the last value of a topic is the one received last, whatever the order of commits", async () => {
      const logId = await newLog("last");
      const event = (offset: number, receivedUs: number): PlacedEvent => ({
        logId,
        offset,
        receivedUs,
        topic: `last.${name}`,
        payload: String(offset),
      });
      await store.commit({
        consumer: "last",
        moves: [{ logId, fromOffset: 0, nextOffset: 2 }],
        events: rowsOf([event(0, T0_US + 10), event(1, T0_US + 5)]),
      });
      await store.commit({
        consumer: "last",
        moves: [{ logId, fromOffset: 2, nextOffset: 3 }],
        events: rowsOf([event(2, T0_US + 9)]),
      });
      const { lastValues } = await backend.content();
      expect(lastValues.filter((value) => value.includes(`last.${name}`))).toEqual([
        `${logId}:0 ["last.${name}",0,${T0_US + 10},null,null,null,null,"MA=="]`,
      ]);
    });

    test("a result takes the place of those whose spans it names, in the same commit and later", async () => {
      const logId = await newLog("session");
      const session = { ...WINDOW, name: "session" };
      const span = ({ startUs, endUs }: typeof session) => ({ startUs, endUs });
      const longer = { ...session, endUs: session.endUs + 5, replaces: [span(session)] };
      const longest = { ...session, endUs: session.endUs + 9, replaces: [span(longer)] };
      const other = { ...session, key: "other" };
      const commit = (fromOffset: number, windows: readonly WindowResult[]) =>
        store.commit({
          consumer: "session",
          moves: [{ logId, fromOffset, nextOffset: fromOffset + 1 }],
          windows,
        });
      const spans = async () => {
        const { windows } = await backend.content();
        return windows.filter((text) => text.includes(`"session"`)).map((text) =>
          JSON.parse(text).slice(1, 4)
        );
      };
      expect(await commit(0, [session, other])).toBe("committed");
      expect(await commit(1, [longer, longest])).toBe("committed");
      expect(await spans()).toEqual([
        [session.key, session.startUs, longest.endUs],
        ["other", session.startUs, session.endUs],
      ]);
      // Told anew under an old span after all: the last word counts.
      expect(await commit(2, [{ ...longer, replaces: [span(longest)] }])).toBe("committed");
      expect((await spans())[0]).toEqual([session.key, session.startUs, longer.endUs]);
    });

    test("a later result of a window replaces the earlier; an alert is stored once", async () => {
      const logId = await newLog("again");
      const window = { ...WINDOW, name: "again" };
      await store.commit({
        consumer: "again",
        moves: [{ logId, fromOffset: 0, nextOffset: 1 }],
        windows: [window, { ...window, count: 4, sum: null }],
        alerts: [{ ...ALERT, id: "again" }, { ...ALERT, id: "again", message: "second" }],
      });
      await store.commit({
        consumer: "again",
        moves: [{ logId, fromOffset: 1, nextOffset: 2 }],
        windows: [{ ...window, count: 5 }],
        alerts: [{ ...ALERT, id: "again", message: "third" }],
      });
      const { windows, alerts } = await backend.content();
      expect(windows.filter((text) => text.includes(`"again"`)).map((text) => JSON.parse(text)[4])).toEqual([
        5,
      ]);
      expect(alerts.filter((text) => text.includes(`"again"`)).map((text) => JSON.parse(text)[6])).toEqual([
        ALERT.message,
      ]);
    });

    test("pruneResults() takes the results of these windows, and the alerts, that are older", async () => {
      const logId = await newLog("prune-results");
      const at = (startUs: number, name: string) => ({ ...WINDOW, name, startUs, endUs: startUs + 10 });
      const old = T0_US - 86_400_000_000;
      await store.commit({
        consumer: "prune-results",
        moves: [{ logId, fromOffset: 0, nextOffset: 1 }],
        windows: [at(old - 1, "aged"), at(old, "aged"), at(old - 1, "kept")],
        alerts: [{ ...ALERT, id: "old", raisedUs: old - 1 }, { ...ALERT, id: "young", raisedUs: old }],
      });
      expect(await store.pruneResults(["aged"], old)).toBe(2);
      expect(await store.pruneResults(["aged", "unknown"], old)).toBe(0);
      const { windows, alerts } = await backend.content();
      const names = (texts: readonly string[], pattern: RegExp) =>
        texts.filter((text) => pattern.test(text)).length;
      expect([names(windows, /"aged"/), names(windows, /"kept"/)]).toEqual([1, 1]);
      expect([names(alerts, /"old"/), names(alerts, /"young"/)]).toEqual([0, 1]);
    });

    test("prune() takes only what was received before", async () => {
      const logId = await newLog("prune");
      const dayUs = 86_400_000_000;
      await store.commit({
        consumer: "prune",
        moves: [{ logId, fromOffset: 0, nextOffset: 2 }],
        events: rowsOf([
          { logId, offset: 0, receivedUs: T0_US - 40 * dayUs, topic: "old", payload: "" },
          { logId, offset: 1, receivedUs: T0_US, topic: "new", payload: "" },
        ]),
      });
      expect(await store.prune(T0_US - 30 * dayUs)).toBe(1);
      expect((await eventsOf(logId)).map((event) => event.split(" ", 1)[0])).toEqual([`${logId}:1`]);
    });

    test("any sequence of commits leaves what the plain store has", async () => {
      await withRandom(async (random) => {
        const consumer = `random${random.seed}`;
        const logId = await newLog(consumer);
        const model = new MemoryStore("model");
        await model.positions(consumer, [{ lane: "x", shard: 0, startOffset: 0 }]);
        for (let round = 0; round < 20; round++) {
          const fromOffset = random.below(6);
          const effects = { consumer, windows: [randomWindow(random)] };
          const move = { fromOffset, nextOffset: fromOffset + 1 };
          const event = {
            topic: `r.${random.below(3)}`,
            payload: random.fill(new Uint8Array(random.below(50))),
          };
          const here = await store.commit({
            ...effects,
            moves: [{ logId, ...move }],
            events: rowsOf([{ ...event, logId, offset: fromOffset }]),
          });
          const there = await model.commit({
            ...effects,
            moves: [{ logId: 1, ...move }],
            events: rowsOf([{ ...event, logId: 1, offset: fromOffset }]),
          });
          expect(here).toBe(there);
        }
        const expected = model.events.map((row) =>
          `${row.offset}=${Buffer.from(row.payload).toString("base64")}`
        );
        const found = (await eventsOf(logId)).map((event) => {
          const [place = "", ...rest] = event.split(" ");
          return `${place.split(":")[1]}=${JSON.parse(rest.join(" ")).at(-1)}`;
        });
        expect(found).toEqual(expected);
        const { windows } = await backend.content();
        expect(windows.filter((text) => text.includes(`random-window`))).toHaveLength(
          [...model.windows.values()].length,
        );
      });
    });
  });
}

function randomWindow(random: Random): WindowResult {
  return { ...WINDOW, name: "random-window", key: `k${random.below(3)}`, count: random.below(100) };
}
