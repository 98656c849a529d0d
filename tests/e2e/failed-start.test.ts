import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

const FREE = { host: "127.0.0.1", port: 0 };

test.each(["http", "tcp", "grpc"])(
  "a server whose %s port is taken says so and ends with 1",
  async (listener) => {
    const squatter = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => squatter.once("listening", resolve));
    const address = squatter.address();
    const taken = { host: "127.0.0.1", port: typeof address === "object" ? address?.port : 0 };
    const folder = new TemporaryFolder("failed-start");
    const of = (name: string) => name === listener ? taken : FREE;
    const config = {
      data: { dir: folder.path("data") },
      ingestion: { tcp: of("tcp"), udp: { enable: false } },
      http: of("http"),
      grpc: of("grpc"),
    };
    writeFileSync(folder.path("config.yaml"), JSON.stringify(config));
    const { status, stderr } = await runEsc(["serve", "--config", folder.path("config.yaml")]);
    expect([status, stderr]).toEqual([1, expect.stringContaining(String(taken.port))]);
    squatter.close();
    folder.remove();
  },
  30_000,
);
