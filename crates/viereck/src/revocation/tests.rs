//! Against a server on this host whose answer a test sets, with the clock as an argument.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use viereck_routing::{BehoerdeId, NotSealable, Tables, day_in_berlin};

use super::*;
use crate::demo::site::Site;

#[path = "../../tests/authority/mod.rs"]
mod authority;
use authority::Authority;

const READER: &str = "wgb:010540880000";
const SENDER: &str = "gw-sh-1";

/// What the server answers; nothing means that it is out of order.
type Answer = Arc<Mutex<Option<Vec<u8>>>>;

struct Here {
    folder: tempfile::TempDir,
    site: Site,
    authority: Authority,
    /// Of the reader's encryption certificate, and of the sender gateway's signing certificate.
    serial: u64,
    signing: u64,
    answer: Answer,
}

impl Here {
    async fn new() -> Self {
        let answer = Answer::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ca.crl", listener.local_addr().unwrap());
        let give = |State(answer): State<Answer>| async move {
            answer.lock().unwrap().clone().ok_or(StatusCode::SERVICE_UNAVAILABLE)
        };
        let router = Router::new()
            .route("/ca.crl", get(give))
            .with_state(Arc::clone(&answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let folder = tempfile::tempdir().unwrap();
        let site = Site::prepare(folder.path()).unwrap();
        let authority = Authority::new();
        let list = format!("[[trust.list]]\nissuer = \"anchors/root.pem\"\nurl = \"{url}\"");
        let serials = authority.take_over(&site.table(), &site.keys(), &list);
        let of_reader = |(id, purpose, _): &&(String, String, u64)| id == READER && purpose == "encryption";
        let serial = serials.iter().find(of_reader).unwrap().2;
        let signing = serials.iter().find(|(id, ..)| id == SENDER).unwrap().2;
        Self {
            folder,
            site,
            authority,
            serial,
            signing,
            answer,
        }
    }

    fn tables(&self) -> Arc<Tables> {
        let loaded = Tables::load(&self.site.table(), day_in_berlin(Timestamp::now()));
        Arc::new(loaded.unwrap_or_else(|findings| panic!("{findings}")).tables)
    }

    fn lists(&self) -> PathBuf {
        self.folder.path().join("lists")
    }

    async fn refresh(&self, tables: &Arc<Tables>, now: Timestamp) -> bool {
        let settings = Revocation {
            folder: self.lists(),
            refresh_minutes: 60,
        };
        let watch = Watch::new(settings, watch::channel(Arc::clone(tables)).1).unwrap();
        watch.refresh(&tables.list_sources()[0], tables, now).await
    }

    fn serve(&self, list: Option<Vec<u8>>) {
        *self.answer.lock().unwrap() = list;
    }
}

fn sealable(tables: &Tables, at: Timestamp) -> Result<(), NotSealable> {
    let reader: BehoerdeId = READER.parse().unwrap();
    tables.sealable_key(&reader, &reader, at).map(drop)
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

#[tokio::test]
async fn a_list_that_cannot_be_had_stops_sealing_after_the_grace_also_across_restarts() {
    let here = Here::new().await;
    let now = Timestamp::now();
    // never had: the grace runs from the first question, and a restart does not begin it anew
    let tables = here.tables();
    assert!(!here.refresh(&tables, now).await);
    assert_eq!(sealable(&tables, now + hours(24)), Ok(()));
    let restarted = here.tables();
    restore(&here.lists(), &restarted, now + hours(23));
    assert_eq!(sealable(&restarted, now + hours(24)), Ok(()));
    assert_eq!(
        sealable(&restarted, now + hours(25)),
        Err(NotSealable::RevocationUnknown)
    );

    // had, kept, and then the server is away
    here.serve(Some(here.authority.list(now, &[])));
    assert!(here.refresh(&restarted, now + hours(25)).await);
    here.serve(None);
    let restarted = here.tables();
    restore(&here.lists(), &restarted, now + hours(26));
    assert!(!here.refresh(&restarted, now + hours(26)).await);
    assert_eq!(sealable(&restarted, now + hours(49)), Ok(()));
    assert_eq!(
        sealable(&restarted, now + hours(50)),
        Err(NotSealable::RevocationUnknown)
    );

    // back again
    here.serve(Some(here.authority.list(now + hours(24), &[])));
    assert!(here.refresh(&restarted, now + hours(50)).await);
    assert_eq!(sealable(&restarted, now + hours(50)), Ok(()));
}

#[tokio::test]
async fn what_is_revoked_stays_revoked_whatever_the_server_says_then() {
    let here = Here::new().await;
    let now = Timestamp::now();
    let tables = here.tables();
    here.serve(Some(here.authority.list(now, &[here.serial])));
    assert!(here.refresh(&tables, now).await);
    assert_eq!(sealable(&tables, now), Err(NotSealable::Revoked));
    // an older list, one of somebody else, a page, too much: none of them is taken
    let lists = [
        here.authority.list(now - hours(24), &[]),
        Authority::new().list(now, &[]),
        b"<html>maintenance</html>".to_vec(),
        vec![0; LONGEST + 1],
    ];
    for list in lists {
        here.serve(Some(list));
        assert!(!here.refresh(&tables, now).await);
        assert_eq!(sealable(&tables, now), Err(NotSealable::Revoked));
    }
    let restarted = here.tables();
    restore(&here.lists(), &restarted, now + hours(1));
    assert_eq!(sealable(&restarted, now + hours(1)), Err(NotSealable::Revoked));
    let names: Vec<_> = std::fs::read_dir(here.lists()).unwrap().collect();
    assert_eq!(names.len(), 1, "one file for the issuer, and no remains");
}

#[tokio::test]
async fn a_damaged_file_is_as_good_as_none() {
    let here = Here::new().await;
    let now = Timestamp::now();
    let tables = here.tables();
    here.serve(Some(here.authority.list(now, &[])));
    assert!(here.refresh(&tables, now).await);
    let issuer = tables.list_sources()[0].issuer;
    for text in [
        "",
        "{",
        "{\"issuer\":\"x\",\"asked\":\"2020-01-01T00:00:00Z\",\"fetched\":null,\"list\":\"!\"}",
    ] {
        std::fs::write(place(&here.lists(), &issuer), text).unwrap();
        let restarted = here.tables();
        restore(&here.lists(), &restarted, now);
        assert!(restarted.list_state(&issuer).is_none());
    }
}

/// An application, signed by the sender's gateway.
fn sealed(here: &Here, tables: &Tables, now: Timestamp) -> bytes::Bytes {
    use viereck_envelope::{Content, Draft, File, MessageType, Role};
    use viereck_routing::{CaseId, Kind, MessageId};
    let keys = viereck_gateway::Keys::load(&here.site.keys(), &SENDER.parse().unwrap(), tables).unwrap();
    let reader: BehoerdeId = READER.parse().unwrap();
    let reader = tables.sealable_key(&reader, &reader, now).unwrap();
    let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap();
    let payload = File {
        role: Role::Payload,
        name: "antrag.xml".to_owned(),
        media_type: "application/xml".to_owned(),
        octets: bytes::Bytes::from_static(b"<antrag/>"),
    };
    let draft = Draft {
        environment: tables.environment(),
        message_id: MessageId::random(),
        replaces: None,
        kind: Kind::Application,
        filed_at: now,
        obsolete_after: now + hours(24),
        gateway: SENDER.parse().unwrap(),
        author: "wgp:010000000000".parse().unwrap(),
        reader: READER.parse().unwrap(),
        service: "99107023037000".parse().unwrap(),
        region: None,
        message_type: MessageType {
            name: "antrag".to_owned(),
            schema: "urn:example:none".to_owned(),
        },
        process_ref: CaseId::random(),
        in_reply_to: None,
        routing_table: None,
        content: Content {
            files: vec![payload],
            ..Content::default()
        },
    };
    viereck_envelope::seal(draft, &reader, &keys.signer, now)
        .unwrap()
        .bytes()
        .clone()
}

#[tokio::test]
async fn what_a_revoked_key_signed_is_refused_and_own_octets_are_still_read() {
    use viereck_envelope::{OwnOctets, Refused, verify};
    let here = Here::new().await;
    let now = Timestamp::now();
    let tables = here.tables();
    here.serve(Some(here.authority.list(now, &[])));
    assert!(here.refresh(&tables, now).await);
    let bytes = sealed(&here, &tables, now);
    let environment = tables.environment();
    assert!(verify(bytes.clone(), tables.as_ref(), environment, now).is_ok());
    // a list that is too old stops sealing, and nobody's messages
    assert!(verify(bytes.clone(), tables.as_ref(), environment, now + hours(999)).is_ok());
    here.serve(Some(here.authority.list(now, &[here.signing])));
    assert!(here.refresh(&tables, now).await);
    let refused = verify(bytes.clone(), tables.as_ref(), environment, now).unwrap_err();
    assert_eq!(
        (refused, refused.code()),
        (Refused::CertificateRevoked, "certificate-revoked")
    );
    assert_eq!(refused.reason(), viereck_envelope::Reason::T001);
    assert!(verify(bytes, &OwnOctets(&tables), environment, now).is_ok());
}
