import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { HANDLER_TYPES, newHandler } from "../../cli/handlers-template.ts";
import { TemporaryFolder } from "../support/temp.ts";

const TSC = join(import.meta.dir, "..", "..", "node_modules", ".bin", "tsc");

test("what `esc handlers new` writes is right by its own types, and a mistake is found", () => {
  const folder = new TemporaryFolder("handlers");
  try {
    writeFileSync(folder.path("handler.d.ts"), HANDLER_TYPES);
    writeFileSync(folder.path("good.ts"), newHandler("orders.>"));
    writeFileSync(folder.path("bad.ts"), newHandler("orders.>").replace('"WARNING"', '"LOUD"'));
    const check = (file: string) => {
      const flags =
        "--noEmit --strict --allowImportingTsExtensions --module esnext --target esnext --moduleResolution bundler";
      return Bun.spawnSync([TSC, ...flags.split(" "), file], { cwd: folder.root }).stdout.toString();
    };
    expect(check("good.ts")).toBe("");
    expect(check("bad.ts")).toContain(`'"LOUD"' is not assignable to parameter of type 'Severity'`);
  } finally {
    folder.remove();
  }
}, 60_000);
