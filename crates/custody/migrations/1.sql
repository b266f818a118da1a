-- The journal of one custodian. Instants are milliseconds since 1970-01-01T00:00Z, digests 32 octets, everything that
-- names a thing is text as it stands on the wire. Applicant data stands only inside sealed.bytes, encrypted.

CREATE TABLE identity (
    custodian   TEXT NOT NULL,
    environment TEXT NOT NULL
) STRICT;

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
    owner           TEXT,                       -- who posted it here: client:<id> or fachverfahren:<name>
    target          TEXT,                       -- relayed: the gateway it went to
    work            TEXT CHECK (work IN ('publish', 'hand-over')),
    due_at          INTEGER,
    attempts        INTEGER NOT NULL DEFAULT 0,
    deferral        TEXT,
    parked          TEXT,                       -- reason, while parked
    ended           TEXT,                       -- the stage that ended it
    UNIQUE (side, author, message_id)
) STRICT;
CREATE INDEX message_work ON message (work, due_at) WHERE work IS NOT NULL;
CREATE INDEX message_id   ON message (message_id);
CREATE INDEX message_case ON message (case_id);
CREATE INDEX message_bytes ON message (bytes_digest);

-- The sealed octets, apart so that no look at messages reads them.
CREATE TABLE sealed (
    message INTEGER PRIMARY KEY REFERENCES message (seq),
    bytes   BLOB NOT NULL
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
    PRIMARY KEY (custodian, destination, sequence, head)
) STRICT, WITHOUT ROWID;

-- One promise per key of a client; the first answer is repeated to the same request.
CREATE TABLE promise (
    owner       TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    answer      TEXT NOT NULL,
    made_at     INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;

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
