/** A folder of its own for a test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** An empty folder in the system's place for such, removed with all its content by `remove()`. */
export class TemporaryFolder {
  readonly root: string;

  /** @param name Part of the folder's name, so that a forgotten one tells where it comes from. */
  constructor(name: string) {
    this.root = mkdtempSync(join(tmpdir(), `esc-test-${name}-`));
  }

  /** Absolute path of something in this folder. */
  path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
