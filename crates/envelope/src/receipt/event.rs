//! One statement of one custodian about one message, and its canonical octets.
//!
//! The octets are made once, when the statement is committed, and then kept: they carry a fresh salt, so that nobody
//! can guess an event from the hash of its leaf. No text of a client can stand in them: every field is a word or a name
//! of a closed form.

use aws_lc_rs::rand;
use bytes::Bytes;
use jiff::Timestamp;
use viereck_routing::{BehoerdeId, CaseId, CustodianId, Digest, GatewayId, LeistungId, MessageId, Region};

use super::{Reason, Stage};
use crate::header::{parse, parse_behoerde, parse_leistung};
use crate::limits;
use crate::refusal::Refused;
use crate::xml::value::{instant, octets, parse_instant, parse_octets};
use crate::xml::{Cursor, Vocabulary};

/// One statement of one custodian about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub subject: Subject,
    /// What is stated.
    pub stage: Stage,
    /// When it became true, to the millisecond.
    pub time: Timestamp,
    /// Who states it.
    pub custodian: CustodianId,
    /// The participant that wrote the message.
    pub author: Option<BehoerdeId>,
    /// The participant for which it is encrypted.
    pub reader: Option<BehoerdeId>,
    /// The participant that acted for the reader.
    pub deputy: Option<BehoerdeId>,
    /// With `relayed`: the gateway it went to.
    pub target: Option<GatewayId>,
    /// With `transferred`: who holds the case now.
    pub holder: Option<BehoerdeId>,
    /// The public service applied for.
    pub service: Option<LeistungId>,
    /// The region of the entry that decided the route.
    pub region: Option<Region>,
    /// The release of the routing table in force at the custodian.
    pub routing_table: Option<Digest>,
    /// Why, for stages that need a reason.
    pub reasons: Vec<Reason>,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A message whose envelope verified.
    Message {
        /// Its identifier.
        message_id: MessageId,
        /// SHA-256 of its SignedInfo.
        envelope_digest: Digest,
        /// Its case.
        process_ref: CaseId,
    },
    /// Bytes that did not verify, by their SHA-256.
    Bytes(Digest),
}

impl Event {
    /// The canonical octets with a fresh salt of 16 octets. Made once, when the event is committed, then kept: two
    /// calls give different octets.
    pub fn to_octets(&self) -> Bytes {
        let mut salt = [0; 16];
        // A system without a generator cannot even have started: keys and message identifiers come from it too.
        rand::fill(&mut salt).expect("the system's random generator works");
        let mut out = Element::begin();
        out.push("Salt", &octets(&salt));
        match &self.subject {
            Subject::Message {
                message_id,
                envelope_digest,
                process_ref,
            } => {
                out.push("MessageID", &message_id.to_string());
                out.push("EnvelopeDigest", &envelope_digest.to_base64());
                out.push("ProcessRef", &process_ref.to_string());
            }
            Subject::Bytes(digest) => out.push("BytesDigest", &digest.to_base64()),
        }
        out.push("Stage", self.stage.as_str());
        out.push("Time", &instant(self.time));
        out.push("Custodian", self.custodian.as_str());
        out.optional("Author", self.author.as_ref().map(BehoerdeId::as_str));
        out.optional("Reader", self.reader.as_ref().map(BehoerdeId::as_str));
        out.optional("Deputy", self.deputy.as_ref().map(BehoerdeId::as_str));
        out.optional("Target", self.target.as_ref().map(GatewayId::as_str));
        out.optional("Holder", self.holder.as_ref().map(BehoerdeId::as_str));
        out.optional("Service", self.service.as_ref().map(LeistungId::urn).as_deref());
        out.optional("Region", self.region.as_ref().map(Region::as_str));
        out.optional(
            "RoutingTable",
            self.routing_table.map(|digest| digest.to_base64()).as_deref(),
        );
        for reason in &self.reasons {
            out.push("Reason", reason.urn());
        }
        out.end()
    }

    /// Reads an event of a batch or of our own journal.
    pub fn from_octets(octets: &[u8]) -> Result<Event, Refused> {
        let mut cursor = Cursor::new(octets, Vocabulary::EVENT)?;
        cursor.root("Event")?;
        let event = Self::read(&mut cursor)?;
        cursor.finish()?;
        Ok(event)
    }

