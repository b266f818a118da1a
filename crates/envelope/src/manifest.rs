//! The manifest: the first plaintext of an envelope, which says what the others are and to which header they belong.
//!
//! It repeats the header's identifiers, so that no ciphertext can be lifted into another envelope, and the header
//! carries its digest, so that author and reader can later prove what was sent. It is read by the same strict scanner
//! as the envelope and pads itself with spaces to a length that says little.

use viereck_routing::Digest;

use crate::content::{Content, Role};
use crate::header::{Header, parse};
use crate::limits;
use crate::open::OpenError;
use crate::padding::padded;
use crate::refusal::Refused;
use crate::seal::SealError;
use crate::token::ReplyToken;
use crate::xml::value::{octets, parse_number, parse_octets};
use crate::xml::write::{self, NotXml};
use crate::xml::{Cursor, Ns, Vocabulary};

/// What the manifest says: all of the content but the octets of the files.
pub(crate) struct Manifest {
    /// With no files yet.
    pub(crate) content: Content,
    /// In the order of their ciphertexts.
    pub(crate) files: Vec<Entry>,
}

/// What the manifest says of one file. Its ciphertext is the one with the same place in the list.
pub(crate) struct Entry {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) media_type: String,
    /// The true length, without padding.
    pub(crate) length: usize,
    /// Of the true octets.
    pub(crate) digest: Digest,
}

/// Writes the manifest of `content` for `header`; the header's commitment is not looked at.
pub(crate) fn write(header: &Header, content: &Content, salt: [u8; 32]) -> Result<String, SealError> {
    let mut out = String::with_capacity(2048);
    write_all(&mut out, header, content, &salt)?;
    const END: &str = "</Padding></Manifest>";
    let target = padded(out.len() + END.len());
    if target > limits::MANIFEST {
        return Err(SealError::TooLarge);
    }
    out.extend(std::iter::repeat_n(' ', target - out.len() - END.len()));
    out.push_str(END);
    Ok(out)
}

fn write_all(out: &mut String, header: &Header, content: &Content, salt: &[u8; 32]) -> Result<(), NotXml> {
    out.push_str("<Manifest xmlns=\"");
    out.push_str(Vocabulary::ENVELOPE.own);
    out.push_str("\">");
    write::element(out, "Salt", &octets(salt))?;
    write::element(out, "MessageID", &header.message_id.to_string())?;
    write::element(out, "Kind", header.kind.as_str())?;
    write::element(out, "Author", header.author.as_str())?;
    write::element(out, "Reader", header.reader.as_str())?;
    write::element(out, "Environment", header.environment.as_str())?;
    write::element(out, "ProcessRef", &header.process_ref.to_string())?;
    write::optional(out, "InReplyTo", header.in_reply_to.map(|id| id.to_string()).as_deref())?;
    write::optional(out, "ClientReference", content.client_reference.as_deref())?;
    write::optional(out, "Applicant", content.applicant.as_deref())?;
    write::optional(out, "Consents", content.consents.as_deref())?;
    write::optional(out, "Payment", content.payment.as_deref())?;
    write::optional(out, "ReplyToken", content.reply_token.as_ref().map(ReplyToken::as_str))?;
    out.push_str("<Files>");
    for (number, file) in content.files.iter().enumerate() {
        out.push_str("<File");
        write::attribute(out, "count", "1")?;
        write::attribute(out, "digest", &Digest::of(&file.octets).to_base64())?;
        write::attribute(out, "first", &(number + 1).to_string())?;
        write::attribute(out, "length", &file.octets.len().to_string())?;
        write::attribute(out, "mediaType", &file.media_type)?;
        write::attribute(out, "name", &file.name)?;
        write::attribute(out, "role", file.role.as_str())?;
        out.push_str("></File>");
    }
    out.push_str("</Files><Padding>");
    Ok(())
}

/// Reads a decrypted manifest. Unless all it repeats equals the verified header, the content belongs to another one.
pub(crate) fn read(octets: &[u8], header: &Header) -> Result<Manifest, OpenError> {
    if octets.len() > limits::MANIFEST {
        return Err(OpenError::Undecipherable);
    }
    let (manifest, bound) = read_all(octets, header).map_err(|_| OpenError::Undecipherable)?;
    if bound {
        Ok(manifest)
    } else {
        Err(OpenError::HeaderMismatch)
    }
}

fn read_all(octets: &[u8], header: &Header) -> Result<(Manifest, bool), Refused> {
    let mut cursor = Cursor::new(octets, Vocabulary::ENVELOPE)?;
    cursor.root("Manifest")?;
    cursor.value("Salt", parse_octets::<32>)?;
    let text = |text: &str| Some(text.to_owned());
    // All are read before any is judged: the grammar comes first.
    let bound = [
        cursor.value("MessageID", text)? == header.message_id.to_string(),
        cursor.value("Kind", text)? == header.kind.as_str(),
        cursor.value("Author", text)? == header.author.as_str(),
        cursor.value("Reader", text)? == header.reader.as_str(),
        cursor.value("Environment", text)? == header.environment.as_str(),
        cursor.value("ProcessRef", text)? == header.process_ref.to_string(),
        cursor.optional("InReplyTo", text)? == header.in_reply_to.map(|id| id.to_string()),
    ];
    let bound = bound.iter().all(|equal| *equal);
    let content = Content {
        client_reference: cursor.optional("ClientReference", text)?,
        applicant: cursor.optional("Applicant", text)?,
        consents: cursor.optional("Consents", text)?,
        payment: cursor.optional("Payment", text)?,
        reply_token: cursor.optional("ReplyToken", parse)?,
        files: Vec::new(),
    };
    cursor.open(Ns::Own, "Files")?;
    let mut files = Vec::new();
    while cursor.at(Ns::Own, "File") {
        files.push(Entry::read(&mut cursor, files.len() + 1)?);
    }
    cursor.close()?;
    let padding = cursor.value("Padding", |text| {
        text.bytes().all(|octet| octet == b' ').then_some(text.len())
    })?;
    cursor.finish()?;
    if padded(octets.len() - padding) != octets.len() {
        return Err(Refused::InvalidValue);
    }
    Ok((Manifest { content, files }, bound))
}

