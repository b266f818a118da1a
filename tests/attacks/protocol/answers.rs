//! Bescheide that do not belong where they claim to: a running sender gateway opens them and has a mailbox behind it.

use std::net::Ipv4Addr;
use std::time::Duration;

use harness::custodians::{Custodians, id};
use harness::wait::until;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use viereck::demo::stand_ins::Postfach;
use viereck_custody::{Case as File, Idempotency, Journal, Promise};
use viereck_envelope::{Draft, Reason, ReplyChannel, ReplyToken, SealedEnvelope, Stage};
use viereck_gateway::{Config, Inputs, Keys};
use viereck_routing::{CaseId, Digest, Kind, MessageId};
use viereck_transport::Link;

use super::{Case, Effect, case};
use crate::case::Attacker::{Participant, Reader};
use crate::case::{Attacker, Refusal};
use crate::scene::{AUTHOR, OTHER, OTHER_AUTHOR, OTHER_READER, READER, RECEIVER, SENDER};

pub(super) fn cases() -> Vec<Case> {
    let refused = |by: Attacker, name, reason, change: fn(&mut Draft, &Filed)| {
        case("answers", by, name, Refusal::HandOver(reason), move || {
            answered(reason, change)
        })
    };
    vec![
        refused(
            Participant,
            "a Bescheid of an authority elsewhere for this case",
            Reason::NotOurCase,
            |draft, _| {
                draft.gateway = id(OTHER);
                draft.author = OTHER_AUTHOR.parse().unwrap();
            },
        ),
        refused(
            Participant,
            "a Bescheid of another authority at the same gateway for this case",
            Reason::NotOurCase,
            |draft, _| {
                draft.author = OTHER_READER.parse().unwrap();
            },
        ),
        refused(
            Reader,
            "a Bescheid for a case that was never opened",
            Reason::NotOurCase,
            |draft, _| {
                draft.process_ref = CaseId::random();
            },
        ),
        refused(
            Reader,
            "a Bescheid that answers nothing",
            Reason::NotOurCase,
            |draft, _| {
                draft.in_reply_to = None;
            },
        ),
        refused(
            Reader,
            "a Bescheid that answers a message nobody sent",
            Reason::NotOurCase,
            |draft, _| {
                draft.in_reply_to = Some(MessageId::random());
            },
        ),
        refused(
            Reader,
            "a Bescheid that answers the application of another case",
            Reason::NotOurCase,
            |draft, filed| {
                draft.in_reply_to = Some(filed.other.application);
            },
        ),
        refused(
            Reader,
            "a Bescheid in the case of an application of another authority",
            Reason::NotOurCase,
            |draft, filed| {
                draft.process_ref = filed.other.case_id;
                draft.in_reply_to = Some(filed.other.application);
            },
        ),
        refused(
            Reader,
            "a Bescheid with the token of another case",
            Reason::NotOurCase,
            |draft, filed| {
                draft.content.reply_token = filed.other.reply_token.clone();
            },
        ),
        refused(Reader, "a Bescheid without a token", Reason::NoMailbox, |draft, _| {
            draft.content.reply_token = None;
        }),
        refused(
            Reader,
            "a Bescheid with a token of its own making",
            Reason::NoMailbox,
            |draft, _| {
                draft.content.reply_token = Some("Zm9yZ2Vk".parse().unwrap());
            },
        ),
        refused(
            Reader,
            "a question in somebody else's case",
            Reason::NotOurCase,
            |draft, filed| {
                draft.kind = Kind::Question;
                draft.process_ref = filed.other.case_id;
            },
        ),
        case(
            "answers",
            Reader,
            "the same Bescheid twice, sealed anew",
            Refusal::HandOver(Reason::S100),
            twice,
        ),
    ]
}

/// What was filed before: the case that is attacked, and one of another authority.
pub(super) struct Filed {
    own: File,
    other: File,
}

/// A sender gateway that runs, with two cases and a mailbox.
struct Running {
    custodians: Custodians,
    journal: Journal,
    postfach: Postfach,
    filed: Filed,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<Result<(), viereck_gateway::Error>>,
    link: Link,
    _dir: TempDir,
}

impl Running {
    async fn start() -> Self {
        let custodians = Custodians::prepare();
        let dir = tempfile::tempdir().unwrap();
        let journal = custodians.journal(SENDER).await;
        let keys = Keys::load(&custodians.site.keys(), &id(SENDER), &custodians.tables).unwrap();
        let filed = Filed {
            own: file(&custodians, &journal, &keys, READER).await,
            other: file(&custodians, &journal, &keys, OTHER_AUTHOR).await,
        };
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let postfach = Postfach::start(bind().await.unwrap()).unwrap();
        let config = json!({
            "id": SENDER,
            "listen": "127.0.0.1:0",
            "delivery": [{ "behoerde": "default", "leistung": "default", "adapter": "postfach", "url": postfach.url() }],
        });
        let config: Config = serde_json::from_value(config).unwrap();
        let link = Link::embedded(&dir.path().join("link.sqlite")).unwrap();
        let (_, tables) = watch::channel(custodians.tables.clone());
        let stop = CancellationToken::new();
        let inputs = Inputs {
            tables,
            link: link.clone(),
            journal: journal.clone(),
            keys: keys.unchanging(),
            listener: bind().await.unwrap(),
            backlogs: viereck_gateway::Backlogs::default(),
            tls: None,
        };
        let running = tokio::spawn(viereck_gateway::run(config, inputs, stop.clone()));
        Self {
            custodians,
            journal,
            postfach,
            filed,
            stop,
            running,
            link,
            _dir: dir,
        }
    }

