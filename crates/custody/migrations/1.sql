-- The journal of one custodian, on SQLite and on PostgreSQL alike; `1-sqlite.sql` is what only SQLite needs. Instants are
-- milliseconds since 1970-01-01T00:00Z, digests 32 octets, truth values 0 and 1, everything that names a thing is text as
-- it stands on the wire. Applicant data stands only inside sealed.bytes, encrypted.

CREATE TABLE identity (
    custodian   TEXT NOT NULL,
    environment TEXT NOT NULL,
    restored    INTEGER NOT NULL DEFAULT 0      -- a copy: closed until it is reconciled with what happened since
) STRICT;

-- Processes that share this journal, and what only one of them does at a time.
CREATE TABLE instance (
    id          TEXT PRIMARY KEY,
    alive_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE duty (
    name     TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    until    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A message this custodian holds or has held, seen from one side of it. A gateway that serves author and reader alike
-- has two rows of the same message.
CREATE TABLE message (
    seq             INTEGER PRIMARY KEY,
    side            TEXT NOT NULL CHECK (side IN ('sent', 'relayed', 'taken')),
    author          TEXT NOT NULL,
    message_id      TEXT NOT NULL,
    envelope_digest BLOB NOT NULL,
    bytes_digest    BLOB NOT NULL,
    case_id         TEXT NOT NULL,
    in_reply_to     TEXT,
    kind            TEXT NOT NULL,
    reader          TEXT NOT NULL,
    leistung        TEXT NOT NULL,
    region          TEXT,
    gateway         TEXT NOT NULL,              -- of the envelope's header: where receipts go
    routing_table   BLOB,                       -- release that routed it
    filed_at        INTEGER NOT NULL,
    obsolete_after  INTEGER NOT NULL,
    entered_at      INTEGER NOT NULL,           -- when it came into this journal
    owner           TEXT,                       -- who posted it here: client:<id> or fachverfahren:<name>
    reference       BLOB,                       -- keyed digest of the client's own reference
    class           INTEGER NOT NULL DEFAULT 1, -- 0 urgent, 1 normal, 2 bulk
    target          TEXT,                       -- the gateway it went to, as far as is known
    work            TEXT CHECK (work IN ('publish', 'relay', 'hand-over', 'await')),
    due_at          INTEGER,                    -- NULL beside a work: it rests, because its reader is paused
    attempts        INTEGER NOT NULL DEFAULT 0,
    doubtful        INTEGER NOT NULL DEFAULT 0, -- a publish was begun and never answered: it may be out
    heard           INTEGER NOT NULL DEFAULT 0, -- sent: the reader's gateway has spoken
    overdue_at      INTEGER,                    -- when the reader's silence is too long; NULL once it has spoken
    held_for        TEXT,                       -- work relay: the gateway whose queue takes nothing
    unsure          INTEGER NOT NULL DEFAULT 0, -- taken: attempts of which nobody knows whether the Fachverfahren acted
    deferral        TEXT,
    claimed_by      TEXT,                       -- the instance that has it in hand
    warned          INTEGER NOT NULL DEFAULT 0, -- deadline warnings given
    parked          TEXT,                       -- reason, while parked
    parked_at       INTEGER,
    replaces        TEXT,                       -- the message that this one was sealed anew for
    replaced_by     TEXT,
    trace           TEXT,                       -- W3C trace context
    announced       TEXT,                       -- the stage that webhooks were last told of
    ended           TEXT,                       -- the stage that ended it
    ended_at        INTEGER,
    UNIQUE (side, author, message_id)
) STRICT;
CREATE INDEX message_due ON message (work, class, due_at) WHERE work IS NOT NULL;
CREATE INDEX message_pair ON message (work, reader, leistung, class, due_at) WHERE work IS NOT NULL;
CREATE INDEX message_id ON message (message_id);
CREATE INDEX message_case ON message (case_id);
CREATE INDEX message_bytes ON message (bytes_digest);
CREATE INDEX message_entered ON message (side, entered_at, seq);
CREATE INDEX message_owner ON message (owner, entered_at, seq) WHERE owner IS NOT NULL;
CREATE INDEX message_reference ON message (reference) WHERE reference IS NOT NULL;
CREATE INDEX message_claimed ON message (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX message_parked ON message (parked, parked_at) WHERE parked IS NOT NULL;
CREATE INDEX message_parked_entered ON message (side, entered_at, seq) WHERE parked IS NOT NULL;
CREATE INDEX message_warned ON message (side, warned, entered_at) WHERE ended IS NULL;
CREATE INDEX message_purpose ON message (side, obsolete_after) WHERE ended IS NULL;
CREATE INDEX message_living ON message (side, entered_at) WHERE ended IS NULL;
CREATE INDEX message_held ON message (work, held_for, class, due_at) WHERE work = 'relay';
CREATE INDEX message_resting ON message (reader, seq) WHERE work IS NOT NULL AND due_at IS NULL;
CREATE INDEX message_overdue ON message (overdue_at) WHERE overdue_at IS NOT NULL;
CREATE INDEX message_replaces ON message (replaces) WHERE replaces IS NOT NULL;
CREATE INDEX message_rejected ON message (seq) WHERE side = 'sent' AND ended = 'rejected' AND replaced_by IS NULL;
CREATE INDEX message_ended ON message (side, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX message_left_over ON message (ended_at) WHERE side = 'sent' AND ended <> 'accepted' AND replaced_by IS NULL;

-- The sealed octets, apart so that no look at messages reads them.
CREATE TABLE sealed (
    message     INTEGER PRIMARY KEY REFERENCES message (seq),
    bytes       BLOB NOT NULL,
    content_key BLOB                            -- wrapped for the sender gateway alone, so that it can seal anew
) STRICT;

-- What happened: our own events, facts of others, and internal steps (octets NULL), which never leave this journal.
CREATE TABLE event (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id      TEXT NOT NULL,
    author          TEXT NOT NULL,
    envelope_digest BLOB NOT NULL,
    stage           TEXT NOT NULL,
    time            INTEGER NOT NULL,
    custodian       TEXT NOT NULL,
    target          TEXT,
    reasons         TEXT NOT NULL DEFAULT '',   -- codes, separated by spaces
    octets          BLOB,                       -- canonical octets, as a receipt carries them
    standing        INTEGER NOT NULL            -- whether the custodian was entitled to state it when it arrived
) STRICT;
CREATE INDEX event_message ON event (message_id, author);

-- Events that a destination has still to hear of; a repeat puts the old event here again.
CREATE TABLE receipt_due (
    destination TEXT NOT NULL,
    event       INTEGER NOT NULL,
    PRIMARY KEY (destination, event)
) STRICT, WITHOUT ROWID;

-- What was answered about octets that did not verify, and so have no message.
CREATE TABLE refused_octets (
    seq          INTEGER PRIMARY KEY,
    bytes_digest BLOB NOT NULL UNIQUE,
    origin       TEXT,
    reason       TEXT NOT NULL,
    time         INTEGER NOT NULL,
    bytes        BLOB NOT NULL,
    octets       BLOB                           -- the event told to the origin
) STRICT;
CREATE TABLE refusal_due (
    destination TEXT NOT NULL,
    refusal     INTEGER NOT NULL REFERENCES refused_octets (seq),
    PRIMARY KEY (destination, refusal)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch_out (
    destination TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    head        BLOB NOT NULL,
    bytes       BLOB,                           -- NULL once published
    PRIMARY KEY (destination, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch_in (
    custodian   TEXT NOT NULL,
    destination TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    head        BLOB NOT NULL,
    previous    BLOB NOT NULL,
    taken_at    INTEGER NOT NULL,
    follows     INTEGER NOT NULL,               -- 0: its predecessor is not here, and what it told has not been asked for
    PRIMARY KEY (custodian, destination, sequence, head)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_in_taken ON batch_in (taken_at);
CREATE INDEX batch_in_gap ON batch_in (destination, taken_at) WHERE follows = 0;

-- One promise per key of a client; the first answer is repeated to the same request.
CREATE TABLE promise (
    owner       TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    answer      TEXT NOT NULL,
    author      TEXT NOT NULL,                  -- the message that was promised
    message_id  TEXT NOT NULL,
    made_at     INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX promise_made ON promise (made_at);

CREATE TABLE case_file (
    side        TEXT NOT NULL CHECK (side IN ('author', 'reader')),
    case_id     TEXT NOT NULL,
    author      TEXT NOT NULL,
    behoerde    TEXT NOT NULL,
    leistung    TEXT NOT NULL,
    region      TEXT,
    filed_at    INTEGER NOT NULL,
    application TEXT NOT NULL,
    client      TEXT,
    reply_token TEXT,
    PRIMARY KEY (side, case_id, author)
) STRICT, WITHOUT ROWID;

-- The account of each participant, counted in the transactions that change it and independent of the rows above, so
-- that a row that is lost shows.
CREATE TABLE account (
    side        TEXT NOT NULL,
    participant TEXT NOT NULL,
    received    INTEGER NOT NULL DEFAULT 0,
    ended       INTEGER NOT NULL DEFAULT 0,
    removed     INTEGER NOT NULL DEFAULT 0,     -- ended, and no longer kept: their rows are gone on purpose
    PRIMARY KEY (side, participant)
) STRICT, WITHOUT ROWID;

-- What operators did: pauses that hold, jobs under way, and the trail of all of it.
CREATE TABLE pause (
    scope  TEXT PRIMARY KEY,                    -- behoerde:<id> or gateway:<id>
    reason TEXT NOT NULL,
    actor  TEXT NOT NULL,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE job (
    id         TEXT PRIMARY KEY,
    verb       TEXT NOT NULL,
    actor      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    made_at    INTEGER NOT NULL,
    per_minute INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,                -- when the next item may be taken
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE job_item (
    job    TEXT NOT NULL REFERENCES job (id),
    item   TEXT NOT NULL,
    place  INTEGER NOT NULL,                    -- its turn
    taken_at INTEGER,
    result TEXT,                                -- NULL while it is still to be done
    PRIMARY KEY (job, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_item_open ON job_item (job, place) WHERE result IS NULL;
CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    time     INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    verb     TEXT NOT NULL,
    target   TEXT NOT NULL,
    reason   TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    previous BLOB NOT NULL,                     -- head of the row before: a row that is changed or taken out shows
    head     BLOB NOT NULL
) STRICT;

-- Who wants to be told of a status, and what was told.
CREATE TABLE webhook (
    id          TEXT PRIMARY KEY,
    client      TEXT NOT NULL,
    url         TEXT NOT NULL,
    generation  INTEGER NOT NULL DEFAULT 1,     -- of its secret, which is derived and stands nowhere
    rotated_at  INTEGER,
    made_at     INTEGER NOT NULL,
    disabled    TEXT,
    disabled_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_client ON webhook (client);
CREATE TABLE webhook_delivery (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook    TEXT NOT NULL,
    event      TEXT NOT NULL,                   -- its id, the same for every webhook
    kind       TEXT NOT NULL CHECK (kind IN ('status', 'test')),
    submission TEXT,
    case_id    TEXT,
    status     TEXT,
    time       INTEGER NOT NULL,
    due_at     INTEGER,                         -- NULL once it has ended
    first_at   INTEGER,                         -- the first attempt, from which on giving up is counted
    attempts   INTEGER NOT NULL DEFAULT 0,
    outcome    TEXT,                            -- of the last attempt
    last_at    INTEGER,
    UNIQUE (webhook, event)
) STRICT;
CREATE INDEX webhook_due ON webhook_delivery (webhook, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_log ON webhook_delivery (webhook, seq);
CREATE INDEX webhook_over ON webhook_delivery (last_at) WHERE due_at IS NULL;
