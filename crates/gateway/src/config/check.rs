//! What is well-formed and still wrong or unwise, found before anything starts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use reqwest::Url;
use viereck_custody::Finding;

use super::{
    Acknowledge, Adapter, Behoerden, ClientCertificate, Config, ENVELOPE_BYTES, Limits, Oauth, Shows, Timeouts, Tls,
};

impl Config {
    /// Everything that is well-formed and still wrong or unwise, in the order of the file.
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = self.limits.check();
        findings.extend(listener("", self.listen, self.tls.as_ref(), self.tls_in_front));
        findings.extend(self.oauth.iter().flat_map(Oauth::check));
        let Timeouts {
            header_seconds,
            body_seconds,
            stop_seconds,
        } = self.timeouts;
        findings.extend(Finding::range("timeouts.header_seconds", header_seconds, 3600));
        findings.extend(Finding::range("timeouts.body_seconds", body_seconds, 3600));
        findings.extend(Finding::range("timeouts.stop_seconds", stop_seconds, 3600));
        // what an envelope allows
        findings.extend(Finding::range(
            "obsolete_after_days",
            self.obsolete_after_days.into(),
            90,
        ));
        findings.extend(self.webhooks.check());
        findings.extend(self.outbox.check());
        findings.extend(self.inbox.check());
        findings.extend(self.receipts.check());
        findings.extend(self.deadlines.check());
        findings.extend(self.retention.check());
        let mut seen = BTreeMap::new();
        for (index, delivery) in self.deliveries.iter().enumerate() {
            let key = format!("delivery[{index}]");
            if let Some(first) = seen.insert((&delivery.behoerde, &delivery.leistung), index) {
                let sentence = format!("delivery[{first}] is for the same Behörde and Leistung: remove one of them.");
                findings.push(Finding::error("delivery-twice", &key, &sentence));
            }
            findings.extend(delivery.adapter.check(&key));
        }
        let mut names = BTreeSet::new();
        for (index, fachverfahren) in self.fachverfahren.iter().enumerate() {
            let key = format!("fachverfahren[{index}]");
            if !names.insert(&fachverfahren.name) {
                findings.push(Finding::error(
                    "name-twice",
                    &key,
                    "Another Fachverfahren has the same name.",
                ));
            }
            if fachverfahren.behoerden == Behoerden::Only(BTreeSet::new()) {
                findings.push(Finding::warning(
                    "no-behoerden",
                    &key,
                    "It may reply for nobody: name its Behörden.",
                ));
            }
            let asked = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
            if !matches!(fachverfahren.shows, Shows::Token(_)) && !asked {
                let sentence = "Nobody is asked for a certificate: set client_ca in [gateway.tls].";
                findings.push(Finding::error("certificate-unasked", &key, sentence));
            }
        }
        findings
    }
}

impl Limits {
    fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.payload_bytes > self.together_bytes || self.attachment_bytes > self.together_bytes {
            let sentence = "One file may be larger than all together: the smaller limit counts.";
            findings.push(Finding::warning("never-reached", "limits.together_bytes", sentence));
        }
        if self.bytes_in_flight < self.request_bytes() {
            let sentence = format!("One request alone may need {} octets.", self.request_bytes());
            findings.push(Finding::error("out-of-range", "limits.bytes_in_flight", &sentence));
        }
        for (key, value, most) in [
            ("limits.payload_bytes", self.payload_bytes, ENVELOPE_BYTES),
            ("limits.attachment_bytes", self.attachment_bytes, ENVELOPE_BYTES),
            ("limits.together_bytes", self.together_bytes, ENVELOPE_BYTES),
            // the manifest, which carries them, has 256 KiB
            ("limits.metadata_bytes", self.metadata_bytes, 128 << 10),
            // beyond that an attachment has no name
            ("limits.attachments", self.attachments.max(1), 99),
            ("limits.bytes_in_flight", self.bytes_in_flight, 1 << 40),
            ("limits.connections", self.connections, 65_536),
            ("limits.connections_per_address", self.connections_per_address, 65_536),
            (
                "limits.unauthenticated_per_minute",
                self.unauthenticated_per_minute as usize,
                1_000_000,
            ),
            ("limits.hand_overs", self.hand_overs, 4096),
            ("limits.waiting", self.waiting, 65_536),
        ] {
            findings.extend(Finding::range(key, value as u64, most as u64));
        }
        findings
    }

    /// The octets of the largest request that may still be good: its parts, and room for their heads.
    pub(crate) fn request_bytes(&self) -> usize {
        let heads = self.attachments.saturating_add(2).saturating_mul(1024);
        self.together_bytes
            .saturating_add(self.metadata_bytes)
            .saturating_add(heads)
    }
}

impl Adapter {
    fn check(&self, key: &str) -> Option<Finding> {
        match self {
            Adapter::Directory {
                acknowledge: Acknowledge::Rename,
                ..
            } => Some(Finding::warning(
                "accepted-unseen",
                &format!("{key}.acknowledge"),
                "With rename a message counts as taken over before anybody has looked at it. Let the Fachverfahren set \
                 a marker.",
            )),
            Adapter::Http(endpoint) | Adapter::Postfach(endpoint) if !is_private(&endpoint.url) => {
                Some(Finding::warning(
                    "plaintext",
                    &format!("{key}.url"),
                    "Applications would leave this host unencrypted. Use https.",
                ))
            }
            Adapter::Http(_) | Adapter::Postfach(_) | Adapter::Directory { .. } => None,
        }
    }
}

/// What is wrong with where a server listens, and how; `section` stands before the keys.
///
/// Tokens and applications in plaintext are an error and no warning: nobody reads warnings of a container that runs. Where
/// TLS ends before this process, somebody has to have said so.
pub fn listener(section: &str, listen: SocketAddr, tls: Option<&Tls>, tls_in_front: bool) -> Vec<Finding> {
    let key = |name: &str| format!("{section}{name}");
    let mut findings = Vec::new();
    match tls {
        None if !listen.ip().is_loopback() && !tls_in_front => findings.push(Finding::error(
            "plaintext",
            &key("listen"),
            "What is sent there would cross the network unencrypted. Add a tls section, or set tls_in_front = true where \
             something before this process ends TLS.",
        )),
        Some(_) if tls_in_front => findings.push(Finding::error(
            "contradiction",
            &key("tls_in_front"),
            "Either TLS ends here or in front of here.",
        )),
        Some(tls) if tls.client_ca.is_none() && tls.client_certificate == ClientCertificate::Required => {
            let sentence = "A certificate can be required only with client_ca, the authorities that it may be of.";
            findings.push(Finding::error("contradiction", &key("tls.client_certificate"), sentence));
        }
        None | Some(_) => {}
    }
    findings
}

/// Where a server is, as the configuration says it: by http or https, and with nothing in it that is a secret.
pub(super) fn server_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let fits = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    fits.then_some(url)
}

/// Whether nobody between here and there can read along.
pub(super) fn is_private(url: &Url) -> bool {
    let loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            address.is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    url.scheme() == "https" || loopback
}