    /// The right answer to the first case, with a change.
    fn answer(&self, change: impl FnOnce(&mut Draft, &Filed)) -> SealedEnvelope {
        let own = &self.filed.own;
        self.custodians.sealed(MessageId::random(), |draft| {
            draft.kind = Kind::Bescheid;
            draft.gateway = id(RECEIVER);
            draft.author = own.behoerde.clone();
            draft.reader = own.author.clone();
            draft.process_ref = own.case_id;
            draft.in_reply_to = Some(own.application);
            draft.content.reply_token = own.reply_token.clone();
            change(draft, &self.filed);
        })
    }

    /// Takes an answer as from the link, and waits for its end.
    async fn ends(&self, answer: &SealedEnvelope) -> (Stage, Vec<Reason>) {
        let (me, tables) = (id(SENDER), self.custodians.tables.clone());
        self.journal.take(answer.bytes().clone(), &me, tables).await.unwrap();
        let message = answer.header().message_id;
        until(Duration::from_secs(40), "the answer ends", async || {
            let view = self.journal.message(&message).await.unwrap()?;
            view.terminal.then_some((view.status, view.reasons))
        })
        .await
    }

    fn mails(&self) -> usize {
        self.postfach.mailboxes().now().mail().count()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        self.link.close().await;
        self.postfach.stop().await;
    }
}

/// Promises an application to `reader`, with a mailbox for the answer.
async fn file(custodians: &Custodians, journal: &Journal, keys: &Keys, reader: &str) -> File {
    let sealed = custodians.sealed(MessageId::random(), |draft| draft.reader = reader.parse().unwrap());
    let header = sealed.header();
    let channel = ReplyChannel {
        mailbox: format!("mailbox of {reader}"),
        level: 3,
        message_id: header.message_id,
        reader: header.reader.clone(),
        expires: Timestamp::now() + SignedDuration::from_hours(1),
    };
    let token: ReplyToken = keys.reply_tokens.seal(&channel).unwrap();
    let file = File {
        case_id: header.process_ref,
        author: AUTHOR.parse().unwrap(),
        behoerde: header.reader.clone(),
        leistung: header.service.clone(),
        region: None,
        filed_at: header.filed_at,
        application: header.message_id,
        client: None,
        reply_token: Some(token),
    };
    let idempotency = Idempotency {
        owner: "client:test".to_owned(),
        key: header.message_id.to_string(),
        fingerprint: Digest::of(b"1"),
    };
    let promise = Promise {
        case: Some(file.clone()),
        ..Promise::new(sealed, idempotency, "{}".to_owned())
    };
    journal.promise(promise).await.unwrap();
    file
}

/// A wrong answer, and then the right one: nothing of the wrong one reaches a mailbox, and it stands in nobody's way.
async fn answered(reason: Reason, change: fn(&mut Draft, &Filed)) -> Effect {
    let gateway = Running::start().await;
    let wrong = gateway.ends(&gateway.answer(change)).await;
    let before = gateway.mails();
    let right = gateway.ends(&gateway.answer(|_, _| ())).await;
    let after = gateway.mails();
    gateway.stop().await;
    let well =
        wrong == (Stage::Rejected, vec![reason]) && (before, after) == (0, 1) && right == (Stage::Accepted, vec![]);
    match (well, wrong.1.first()) {
        (true, Some(reason)) => Effect::None(Refusal::HandOver(*reason)),
        _ => Effect::Wrong(format!("{wrong:?}, {before} mails before and {after} behind {right:?}")),
    }
}

/// One decision under two ids, the second said to replace the first, which is in the mailbox.
async fn twice() -> Effect {
    let gateway = Running::start().await;
    let first = gateway.answer(|_, _| ());
    let right = gateway.ends(&first).await;
    let again = gateway.answer(|draft, _| {
        draft.replaces = Some(first.header().message_id);
        draft.obsolete_after += SignedDuration::from_mins(1);
    });
    let (me, tables) = (id(SENDER), gateway.custodians.tables.clone());
    let taken = gateway.journal.take(again.bytes().clone(), &me, tables).await;
    let taken = taken.unwrap();
    let mails = gateway.mails();
    gateway.stop().await;
    match (right.0, taken, mails) {
        (Stage::Accepted, viereck_custody::inbox::Taken::Refused(reason), 1) => Effect::None(Refusal::HandOver(reason)),
        other => Effect::Wrong(format!("{other:?}")),
    }
}
