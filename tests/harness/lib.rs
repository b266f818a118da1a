//! What scenarios share.

pub mod python;
pub mod schema;
