/** The effective configuration as YAML, without its secrets. */
import { stringify } from "yaml";
import type { DocumentValue } from "./document.ts";
import { toDocument } from "./document.ts";
import type { LoadedConfig } from "./load.ts";
import { pathId } from "./tree.ts";

/**
 * The configuration in the file's form, with every key. A value that contains a secret is shown as it
 * stands in the file (`${file:PATH}`), so the print can be loaded in the same place. A password that stands in
 * a URL as it is shows as `***`.
 */
export function printableConfig(
  { config, secrets }: Pick<LoadedConfig, "config" | "secrets">,
): DocumentValue {
  return hide(toDocument(config), []);

  function hide(value: DocumentValue, path: readonly (string | number)[]): DocumentValue {
    // A single file in the original's form has no index in the file, but one here.
    const source = secrets.get(pathId(path)) ?? secrets.get(pathId(path.filter((step) => step !== 0)));
    if (source !== undefined) return source;
    if (typeof value === "string") return withoutPassword(value).replaceAll("${", () => "$${");
    if (typeof value !== "object") return value;
    if (isList(value)) return value.map((item, index) => hide(item, [...path, index]));
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, hide(inner, [...path, key])]),
    );
  }
}

/** The same as YAML text. */
export function printConfig(loaded: Pick<LoadedConfig, "config" | "secrets">): string {
  return stringify(printableConfig(loaded), { lineWidth: 0 });
}

function withoutPassword(value: string): string {
  return value.replace(/^([a-z][a-z+]*:\/\/[^:/@]*):[^/]*@/, "$1:***@");
}

function isList(value: DocumentValue): value is readonly DocumentValue[] {
  return Array.isArray(value);
}
