//! What a node listens to: plaintext, as in every test that is not about TLS, or TLS exactly as in production.

use std::path::{Path, PathBuf};

/// What a production node is configured with: the file that operators copy.
const EXAMPLE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/rabbitmq/rabbitmq.conf.example"
));

/// Where the example expects the files of TLS.
const ITS_FILES: &str = "/etc/rabbitmq/tls/";

/// Its settings that do not fit a host of tests: the port, and the free room that publishing needs.
const ITS_PORT: &str = "listeners.ssl.default = 5671";
const ITS_ROOM: &str = "disk_free_limit.absolute = 5GB";

/// How a node is reached.
#[derive(Debug, Clone)]
pub(super) enum Listener {
    /// Plaintext and passwords, on the loopback.
    Plain,
    /// `deploy/rabbitmq/rabbitmq.conf.example`, with `ca.pem`, `node.pem` and `node.key` of this folder.
    Tls(PathBuf),
}

impl Listener {
    /// The settings of the node that listens on `port`.
    pub(super) fn configuration(&self, port: u16) -> String {
        let log = "log.file.level = warning\n";
        match self {
            Listener::Plain => {
                format!("listeners.tcp.1 = 127.0.0.1:{port}\ndisk_free_limit.absolute = 50MB\n{log}")
            }
            Listener::Tls(folder) => format!("{}{log}", of_production(folder, port)),
        }
    }

    pub(super) fn plugins(&self) -> &'static str {
        match self {
            Listener::Plain => "[].\n",
            Listener::Tls(_) => "[rabbitmq_auth_mechanism_ssl].\n",
        }
    }
}

fn of_production(folder: &Path, port: u16) -> String {
    EXAMPLE
        .replace(ITS_FILES, &format!("{}/", folder.display()))
        .replace(ITS_PORT, &format!("listeners.ssl.1 = 127.0.0.1:{port}"))
        .replace(ITS_ROOM, "disk_free_limit.absolute = 50MB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_what_is_adapted_and_no_plaintext() {
        for needed in [ITS_FILES, ITS_PORT, ITS_ROOM, "\nlisteners.tcp = none\n"] {
            assert!(EXAMPLE.contains(needed), "{needed}");
        }
        let adapted = Listener::Tls("/tmp/x".into()).configuration(4711);
        assert!(adapted.contains("ssl_options.keyfile = /tmp/x/node.key\n"));
        assert!(adapted.contains("listeners.ssl.1 = 127.0.0.1:4711\n") && !adapted.contains("5671"));
    }
}
