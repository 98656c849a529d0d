/** The configuration in effect, and reading it again. */
import { useSignal } from "@preact/signals";
import { useAction } from "../parts/action.ts";
import { Field } from "../parts/field.tsx";
import { useLoaded } from "../parts/loaded.ts";
import { Problem } from "../parts/notice.tsx";
import { OutcomeNotice } from "../parts/outcome.tsx";
import { request, requestJson } from "../session.ts";

interface Leaf {
  readonly path: string;
  readonly value: string;
}

const LEVELS = ["debug", "info", "warn", "error"];

export function ConfigView() {
  const { data, problem, reload } = useLoaded<Record<string, unknown>>("/api/v1/config");
  const text = useSignal("");
  const { outcome, isBusy, run } = useAction();
  const readAgain = () =>
    run(async () => {
      const path = "/api/v1/control/reload";
      const { applied, needs_restart } = await requestJson<{ applied: string[]; needs_restart: string[] }>(
        path,
        { method: "POST" },
      );
      reload();
      if (applied.length + needs_restart.length === 0) return "Nothing has changed";
      const taken = applied.length === 0 ? "" : `Taken over: ${applied.join(", ")}. `;
      return `${taken}${needs_restart.length === 0 ? "" : `Needs a restart: ${needs_restart.join(", ")}.`}`;
    });
  const setLevel = (level: string) =>
    run(async () => {
      await request(`/api/v1/control/log-level?level=${level}`, { method: "POST" });
      return `Messages from ${level} on are written, until the next reload`;
    });
  const words = text.value.toLowerCase();
  const leaves = data === undefined
    ? []
    : leavesOf(data).filter(({ path }) => path.toLowerCase().includes(words));
  return (
    <>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <Field label="Key contains" isWide>
          <input
            type="search"
            value={text.value}
            onInput={(event) => text.value = event.currentTarget.value}
          />
        </Field>
        <Field label="Messages from">
          <select onChange={(event) => void setLevel(event.currentTarget.value)}>
            <option value="" disabled selected>as configured</option>
            {LEVELS.map((level) => <option key={level}>{level}</option>)}
          </select>
        </Field>
        <button type="button" disabled={isBusy.value} onClick={() => void readAgain()}>
          Read the file again
        </button>
      </form>
      <Problem text={problem} />
      <OutcomeNotice outcome={outcome.value} />
      <div class="table" role="region" aria-label="Configuration" tabIndex={0}>
        <table class="config">
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">Value</th>
            </tr>
          </thead>
          <tbody>
            {leaves.map(({ path, value }) => (
              <tr key={path}>
                <th scope="row">
                  <code>{path}</code>
                </th>
                <td>
                  <code>{value}</code>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** Every key that has a value of its own, in its order. */
function leavesOf(value: unknown, path = ""): Leaf[] {
  const isTree = typeof value === "object" && value !== null && Object.keys(value).length > 0;
  if (!isTree) return [{ path, value: typeof value === "string" ? value : JSON.stringify(value) ?? "" }];
  return Object.entries(value).flatMap(([name, below]) =>
    leavesOf(below, Array.isArray(value) ? `${path}[${name}]` : path === "" ? name : `${path}.${name}`)
  );
}
