//! The link of one process, opened as the configuration says.

use viereck_transport::{AmqpConfig, Link, Tls};

use crate::config;
use crate::failure::{Exit, Failure};
use crate::network::make_parent;

/// Opens the embedded link, or begins to connect to RabbitMQ. A server that is not there is no error: gateways accept
/// and keep what is theirs until it is. `name` is what the connections are called in the server's listings.
pub(crate) fn open(link: &config::Link, name: &str) -> Result<Link, Failure> {
    let opened = match link {
        config::Link::Embedded(file) => {
            make_parent(file)?;
            Link::embedded(file)
        }
        config::Link::Amqp(url, tls) => Link::amqp(AmqpConfig {
            tls: tls
                .clone()
                .map(|config::Tls { ca, certificate, key }| Tls { ca, certificate, key }),
            name: name.to_owned(),
            nodes: url.nodes(),
            ..AmqpConfig::new(url.with_password())
        }),
    };
    opened.map_err(|error| {
        let exit = if error.may_pass() {
            Exit::Unreachable
        } else {
            Exit::Usage
        };
        Failure::new(exit, error.code(), format!("The link cannot be opened: {error}."))
    })
}
