/** Certificate and key of the gRPC listener, which may change while it listens. */
import { ServerCredentials } from "@grpc/grpc-js";
import type { TlsListenerOptions } from "../../ingest/tcp.ts";

export class TlsCredentials extends ServerCredentials {
  /** Client certificates are asked for as `tls` says; one that is optional and not verified counts for nothing. */
  constructor(tls: TlsListenerOptions) {
    const { clientAuth } = tls;
    super(
      { requestCert: clientAuth !== "none", rejectUnauthorized: clientAuth === "require" },
      contextOf(tls),
    );
  }

  /** New connections get another certificate; those that are open go on with theirs. */
  replace(tls: TlsListenerOptions): void {
    this.updateSecureContextOptions(contextOf(tls));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf({ cert, key, ca }: TlsListenerOptions) {
  return { cert, key, minVersion: "TLSv1.2" as const, ...(ca === null ? {} : { ca }) };
}
