import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { newToken, tokenHash } from "../../src/auth/token.ts";
import { type ConfigTree, EscServer, EXECUTABLE, runEsc } from "../support/esc.ts";
import { Certificates } from "./certificates.ts";
import { control } from "./wire.ts";

let certificates: Certificates;
let server: EscServer | undefined;
const token = newToken();

beforeAll(() => {
  certificates = new Certificates();
  const here = { names: "IP:127.0.0.1,DNS:localhost" };
  certificates.issue("server", "/CN=first", here);
  certificates.issue("server2", "/CN=second", here);
  certificates.issue("elsewhere", "/CN=elsewhere", { names: "DNS:elsewhere.example" });
  certificates.issue("billing", "/CN=billing/O=acme");
  certificates.issue("nobody", "/CN=nobody/O=acme");
  certificates.issue("old", "/CN=billing", { days: 0 });
  certificates.issue("evil", "/CN=billing/O=acme", { by: "evil-ca" });
});
afterAll(() => certificates.folder.remove());
afterEach(async () => {
  await server?.remove();
  server = undefined;
});

async function start(tls: ConfigTree, auth: ConfigTree = {}): Promise<EscServer> {
  const file = (name: string) => certificates.path(name);
  const config = {
    tls: {
      enabled: true,
      cert_file: file("server.pem"),
      key_file: file("server.key"),
      ca_file: file("ca.pem"),
      ...tls,
    },
    auth,
  };
  return server = await EscServer.start({ config, isTls: true });
}

/** What openssl's own client gets from a port. */
async function handshake(port: number, ...args: string[]): Promise<string> {
  const client = Bun.spawn(
    [
      "openssl",
      "s_client",
      "-connect",
      `127.0.0.1:${port}`,
      "-CAfile",
      certificates.path("ca.pem"),
      "-verify_return_error",
      ...args,
    ],
    { stdin: new Blob([]), stdout: "pipe", stderr: "pipe" },
  );
  const [out, err] = await Promise.all([
    new Response(client.stdout).text(),
    new Response(client.stderr).text(),
  ]);
  await client.exited;
  return out + err;
}

describe("versions", () => {
  test.each(
    [
      ["-tls1", false],
      ["-tls1_1", false],
      ["-tls1_2", true],
      ["-tls1_3", true],
    ] as const,
  )("%s is spoken: %p, on TCP and HTTP", async (version, isSpoken) => {
    const { tcpPort, httpPort } = await start({});
    for (const port of [tcpPort, httpPort]) {
      // A library that is asked for old versions must be allowed to speak them.
      const text = await handshake(port, version, "-cipher", "ALL:@SECLEVEL=0");
      expect(/Verify return code: 0 \(ok\)/.test(text) && /Cipher is (TLS|ECDHE)/.test(text)).toBe(isSpoken);
    }
  });
});

/** `esc send` as a client: 0 when the event was accepted. */
async function send(port: number, ...args: string[]): Promise<number> {
  const command = ["send", "--port", String(port), "--topic", "orders.a", "--payload", "x", ...args];
  return (await runEsc(command)).status;
}

/** Status of `GET /api/v1/stats`, or 0 when there was no connection. */
async function get(httpPort: number, tls: Record<string, unknown>, headers: Record<string, string> = {}) {
  try {
    return (await fetch(`https://127.0.0.1:${httpPort}/api/v1/stats`, { tls, headers, keepalive: false }))
      .status;
  } catch {
    return 0;
  }
}
const pem = (name: string) => Bun.file(certificates.path(name));
const shown = (name: string) => ({ ca: pem("ca.pem"), cert: pem(`${name}.pem`), key: pem(`${name}.key`) });
const flags = (name: string) => [
  "--ca",
  certificates.path("ca.pem"),
  "--client-cert",
  certificates.path(`${name}.pem`),
  "--client-key",
  certificates.path(`${name}.key`),
];

