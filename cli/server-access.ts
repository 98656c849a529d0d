/** How commands get in: the token they show, and the TLS they speak. Global options, for every command alike. */
import type { Command } from "commander";
import { readFileSync } from "node:fs";
import { type Address, type ClientTls, dialTcp } from "../src/client/tcp.ts";
import type { Dial } from "../src/client/transport.ts";
import { EscError } from "../src/errors.ts";

interface AccessFlags {
  readonly token?: string;
  readonly tls?: boolean;
  readonly ca?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
}

export interface ServerAccess {
  readonly token: string | undefined;
  /** `undefined`: plain text. */
  readonly tls: ClientTls | undefined;
}

let access: ServerAccess = { token: undefined, tls: undefined };

/** Adds the options to the program. A token in the environment is not seen by others in the list of processes. */
export function addAccessOptions(program: Command): void {
  program
    .option("--token <token>", "token for a server with auth (default: ESC_TOKEN)")
    .option("--tls", "speak TLS with the server")
    .option("--ca <file>", "certificates that the server's must come from, PEM; implies --tls")
    .option("--client-cert <file>", "client certificate to show, PEM; implies --tls")
    .option("--client-key <file>", "its private key, PEM");
}

/** Takes what was given. Call before any command runs. @throws {EscError} `USAGE` for files that cannot be read. */
export function useAccessOptions(
  flags: AccessFlags,
  env: Readonly<Record<string, string | undefined>>,
): void {
  const { ca, clientCert: cert, clientKey: key } = flags;
  if ((cert === undefined) !== (key === undefined)) {
    throw new EscError("USAGE", "--client-cert and --client-key belong together");
  }
  const isTls = flags.tls === true || ca !== undefined || cert !== undefined;
  access = {
    token: flags.token ?? (env["ESC_TOKEN"] || undefined),
    tls: isTls
      ? {
        ...(ca === undefined ? {} : { ca: read("--ca", ca) }),
        ...(cert === undefined ? {} : { cert: read("--client-cert", cert) }),
        ...(key === undefined ? {} : { key: read("--client-key", key) }),
      }
      : undefined,
  };
}

/** What the command was given. */
export function serverAccess(): ServerAccess {
  return access;
}

/** Opens connections to the server's TCP listener, the way the options say. */
export function dialServer({ host, port }: Address): Dial {
  return dialTcp({ host, port, ...(access.tls === undefined ? {} : { tls: access.tls }) });
}

function read(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new EscError("USAGE", `Cannot read ${flag} ${path}`, { cause });
  }
}
