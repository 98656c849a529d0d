-- up
-- A payload as JSON; NULL where it is not JSON, so that one bad event does not break a query.
CREATE FUNCTION esc_json(payload bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN convert_from(payload, 'UTF8')::jsonb;
EXCEPTION WHEN others THEN
  RETURN NULL;
END $$;

-- What shops ask for: purchases, page views and cart actions of a user, newest first. Views over `events`, so
-- they cost nothing to write; (event_key, topic, received_us) is the index behind them, the key is the user.
CREATE VIEW purchase_events AS
SELECT event_key AS user_id, coalesce(time_us, received_us) AS time_us, received_us,
  json ->> 'order_id' AS order_id, json ->> 'product_id' AS product_id,
  json ->> 'amount' AS amount, json ->> 'currency' AS currency
FROM events, LATERAL (SELECT esc_json(payload) AS json OFFSET 0) parsed
WHERE topic = 'shop.purchase' AND json IS NOT NULL;

CREATE VIEW pageview_events AS
SELECT event_key AS user_id, coalesce(time_us, received_us) AS time_us, received_us,
  json ->> 'url' AS url, json ->> 'referrer' AS referrer, json ->> 'duration_ms' AS duration_ms
FROM events, LATERAL (SELECT esc_json(payload) AS json OFFSET 0) parsed
WHERE topic = 'shop.pageview' AND json IS NOT NULL;

CREATE VIEW cart_actions AS
SELECT event_key AS user_id, coalesce(time_us, received_us) AS time_us, received_us,
  json ->> 'action' AS action, json ->> 'product_id' AS product_id, json ->> 'quantity' AS quantity
FROM events, LATERAL (SELECT esc_json(payload) AS json OFFSET 0) parsed
WHERE topic = 'shop.cart' AND json IS NOT NULL;

CREATE VIEW user_activities AS
SELECT event_key AS user_id, topic AS activity, coalesce(time_us, received_us) AS time_us, received_us,
  esc_json(payload) AS details
FROM events WHERE event_key IS NOT NULL AND topic IN ('shop.purchase', 'shop.pageview', 'shop.cart');

-- down
DROP VIEW user_activities;
DROP VIEW cart_actions;
DROP VIEW pageview_events;
DROP VIEW purchase_events;
DROP FUNCTION esc_json(bytea);
