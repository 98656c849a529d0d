/** The servers that `clients/conformance.json` plays with, and the runners that play it. */
import { newToken, tokenHash } from "../../src/auth/token.ts";
import type { World } from "../../clients/typescript/conformance.ts";
import { Certificates } from "../e2e/certificates.ts";
import { EscServer } from "../support/esc.ts";
import { freePort } from "../support/ports.ts";
import { TemporaryFolder } from "../support/temp.ts";

export const CONFORMANCE = `${import.meta.dir}/../../clients/conformance.json`;

/** Several servers of esc, one of which is killed at will, and addresses of none. */
export class Servers {
  readonly #open: EscServer;
  readonly #guarded: EscServer;
  readonly #tls: EscServer | undefined;
  readonly #certificates: Certificates | undefined;
  #killed: EscServer;
  readonly #killedPorts: readonly [tcp: number, http: number];
  readonly #nobody: number;
  readonly #token: string;

  private constructor(
    [open, guarded, killed, tls]: readonly [EscServer, EscServer, EscServer, EscServer | undefined],
    more: {
      readonly certificates: Certificates | undefined;
      readonly killedPorts: readonly [number, number];
      readonly nobody: number;
      readonly token: string;
    },
  ) {
    this.#open = open;
    this.#guarded = guarded;
    this.#killed = killed;
    this.#tls = tls;
    this.#certificates = more.certificates;
    this.#killedPorts = more.killedPorts;
    this.#nobody = more.nobody;
    this.#token = more.token;
  }

  static async start(): Promise<Servers> {
    const token = newToken();
    const grants = { publish: ["orders.>"], subscribe: ["orders.>"], read: ["orders.>"] };
    const tokens = [{ name: "shop", sha256: tokenHash(token), ...grants }];
    const certificates = Bun.which("openssl") === null ? undefined : certificatesOfServer();
    const killedPorts = [await freePort(), await freePort()] as const;
    const [open, guarded, killed, tls] = await Promise.all([
      EscServer.start(),
      EscServer.start({ config: { auth: { enabled: true, tokens } } }),
      startAt(killedPorts, new TemporaryFolder("killed")),
      certificates === undefined ? undefined : EscServer.start({
        isTls: true,
        config: {
          tls: {
            enabled: true,
            cert_file: certificates.path("server.pem"),
            key_file: certificates.path("server.key"),
          },
        },
      }),
    ]);
    const more = { certificates, killedPorts, token, nobody: await freePort() };
    return new Servers([open, guarded, killed, tls], more);
  }

  /** What a runner is told. @param run Its own name for topics, ids and consumers. */
  async world(run: string, transport: World["transport"]): Promise<World> {
    const of = ({ addresses }: EscServer) => ({
      tcp: addresses.tcp ?? "",
      http: `http://${addresses.http}`,
    });
    const nobody = { tcp: `127.0.0.1:${this.#nobody}`, http: `http://127.0.0.1:${this.#nobody}` };
    const ca = await this.#authority();
    return {
      run,
      transport,
      tokens: { orders: this.#token, wrong: "esc_wrong" },
      servers: {
        open: of(this.#open),
        guarded: of(this.#guarded),
        killed: of(this.#killed),
        nobody,
        // HTTP answers in a way that is no frame.
        wrong: { tcp: this.#open.addresses.http, http: nobody.http },
        ...(this.#tls === undefined || ca === undefined ? {} : { tls: { ...of(this.#tls), ca } }),
      },
    };
  }

  /** PEM of the authority that has signed the server's certificate. */
  async #authority(): Promise<string | undefined> {
    return this.#certificates && await Bun.file(this.#certificates.path("ca.pem")).text();
  }

  /** Kills the server that may be killed, and starts it upon its data at the same ports. */
  async restart(): Promise<void> {
    await this.#killed.kill();
    this.#killed = await startAt(this.#killedPorts, this.#killed.folder);
  }

  async remove(): Promise<void> {
    await Promise.all([this.#open, this.#guarded, this.#killed, this.#tls].map((one) => one?.remove()));
    this.#certificates?.folder.remove();
  }
}

function startAt([tcp, http]: readonly [number, number], folder: TemporaryFolder): Promise<EscServer> {
  return EscServer.start({ folder, config: { ingestion: { tcp: { port: tcp } }, http: { port: http } } });
}

function certificatesOfServer(): Certificates {
  const certificates = new Certificates();
  certificates.issue("server", "/CN=127.0.0.1", { names: "IP:127.0.0.1" });
  return certificates;
}

/**
 * Runs a runner to its end.
 *
 * @param command Program and arguments; the file and the world are added.
 * @returns What it found, by the names of the file's cases.
 */
export async function play(
  command: readonly string[],
  world: World,
  servers: Servers,
): Promise<Record<string, unknown>> {
  const child = Bun.spawn([...command, CONFORMANCE, JSON.stringify(world)], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of child.stdout) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0 && text.startsWith("restart "); end = text.indexOf("\n")) {
      text = text.slice(end + 1);
      await servers.restart();
      child.stdin.write("go\n");
      child.stdin.flush();
    }
  }
  const status = await child.exited;
  if (status !== 0) throw new Error(`${command[0]} ended with ${status}: ${text}`);
  return JSON.parse(text);
}

interface Case {
  readonly name: string;
  readonly server?: string;
  readonly transport?: string;
  readonly expect: unknown;
}

/** What the file expects of a client that meets these servers. */
export async function expected({ servers, transport }: World): Promise<Record<string, unknown>> {
  const file: Record<"encode" | "decode" | "live", readonly Case[]> = await Bun.file(CONFORMANCE).json();
  const isMeant = (one: Case) =>
    (one.server === undefined || one.server in servers) && (one.transport ?? transport) === transport;
  return Object.fromEntries(
    (["encode", "decode", "live"] as const).flatMap((part) =>
      file[part].filter(isMeant).map((one) => [`${part}: ${one.name}`, one.expect])
    ),
  );
}
