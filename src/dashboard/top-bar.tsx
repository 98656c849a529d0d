/** The bar above everything: server, connection, time, source, theme. */
import { useSignal } from "@preact/signals";
import { followLive, LENGTHS, lengthSeconds, liveSpan, zoomBy } from "./chart/span.ts";
import { save } from "./export/save.ts";
import { ago } from "./format.ts";
import { reconnect } from "./live/connection.ts";
import { fileOf, readTimeline } from "./live/saved.ts";
import { connection, file, hello, isFrozen, live, shown, toggleFreeze } from "./live/source.ts";
import { timeOf } from "./live/timeline.ts";
import { Notice } from "./parts/notice.tsx";
import { forgetToken, hasToken } from "./session.ts";
import { isHelpOpen } from "./shortcuts.ts";
import { theme, toggleTheme } from "./theme.ts";

export function TopBar() {
  const problem = useSignal<string | undefined>(undefined);
  const server = hello.value;
  return (
    <>
      <header class="top">
        <h1>
          <img src="/dashboard/icon.svg" alt="" width="24" height="24" />esc
        </h1>
        <Connection />
        {server !== undefined && (
          <span class="server">
            {server.version} · up{" "}
            {ago(Math.max(0, (timeOf(live.value.rows.at(-1)) ?? 0) - server.started_ms))}
          </span>
        )}
        <span class="spacer" />
        <div class="tools" role="group" aria-label="Time shown">
          <select
            aria-label="Length of time"
            value={lengthSeconds.value}
            onChange={(event) => {
              lengthSeconds.value = Number(event.currentTarget.value);
              liveSpan.reset();
            }}
          >
            {LENGTHS.map(({ seconds, label }) => <option key={seconds} value={seconds}>{label}</option>)}
          </select>
          <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => zoomBy(0.5)}>
            +
          </button>
          <button type="button" aria-label="Zoom out" title="Zoom out (−)" onClick={() => zoomBy(2)}>
            −
          </button>
          <button
            type="button"
            aria-label="Follow the newest"
            title="Follow the newest (0)"
            disabled={liveSpan.zoom.value === undefined}
            onClick={followLive}
          >
            ⇥
          </button>
          <button
            type="button"
            aria-pressed={isFrozen.value}
            title="Freeze the charts (p)"
            onClick={toggleFreeze}
          >
            {isFrozen.value ? "Frozen" : "Freeze"}
          </button>
        </div>
        <div class="tools" role="group" aria-label="File">
          <button
            type="button"
            disabled={shown.value.rows.length === 0}
            onClick={() =>
              save(`esc-live-${fileTime()}.json`, fileOf(shown.value, server?.version ?? "unknown"))}
          >
            Save
          </button>
          <label class="button">
            Open
            <input
              type="file"
              accept="application/json,.json"
              class="visually-hidden"
              onChange={(event) => {
                void open(event.currentTarget).then((message) => problem.value = message);
              }}
            />
          </label>
        </div>
        <div class="tools">
          <button
            type="button"
            aria-label={`Switch to ${theme.value === "dark" ? "light" : "dark"}`}
            title="Dark or light (t)"
            onClick={toggleTheme}
          >
            {theme.value === "dark" ? "☀" : "☾"}
          </button>
          <button type="button" aria-label="Keys" title="Keys (?)" onClick={() => isHelpOpen.value = true}>
            ?
          </button>
          {hasToken() && <button type="button" onClick={forgetToken}>Sign out</button>}
        </div>
      </header>
      {problem.value !== undefined && <Notice kind="bad">{problem.value}</Notice>}
      {file.value !== undefined && (
        <p class="banner" role="status">
          Charts show the file <b>{file.value.name}</b>, not the server.
          <button type="button" onClick={() => file.value = undefined}>Back to live</button>
        </p>
      )}
    </>
  );
}

const WORDS = {
  connecting: "Connecting",
  live: "Live",
  lost: "Connection lost",
  refused: "Signed out",
} as const;

function Connection() {
  const state = connection.value;
  return (
    <span class={`connection ${state}`} role="status" aria-live="polite">
      <i />
      {WORDS[state]}
      {state === "lost" && <button type="button" class="quiet" onClick={reconnect}>Try now</button>}
    </span>
  );
}

async function open(input: HTMLInputElement): Promise<string | undefined> {
  const [chosen] = input.files ?? [];
  if (chosen === undefined) return undefined;
  try {
    file.value = { name: chosen.name, timeline: await readTimeline(chosen) };
    liveSpan.reset();
    return undefined;
  } catch (error) {
    return `Cannot open ${chosen.name}: ${error instanceof Error ? error.message : error}`;
  } finally {
    // The same file may be chosen again.
    input.value = "";
  }
}

function fileTime(): string {
  return new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
}
