/** Certificates made by openssl for one test run: an authority, servers, clients, and strangers. */
import { TemporaryFolder } from "../support/temp.ts";

const DAYS = 5;

/** A folder of PEM files: `<name>.pem` and `<name>.key`. */
export class Certificates {
  readonly folder = new TemporaryFolder("certificates");

  constructor() {
    this.#authority("ca", "/CN=test authority");
    this.#authority("evil-ca", "/CN=test authority");
  }

  path(file: string): string {
    return this.folder.path(file);
  }

  /** A certificate by an authority. @param names `subjectAltName`, such as `IP:127.0.0.1`. */
  issue(name: string, subject: string, { names = "", by = "ca", days = DAYS } = {}): void {
    const extension = names === "" ? "" : `subjectAltName=${names}`;
    Bun.write(this.path(`${name}.ext`), extension);
    this.#run(
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-subj",
      subject,
      "-keyout",
      this.path(`${name}.key`),
      "-out",
      this.path(`${name}.csr`),
    );
    const validity = days > 0
      ? ["-days", String(days)]
      : ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"];
    const signing = ["-CA", this.path(`${by}.pem`), "-CAkey", this.path(`${by}.key`), "-CAcreateserial"];
    if (days > 0) {
      this.#run(
        "x509",
        "-req",
        "-in",
        this.path(`${name}.csr`),
        ...signing,
        ...validity,
        "-extfile",
        this.path(`${name}.ext`),
        "-out",
        this.path(`${name}.pem`),
      );
    } else {
      // `x509` of OpenSSL 3.0 cannot date back; `ca` can.
      Bun.write(this.path("index.txt"), "");
      Bun.write(
        this.path("ca.cnf"),
        `[ca]\ndefault_ca=d\n[d]\ndatabase=${this.path("index.txt")}\n` +
          `rand_serial=yes\nnew_certs_dir=${this.folder.root}\npolicy=p\ndefault_md=sha256\n[p]\ncommonName=supplied\n`,
      );
      this.#run(
        "ca",
        "-batch",
        "-config",
        this.path("ca.cnf"),
        "-in",
        this.path(`${name}.csr`),
        "-cert",
        this.path(`${by}.pem`),
        "-keyfile",
        this.path(`${by}.key`),
        "-startdate",
        "20200101000000Z",
        "-enddate",
        "20200102000000Z",
        "-notext",
        "-out",
        this.path(`${name}.pem`),
      );
    }
  }

  #authority(name: string, subject: string): void {
    this.#run(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      String(DAYS),
      "-subj",
      subject,
      "-keyout",
      this.path(`${name}.key`),
      "-out",
      this.path(`${name}.pem`),
    );
  }

  #run(...args: string[]): void {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { stdin: "ignore" });
    if (exitCode !== 0) throw new Error(`openssl ${args[0]} failed: ${stderr}`);
  }
}
