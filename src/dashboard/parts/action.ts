/** Something the user makes the server do: runs once at a time, and says how it went. */
import { useSignal } from "@preact/signals";

export interface Outcome {
  readonly isGood: boolean;
  readonly text: string;
}

export function useAction() {
  const outcome = useSignal<Outcome | undefined>(undefined);
  const isBusy = useSignal(false);
  /** @param work Answers what is to be said; `undefined`: nothing. */
  const run = async (work: () => Promise<string | undefined>): Promise<void> => {
    if (isBusy.value) return;
    isBusy.value = true;
    try {
      const text = await work();
      outcome.value = text === undefined ? undefined : { isGood: true, text };
    } catch (error) {
      outcome.value = { isGood: false, text: error instanceof Error ? error.message : String(error) };
    } finally {
      isBusy.value = false;
    }
  };
  return { outcome, isBusy, run };
}
