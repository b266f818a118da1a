//! What custodians owe each other they owe whatever database their journals lie in: the same scenarios once more, with
//! every journal in PostgreSQL (see `harness::custodians`).

#![expect(
    clippy::duplicate_mod,
    reason = "one body of tests for both databases is the point: nothing may hold on one of them only"
)]

#[path = "asks_until_the_end.rs"]
mod asks_until_the_end;
#[path = "back_before_its_confirm.rs"]
mod back_before_its_confirm;
#[path = "bounded_outbox.rs"]
mod bounded_outbox;
#[path = "broker_refuses.rs"]
mod broker_refuses;
#[path = "facts_of_others.rs"]
mod facts_of_others;
#[path = "sealed_anew_meets.rs"]
mod sealed_anew_meets;
#[path = "shown_of_a_journal.rs"]
mod shown_of_a_journal;
#[path = "taken_twice.rs"]
mod taken_twice;
#[path = "waits_for_its_turn.rs"]
mod waits_for_its_turn;
