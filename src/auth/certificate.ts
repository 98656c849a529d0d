/** Client certificates as identities: which subject stands for whom. */

/** Attributes of a certificate's subject, as the TLS library reports them: `CN`, `O`, `OU`, … */
export type Subject = Readonly<Record<string, string>>;

/**
 * Reads a subject as configurations write it: `CN=billing, O=acme`. A comma within a value is written `\,`.
 *
 * @returns `undefined` when it is not a list of NAME=value, or names one twice.
 */
export function parseSubject(text: string): Subject | undefined {
  const subject: Record<string, string> = Object.create(null);
  for (const part of text.split(/(?<!\\),/)) {
    const [, name, value] = /^\s*([A-Za-z][A-Za-z0-9.]*)\s*=\s*(.*?)\s*$/.exec(part) ?? [];
    if (name === undefined || value === undefined || value === "" || name in subject) return undefined;
    subject[name] = value.replaceAll("\\,", ",");
  }
  return subject;
}

/** The attributes of a subject that are texts; one that occurs several times decides nothing. */
export function subjectOf(attributes: unknown): Subject {
  const subject: Record<string, string> = Object.create(null);
  if (typeof attributes !== "object" || attributes === null) return subject;
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "string") subject[name] = value;
  }
  return subject;
}

/** Whether a certificate has every attribute that is asked for. */
export function subjectMatches(wanted: Subject, subject: Subject): boolean {
  return Object.entries(wanted).every(([name, value]) => subject[name] === value);
}
