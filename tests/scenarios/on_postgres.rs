//! What custodians owe each other they owe whatever database their journals lie in: the same scenarios once more, with
//! every journal in PostgreSQL (see `harness::custodians`).
//!
//! | repeated here | why |
//! |---|---|
//! | all other scenarios that open their journals by `Custodians` | what custody promises, it promises on both databases: promise, publish and ask again, relay, hold and return, take, repeats and conflicts, facts of others, hand-over, deadlines, retention, parked and its jobs, bounds of outbox, broker and receiver, lists, account and planted losses, reports, webhooks |
//!
//! | not repeated | why not |
//! |---|---|
//! | `down_for_a_week` | how long the others wait beside a backlog is a measurement, and one of them is enough in each run |
//! | `alarms_are_raised` | an alarm is a line of the log, wherever the journal lies |
//! | scenarios of whole processes | the same roles run on PostgreSQL, each twice, in `instances_killed`, `instances_rolling`, `instance_thaws` and `journal_server_killed` |
//! | `store_promises` | it runs on both databases by itself; `store_shared` holds what a server adds |
//! | `journal_restored` | a backup of a database is a matter of `pg_dump` |
//! | the unit tests inside the crates (`audit`, `gauges`, `outbox`, `retention`, …) | they need no server, so that they run anywhere; they open a file each |

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
#[path = "full_queue.rs"]
mod full_queue;
#[path = "ledger_names_what_is_lost.rs"]
mod ledger_names_what_is_lost;
#[path = "parked_by_hand.rs"]
mod parked_by_hand;
#[path = "receiver_full.rs"]
mod receiver_full;
#[path = "rests_at_the_broker.rs"]
mod rests_at_the_broker;
#[path = "rests_at_the_sender.rs"]
mod rests_at_the_sender;
#[path = "sealed_anew_meets.rs"]
mod sealed_anew_meets;
#[path = "shown_of_a_journal.rs"]
mod shown_of_a_journal;
#[path = "taken_twice.rs"]
mod taken_twice;
#[path = "urgent_at_the_broker.rs"]
mod urgent_at_the_broker;
#[path = "waits_for_its_turn.rs"]
mod waits_for_its_turn;
