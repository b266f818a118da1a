//! What an AMQP link is told, checked before anything connects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri, SASLMechanism};

use crate::error::LinkError;

use super::tls::{Identity, Tls};

/// How an AMQP link connects.
#[derive(Clone)]
pub struct AmqpConfig {
    /// One `amqp://` or `amqps://` URL for each node, all naming the same virtual host. Tried in turn.
    pub nodes: Vec<String>,
    /// Needed for `amqps://`.
    pub tls: Option<Tls>,
    /// How the connections are called in RabbitMQ's listings.
    pub name: String,
    /// A connection on which nothing was heard for twice this long is cut.
    pub heartbeat: Duration,
    /// How long a call waits for a connection and for its answer before it gives up.
    pub patience: Duration,
}

impl AmqpConfig {
    /// One node, and defaults for the rest.
    pub fn new(url: &str) -> Self {
        Self {
            nodes: vec![url.to_owned()],
            tls: None,
            name: "viereck".to_owned(),
            heartbeat: Duration::from_secs(5),
            patience: Duration::from_secs(20),
        }
    }
}

impl fmt::Debug for AmqpConfig {
    /// Without the URLs: they may carry passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("name", &self.name)
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

/// A checked [`AmqpConfig`].
pub(super) struct Settings {
    pub(super) nodes: Vec<AMQPUri>,
    pub(super) tls: Option<Arc<Identity>>,
    pub(super) name: String,
    pub(super) patience: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Settings {
    pub(super) fn check(config: AmqpConfig) -> Result<Self, LinkError> {
        let wrong = |sentence: &str| LinkError::Configuration(sentence.to_owned());
        if config.nodes.is_empty() {
            return Err(wrong("at least one node is needed"));
        }
        let mut nodes = Vec::new();
        for url in &config.nodes {
            let mut node: AMQPUri = url
                .parse()
                .map_err(|_| wrong("a node's address is not a URL of amqp:// or amqps://"))?;
            let heartbeat = u16::try_from(config.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX);
            node.query.heartbeat = Some(heartbeat);
            match (&node.scheme, &config.tls) {
                (AMQPScheme::AMQPS, None) => {
                    return Err(wrong("amqps:// needs the certificate of the authority to trust"));
                }
                // Whoever names the files of TLS wants TLS.
                (AMQPScheme::AMQP, Some(_)) => {
                    return Err(wrong(
                        "there are files of TLS, and an address of amqp:// would not use them",
                    ));
                }
                (AMQPScheme::AMQPS, Some(tls)) if tls.certificate.is_some() => {
                    node.query.auth_mechanism = Some(SASLMechanism::External);
                }
                (AMQPScheme::AMQP, None) | (AMQPScheme::AMQPS, Some(_)) => {}
            }
            nodes.push(node);
        }
        let tls = config.tls.map(Identity::read).transpose()?.map(Arc::new);
        Ok(Self {
            nodes,
            tls,
            name: config.name,
            patience: config.patience,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: AmqpConfig) -> String {
        match Settings::check(config) {
            Err(error @ LinkError::Configuration(_)) => error.to_string(),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_repeating_it() {
        let mut none = AmqpConfig::new("");
        none.nodes.clear();
        assert!(refusal(none).contains("at least one node"));
        for url in [
            "",
            "http://u:geheim@h",
            "amqp//u:geheim@h",
            "amqp://u:geheim@h:port",
            "geheim",
        ] {
            let sentence = refusal(AmqpConfig::new(url));
            assert!(!sentence.contains("geheim"), "{sentence}");
        }
    }

    #[test]
    fn tls_without_an_authority_to_trust_is_refused() {
        assert!(refusal(AmqpConfig::new("amqps://localhost/%2f")).contains("authority"));
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("ca.pem");
        std::fs::write(&empty, "").unwrap();
        let mut config = AmqpConfig::new("amqps://localhost/%2f");
        config.tls = Some(Tls {
            ca: empty,
            certificate: None,
            key: None,
            read_key: |_| unreachable!("no key is named"),
        });
        assert!(refusal(config.clone()).contains("holds no certificate"));
        config.nodes = vec!["amqp://localhost/%2f".to_owned()];
        assert!(refusal(config.clone()).contains("would not use them"));
        config.nodes = vec!["amqps://localhost/%2f".to_owned()];
        config.tls = Some(Tls {
            ca: folder.path().join("absent.pem"),
            certificate: None,
            key: None,
            read_key: |_| unreachable!("no key is named"),
        });
        assert!(refusal(config).contains("cannot be read"));
    }

    #[test]
    fn no_password_in_debug_output() {
        let config = AmqpConfig::new("amqp://gw:geheim@localhost/%2f");
        assert!(!format!("{config:?}").contains("geheim"));
        assert!(!format!("{:?}", Settings::check(config).unwrap()).contains("geheim"));
    }
}
