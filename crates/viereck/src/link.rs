//! The link of one process, opened as the configuration says.

use viereck_gateway::key_files::read_tls_key;
use viereck_transport::{AmqpConfig, Link, Tls};

use crate::config;
use crate::failure::{Exit, Failure};
use crate::network::make_parent;

/// The files of TLS, whose key is read by the rule for every key of TLS.
fn files_of(tls: config::Tls) -> Tls {
    let config::Tls { ca, certificate, key } = tls;
    Tls {
        ca,
        certificate,
        key,
        read_key: |file| read_tls_key(file).map_err(|error| error.to_string()),
    }
}

/// Opens the embedded link, or begins to connect to RabbitMQ. A server that is not there is no error: gateways accept
/// and keep what is theirs until it is. `name` is what the connections are called in the server's listings.
pub(crate) fn open(link: &config::Link, name: &str) -> Result<Link, Failure> {
    let opened = match link {
        config::Link::Embedded(file) => {
            make_parent(file)?;
            Link::embedded(file)
        }
        config::Link::Amqp(url, tls) => Link::amqp(AmqpConfig {
            tls: tls.clone().map(files_of),
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

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_of_the_link_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("link.key.pem");
        fs::write(&key, "a key").unwrap();
        let tls = files_of(config::Tls {
            ca: folder.path().join("ca.pem"),
            certificate: None,
            key: None,
        });
        for (mode, read) in [(0o600, true), (0o640, true), (0o644, false), (0o660, false)] {
            fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
            let refused = (tls.read_key)(&key).err();
            assert_eq!(refused.is_none(), read, "{mode:o}");
            assert!(refused.is_none_or(|told| told.starts_with("tls-key-exposed: ")));
        }
    }
}
