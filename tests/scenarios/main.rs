//! All scenarios in one binary, so that RabbitMQ starts once. Each file is one sentence about the whole system.

#![expect(clippy::unwrap_used, reason = "a panic in a scenario is a failed scenario")]
#![expect(clippy::print_stdout, reason = "a scenario ends in an account")]

mod bad_start;
mod bounded_outbox;
mod broker_refuses;
mod demo;
mod facts_of_others;
mod four_processes;
mod link_contract;
mod outside_verifier;
mod receiver_killed;
mod sample_payloads;
mod sender_killed;
mod stopped_under_load;
mod table_reload;
mod taken_twice;