test("clients check the server: its authority and its name", async () => {
  const { tcpPort, httpPort } = await start({});
  expect(await send(tcpPort, "--ca", certificates.path("ca.pem"))).toBe(0);
  expect(await send(tcpPort, "--ca", certificates.path("evil-ca.pem"))).toBe(69);
  expect(await send(tcpPort, "--tls")).toBe(69);
  expect(await send(tcpPort)).not.toBe(0);
  expect(await get(httpPort, { ca: pem("ca.pem") })).toBe(200);
  expect(await get(httpPort, { ca: pem("evil-ca.pem") })).toBe(0);
  expect(await get(httpPort, {})).toBe(0);
  const response = await fetch(`https://127.0.0.1:${httpPort}/healthz`, { tls: { ca: pem("ca.pem") } });
  expect(response.headers.get("strict-transport-security")).toContain("max-age");
});

test("a certificate for another name is refused by clients", async () => {
  const { tcpPort } = await start({
    cert_file: certificates.path("elsewhere.pem"),
    key_file: certificates.path("elsewhere.key"),
  });
  expect(await send(tcpPort, "--ca", certificates.path("ca.pem"))).toBe(69);
});

test("plain text on a TLS port is not answered", async () => {
  const { httpPort } = await start({});
  expect(await fetch(`http://127.0.0.1:${httpPort}/healthz`).then(() => "answered", () => "refused")).toBe(
    "refused",
  );
});

describe("client_auth require", () => {
  test.each(
    [
      ["billing", 0, 200],
      ["nobody", 0, 200],
      ["old", 69, 0],
      ["evil", 69, 0],
    ] as const,
  )("without auth, %s: TCP exits %d, HTTP answers %d", async (name, exit, status) => {
    const { tcpPort, httpPort } = await start({ client_auth: "require" });
    expect(await send(tcpPort, ...flags(name))).toBe(exit);
    expect(await get(httpPort, shown(name))).toBe(status);
  });

  test("no certificate: neither TCP nor HTTP", async () => {
    const { tcpPort, httpPort } = await start({ client_auth: "require" });
    expect(await send(tcpPort, "--ca", certificates.path("ca.pem"))).not.toBe(0);
    expect(await get(httpPort, { ca: pem("ca.pem") })).toBe(0);
  });
});

describe("certificates as identities on TCP", () => {
  const auth = {
    enabled: true,
    certificates: [{ name: "billing", subject: "CN=billing, O=acme", publish: ["orders.>"] }],
    tokens: [{ name: "all", sha256: tokenHash(token), publish: [">"], read: [">"] }],
  };

  test.each(
    [
      ["optional", flagsOf("billing"), 0],
      ["optional", flagsOf("nobody"), 1],
      ["optional", flagsOf("evil"), 1],
      ["optional", flagsOf("old"), 1],
      ["optional", flagsOf(undefined), 1],
      ["optional", [...flagsOf(undefined), "--token", token], 0],
      ["optional", [...flagsOf("nobody"), "--token", token], 0],
      ["optional", [...flagsOf("billing"), "--token", "esc_wrong"], 1],
      ["require", flagsOf("billing"), 0],
      ["require", flagsOf("nobody"), 1],
      ["require", [...flagsOf("evil"), "--token", token], 69],
      ["require", [...flagsOf("nobody"), "--token", token], 0],
    ] as const,
  )("client_auth %s, %j: exit %d", async (clientAuth, args, exit) => {
    const { tcpPort } = await start({ client_auth: clientAuth }, auth);
    const real = args.map((argument) =>
      argument.startsWith("@") ? certificates.path(argument.slice(1)) : argument
    );
    expect(await send(tcpPort, ...real)).toBe(exit);
  });

  test("a certificate may do what its entry says and no more; on HTTP a token is needed", async () => {
    const { tcpPort, httpPort } = await start({ client_auth: "optional" }, auth);
    expect(await send(tcpPort, ...flags("billing"), "--topic", "audit.a")).toBe(1);
    expect(await get(httpPort, shown("billing"))).toBe(401);
    expect(await get(httpPort, { ca: pem("ca.pem") }, { authorization: `Bearer ${token}` })).toBe(200);
  });
});

/** Paths are filled in when the certificates exist. */
function flagsOf(name: string | undefined): string[] {
  const own = name === undefined ? [] : ["--client-cert", `@${name}.pem`, "--client-key", `@${name}.key`];
  return ["--ca", "@ca.pem", ...own];
}