    /// Reads what stands within the element.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Refused> {
        cursor.value("Salt", parse_octets::<16>)?;
        let event = Self {
            subject: match cursor.optional("BytesDigest", Digest::from_base64)? {
                Some(digest) => Subject::Bytes(digest),
                None => Subject::Message {
                    message_id: cursor.value("MessageID", parse)?,
                    envelope_digest: cursor.value("EnvelopeDigest", Digest::from_base64)?,
                    process_ref: cursor.value("ProcessRef", parse)?,
                },
            },
            stage: cursor.value("Stage", parse)?,
            time: cursor.value("Time", parse_instant)?,
            custodian: cursor.value("Custodian", parse)?,
            author: cursor.optional("Author", parse_behoerde)?,
            reader: cursor.optional("Reader", parse_behoerde)?,
            deputy: cursor.optional("Deputy", parse_behoerde)?,
            target: cursor.optional("Target", parse)?,
            holder: cursor.optional("Holder", parse_behoerde)?,
            service: cursor.optional("Service", parse_leistung)?,
            region: cursor.optional("Region", parse)?,
            routing_table: cursor.optional("RoutingTable", Digest::from_base64)?,
            reasons: Self::read_reasons(cursor)?,
        };
        Ok(event)
    }

    fn read_reasons(cursor: &mut Cursor<'_>) -> Result<Vec<Reason>, Refused> {
        let mut reasons = Vec::new();
        while let Some(reason) = cursor.optional("Reason", |text| Reason::from_urn(text).ok())? {
            reasons.push(reason);
            if reasons.len() > limits::REASONS {
                return Err(Refused::InvalidValue);
            }
        }
        Ok(reasons)
    }
}

/// The element while it is written. Nothing that it holds needs an escape.
struct Element(String);

impl Element {
    fn begin() -> Self {
        Self(format!("<Event xmlns=\"{}\">", Vocabulary::EVENT.own))
    }

    fn push(&mut self, name: &str, text: &str) {
        for piece in ["<", name, ">", text, "</", name, ">"] {
            self.0.push_str(piece);
        }
    }

    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.push(name, text);
        }
    }

    fn end(mut self) -> Bytes {
        self.0.push_str("</Event>");
        Bytes::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            subject: Subject::Message {
                message_id: MessageId::random(),
                envelope_digest: Digest::of(b"envelope"),
                process_ref: CaseId::random(),
            },
            stage: Stage::Rejected,
            time: "2026-03-02T10:00:00.001Z".parse().unwrap(),
            custodian: "gw-sh-1".parse().unwrap(),
            author: Some("wgp:010000000000".parse().unwrap()),
            reader: Some("wgb:010540880000".parse().unwrap()),
            deputy: None,
            target: Some("gw-sh-2".parse().unwrap()),
            holder: Some("töj:010540880000".parse().unwrap()),
            service: Some("99107023037000".parse().unwrap()),
            region: Some(Region::COUNTRY),
            routing_table: Some(Digest::of(b"table")),
            reasons: vec![Reason::T080, Reason::HeaderMismatch],
        }
    }

    #[test]
    fn an_event_comes_back_from_its_octets() {
        let sparse = Event {
            subject: Subject::Bytes(Digest::of(b"bytes")),
            author: None,
            reader: None,
            target: None,
            holder: None,
            service: None,
            region: None,
            routing_table: None,
            reasons: vec![],
            ..event()
        };
        for event in [event(), sparse] {
            assert_eq!(Event::from_octets(&event.to_octets()), Ok(event));
        }
    }

    #[test]
    fn two_writings_of_one_event_differ_by_their_salt() {
        let event = event();
        assert_ne!(event.to_octets(), event.to_octets());
    }

    #[test]
    fn an_event_of_another_form_is_refused() {
        let event = event();
        let text = String::from_utf8(event.to_octets().to_vec()).unwrap();
        let refused = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            Event::from_octets(text.replacen(from, to, 1).as_bytes()).unwrap_err()
        };
        assert_eq!(refused("<Stage>rejected", "<Stage>granted"), Refused::InvalidValue);
        assert_eq!(
            refused("reason:1:header-mismatch", "reason:1:unheard-of"),
            Refused::InvalidValue
        );
        assert_eq!(refused("<Stage>rejected</Stage>", ""), Refused::UnexpectedElement);
        assert_eq!(refused("</Event>", "<More></More></Event>"), Refused::UnexpectedElement);
        assert_eq!(
            refused("urn:viereck:receipt:1", "urn:viereck:envelope:1"),
            Refused::Namespace
        );
        assert_eq!(refused(".001Z", ".001000Z"), Refused::InvalidValue);
        assert_eq!(refused(".001Z", ".001+00:00"), Refused::InvalidValue);
        let many = "<Reason>urn:viereck:reason:1:obsolete</Reason>".repeat(20);
        assert_eq!(refused("</Event>", &format!("{many}</Event>")), Refused::InvalidValue);
    }
}
