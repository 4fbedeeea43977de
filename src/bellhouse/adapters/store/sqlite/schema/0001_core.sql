-- The core's tables. What decides their shape is how many distinct pages a batch dirties (docs/adr/0003):
-- rows are inserted, not updated; everything is clustered by time, since ids are UUIDv7; the two tables that are
-- looked up at random, keys and recipients' lists, are cut into segments in the order of time.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('accepted', 0);

CREATE TABLE tenants (
    tenant      INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    environment TEXT NOT NULL,
    UNIQUE (name, environment)
);

CREATE TABLE api_keys (
    id     TEXT PRIMARY KEY,
    record BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE types (
    tenant INTEGER NOT NULL,
    name   TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE templates (
    tenant  INTEGER NOT NULL,
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB NOT NULL,
    PRIMARY KEY (tenant, name, version)
) WITHOUT ROWID;

-- Every change of what processes keep in memory: types, templates, keys, tenants, breakers.
CREATE TABLE changes (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    kind   TEXT NOT NULL,
    tenant INTEGER NOT NULL,
    name   TEXT NOT NULL
);

CREATE TABLE recipients (
    recipient  INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     INTEGER NOT NULL,
    user_id    TEXT NOT NULL,
    profile    BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (tenant, user_id)
);

CREATE TABLE suppressions (
    tenant  INTEGER NOT NULL,
    address TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    detail  TEXT NOT NULL,
    PRIMARY KEY (tenant, address)
) WITHOUT ROWID;

CREATE TABLE notifications (
    id     BLOB PRIMARY KEY,
    record BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    segment     INTEGER NOT NULL,
    key         BLOB NOT NULL,
    id          BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    PRIMARY KEY (segment, key)
) WITHOUT ROWID;

CREATE TABLE recipient_notifications (
    segment   INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    id        BLOB NOT NULL,
    PRIMARY KEY (segment, recipient, id)
) WITHOUT ROWID;

-- The newest notification of a collapse key: older ones are superseded when they are about to be sent.
CREATE TABLE collapse_keys (
    recipient    INTEGER NOT NULL,
    collapse_key TEXT NOT NULL,
    id           BLOB NOT NULL,
    PRIMARY KEY (recipient, collapse_key)
) WITHOUT ROWID;

-- One row a notification, inserted once by whoever decides first: the router, or a cancellation.
CREATE TABLE decisions (
    id     BLOB PRIMARY KEY,
    state  TEXT NOT NULL,
    count  INTEGER NOT NULL, -- planned deliveries
    record BLOB NOT NULL
) WITHOUT ROWID;

-- What happened to a delivery. kind 0: the worker's and operators' events, numbered in order; kind 1: a provider's
-- news, numbered by a hash of its event id, so that a repeat is the same row.
CREATE TABLE delivery_events (
    id       BLOB NOT NULL,
    kind     INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    state    TEXT NOT NULL,
    previous TEXT NOT NULL,
    at       INTEGER NOT NULL,
    source   TEXT NOT NULL,
    detail   BLOB NOT NULL,
    PRIMARY KEY (id, kind, n)
) WITHOUT ROWID;

-- Deliveries whose news came before the attempt it is about was settled.
CREATE TABLE early_news (
    id BLOB PRIMARY KEY
) WITHOUT ROWID;

-- One row a batch that is being sent, gone when all of it is settled.
CREATE TABLE intents (
    intent     INTEGER PRIMARY KEY AUTOINCREMENT,
    lane       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    deliveries BLOB NOT NULL -- their ids, 16 bytes each
);

-- Cancellations by operators and callers; its highest number tells a worker whether any came since it looked.
CREATE TABLE operator_acts (
    act      INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery BLOB NOT NULL
);

-- What waits for its moment.
CREATE TABLE due (
    due_at INTEGER NOT NULL,
    id     BLOB NOT NULL,
    topic  TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (due_at, id)
) WITHOUT ROWID;

-- Scheduled notifications among them, for the ledger's recount: narrow, and empty where nothing is scheduled.
CREATE INDEX due_notifications ON due (topic) WHERE topic >= 'notifications.' AND topic < 'notifications/';

-- Due rows that an outage's end brings forward; their own moment is their expiry.
CREATE TABLE parked (
    channel  TEXT NOT NULL,
    priority TEXT NOT NULL,
    id       BLOB NOT NULL,
    due_at   INTEGER NOT NULL,
    PRIMARY KEY (channel, priority, id)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    id       BLOB PRIMARY KEY,
    tenant   INTEGER NOT NULL,
    channel  TEXT NOT NULL,
    provider TEXT,
    type     TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    code     TEXT,
    at       INTEGER NOT NULL,
    state    TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    by       TEXT NOT NULL,
    why      TEXT NOT NULL,
    record   BLOB NOT NULL -- the Delivery to send again
) WITHOUT ROWID;

-- Those that wait for an operator, who must not have to look through all that were ever dealt with.
CREATE INDEX open_dead_letters ON dead_letters (id, channel) WHERE state = 'open';

CREATE TABLE inbox (
    recipient  INTEGER NOT NULL,
    id         BLOB NOT NULL,
    read_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    record     BLOB NOT NULL,
    PRIMARY KEY (recipient, id)
) WITHOUT ROWID;

CREATE TABLE breakers (
    provider TEXT NOT NULL,
    channel  TEXT NOT NULL,
    version  INTEGER NOT NULL,
    record   BLOB NOT NULL,
    PRIMARY KEY (provider, channel)
) WITHOUT ROWID;

-- The ledger's running counters, by the day (UTC) of the notification's receipt.
CREATE TABLE ledger (
    tenant INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    level  TEXT NOT NULL,
    state  TEXT NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, level, state)
) WITHOUT ROWID;

-- Where each consumer group stands. The log's own tables, one a topic, are made from the list of topics.
CREATE TABLE positions (
    topic           TEXT NOT NULL,
    consumer_group  TEXT NOT NULL,
    offset          INTEGER NOT NULL,
    PRIMARY KEY (topic, consumer_group)
) WITHOUT ROWID;
