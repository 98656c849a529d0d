-- up
CREATE TABLE logs (
  id INTEGER PRIMARY KEY,
  origin TEXT NOT NULL,
  lane TEXT NOT NULL,
  shard INTEGER NOT NULL,
  UNIQUE (origin, lane, shard)
);

CREATE TABLE positions (
  consumer TEXT NOT NULL,
  log_id INTEGER NOT NULL REFERENCES logs (id),
  next_offset INTEGER NOT NULL,
  updated_us INTEGER NOT NULL,
  PRIMARY KEY (consumer, log_id)
) WITHOUT ROWID;

CREATE TABLE events (
  log_id INTEGER NOT NULL,
  log_offset INTEGER NOT NULL,
  topic TEXT NOT NULL,
  priority INTEGER NOT NULL,
  received_us INTEGER NOT NULL,
  time_us INTEGER,
  message_id TEXT,
  event_key TEXT,
  headers TEXT,
  payload BLOB NOT NULL
);
-- Guards against a second copy of an event, whatever else goes wrong.
CREATE UNIQUE INDEX events_by_offset ON events (log_id, log_offset);
-- Events of a topic in the order of time.
CREATE INDEX events_by_topic ON events (topic, received_us, log_id, log_offset);
-- The newest events of a key.
CREATE INDEX events_by_key ON events (event_key, topic, received_us, log_id, log_offset) WHERE event_key IS NOT NULL;
-- All events in the order of time.
CREATE INDEX events_by_time ON events (received_us, log_id, log_offset);

CREATE TABLE last_values (
  topic TEXT PRIMARY KEY,
  log_id INTEGER NOT NULL,
  log_offset INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  received_us INTEGER NOT NULL,
  time_us INTEGER,
  message_id TEXT,
  event_key TEXT,
  headers TEXT,
  payload BLOB NOT NULL
);

CREATE TABLE window_results (
  name TEXT NOT NULL,
  window_key TEXT NOT NULL,
  start_us INTEGER NOT NULL,
  end_us INTEGER NOT NULL,
  event_count INTEGER NOT NULL,
  sum_value REAL,
  min_value REAL,
  max_value REAL,
  result TEXT NOT NULL,
  PRIMARY KEY (name, window_key, start_us, end_us)
) WITHOUT ROWID;
CREATE INDEX window_results_by_time ON window_results (name, start_us, window_key);

CREATE TABLE alerts (
  id TEXT PRIMARY KEY,
  rule TEXT NOT NULL,
  severity TEXT NOT NULL,
  raised_us INTEGER NOT NULL,
  topic TEXT NOT NULL,
  event_key TEXT,
  message TEXT NOT NULL,
  context TEXT NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (raised_us, id);
CREATE INDEX alerts_by_rule ON alerts (rule, raised_us, id);

CREATE TABLE checkpoints (
  consumer TEXT NOT NULL,
  name TEXT NOT NULL,
  state BLOB NOT NULL,
  updated_us INTEGER NOT NULL,
  PRIMARY KEY (consumer, name)
);

-- down
DROP TABLE checkpoints;
DROP TABLE alerts;
DROP TABLE window_results;
DROP TABLE last_values;
DROP TABLE events;
DROP TABLE positions;
DROP TABLE logs;
