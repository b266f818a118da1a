//! What both corners do with something posted before it is promised: know a repeat, name the files, seal.
//!
//! Guarantees: long content is sealed away from the threads that serve connections; what a client is told about a
//! failure says whose turn it is and nothing about the content.

use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};
use viereck_custody::Idempotency;
use viereck_envelope::{Draft, File, KeptKey, Role, SealError, SealedEnvelope, seal_keeping};
use viereck_routing::{Digest, EncryptionKey};

use crate::gateway::Gateway;
use crate::http::form::{Part, to_the_millisecond};
use crate::http::problem::{Code, Problem};

/// The answer that the same request got before.
pub(crate) async fn earlier_answer(gateway: &Gateway, repeat: &Idempotency) -> Result<Option<String>, Problem> {
    Ok(gateway
        .journal
        .earlier_answer(&repeat.owner, &repeat.key, &repeat.fingerprint)
        .await?)
}

/// A keyed digest: whoever reads the journal learns nothing about a content that could be guessed.
pub(crate) fn fingerprint(gateway: &Gateway, parts: &[&[u8]]) -> Digest {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &gateway.keys().fingerprint));
    for part in parts {
        context.update(part);
    }
    let mut octets = [0; 32];
    octets.copy_from_slice(context.sign().as_ref());
    Digest::from_octets(octets)
}

/// The files of a form as they travel: the payload first. A media type said in the metadata counts for the payload.
pub(crate) fn files(payload: Part, media_type: Option<&str>, attachments: Vec<Part>) -> Vec<File> {
    let file = |role: Role, part: Part, name: String, said: Option<&str>| File {
        role,
        name: part.name.unwrap_or(name),
        media_type: said
            .map(str::to_owned)
            .or(part.media_type)
            .unwrap_or_else(|| "application/octet-stream".to_owned()),
        octets: part.octets,
    };
    let mut files = vec![file(Role::Payload, payload, "payload".to_owned(), media_type)];
    for (index, part) in attachments.into_iter().enumerate() {
        files.push(file(
            Role::Attachment,
            part,
            format!("attachment-{:02}", index + 1),
            None,
        ));
    }
    files
}

/// When a message sealed now loses its purpose.
pub(crate) fn obsolete_after(gateway: &Gateway, now: Timestamp) -> Timestamp {
    to_the_millisecond(now + SignedDuration::from_hours(24 * i64::from(gateway.config.obsolete_after_days)))
}

/// Seals a draft, on a thread of its own when it is long, and keeps its content key so that it can be sealed anew.
pub(crate) async fn sealed(
    gateway: &Gateway,
    draft: Draft,
    reader: EncryptionKey,
    now: Timestamp,
) -> Result<(SealedEnvelope, KeptKey), Problem> {
    let octets = draft.content.files.iter().map(|file| file.octets.len()).sum();
    let keys = gateway.keys();
    let signer = keys.sealer(&gateway.tables(), now).map_err(unsealable)?;
    gateway
        .work(octets, move || seal_keeping(draft, &reader, &signer, &keys.keep, now))
        .await
        .map_err(unsealable)
}

/// What a client is told when its application cannot be sealed.
pub(crate) fn unsealable(error: SealError) -> Problem {
    match error {
        SealError::TooLarge => Problem::of(Code::TooLarge),
        SealError::InvalidValue => Problem::of(Code::PayloadInvalid),
        SealError::ReaderCertificateNotValid | SealError::ReaderCertificateRevoked | SealError::RevocationUnknown => {
            tracing::error!(
                code = error.code(),
                alarm = "certificate",
                "nothing can be sealed for this reader"
            );
            Problem::of(Code::NotConnected).with("reason", error.code()).with(
                "text",
                "Das Zertifikat der Behörde ist zurzeit nicht gültig oder nicht prüfbar.",
            )
        }
        SealError::ProfileTooLow => {
            tracing::error!(
                code = error.code(),
                alarm = "certificate",
                "no key of the reader is entered for the profile that it takes"
            );
            Problem::of(Code::NotConnected).with("reason", error.code()).with(
                "text",
                "Für die Behörde ist kein Schlüssel eingetragen, der ihrem Profil genügt.",
            )
        }
        SealError::SigningCertificateNotValid
        | SealError::SigningCertificateRevoked
        | SealError::ObsoleteAfterOutOfRange
        | SealError::Cryptography => {
            tracing::error!(code = error.code(), alarm = "sealing", "nothing can be sealed");
            Problem::of(Code::Internal)
        }
    }
}

/// An instant as it stands in JSON: UTC to the millisecond.
pub(crate) fn instant(at: Timestamp) -> String {
    format!("{at:.3}")
}
