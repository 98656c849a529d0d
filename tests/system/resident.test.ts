import { expect, test } from "bun:test";
import { codeMappings, releaseCode, shrinkHeap } from "../../src/system/resident.ts";

const SMAPS = `00200000-01a38000 r--p 00000000 fe:00 42    /opt/esc
Size:              24800 kB
Rss:                6144 kB
Anonymous:             0 kB
01a40000-06836000 r-xp 01838000 fe:00 42    /opt/esc
Size:              79832 kB
Rss:               27896 kB
Anonymous:             0 kB
LazyFree:              0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 43    /lib/written to.so
Size:                  4 kB
Rss:                   4 kB
Anonymous:             4 kB
7f0000002000-7f0000003000 rwxp 00000000 00:00 0
Size:                  4 kB
Rss:                   4 kB
Anonymous:             4 kB
7ffc58e80000-7ffc58e82000 r-xp 00000000 00:00 0    [vdso]
Size:                  8 kB
Rss:                   4 kB
Anonymous:             0 kB
`;

test("codeMappings() takes code of files that nobody has written to, and nothing else", () => {
  expect(codeMappings(SMAPS)).toEqual([
    { from: 0x01a40000, to: 0x06836000, residentBytes: 27896 * 1024 },
  ]);
});

test("releaseCode() does nothing where the system does not tell its mappings", () => {
  expect(releaseCode("/proc/self/no such file")).toBe(0);
});

test("releaseCode() gives the pages back and the program runs on", async () => {
  if (process.platform !== "linux") return;
  expect(releaseCode()).toBeGreaterThan(0);
  // Parsing, compiling, hashing and timers: code that was just given back.
  expect(new Function("a", "return a.map((n) => n * 2)")([1, 2])).toEqual([2, 4]);
  expect(Bun.hash.crc32("123456789")).toBe(0xcbf43926);
  await shrinkHeap();
});
