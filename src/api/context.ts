/** What the routes share. */
import type { DeliveryMeters } from "../deliver/subscription.ts";
import type { Groups } from "../deliver/groups.ts";
import type { ShardTails } from "../deliver/tail.ts";
import type { BodyGate } from "./body.ts";
import type { EngineView } from "./engine-view.ts";
import type { Live } from "./live.ts";
import type { Publisher } from "./publisher.ts";
import type { SlowSubscribers } from "./slow-subscribers.ts";
import type { StreamLimits } from "./stream-limits.ts";
import type { Turns } from "./turns.ts";

export interface ApiContext {
  readonly engine: EngineView;
  readonly publisher: Publisher;
  /** All logs as main reads them: queries and subscriptions. */
  readonly tails: ShardTails;
  readonly turns: Turns;
  readonly meters: DeliveryMeters;
  /** Consumer groups at work. */
  readonly groups: Groups;
  readonly bodies: BodyGate;
  readonly streams: StreamLimits;
  readonly slow: SlowSubscribers;
  /** What dashboards draw. */
  readonly live: Live;
  /** Largest request body. */
  readonly maxBodyBytes: number;
  /** Largest NDJSON body; `null`: no limit, because it is published while it is read. */
  readonly maxNdjsonBytes: number | null;
}
