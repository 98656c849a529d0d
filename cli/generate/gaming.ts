/**
 * A game with 2,000 players in four regions: logins, matches, kills, purchases.
 *
 * Now and then a player kills faster than a person can, and somebody guesses a password.
 */
import { PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_MEDIUM } from "../../src/event/frame.ts";
import type { Preset } from "./preset.ts";

const PLAYERS = 2_000;
const REGIONS = ["eu", "us", "asia", "latam"] as const;
const BURST_CHANCE = 0.003;
const BURST_EVENTS = 12;

export const gaming: Preset = (random) => {
  let burst: { kind: "kill" | "login"; player: number; left: number } | undefined;
  return () => {
    if (burst === undefined && random.chance(BURST_CHANCE)) {
      burst = {
        kind: random.pick(["kill", "login"]),
        player: random.between(1, PLAYERS),
        left: BURST_EVENTS,
      };
    }
    const inBurst = burst !== undefined && random.chance(0.5) ? burst : undefined;
    if (inBurst !== undefined && --inBurst.left === 0) burst = undefined;
    const number = inBurst?.player ?? random.between(1, PLAYERS);
    const player = `player-${number}`;
    const region = REGIONS[number % REGIONS.length] ?? "eu";
    const event = (kind: string, priority: number, fields: Readonly<Record<string, unknown>>) => ({
      topic: `game.${kind}`,
      priority,
      key: player,
      payload: { player, region, ...fields },
    });
    const chosen = inBurst?.kind === "kill" ? 0 : inBurst?.kind === "login" ? 0.99 : random.next();
    if (chosen < 0.55) {
      return event("kill", PRIORITY_MEDIUM, {
        victim: `player-${random.between(1, PLAYERS)}`,
        weapon: random.pick(["rifle", "bow", "sword", "mine"]),
        distance_m: random.between(1, 400),
      });
    }
    if (chosen < 0.75) {
      return event("match", PRIORITY_LOW, {
        match: random.between(1, 500),
        result: random.pick(["won", "lost", "left"]),
        score: random.between(0, 5_000),
      });
    }
    if (chosen < 0.85) {
      return event("purchase", PRIORITY_HIGH, {
        item: random.pick(["skin", "pass", "coins", "emote"]),
        cents: random.pick([99, 499, 999, 4_999]),
      });
    }
    return event("login", PRIORITY_MEDIUM, { ok: inBurst === undefined && random.chance(0.95) });
  };
};
