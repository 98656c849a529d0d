/** The pages of the documentation, and those whose commands other tests run. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dir, "..", "..");

/** README, docs and what lies beside code: everything that is for readers. */
export function pages(): string[] {
  const below = (folder: string) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".md") && !path.includes("node_modules"))
      .map((path) => join(folder, path));
  return ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", ...below("docs"), ...below("deploy")].toSorted();
}

/** Pages whose blocks are not checked here, and why. */
export const PAGES_NOT_RUN: Readonly<Record<string, string>> = {
  "docs/grpc.md": "needs grpcurl and generated stubs; tests/foreign/grpc.test.ts holds the same conversation",
  "docs/clients.md": "packages of other languages; their own tests run them",
  "docs/operations-tools.md":
    "interactive views and long measurements; tests/e2e and tests/cli run the commands",
  "docs/security.md": "openssl and certificates; tests/e2e/security-tls.test.ts makes and uses the same",
};

/** Languages of blocks that are examples for other programs; their own tests run them. */
export const LANGUAGES_NOT_RUN = [
  "ts",
  "tsx",
  "js",
  "python",
  "go",
  "html",
  "proto",
  "text",
  "ini",
  "dockerfile",
  "sql",
];
