/** What a key says about itself, beside the values that it takes. */

/** What is known about a key besides its values. Properties with `x-` go into the JSON Schema as they are. */
export interface KeyInfo {
  /** One line, what it means; the unit if its values have one. */
  readonly description: string;
  readonly examples?: readonly unknown[];
  /** What to show as the default where it is decided elsewhere than in the schema. */
  readonly default?: unknown;
  /** Set while the key is accepted, checked, and without effect. */
  readonly "x-effect"?: "none";
}

/** A description alone, or with more. */
export type About = string | KeyInfo;

/** zod drops the `default` and `examples` of schemas that transform; under other names they stay. */
export function metaOf(about: About): Record<string, unknown> {
  if (typeof about === "string") return { description: about };
  const { default: shownDefault, examples, ...rest } = about;
  return { ...rest, shownDefault, shownExamples: examples };
}
