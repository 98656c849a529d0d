/** The newest alerts, for the overview. */
import { timestamp } from "../format.ts";
import { alerts } from "../live/alerts.ts";
import { hello } from "../live/source.ts";
import { linkTo } from "../route.ts";

const SHOWN = 6;

export function RecentAlerts() {
  const mayRead = hello.value?.caller.read_everything === true;
  const newest = alerts.value.slice(0, SHOWN);
  return (
    <section class="card recent">
      <header>
        <h3>Alerts</h3>
        <a href={linkTo("alerts")}>All alerts</a>
      </header>
      {newest.length === 0 && (
        <p class="empty">{mayRead ? "No rule has raised an alert." : "Not visible to this token."}</p>
      )}
      <ul>
        {newest.map((alert) => (
          <li key={alert.id}>
            <span class={`pill ${alert.severity.toLowerCase()}`}>{alert.severity}</span>
            <span>{alert.message || alert.rule}</span>
            <time>{timestamp(alert.raised_us).slice(11, 19)}</time>
          </li>
        ))}
      </ul>
    </section>
  );
}
