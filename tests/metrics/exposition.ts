/** A strict reader of the Prometheus text format 0.0.4: throws at everything the format does not allow. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (NaN|[+-]Inf|[-+]?\\d[\\d.e+-]*)$`);
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/;

export function parseExposition(page: string): Map<string, Family> {
  if (!page.endsWith("\n")) throw new Error("The page does not end with a newline");
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let current: Family | undefined;
  let help: [name: string, text: string] | undefined;
  for (const line of page.slice(0, -1).split("\n")) {
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`).exec(line);
    if (comment) {
      const [, kind, name = "", text = ""] = comment;
      if (kind === "HELP") {
        if (families.has(name)) throw new Error(`${name} has two HELP lines`);
        if (/\\(?![\\n])/.test(text)) throw new Error(`HELP of ${name} is not escaped`);
        help = [name, text];
        continue;
      }
      if (families.has(name)) throw new Error(`${name} has two TYPE lines`);
      if (help?.[0] !== name) throw new Error(`TYPE of ${name} does not follow its HELP`);
      if (!["counter", "gauge", "histogram"].includes(text)) throw new Error(`${name} has type ${text}`);
      if (text === "counter" && !name.endsWith("_total")) {
        throw new Error(`Counter ${name} does not end in _total`);
      }
      current = { name, type: text, help: help[1], samples: [] };
      families.set(name, current);
      continue;
    }
    const [, name = "", labelText = "", number = ""] = SAMPLE.exec(line) ?? [];
    if (!name) throw new Error(`Not a sample: ${line}`);
    const isOwn = current?.type === "histogram"
      ? [`${current.name}_bucket`, `${current.name}_sum`, `${current.name}_count`].includes(name)
      : current?.name === name;
    if (!current || !isOwn) throw new Error(`${name} is outside its family`);
    const labels = parseLabels(labelText);
    const identity = `${name} ${JSON.stringify(Object.entries(labels).toSorted())}`;
    if (seen.has(identity)) throw new Error(`Two samples for ${identity}`);
    seen.add(identity);
    current.samples.push({ name, labels, value: number === "+Inf" ? Infinity : Number(number) });
  }
  for (const family of families.values()) if (family.type === "histogram") checkHistogram(family);
  return families;
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest) {
    const [whole, name = "", value = ""] = LABEL.exec(rest) ?? [];
    if (!whole) throw new Error(`Not a label: ${rest}`);
    if (name in labels) throw new Error(`Label ${name} twice`);
    labels[name] = value.replace(/\\(.)/g, (_, character) => character === "n" ? "\n" : character);
    rest = rest.slice(whole.length);
  }
  return labels;
}

/** Buckets rise in bound and count, end with +Inf, and agree with _count. */
function checkHistogram(family: Family): void {
  const series = new Map<string, Sample[]>();
  for (const sample of family.samples) {
    const { le: _, ...rest } = sample.labels;
    const key = JSON.stringify(rest);
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  for (const [key, samples] of series) {
    const buckets = samples.filter((sample) => sample.name.endsWith("_bucket"));
    const bounds = buckets.map((bucket) =>
      bucket.labels["le"] === "+Inf" ? Infinity : Number(bucket.labels["le"])
    );
    const counts = buckets.map((bucket) => bucket.value);
    const total = samples.find((sample) => sample.name.endsWith("_count"))?.value;
    const rises = (list: number[], isStrict: boolean) =>
      list.every((value, index) =>
        index === 0 || (isStrict ? value > (list[index - 1] ?? 0) : value >= (list[index - 1] ?? 0))
      );
    const isGood = bounds.at(-1) === Infinity && rises(bounds, true) && rises(counts, false) &&
      counts.at(-1) === total &&
      samples.some((sample) => sample.name.endsWith("_sum"));
    if (!isGood) throw new Error(`Histogram ${family.name}${key} is not well formed`);
  }
}
