//! The fault suite: a private network that is broken on purpose while applications flow through it.

pub mod nodes;
