import { expect, test } from "bun:test";
import { BodyGate, JSON_DEPTH_MAX, parseJson } from "../../src/api/body.ts";

const request = (body: string | ReadableStream) => new Request("http://localhost/", { method: "POST", body });
const status = async (response: Promise<Response>) => (await response).status;

test("read() takes a body up to the limit and refuses one above it, whatever it says of its length", async () => {
  const gate = new BodyGate(1000, () => {});
  const use = (bytes: Uint8Array) => new Response(String(bytes.length));
  expect(await (await gate.read(request("x".repeat(10)), 10, use)).text()).toBe("10");
  expect(await status(gate.read(request("x".repeat(11)), 10, use))).toBe(413);
  const chunks = new ReadableStream({
    start(controller) {
      for (let index = 0; index < 3; index++) controller.enqueue(new TextEncoder().encode("abcd"));
      controller.close();
    },
  });
  expect(await status(gate.read(request(chunks), 11, use))).toBe(413);
  expect(await (await gate.read(new Request("http://localhost/"), 10, use)).text()).toBe("0");
});

test("read() answers 400 for a body that breaks off, hands nothing on and lets go of what it held", async () => {
  const gate = new BodyGate(15, () => {});
  const broken = () => {
    let pulled = 0;
    return new ReadableStream({
      pull(controller) {
        if (pulled++ === 0) controller.enqueue(new Uint8Array(10));
        else controller.error(new Error("gone"));
      },
    });
  };
  const use = () => {
    throw new Error("The body was handed on");
  };
  for (let time = 0; time < 3; time++) {
    expect((await gate.read(request(broken()), 11, use)).status).toBe(400);
  }
});

test("read() refuses with 429 while too many bytes are held, and takes them again afterwards", async () => {
  const gate = new BodyGate(15, () => {});
  const held = Promise.withResolvers<Response>();
  const first = gate.read(request("x".repeat(10)), 10, () => held.promise);
  await new Promise((resolve) => setImmediate(resolve));
  const refused = await gate.read(request("x".repeat(10)), 10, () => new Response());
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
  held.resolve(new Response("done"));
  expect(await (await first).text()).toBe("done");
  expect(await status(gate.read(request("x".repeat(10)), 10, () => new Response()))).toBe(200);
  // A handler that throws gives its bytes back, too.
  await expect(gate.read(request("x".repeat(10)), 10, () => Promise.reject(new Error("no")))).rejects.toThrow(
    "no",
  );
  expect(await status(gate.read(request("x".repeat(10)), 10, () => new Response()))).toBe(200);
});

test("parseJson() takes JSON_DEPTH_MAX levels and refuses one more; brackets in strings do not count", () => {
  const nested = (depth: number) => new TextEncoder().encode("[".repeat(depth) + "]".repeat(depth));
  expect(parseJson(nested(JSON_DEPTH_MAX))).toHaveProperty("value");
  expect(parseJson(nested(JSON_DEPTH_MAX + 1))).toEqual({
    isTooDeep: true,
    problem: `JSON is nested deeper than ${JSON_DEPTH_MAX}`,
  });
  const text = JSON.stringify({ a: "[".repeat(200), b: '\\"[[['.repeat(50) });
  expect(parseJson(new TextEncoder().encode(text))).toEqual({ value: JSON.parse(text) });
  expect(parseJson(Uint8Array.of(0x22, 0xff, 0x22))).toEqual({ problem: "JSON is not UTF-8" });
  expect(parseJson(new TextEncoder().encode("{]"))).toEqual({ problem: "Not JSON" });
});
