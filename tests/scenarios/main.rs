//! All scenarios in one binary, so that RabbitMQ starts once. Each file is one sentence about the whole system.

mod bad_start;
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
