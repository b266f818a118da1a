//! Identifiers, words, numbers and instants that come from outside, and reply tokens.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::Timestamp;
use viereck_envelope::{ReplyChannel, ReplyToken, ReplyTokenKey, Stage};
use viereck_routing::{
    Ags, Ars, BehoerdeId, CaseId, ClientId, CustodianId, Digest, Environment, Kind, LeistungId, MessageId, Region,
};

/// Whether `text` is a name of this kind; if so, what it shows is the same name.
fn is<T: FromStr + Display + PartialEq + Debug>(text: &str) -> bool {
    let Ok(name) = text.parse::<T>() else {
        return false;
    };
    let shown = name.to_string();
    assert_eq!(shown.parse::<T>().ok(), Some(name), "{text:?} shows {shown:?}");
    assert!(!shown.contains(char::is_control), "{text:?}");
    true
}

/// A kind of name, and whether a text is one.
type Question = (&'static str, fn(&str) -> bool);

pub(crate) fn names(octets: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(octets) else {
        return "not-utf-8";
    };
    let kinds: [Question; 14] = [
        ("behoerde", is::<BehoerdeId>),
        ("leistung", is::<LeistungId>),
        ("custodian", is::<CustodianId>),
        ("client", is::<ClientId>),
        ("case", is::<CaseId>),
        ("message", is::<MessageId>),
        ("digest", is::<Digest>),
        ("region", is::<Region>),
        ("ars", is::<Ars>),
        ("ags", is::<Ags>),
        ("kind", is::<Kind>),
        ("environment", is::<Environment>),
        ("stage", is::<Stage>),
        ("instant", is::<Timestamp>),
    ];
    // Each kind is asked, whatever the first one says.
    let found = kinds.map(|(kind, is)| is(text).then_some(kind));
    found.into_iter().flatten().next().unwrap_or("no-name")
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    crate::owned(&[
        "wgb:010540880000",
        "99107023037000",
        "gw-sh-1",
        "11111111-1111-4111-8111-111111111111",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "010545489088",
        "01054088",
        "01054",
        "00",
        "application",
        "test",
        "delivered",
        "2026-03-02T10:00:00.123Z",
    ])
}

static KEY: LazyLock<ReplyTokenKey> = LazyLock::new(|| ReplyTokenKey::from_octets([7; 32]));

fn channel() -> ReplyChannel {
    ReplyChannel {
        mailbox: "a|mailbox".to_owned(),
        level: 3,
        message_id: "11111111-1111-4111-8111-111111111111".parse().unwrap(),
        reader: "wgb:010540880000".parse().unwrap(),
        expires: "2026-12-31T00:00:00Z".parse().unwrap(),
    }
}

pub(crate) fn tokens() -> Vec<Vec<u8>> {
    vec![KEY.seal(&channel()).unwrap().as_str().as_bytes().to_vec()]
}

/// What opens is what was sealed.
pub(crate) fn reply_token(octets: &[u8]) -> &'static str {
    let token = std::str::from_utf8(octets)
        .ok()
        .and_then(|text| text.parse::<ReplyToken>().ok());
    let Some(token) = token else {
        return "no-token";
    };
    assert_eq!(token.as_str().as_bytes(), octets);
    match KEY.open(&token, "2026-03-02T10:00:00Z".parse().unwrap()) {
        Ok(opened) => {
            assert!(opened == channel());
            "ok"
        }
        Err(refused) => refused.code(),
    }
}
