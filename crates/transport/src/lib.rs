//! HOW it moves: one Link, embedded or AMQP.
