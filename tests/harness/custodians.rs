//! Journals of custodians without a network between them: messages and receipts are carried by hand.
//!
//! For what a network shows only by accident: repeats, conflicts, statements by the wrong one.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use viereck::demo::site::Site;
use viereck_custody::Journal;
use viereck_envelope::{Content, Draft, File, MessageType, Role, SealedEnvelope, Signer, seal};
use viereck_routing::{CaseId, Environment, GatewayId, Kind, MessageId, Tables, day_in_berlin};

/// A site whose custodians are played by the test.
pub struct Custodians {
    /// Table and keys.
    pub site: Site,
    /// The table in force.
    pub tables: Arc<Tables>,
    dir: TempDir,
}

impl Custodians {
    /// Prepares table and keys.
    ///
    /// # Panics
    /// When that fails.
    pub fn prepare() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let site = Site::prepare(dir.path()).expect("table and keys");
        let loaded = Tables::load(&site.table(), day_in_berlin(Timestamp::now())).expect("the table loads");
        Self {
            site,
            tables: Arc::new(loaded.tables),
            dir,
        }
    }

    /// A new journal of a custodian.
    pub async fn journal(&self, custodian: &str) -> Journal {
        let path = self
            .dir
            .path()
            .join(format!("{custodian}-{}.sqlite", uuid::Uuid::new_v4()));
        Journal::open(&path, id(custodian), Environment::Test)
            .await
            .expect("a journal")
    }

    /// What a custodian signs with.
    pub fn signer(&self, custodian: &str) -> Signer {
        let key = self.site.keys().join(custodian).join("signing-1.key.pem");
        let certificate = self
            .tables
            .current_signing_certificate(&id(custodian), Timestamp::now())
            .expect("pinned");
        Signer::new(certificate.clone(), &std::fs::read_to_string(key).expect("a key")).expect("they fit")
    }

    /// An application for Wohngeld in Niebüll, sealed by the sender gateway.
    pub fn application(&self, message_id: MessageId, payload: &'static [u8]) -> SealedEnvelope {
        self.sealed_by("gw-sh-1", message_id, payload)
    }

    /// The same, sealed and signed by any gateway.
    pub fn sealed_by(&self, gateway: &str, message_id: MessageId, payload: &'static [u8]) -> SealedEnvelope {
        self.sealed_at(Timestamp::now(), gateway, message_id, payload)
    }

    /// The same, by a clock that says `now`.
    pub fn sealed_at(
        &self,
        now: Timestamp,
        gateway: &str,
        message_id: MessageId,
        payload: &'static [u8],
    ) -> SealedEnvelope {
        let reader = "wgb:010540880000".parse().expect("well-formed");
        let author = self.author();
        let draft = Draft {
            environment: Environment::Test,
            message_id,
            replaces: None,
            kind: Kind::Application,
            filed_at: now,
            obsolete_after: now + SignedDuration::from_hours(24 * 30),
            gateway: id(gateway),
            author,
            reader,
            service: viereck::demo::applications::WOHNGELD.parse().expect("well-formed"),
            region: None,
            message_type: MessageType {
                name: "antrag".to_owned(),
                schema: "urn:viereck:example:wohngeld:1".to_owned(),
            },
            process_ref: CaseId::random(),
            in_reply_to: None,
            routing_table: None,
            content: Content {
                client_reference: None,
                applicant: None,
                consents: None,
                payment: None,
                reply_token: None,
                files: vec![File {
                    role: Role::Payload,
                    name: "antrag.json".to_owned(),
                    media_type: "application/json".to_owned(),
                    octets: Bytes::from_static(payload),
                }],
            },
        };
        let certificate = self
            .tables
            .encryption_certificate(&draft.reader, now)
            .expect("pinned")
            .clone();
        seal(draft, &certificate, &self.signer(gateway), now).expect("it seals")
    }

    fn author(&self) -> viereck_routing::BehoerdeId {
        let client = self
            .tables
            .client(&viereck::demo::site::CLIENT.parse().expect("well-formed"))
            .expect("there");
        let wohngeld = viereck::demo::applications::WOHNGELD.parse().expect("well-formed");
        self.tables.author_for(client, &wohngeld).expect("a portal").clone()
    }
}

/// A custodian's name.
pub fn id(custodian: &str) -> GatewayId {
    custodian.parse().expect("well-formed")
}