impl Entry {
    /// Reads a file's entry; files stand in the order of their ciphertexts, one each.
    fn read(cursor: &mut Cursor<'_>, number: usize) -> Result<Self, Refused> {
        let names = ["count", "digest", "first", "length", "mediaType", "name", "role"];
        let [count, digest, first, length, media_type, name, role] = cursor.attributes(Ns::Own, "File", names)?;
        cursor.close()?;
        if count != "1" || first != number.to_string() {
            return Err(Refused::InvalidValue);
        }
        let length = parse_number(&length).and_then(|length| usize::try_from(length).ok());
        Ok(Self {
            role: parse(&role).ok_or(Refused::InvalidValue)?,
            name: name.into_owned(),
            media_type: media_type.into_owned(),
            length: length.ok_or(Refused::InvalidValue)?,
            digest: Digest::from_base64(&digest).ok_or(Refused::InvalidValue)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use viereck_routing::{CaseId, Kind, MessageId, Profile};

    use crate::content::File;
    use crate::header::MessageType;

    fn header() -> Header {
        Header {
            profile: Profile::P1,
            environment: "test".parse().unwrap(),
            message_id: MessageId::random(),
            replaces: None,
            kind: Kind::Question,
            created: "2026-03-02T10:00:00Z".parse().unwrap(),
            filed_at: "2026-03-02T10:00:00Z".parse().unwrap(),
            obsolete_after: "2026-03-03T10:00:00Z".parse().unwrap(),
            gateway: "gw-sh-1".parse().unwrap(),
            author: "wgb:010540880000".parse().unwrap(),
            reader: "wgp:010000000000".parse().unwrap(),
            service: "99107023037000".parse().unwrap(),
            region: None,
            message_type: MessageType {
                name: "type".to_owned(),
                schema: "urn:example".to_owned(),
            },
            process_ref: CaseId::random(),
            in_reply_to: Some(MessageId::random()),
            routing_table: None,
            commitment: Digest::ZERO,
        }
    }

    fn content() -> Content {
        let file = |role, length| File {
            role,
            name: "a <b> & \"c\"".to_owned(),
            media_type: "text/plain".to_owned(),
            octets: Bytes::from(vec![7; length]),
        };
        Content {
            client_reference: Some("reference".to_owned()),
            applicant: Some("{}".to_owned()),
            consents: Some("[]".to_owned()),
            payment: Some("{}".to_owned()),
            reply_token: Some("token".parse().unwrap()),
            files: Role::ALL
                .iter()
                .enumerate()
                .map(|(length, role)| file(*role, length))
                .collect(),
        }
    }

    #[test]
    fn a_manifest_is_padded_and_valid_to_its_schema() {
        let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/envelope-1.xsd"));
        let validator = uppsala::XsdValidator::from_schema(&uppsala::parse(&schema.unwrap()).unwrap()).unwrap();
        for content in [content(), Content::default()] {
            let manifest = write(&header(), &content, [1; 32]).unwrap();
            assert_eq!(padded(manifest.len()), manifest.len());
            let faults = validator.validate(&uppsala::parse(&manifest).unwrap());
            assert!(faults.is_empty(), "{faults:?}");
        }
    }

    #[test]
    fn a_manifest_of_another_form_is_undecipherable() {
        let header = header();
        let manifest = write(&header, &content(), [1; 32]).unwrap();
        assert_eq!(
            read(manifest.as_bytes(), &header).map(|manifest| manifest.files.len()),
            Ok(5)
        );
        let refused = |from: &str, to: &str| {
            assert!(manifest.contains(from), "{from}");
            read(manifest.replacen(from, to, 1).as_bytes(), &header)
                .map(|_| ())
                .unwrap_err()
        };
        for (from, to) in [
            ("<Padding>", "<Padding> "),
            ("<Padding> ", "<Padding>x"),
            ("first=\"2\"", "first=\"1\""),
            ("first=\"2\"", "first=\"3\""),
            ("count=\"1\"", "count=\"2\""),
            ("length=\"0\"", "length=\"00\""),
            ("length=\"0\"", "length=\"-1\""),
            ("role=\"form\"", "role=\"secret\""),
            ("<Payment>{}</Payment>", "<Payment></Payment>"),
            ("</Files>", "</Files><Parts></Parts>"),
        ] {
            assert_eq!(refused(from, to), OpenError::Undecipherable, "{from} -> {to}");
        }
        assert_eq!(refused("<Kind>question", "<Kind>bescheid"), OpenError::HeaderMismatch);
        assert_eq!(
            refused("<Environment>test", "<Environment>prod"),
            OpenError::HeaderMismatch
        );
    }
}
