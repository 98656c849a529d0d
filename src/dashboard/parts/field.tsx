/** A labelled field of a form. */
import type { ComponentChildren } from "preact";

export interface FieldProps {
  readonly label: string;
  readonly children: ComponentChildren;
  readonly isWide?: boolean;
}

export function Field({ label, children, isWide }: FieldProps) {
  return (
    <label class={isWide === true ? "field wide" : "field"}>
      <span>{label}</span>
      {children}
    </label>
  );
}

/** What a form's fields hold, by name; text only. */
export function fieldsOf(form: HTMLFormElement): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of new FormData(form)) if (typeof value === "string") fields[name] = value.trim();
  return fields;
}

/** A local date and time as the API takes it; empty stays empty. */
export function instantOf(local: string | undefined): string {
  const ms = local === undefined || local === "" ? NaN : new Date(local).getTime();
  return Number.isFinite(ms) ? new Date(ms).toISOString() : "";
}
