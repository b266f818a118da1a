//! What scenarios share: real processes, a real RabbitMQ, real stand-ins, outside verifiers.

pub mod account;
pub mod alarms;
pub mod authority;
pub mod corners;
pub mod custodians;
pub mod instances;
pub mod middle;
pub mod peers;
pub mod postgres;
pub mod process;
pub mod python;
pub mod rabbitmq;
pub mod receipts;
pub mod schema;
pub mod tls_scan;
pub mod wait;
