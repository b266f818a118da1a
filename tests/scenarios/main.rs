//! All scenarios in one binary, so that RabbitMQ starts once. Each file is one sentence about the whole system.

#![expect(clippy::unwrap_used, reason = "a panic in a scenario is a failed scenario")]
#![expect(clippy::print_stdout, reason = "a scenario ends in an account")]

mod alarms_are_raised;
mod asks_until_the_end;
mod back_before_its_confirm;
mod bad_start;
mod bounded_outbox;
mod broken_on_purpose;
mod broker_refuses;
mod canonical_elsewhere;
mod demo;
mod down_for_a_week;
mod drill;
mod erased_by_hand;
mod facts_of_others;
mod four_processes;
mod full_queue;
mod instance_thaws;
mod instances_killed;
mod instances_rolling;
mod interoperates;
mod journal_restored;
mod journal_server_killed;
mod ledger_names_what_is_lost;
mod link_contract;
mod link_tls;
mod mutations_apply;
mod nothing_leaks;
mod on_postgres;
mod one_trace;
mod ordered_over_http;
mod page_of_metrics;
mod parked_and_back;
mod parked_by_hand;
mod rabbitmq_lost;
mod receiver_full;
mod receiver_killed;
mod rests_at_the_broker;
mod rests_at_the_sender;
mod sample_payloads;
mod sealed_anew_meets;
mod sender_killed;
mod shown_of_a_journal;
mod stopped_under_load;
mod store_promises;
mod store_shared;
mod table_reload;
mod taken_twice;
mod tls_scan;
mod urgent_at_the_broker;
mod waits_for_its_turn;
mod where_is_it;
