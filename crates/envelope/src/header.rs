//! The header: what every custodian may read of a message.
//!
//! It names machines and offices, never people: nothing that a client typed stands here. The fields are public because
//! a header only ever comes out of a sealed, verified or opened envelope, behind a shared reference.

use std::ops::Range;
use std::str::FromStr;

use jiff::Timestamp;
use viereck_routing::{
    BehoerdeId, CaseId, Digest, Environment, GatewayId, Kind, LeistungId, MessageId, Profile, Region, is_plain_text,
};

use crate::limits;
use crate::refusal::Refused;
use crate::xml::value::{instant, parse_instant};
use crate::xml::write::{self, NotXml};
use crate::xml::{Cursor, Ns, Vocabulary};

/// The clear part of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The version of the wire format.
    pub profile: Profile,
    /// Test or production.
    pub environment: Environment,
    /// This message; made by the gateway that sealed it.
    pub message_id: MessageId,
    /// The message that this one replaces, when the same content was sealed anew.
    pub replaces: Option<MessageId>,
    /// What the message is within its case.
    pub kind: Kind,
    /// When it was sealed, to the millisecond; also the signature's SigningTime.
    pub created: Timestamp,
    /// When the application (or answer) had been read completely by the first gateway. Copied when sealed anew.
    pub filed_at: Timestamp,
    /// When it loses its purpose: after `created`, at most 90 days later.
    pub obsolete_after: Timestamp,
    /// The gateway that sealed and signed it; receipts go there.
    pub gateway: GatewayId,
    /// The participant that wrote it.
    pub author: BehoerdeId,
    /// The participant for which it is encrypted.
    pub reader: BehoerdeId,
    /// The public service applied for.
    pub service: LeistungId,
    /// The region of the entry that decided the route; `None` when the reader was named directly.
    pub region: Option<Region>,
    /// What the payload is, in the words of the routing table.
    pub message_type: MessageType,
    /// The case.
    pub process_ref: CaseId,
    /// The message that this one answers.
    pub in_reply_to: Option<MessageId>,
    /// The release of the routing table that decided; information, grants nothing.
    pub routing_table: Option<Digest>,
    /// SHA-256 of the manifest, the first encrypted part.
    pub commitment: Digest,
}

/// The type of a message and the schema of its payload, both values of the routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageType {
    /// The name of the type.
    pub name: String,
    /// The URN of the payload's schema.
    pub schema: String,
}

impl Header {
    /// Whether the message has lost its purpose at `now`. It still verifies and opens: what expired goes back to its
    /// author's side with its content.
    pub fn obsolete_at(&self, now: Timestamp) -> bool {
        now > self.obsolete_after
    }
}

impl Header {
    /// Whether ObsoleteAfter lies after Created, by no more than 90 days.
    pub(crate) fn has_purpose_in_time(&self) -> bool {
        let milliseconds = self.obsolete_after.as_millisecond() - self.created.as_millisecond();
        (1..=limits::PURPOSE * 1000).contains(&milliseconds)
    }

    /// Writes the element in its canonical form.
    pub(crate) fn write(&self, out: &mut String) -> Result<(), NotXml> {
        out.push_str("<Header xmlns=\"");
        out.push_str(Vocabulary::ENVELOPE.own);
        out.push_str("\" Id=\"header\">");
        write::element(out, "Profile", self.profile.as_str())?;
        write::element(out, "Environment", self.environment.as_str())?;
        write::element(out, "MessageID", &self.message_id.to_string())?;
        write::optional(out, "Replaces", self.replaces.map(|id| id.to_string()).as_deref())?;
        write::element(out, "Kind", self.kind.as_str())?;
        write::element(out, "Created", &instant(self.created))?;
        write::element(out, "FiledAt", &instant(self.filed_at))?;
        write::element(out, "ObsoleteAfter", &instant(self.obsolete_after))?;
        write::element(out, "Gateway", self.gateway.as_str())?;
        write::element(out, "Author", self.author.as_str())?;
        write::element(out, "Reader", self.reader.as_str())?;
        write::element(out, "Service", &self.service.urn())?;
        write::optional(out, "Region", self.region.as_ref().map(Region::as_str))?;
        out.push_str("<MessageType");
        write::attribute(out, "payloadSchema", &self.message_type.schema)?;
        out.push('>');
        write::text(out, &self.message_type.name)?;
        out.push_str("</MessageType>");
        write::element(out, "ProcessRef", &self.process_ref.to_string())?;
        write::optional(out, "InReplyTo", self.in_reply_to.map(|id| id.to_string()).as_deref())?;
        write::optional(
            out,
            "RoutingTable",
            self.routing_table.map(|digest| digest.to_base64()).as_deref(),
        )?;
        write::element(out, "Commitment", &self.commitment.to_base64())?;
        out.push_str("</Header>");
        Ok(())
    }

    /// Reads the element; gives the range that is hashed.
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<(Self, Range<usize>), Refused> {
        let start = cursor.position();
        cursor.fixed(Ns::Own, "Header", [("Id", "header")], Refused::WrongAttribute)?;
        let profile = cursor.element(Ns::Own, "Profile")?;
        let header = Self {
            profile: parse(&profile).ok_or(Refused::UnknownProfile)?,
            environment: cursor.value("Environment", parse)?,
            message_id: cursor.value("MessageID", parse)?,
            replaces: cursor.optional("Replaces", parse)?,
            kind: cursor.value("Kind", parse)?,
            created: cursor.value("Created", parse_instant)?,
            filed_at: cursor.value("FiledAt", parse_instant)?,
            obsolete_after: cursor.value("ObsoleteAfter", parse_instant)?,
            gateway: cursor.value("Gateway", parse)?,
            author: cursor.value("Author", parse_behoerde)?,
            reader: cursor.value("Reader", parse_behoerde)?,
            service: cursor.value("Service", parse_leistung)?,
            region: cursor.optional("Region", parse)?,
            message_type: MessageType::read(cursor)?,
            process_ref: cursor.value("ProcessRef", parse)?,
            in_reply_to: cursor.optional("InReplyTo", parse)?,
            routing_table: cursor.optional("RoutingTable", Digest::from_base64)?,
            commitment: cursor.value("Commitment", Digest::from_base64)?,
        };
        cursor.close()?;
        Ok((header, cursor.since(start)))
    }
}

impl MessageType {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Refused> {
        let [schema] = cursor.attributes(Ns::Own, "MessageType", ["payloadSchema"])?;
        let (name, _) = cursor.text()?;
        let message_type = Self {
            name: name.into_owned(),
            schema: schema.into_owned(),
        };
        match message_type.is_plain() {
            true => Ok(message_type),
            false => Err(Refused::InvalidValue),
        }
    }

    /// Whether both are short texts of one line, as a routing table has them. They are the only free words of a header,
    /// and people see them on terminals and in lists, where nothing may look like something else.
    pub(crate) fn is_plain(&self) -> bool {
        [&self.name, &self.schema].into_iter().all(|text| is_plain_text(text))
    }
}

/// Reads a word or name that has one spelling only.
pub(crate) fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Reads a participant's identifier; other places forgive other spellings, the wire does not.
pub(crate) fn parse_behoerde(text: &str) -> Option<BehoerdeId> {
    text.parse().ok().filter(|id: &BehoerdeId| id.as_str() == text)
}

/// Reads a Leistung, which stands as its URN.
pub(crate) fn parse_leistung(text: &str) -> Option<LeistungId> {
    text.parse().ok().filter(|id: &LeistungId| id.urn() == text)
}
