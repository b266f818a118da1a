//! The middle: topology, relay, authorisation, receipts passed on.
