import { expect, test } from "bun:test";
import { REJECT_REASONS } from "../../src/event/frame.ts";
import {
  FrameScanner,
  SCAN_BAD_EVENT,
  SCAN_CONTROL,
  SCAN_FRAMING_LOST,
  SCAN_NEED_MORE,
} from "../../src/event/scan.ts";
import { withRandom } from "../support/seed.ts";
import { brokenFrame, goodFrame, judge, roundTrip } from "./frames.ts";

const FRAMES = Number(process.env["ESC_FUZZ_FRAMES"] ?? 60_000);

test("scan() agrees with the slow model on every frame of a long stream", () =>
  withRandom((random) => {
    const scanner = new FrameScanner(1 << 20);
    let refused = 0;
    for (let done = 0; done < FRAMES;) {
      const samples = Array.from({ length: 500 }, () =>
        random.chance(0.7) ? { bytes: goodFrame(random), verdict: "good" as const } : brokenFrame(random));
      const stream = Buffer.concat(samples.map((sample) =>
        sample.bytes
      ));
      const found: string[] = [];
      for (let at = 0; at < stream.length;) {
        const verdict = scanner.scan(stream, at, stream.length);
        for (let good = 0; good < scanner.count; good++) found.push("good");
        at = scanner.end;
        if (verdict === SCAN_BAD_EVENT) {
          found.push(REJECT_REASONS[scanner.reason] ?? "?");
          at = scanner.frameEnd;
          refused++;
        }
      }
      expect(found).toEqual(samples.map((sample) => sample.verdict));
      done += samples.length;
    }
    expect(refused).toBeGreaterThan(FRAMES / 10);
  }));

test("scan() stays inside its bounds on random bytes", () =>
  withRandom((random) => {
    const scanner = new FrameScanner(1000);
    for (let round = 0; round < FRAMES / 10; round++) {
      const bytes = random.fill(new Uint8Array(random.below(300)));
      // Small lengths are what gets past the first test.
      for (let at = 0; at + 4 < bytes.length; at += 40) bytes.fill(0, at, at + 3);
      const from = random.below(bytes.length + 1);
      const verdict = scanner.scan(bytes, from, bytes.length);
      expect(scanner.end).toBeGreaterThanOrEqual(from);
      expect(scanner.end).toBeLessThanOrEqual(bytes.length);
      if (verdict === SCAN_BAD_EVENT || verdict === SCAN_CONTROL) {
        expect(scanner.frameEnd).toBeGreaterThan(scanner.end);
        expect(scanner.frameEnd).toBeLessThanOrEqual(bytes.length);
      } else {
        expect([SCAN_NEED_MORE, SCAN_FRAMING_LOST]).toContain(verdict);
      }
    }
  }));

test("decodeFrame() and encodeFrame() are inverse on every good frame", () =>
  withRandom((random) => {
    for (let round = 0; round < FRAMES / 10; round++) {
      const bytes = goodFrame(random);
      expect(judge(bytes)).toBe("good");
      expect(Buffer.from(roundTrip(bytes)).equals(Buffer.from(bytes))).toBe(true);
    }
  }));
