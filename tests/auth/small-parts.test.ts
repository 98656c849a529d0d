import { expect, test } from "bun:test";
import { addressProblem, AddressSet } from "../../src/auth/addresses.ts";
import { parseSubject, subjectMatches, subjectOf } from "../../src/auth/certificate.ts";
import { createRateTable, RateLimit } from "../../src/auth/rate.ts";
import { bearerToken, isTokenHash, newToken, tokenHash, TokenTable } from "../../src/auth/token.ts";
import { ConnectionLimits } from "../../src/ingest/connection-limits.ts";

test("newToken() makes 256 bits that nobody has seen before", () => {
  const tokens = new Set(Array.from({ length: 1000 }, newToken));
  expect(tokens.size).toBe(1000);
  for (const token of tokens) expect(token).toMatch(/^esc_[A-Za-z0-9_-]{43}$/);
  expect(isTokenHash(tokenHash("x"))).toBe(true);
  expect(isTokenHash(tokenHash("x").slice(1))).toBe(false);
});

test("TokenTable.find() knows its tokens and no others", () => {
  const tokens = Array.from({ length: 100 }, newToken);
  const table = new TokenTable(tokens.map((token, index) => [tokenHash(token), index]));
  expect(tokens.map((token) => table.find(token))).toEqual(tokens.map((_, index) => index));
  for (const token of tokens) {
    for (const other of [`${token}A`, token.slice(0, -1), token.toLowerCase(), "", newToken()]) {
      expect(table.find(other)).toBeUndefined();
    }
  }
});

test("bearerToken() takes one token and nothing else", () => {
  expect(["Bearer a.b-c", "bearer  x", "BEARER x "].map(bearerToken)).toEqual(["a.b-c", "x", "x"]);
  for (
    const header of [null, "", "Bearer", "Bearer ", "Basic eDp5", "Bearer a b", "xBearer a", "Bearer\ta"]
  ) {
    expect(bearerToken(header)).toBeUndefined();
  }
});

test("a subject matches when it has every attribute that is asked for", () => {
  const subject = subjectOf({ CN: "billing", O: "acme, inc", OU: ["a", "b"] });
  const matches = (text: string) => {
    const wanted = parseSubject(text);
    return wanted !== undefined && subjectMatches(wanted, subject);
  };
  expect(["CN=billing", "CN=billing, O=acme\\, inc", " O = acme\\, inc "].map(matches)).toEqual([
    true,
    true,
    true,
  ]);
  expect(["CN=Billing", "CN=billing, OU=a", "C=de", "CN=bill"].map(matches)).toEqual([
    false,
    false,
    false,
    false,
  ]);
  for (const bad of ["", "CN", "CN=", "=x", "CN=a, CN=b", "CN=a,"]) expect(parseSubject(bad)).toBeUndefined();
  expect(subjectMatches({ constructor: "x" }, subjectOf(undefined))).toBe(false);
});

test("AddressSet.has() knows addresses and networks of both families", () => {
  const set = new AddressSet(["10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "::1"]);
  expect(
    ["10.1.2.3", "192.0.2.7", "::ffff:10.1.0.1", "2001:db8::5", "::1", "10.1.2.3"].map((a) => set.has(a)),
  )
    .toEqual([true, true, true, true, true, true]);
  expect(["10.2.0.1", "192.0.2.8", "2001:db9::", "::2", "", "x", "::ffff:10.2.0.1"].map((a) => set.has(a)))
    .toEqual([false, false, false, false, false, false, false]);
  for (let index = 0; index < 10_000; index++) set.has(`203.0.${index >> 8}.${index & 255}`);
  expect(set.has("10.1.9.9")).toBe(true);
  expect(["10.0.0.0/8", "::/0", "1.2.3.4"].map(addressProblem)).toEqual([undefined, undefined, undefined]);
  for (
    const bad of ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0/8", "1.2.3.4/-1"]
  ) {
    expect(addressProblem(bad)).toBeDefined();
  }
});

test("RateLimit lets a burst of one second pass, then exactly the rate", () => {
  const limit = new RateLimit(createRateTable(1), 0, { eventsPerSecond: 1000, bytesPerSecond: null });
  let nowUs = 1_800_000_000_000_000;
  const endUs = nowUs + 10_000_000;
  let taken = 0;
  for (; nowUs < endUs; nowUs += 1000) {
    while (limit.waitMs(nowUs) === 0) {
      limit.take(nowUs, 10, 1e9);
      taken += 10;
    }
  }
  // Ten seconds, the burst, and the batch that went over it.
  expect(taken).toBeGreaterThanOrEqual(11_000);
  expect(taken).toBeLessThanOrEqual(11_020);
  expect(Math.round(limit.waitMs(nowUs + 60_000_000))).toBe(0);
});

test("RateLimit of two threads' views is one bucket; another slot is another", () => {
  const table = createRateTable(2);
  const rates = { eventsPerSecond: null, bytesPerSecond: 1_000_000 };
  const [one, two, other] = [0, 0, 1].map((slot) => new RateLimit(table, slot, rates));
  one?.take(1e12, 1, 3_000_000);
  expect([one, two, other].map((limit) => Math.round(limit?.waitMs(1e12) ?? -1))).toEqual([2000, 2000, 0]);
});

test("ConnectionLimits counts connections by address, and gives them back", () => {
  const limits = new ConnectionLimits({ perAddress: 2, perSecond: null });
  expect(["a", "a", "a", "b"].map((address) => limits.enter(address, 0)))
    .toEqual([undefined, undefined, "connections_per_address", undefined]);
  limits.leave("a");
  expect(limits.enter("a", 0)).toBeUndefined();
  expect(limits.enter("a", 0)).toBe("connections_per_address");
});

test("ConnectionLimits lets one second's worth of connects in at once, then the rate", () => {
  const limits = new ConnectionLimits({ perAddress: null, perSecond: 5 });
  const enter = (nowUs: number) => limits.enter("a", nowUs) === undefined;
  expect(Array.from({ length: 7 }, () => enter(1e15))).toEqual([true, true, true, true, true, false, false]);
  expect([enter(1e15 + 199_999), enter(1e15 + 200_000), enter(1e15 + 200_001)]).toEqual([false, true, false]);
  expect(limits.enter("b", 1e15)).toBeUndefined();
});
