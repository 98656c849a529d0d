/** One sentence that a view has to say: what failed, that there is nothing. */
import type { ComponentChildren } from "preact";

export interface NoticeProps {
  readonly kind: "info" | "good" | "bad";
  readonly children: ComponentChildren;
}

export function Notice({ kind, children }: NoticeProps) {
  return <p class={`notice ${kind}`} role={kind === "bad" ? "alert" : "status"}>{children}</p>;
}

/** Nothing while all is well. */
export function Problem({ text }: { readonly text: string | undefined }) {
  return text === undefined ? null : <Notice kind="bad">{text}</Notice>;
}
