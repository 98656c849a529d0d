-- up
CREATE TABLE logs (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  origin text NOT NULL,
  lane text NOT NULL,
  shard integer NOT NULL,
  UNIQUE (origin, lane, shard)
);

CREATE TABLE positions (
  consumer text NOT NULL,
  log_id integer NOT NULL REFERENCES logs (id),
  next_offset bigint NOT NULL,
  updated_us bigint NOT NULL,
  PRIMARY KEY (consumer, log_id)
);

-- Topics compare byte by byte (collation C), so that a prefix is a range of the index.
CREATE TABLE events (
  log_id integer NOT NULL,
  log_offset bigint NOT NULL,
  topic text COLLATE "C" NOT NULL,
  priority smallint NOT NULL,
  received_us bigint NOT NULL,
  time_us bigint,
  message_id text,
  event_key text COLLATE "C",
  headers text,
  payload bytea NOT NULL,
  -- Guards against a second copy of an event; the partition key must be part of it.
  PRIMARY KEY (log_id, log_offset, received_us)
) PARTITION BY RANGE (received_us);
-- Events of a topic in the order of time.
CREATE INDEX events_by_topic ON events (topic, received_us, log_id, log_offset);
-- The newest events of a key.
CREATE INDEX events_by_key ON events (event_key, topic, received_us, log_id, log_offset) WHERE event_key IS NOT NULL;
-- All events in the order of time.
CREATE INDEX events_by_time ON events (received_us, log_id, log_offset);

-- Makes the partition of the UTC day that holds this moment, unless it is there.
CREATE FUNCTION esc_ensure_partition(at_us bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  day_us CONSTANT bigint := 86400000000;
  from_us bigint := at_us - at_us % day_us;
  partition text := 'events_' || to_char(to_timestamp(from_us / 1000000) AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
  IF to_regclass(quote_ident(partition)) IS NOT NULL THEN RETURN; END IF;
  -- One at a time: IF NOT EXISTS alone does not keep two sessions from making the same table.
  PERFORM pg_advisory_xact_lock(7310585160237224);
  EXECUTE format(
    'CREATE TABLE IF NOT EXISTS %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
    partition, from_us, from_us + day_us
  );
END $$;

-- Drops the partitions of days that ended before this moment; returns how many.
CREATE FUNCTION esc_drop_partitions(before_us bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  partition record;
  dropped integer := 0;
BEGIN
  FOR partition IN
    SELECT child.oid::regclass AS name, to_date(right(child.relname, 8), 'YYYYMMDD') + 1 AS ends
    FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = 'events'::regclass AND child.relname ~ '^events_[0-9]{8}$'
  LOOP
    IF extract(epoch FROM partition.ends::timestamp AT TIME ZONE 'UTC') * 1000000 <= before_us THEN
      EXECUTE format('DROP TABLE %s', partition.name);
      dropped := dropped + 1;
    END IF;
  END LOOP;
  RETURN dropped;
END $$;

CREATE TABLE last_values (
  topic text COLLATE "C" PRIMARY KEY,
  log_id integer NOT NULL,
  log_offset bigint NOT NULL,
  priority smallint NOT NULL,
  received_us bigint NOT NULL,
  time_us bigint,
  message_id text,
  event_key text,
  headers text,
  payload bytea NOT NULL
);

CREATE TABLE window_results (
  name text COLLATE "C" NOT NULL,
  window_key text COLLATE "C" NOT NULL,
  start_us bigint NOT NULL,
  end_us bigint NOT NULL,
  event_count bigint NOT NULL,
  sum_value double precision,
  min_value double precision,
  max_value double precision,
  result text NOT NULL,
  PRIMARY KEY (name, window_key, start_us, end_us)
);
CREATE INDEX window_results_by_time ON window_results (name, start_us, window_key);

CREATE TABLE alerts (
  id text COLLATE "C" PRIMARY KEY,
  rule text COLLATE "C" NOT NULL,
  severity text NOT NULL,
  raised_us bigint NOT NULL,
  topic text COLLATE "C" NOT NULL,
  event_key text,
  message text NOT NULL,
  context text NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (raised_us, id);
CREATE INDEX alerts_by_rule ON alerts (rule, raised_us, id);

CREATE TABLE checkpoints (
  consumer text NOT NULL,
  name text NOT NULL,
  state bytea NOT NULL,
  updated_us bigint NOT NULL,
  PRIMARY KEY (consumer, name)
);

-- down
DROP TABLE checkpoints;
DROP TABLE alerts;
DROP TABLE window_results;
DROP TABLE last_values;
DROP FUNCTION esc_drop_partitions(bigint);
DROP FUNCTION esc_ensure_partition(bigint);
DROP TABLE events;
DROP TABLE positions;
DROP TABLE logs;
