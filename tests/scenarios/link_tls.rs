//! AMQP over TLS, with client certificates and exactly the rights of a role: what works, and everything that is refused.
//!
//! RabbitMQ is configured by the file that operators copy, virtual hosts and users are made by the commands that
//! operators use, and nothing of it listens in plaintext. A whole application over such links is in `four_processes`.

mod fixture;
mod handshakes;
mod renewal;
mod rights;
mod users;
