//! Deliveries and Fachverfahren as they are written: which keys fit depends on the adapter.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use viereck_routing::{BehoerdeId, Digest};

use super::{
    Acknowledge, Adapter, Behoerden, Delivery, Endpoint, Fachverfahren, For, Outgoing, Shows, TokenDigest, server_url,
};

/// A delivery as it is written: which keys fit depends on the adapter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    behoerde: String,
    leistung: String,
    adapter: AdapterName,
    concurrency: Option<usize>,
    per_minute: Option<u32>,
    url: Option<String>,
    token_file: Option<PathBuf>,
    timeout_seconds: Option<u64>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    folder: Option<PathBuf>,
    acknowledge: Option<Acknowledge>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum AdapterName {
    Http,
    Directory,
    Postfach,
}

impl TryFrom<Keys> for Delivery {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let behoerde = For::parse("behoerde", &keys.behoerde)?;
        let leistung = For::parse("leistung", &keys.leistung)?;
        let concurrency = keys.concurrency.unwrap_or(4);
        if !(1..=1024).contains(&concurrency) {
            return Err("concurrency: a number from 1 to 1024".to_owned());
        }
        let per_minute = keys.per_minute;
        if per_minute.is_some_and(|most| !(1..=60_000).contains(&most)) {
            return Err("per_minute: a number from 1 to 60000".to_owned());
        }
        let adapter = match keys.adapter {
            AdapterName::Http => Adapter::Http(keys.endpoint()?),
            AdapterName::Postfach => Adapter::Postfach(keys.endpoint()?),
            AdapterName::Directory => keys.directory()?,
        };
        Ok(Self {
            behoerde,
            leistung,
            concurrency,
            per_minute,
            adapter,
        })
    }
}

impl Keys {
    fn endpoint(self) -> Result<Endpoint, String> {
        if self.folder.is_some() || self.acknowledge.is_some() {
            return Err("folder and acknowledge belong to the adapter directory".to_owned());
        }
        let url = self.url.ok_or("url: missing; this adapter posts somewhere")?;
        let url =
            server_url(&url).ok_or("url: an http or https URL without a password; a token stands in token_file")?;
        let seconds = self.timeout_seconds.unwrap_or(30);
        if !(1..=3600).contains(&seconds) {
            return Err("timeout_seconds: a number from 1 to 3600".to_owned());
        }
        let timeout = Duration::from_secs(seconds);
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("certificate and key belong together".to_owned()),
        };
        let tls = Outgoing { ca: self.ca, identity };
        if url.scheme() != "https" && (tls.ca.is_some() || tls.identity.is_some()) {
            return Err("ca, certificate and key belong to an https URL".to_owned());
        }
        Ok(Endpoint {
            url,
            token_file: self.token_file,
            timeout,
            tls,
        })
    }

    fn directory(self) -> Result<Adapter, String> {
        let tls = [&self.ca, &self.certificate, &self.key];
        let secured = tls.iter().any(|file| file.is_some());
        if self.url.is_some() || self.token_file.is_some() || self.timeout_seconds.is_some() || secured {
            let sentence = "url, token_file, timeout_seconds, ca, certificate and key belong to the adapters http and \
                            postfach";
            return Err(sentence.to_owned());
        }
        let folder = self
            .folder
            .ok_or("folder: missing; this adapter puts messages into one")?;
        Ok(Adapter::Directory {
            folder,
            acknowledge: self.acknowledge.unwrap_or(Acknowledge::Marker),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FachverfahrenKeys {
    name: String,
    behoerden: BehoerdenKeys,
    token_sha256: Option<Digest>,
    token_sha256_file: Option<PathBuf>,
    certificate_sha256: Option<Digest>,
}

/// `"all"` or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum BehoerdenKeys {
    Word(String),
    List(BTreeSet<BehoerdeId>),
}

impl TryFrom<BehoerdenKeys> for Behoerden {
    type Error = String;

    fn try_from(keys: BehoerdenKeys) -> Result<Self, String> {
        match keys {
            BehoerdenKeys::Word(word) if word == "all" => Ok(Self::All),
            BehoerdenKeys::Word(_) => Err("behoerden: \"all\" or a list of Behörde identifiers".to_owned()),
            BehoerdenKeys::List(these) => Ok(Self::Only(these)),
        }
    }
}

impl TryFrom<FachverfahrenKeys> for Fachverfahren {
    type Error = String;

    fn try_from(keys: FachverfahrenKeys) -> Result<Self, String> {
        let token = match (keys.token_sha256, keys.token_sha256_file) {
            (Some(digest), None) => Some(TokenDigest::Here(digest)),
            (None, Some(file)) => Some(TokenDigest::File(file)),
            (None, None) => None,
            (Some(_), Some(_)) => return Err("either token_sha256 or token_sha256_file".to_owned()),
        };
        let shows = match (token, keys.certificate_sha256) {
            (Some(token), None) => Shows::Token(token),
            (None, Some(certificate)) => Shows::Certificate(certificate),
            (Some(token), Some(certificate)) => Shows::Both(token, certificate),
            (None, None) => return Err("one of token_sha256, token_sha256_file and certificate_sha256".to_owned()),
        };
        Ok(Self {
            name: keys.name,
            behoerden: keys.behoerden.try_into()?,
            shows,
        })
    }
}
