/** What is around every view: where one can go, how the connection is, what is shown. */
import { useEffect, useRef } from "preact/hooks";
import { Boundary } from "./parts/boundary.tsx";
import { ConfirmDialog } from "./parts/confirm.tsx";
import { HelpDialog } from "./help.tsx";
import { linkTo, route, type ViewId, VIEWS } from "./route.ts";
import { refusal } from "./session.ts";
import { SignIn } from "./sign-in.tsx";
import { alerts } from "./live/alerts.ts";
import { useKnownAlerts } from "./parts/known-alerts.ts";
import { newest } from "./live/timeline.ts";
import { hello, live } from "./live/source.ts";
import { TopBar } from "./top-bar.tsx";
import { AlertsView } from "./views/alerts.tsx";
import { ConfigView } from "./views/config.tsx";
import { ConsumersView } from "./views/consumers.tsx";
import { DeadLettersView } from "./views/dead-letters.tsx";
import { LogView } from "./views/log.tsx";
import { MarketView } from "./views/market.tsx";
import { OverviewView } from "./views/overview.tsx";
import { PublishView } from "./views/publish.tsx";
import { TopicsView } from "./views/topics.tsx";
import { WindowsView } from "./views/windows.tsx";
import type { ComponentType } from "preact";

const CONTENT: Readonly<Record<ViewId, ComponentType>> = {
  overview: OverviewView,
  topics: TopicsView,
  consumers: ConsumersView,
  alerts: AlertsView,
  windows: WindowsView,
  dlq: DeadLettersView,
  log: LogView,
  publish: PublishView,
  config: ConfigView,
  market: MarketView,
};

export function Shell() {
  const { view } = route.value;
  useKnownAlerts(hello.value?.caller.read_everything === true);
  const Content = CONTENT[view];
  const title = VIEWS.find(({ id }) => id === view)?.title ?? "";
  const heading = useRef<HTMLHeadingElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${title} – esc`;
    // Who came by key or screen reader goes on from the heading of what is there now.
    if (!isFirst.current) heading.current?.focus();
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    isFirst.current = false;
  }, [view]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          heading.current?.focus();
        }}
      >
        Skip to content
      </a>
      <TopBar />
      <div class="columns">
        <nav aria-label="Views">
          {VIEWS.filter(({ id }) => id !== "market" || hello.value?.has_market === true).map((
            { id, title },
            index,
          ) => (
            <a
              key={id}
              href={linkTo(id)}
              aria-current={id === view ? "page" : undefined}
              title={`Key ${id === "market" ? "m" : index + 1}`}
            >
              <span>{title}</span>
              <Badge view={id} />
            </a>
          ))}
        </nav>
        <main id="main">
          <h2 ref={heading} tabIndex={-1} class="view-title">{title}</h2>
          {refusal.value === undefined
            ? (
              <Boundary key={view}>
                <Content />
              </Boundary>
            )
            : <SignIn />}
        </main>
      </div>
      <ConfirmDialog />
      <HelpDialog />
    </>
  );
}

/** How many wait for somebody to look at them. */
function Badge({ view }: { readonly view: ViewId }) {
  const count = view === "dlq"
    ? newest(live.value, "dead_letters") ?? 0
    : view === "alerts"
    ? alerts.value.length
    : 0;
  return count > 0 ? <b class="badge">{count > 999 ? "999+" : count}</b> : null;
}
