//! WHAT travels: the signed and encrypted XML envelope, custody events and receipt proofs.
