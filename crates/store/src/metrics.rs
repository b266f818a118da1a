//! What is measured of a store.

use viereck_observe::{Kind, Label, Values};

/// Which store.
const STORE: Label = Label {
    name: "store",
    values: Values::Named("the name of the file without its ending, or of the database"),
};

/// A lonely commit on a good disk takes a millisecond or two.
const COMMITS: Kind = Kind::Histogram(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]);

viereck_observe::declare! {
    /// How long one commit took from its first statement until it was on disk.
    COMMIT = COMMITS, Seconds, "viereck_store_commit_seconds",
        [STORE, Label { name: "outcome", values: Values::Words(|| vec!["committed", "failed"]) }];
    /// How many writes shared one commit.
    GROUP = Kind::Histogram(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]), Count, "viereck_store_group_size",
        [STORE];
    /// Writes that waited for the writer when its last commit ended.
    QUEUE = Kind::Gauge, Count, "viereck_store_queue", [STORE];
    /// How large the database is on its disk, without what waits in its log.
    SIZE = Kind::Gauge, Octets, "viereck_store_bytes", [STORE];
}

/// What is asked of SQLite.
pub(crate) const SIZE_OF_FILE: &str = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";

/// What is asked of PostgreSQL: all tables of this schema with their indexes.
pub(crate) const SIZE_OF_SCHEMA: &str = "SELECT CAST(coalesce(sum(pg_total_relation_size(oid)), 0) AS BIGINT)
    FROM pg_class WHERE relkind = 'r'
    AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema)";
