/** State and health of the pipeline, why, and the levers. */
import { hello, state } from "../live/source.ts";
import { useAction } from "../parts/action.ts";
import { confirmed } from "../parts/confirm.tsx";
import { OutcomeNotice } from "../parts/outcome.tsx";
import { request } from "../session.ts";

export function HealthCard() {
  const now = state.value;
  const { outcome, isBusy, run } = useAction();
  if (now === undefined) return <section class="card health">Waiting for the server</section>;
  const isPaused = now.pipeline === "PAUSED";
  const steer = (verb: string) =>
    run(async () => {
      await request(`/api/v1/control/${verb}`, { method: "POST" });
      return undefined;
    });
  const drain = async () => {
    const isSure = await confirmed(
      "Shut the server down?",
      "It takes no more events, finishes all it has accepted, and ends. It has to be started again by hand.",
      "Shut down",
    );
    if (isSure) await steer("drain");
  };
  return (
    <section class={`card health ${now.health.toLowerCase()}`} aria-label="Health">
      <p class="verdict">
        <i />
        <b>{now.health}</b>
        <span class={`pill ${now.pipeline.toLowerCase()}`}>{now.pipeline}</span>
      </p>
      <ul class="reasons" aria-label="Reasons">
        {now.reasons.length === 0
          ? <li class="calm">Nothing stands out: queues are short, nothing was dropped or refused.</li>
          : now.reasons.map((reason) => <li key={reason}>{reason}</li>)}
      </ul>
      {hello.value?.caller.admin === true && (
        <div class="actions">
          <button
            type="button"
            disabled={isBusy.value}
            onClick={() => void steer(isPaused ? "resume" : "pause")}
          >
            {isPaused ? "Resume" : "Pause"}
          </button>
          <button type="button" disabled={isBusy.value} class="quiet" onClick={() => void drain()}>
            Shut down…
          </button>
        </div>
      )}
      <OutcomeNotice outcome={outcome.value} />
    </section>
  );
}
