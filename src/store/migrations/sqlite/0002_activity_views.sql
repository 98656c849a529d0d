-- up
-- What shops ask for: purchases, page views and cart actions of a user, newest first. Views over `events`, so
-- they cost nothing to write; (event_key, topic, received_us) is the index behind them, the key is the user.
CREATE VIEW purchase_events AS
SELECT event_key AS user_id, coalesce(time_us, received_us) AS time_us, received_us,
  json_extract(CAST(payload AS TEXT), '$.order_id') AS order_id,
  json_extract(CAST(payload AS TEXT), '$.product_id') AS product_id,
  json_extract(CAST(payload AS TEXT), '$.amount') AS amount,
  json_extract(CAST(payload AS TEXT), '$.currency') AS currency
FROM events WHERE topic = 'shop.purchase' AND json_valid(CAST(payload AS TEXT));

CREATE VIEW pageview_events AS
SELECT event_key AS user_id, coalesce(time_us, received_us) AS time_us, received_us,
  json_extract(CAST(payload AS TEXT), '$.url') AS url,
  json_extract(CAST(payload AS TEXT), '$.referrer') AS referrer,
  json_extract(CAST(payload AS TEXT), '$.duration_ms') AS duration_ms
FROM events WHERE topic = 'shop.pageview' AND json_valid(CAST(payload AS TEXT));

CREATE VIEW cart_actions AS
SELECT event_key AS user_id, coalesce(time_us, received_us) AS time_us, received_us,
  json_extract(CAST(payload AS TEXT), '$.action') AS action,
  json_extract(CAST(payload AS TEXT), '$.product_id') AS product_id,
  json_extract(CAST(payload AS TEXT), '$.quantity') AS quantity
FROM events WHERE topic = 'shop.cart' AND json_valid(CAST(payload AS TEXT));

CREATE VIEW user_activities AS
SELECT event_key AS user_id, topic AS activity, coalesce(time_us, received_us) AS time_us, received_us,
  CAST(payload AS TEXT) AS details
FROM events WHERE event_key IS NOT NULL AND topic IN ('shop.purchase', 'shop.pageview', 'shop.cart');

-- down
DROP VIEW user_activities;
DROP VIEW cart_actions;
DROP VIEW pageview_events;
DROP VIEW purchase_events;
