
-- What SQLite is to expect of the messages, by index: rows, and rows for each value of its first column, its first two,
-- and so on, as ANALYZE would write them for a journal of a million messages of which ten thousand have not ended. Without
-- them it takes all indexes for equally good and may go through one whole side for a message that it could look up; with
-- its own of an early day it would do the same later. PostgreSQL keeps its own.
ANALYZE;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('message', 'sqlite_autoindex_message_1', '1000000 400000 1000 1'),
    ('message', 'message_due',       '10000 3000 2000 2'),
    ('message', 'message_pair',      '10000 3000 100 50 50 1'),
    ('message', 'message_id',        '1000000 1'),
    ('message', 'message_case',      '1000000 4'),
    ('message', 'message_bytes',     '1000000 1'),
    ('message', 'message_entered',   '1000000 400000 2 1'),
    ('message', 'message_owner',     '400000 40000 2 1'),
    ('message', 'message_reference', '400000 2'),
    ('message', 'message_claimed',   '1000 200'),
    ('message', 'message_parked',    '1000 200 2'),
    ('message', 'message_parked_entered', '1000 400 2 1'),
    ('message', 'message_warned',    '10000 4000 2000 2'),
    ('message', 'message_purpose',   '10000 4000 2'),
    ('message', 'message_living',    '10000 4000 2'),
    ('message', 'message_held',      '1000 1000 200 100 2'),
    ('message', 'message_resting',   '100 10 1'),
    ('message', 'message_overdue',   '1000 2'),
    ('message', 'message_replaces',  '1000 1'),
    ('message', 'message_rejected',  '10000 1'),
    ('message', 'message_ended',     '900000 300000 2'),
    ('message', 'message_left_over', '10000 2');
ANALYZE sqlite_schema;
