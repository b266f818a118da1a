//! What scenarios share.
