/**
 * A shop: page views, carts, purchases and what else users do.
 *
 * 10,000 users and 5,000 products, each as likely; a purchase is of 10 to 510 and one to five pieces.
 */
import { PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_MEDIUM } from "../../src/event/frame.ts";
import type { Preset } from "./preset.ts";
import { rounded } from "./random.ts";

const USERS = 10_000;
const PRODUCTS = 5_000;
const AMOUNT_MIN = 10;
const AMOUNT_RANGE = 500;
const QUANTITY_MAX = 5;

export const ecommerce: Preset = (random) => (timeUs) => {
  const userId = `user-${random.between(1, USERS)}`;
  const productId = `product-${random.between(1, PRODUCTS)}`;
  const common = { userId, timestamp: Math.floor(timeUs / 1000) };
  const event = (type: string, priority: number, fields: Readonly<Record<string, unknown>>) => ({
    topic: `ecommerce.${type}`,
    priority,
    key: userId,
    payload: { eventType: type, ...common, ...fields },
  });
  const chosen = random.next();
  if (chosen < 0.5) {
    return event("pageview", PRIORITY_LOW, {
      page: random.chance(0.7) ? `/product/${productId}` : random.pick(["/", "/search", "/cart", "/help"]),
      durationMs: random.between(200, 60_000),
    });
  }
  if (chosen < 0.7) {
    return event("cartaction", PRIORITY_LOW, {
      productId,
      action: random.pick(["add", "remove", "update"]),
      quantity: random.between(1, QUANTITY_MAX),
    });
  }
  if (chosen < 0.85) {
    return event("purchase", PRIORITY_HIGH, {
      productId,
      amount: rounded(AMOUNT_MIN + random.next() * AMOUNT_RANGE, 2),
      quantity: random.between(1, QUANTITY_MAX),
    });
  }
  return event("useractivity", PRIORITY_MEDIUM, {
    activity: random.pick(["login", "logout", "search", "review", "wishlist"]),
    device: random.pick(["mobile", "desktop", "tablet"]),
  });
};
