/** How the last action went. */
import { Notice } from "./notice.tsx";
import type { Outcome } from "./action.ts";

export function OutcomeNotice({ outcome }: { readonly outcome: Outcome | undefined }) {
  if (outcome === undefined) return null;
  return <Notice kind={outcome.isGood ? "good" : "bad"}>{outcome.text}</Notice>;
}