/** Whether a new TLS connection to the TCP listener is welcomed. */
function greets(port: number, tls: Record<string, unknown>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const hello = control(1, { acks: "none" });
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    tls,
    socket: {
      handshake: (socket) => void socket.write(hello),
      data(socket) {
        resolve(true);
        socket.end();
      },
      close: () => resolve(false),
      error: () => resolve(false),
    },
  }).catch(() => resolve(false));
  return promise;
}

/** How many sockets listen on the port. */
function listeners(port: number): number {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync("/proc/net/tcp", "utf8").split("\n").filter((line) => {
    const [, local = "", , state] = line.trim().split(/ +/);
    return local.endsWith(wanted) && state === "0A";
  }).length;
}

test("SIGHUP changes the certificate and drops no connection", async () => {
  const live = { cert_file: certificates.path("live.pem"), key_file: certificates.path("live.key") };
  const put = (name: string) => {
    for (const end of ["pem", "key"]) {
      copyFileSync(certificates.path(`${name}.${end}`), certificates.path(`live.${end}`));
    }
  };
  put("server");
  const { tcpPort, httpPort, grpcPort } = await start(live);
  const subject = async (port: number) => /subject=CN ?= ?(\w+)/.exec(await handshake(port))?.[1];
  const subjects = () => Promise.all([tcpPort, httpPort, grpcPort].map(subject));
  expect(await subjects()).toEqual(["first", "first", "first"]);

  const gone = new AbortController();
  const tls = { ca: pem("ca.pem") };
  const stream = await fetch(`https://127.0.0.1:${httpPort}/api/v1/subscribe?topics=>`, {
    tls,
    signal: gone.signal,
  });
  const reader = stream.body?.getReader();
  await reader?.read();
  const pipe = Bun.spawn([
    EXECUTABLE,
    "send",
    "--port",
    String(tcpPort),
    "--topic",
    "t",
    "--acks",
    "durable",
    "--ca",
    certificates.path("ca.pem"),
    "-",
  ], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  pipe.stdin.write("before\n");
  await pipe.stdin.flush();
  const before = new TextDecoder().decode((await reader?.read())?.value);
  expect(before).toContain('"payload":"before"');

  put("server2");
  // Connections are opened all the time: none may be refused while the port changes hands.
  let failures = 0;
  let opened = 0;
  let isOver = false;
  const knock = async (isLetIn: () => Promise<boolean>) => {
    for (; !isOver; opened++) if (!await isLetIn()) failures++;
  };
  const knocking = [
    knock(async () => await get(httpPort, tls) === 200),
    knock(async () => await get(httpPort, tls) === 200),
    knock(() => greets(tcpPort, tls)),
    knock(() => greets(tcpPort, tls)),
  ];
  server?.signal("SIGHUP");
  await server?.logged(/"configuration reloaded"/);
  // New connections get the new certificate; the old listeners close a moment later.
  while ((await subjects()).join() !== "second,second,second") await Bun.sleep(5);
  const end = opened + 200;
  while (opened < end || listeners(httpPort) > 1 || listeners(tcpPort) > 1) {
    await Bun.sleep(20);
  }
  isOver = true;
  await Promise.all(knocking);
  expect(failures).toBe(0);

  pipe.stdin.write("after\n");
  await pipe.stdin.end();
  expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('"payload":"after"');
  expect(await pipe.exited).toBe(0);
  gone.abort();
});

test.each(
  [
    [{ key_file: "server2.key" }, "tls.key_file is not the key of the certificate in tls.cert_file"],
    [{ cert_file: "none.pem" }, "cannot read tls.cert_file"],
    [{ cert_file: "server.key" }, "tls.cert_file holds no certificate in PEM"],
    [{ ca_file: "none", client_auth: "require" }, "tls.client_auth needs tls.ca_file"],
    [{ key_file: "server.pem" }, "tls.key_file holds no private key in PEM"],
  ] as const,
)("a configuration with %j is refused: %s", async (files, message) => {
  const tls: Record<string, unknown> = {
    enabled: true,
    cert_file: "server.pem",
    key_file: "server.key",
    ...files,
  };
  const path = certificates.path("config.yaml");
  writeFileSync(path, JSON.stringify({ tls }));
  const result = await runEsc(["config", "validate", path]);
  expect([result.status, result.stderr.includes(message)]).toEqual([78, true]);
});
