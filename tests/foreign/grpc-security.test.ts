/** Who is who on the gRPC listener, with a client that is not ours: grpcurl. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { newToken, tokenHash } from "../../src/auth/token.ts";
import { Certificates } from "../e2e/certificates.ts";
import { EscServer } from "../support/esc.ts";
import { goProgram } from "../support/foreign.ts";

const grpcurl = await goProgram("github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3");
const token = newToken();
const auth = {
  enabled: true,
  certificates: [{ name: "billing", subject: "CN=billing, O=acme", publish: ["orders.>"] }],
  tokens: [{ name: "all", sha256: tokenHash(token), publish: [">"], subscribe: [">"] }],
};

describe.skipIf(grpcurl.missing !== undefined)(`grpcurl (${grpcurl.missing ?? "installed"})`, () => {
  let certificates: Certificates;
  let server: EscServer;

  beforeAll(async () => {
    certificates = new Certificates();
    certificates.issue("server", "/CN=first", { names: "IP:127.0.0.1,DNS:localhost" });
    certificates.issue("billing", "/CN=billing/O=acme");
    certificates.issue("nobody", "/CN=nobody/O=acme");
    certificates.issue("evil", "/CN=billing/O=acme", { by: "evil-ca" });
    const tls = {
      enabled: true,
      cert_file: certificates.path("server.pem"),
      key_file: certificates.path("server.key"),
      ca_file: certificates.path("ca.pem"),
      client_auth: "optional",
    };
    server = await EscServer.start({ config: { tls, auth }, isTls: true });
  });
  afterAll(async () => {
    await server.remove();
    certificates.folder.remove();
  });

  /** Publishes one event. @returns `ok`, or the status that refused it. */
  async function publish(topic: string, ...flags: readonly string[]): Promise<string> {
    const event = JSON.stringify({ event: { topic, payload: "aGk=" } });
    const call = ["-d", event, server.addresses.grpc ?? "", "eventstream.EventService/Publish"];
    const child = Bun.spawn([grpcurl.program ?? "", ...flags, ...call], { stdout: "pipe", stderr: "pipe" });
    const text = await new Response(child.stderr).text();
    return await child.exited === 0 ? "ok" : /Code: (\w+)/.exec(text)?.[1] ?? text.trim();
  }
  const ca = () => ["-cacert", certificates.path("ca.pem")];
  const shown = (name: string) => [
    ...ca(),
    ...["-cert", certificates.path(`${name}.pem`), "-key", certificates.path(`${name}.key`)],
  ];

  test("a certificate stands for somebody, who may do what the entry says", async () => {
    expect(await publish("orders.a", ...shown("billing"))).toBe("ok");
    expect(await publish("audit.a", ...shown("billing"))).toBe("PermissionDenied");
    expect(await publish("orders.a", ...shown("nobody"))).toBe("Unauthenticated");
    expect(await publish("orders.a", ...shown("evil"))).toBe("Unauthenticated");
    expect(await publish("orders.a", ...ca())).toBe("Unauthenticated");
  }, 30_000);

  test("a token counts, with and before a certificate", async () => {
    const bearer = ["-H", `authorization: Bearer ${token}`];
    expect(await publish("audit.a", ...ca(), ...bearer)).toBe("ok");
    expect(await publish("audit.a", ...shown("billing"), ...bearer)).toBe("ok");
    expect(await publish("orders.a", ...shown("billing"), "-H", "authorization: Bearer esc_wrong")).toBe(
      "Unauthenticated",
    );
  }, 30_000);

  test("plain text and unknown authorities get nowhere", async () => {
    expect(await publish("orders.a", "-plaintext", "-max-time", "3")).not.toBe("ok");
    expect(await publish("orders.a", "-cacert", certificates.path("evil-ca.pem"), "-max-time", "3"))
      .not.toBe("ok");
  }, 30_000);

  test("a stream ends when a reload takes its token away", async () => {
    const request = JSON.stringify({ topic_pattern: ">" });
    const child = Bun.spawn(
      [
        grpcurl.program ?? "",
        "-v",
        ...ca(),
        ...["-H", `authorization: Bearer ${token}`, "-d", request],
        server.addresses.grpc ?? "",
        "eventstream.EventService/Subscribe",
      ],
      { stdout: "pipe", stderr: "pipe" },
    );
    // The headers that open a stream have come: it is subscribed.
    const reader = child.stdout.getReader();
    let heard = "";
    while (!heard.includes("esc-version")) heard += new TextDecoder().decode((await reader.read()).value);
    await server.reconfigure((config) => ({ ...config, auth: { ...auth, tokens: [] } }));
    expect(await new Response(child.stderr).text()).toMatch(/Code: Unauthenticated[\s\S]*Token is not known/);
  }, 30_000);
});
