/** Reads samples out of a page of metrics as this server writes it (Prometheus text format 0.0.4). */

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The samples of one family, none when the page has none. */
export function samplesOf(page: string, family: string): Sample[] {
  const found: Sample[] = [];
  for (const text of page.split("\n")) {
    if (!text.startsWith(family)) continue;
    const [, labels = "", value = ""] = /^[a-zA-Z_:]+(?:\{(.*)\})? (\S+)/.exec(text) ?? [];
    if (text.charAt(family.length) !== "{" && text.charAt(family.length) !== " ") continue;
    found.push({ labels: labelsOf(labels), value: Number(value) });
  }
  return found;
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name = "", value = ""] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name] = value.replaceAll(/\\(.)/g, (_, character: string) => character === "n" ? "\n" : character);
  }
  return labels;
}
