//! Reads `certificates/`: which certificate counts for whom, for what and from when until when, and clients' tokens.
//!
//! A folder without certificates can be checked and asked. With the folder, everyone who signs and everyone for whom
//! something is encrypted must have a certificate that is valid today.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::draft::{Draft, Reading, Sort};
use super::programs::check_environment;
use super::trust as anchors;
use crate::catalogue::Code;
use crate::certificate::{Certificate, CertificateError, PublicKey};
use crate::digest::Digest;
use crate::fields::{Fields, Instant, Value, printable};
use crate::gateway::Proof;
use crate::ids::{BehoerdeId, ClientId};
use crate::ml_kem::{MlKemError, MlKemKey};
use crate::participant::LowestProfile;
use crate::pins::{ClientPin, Pin, Pins, Term};
use crate::position::Position;
use crate::trust::{self, Issued};
use crate::window::{day_in_berlin, start_of_day};
use crate::words::{Profile, Purpose};

const FOLDER: &str = "certificates/";
const INDEX: &str = "certificates/certificates.toml";
/// How long before its end a certificate without a successor is reported.
const SOON_DAYS: i64 = 30;

/// What is entered for one holder and purpose.
#[derive(Default)]
struct Held {
    /// The last certificate's end, and where it is entered; `None` when every entry was wrong.
    last: Option<(Timestamp, Position)>,
    valid_today: bool,
}

type Holders = BTreeMap<(String, Purpose), Held>;

pub(super) fn read(reading: &Reading<'_>, draft: &mut Draft) {
    if reading.folder.below(FOLDER).next().is_none() {
        reading
            .report
            .add(Code::CertificatesAbsent, &Position::start_of(&".".into()), &[]);
        return;
    }
    if reading.required(INDEX).is_none() {
        return;
    }
    let Some(document) = reading.document(INDEX) else {
        return;
    };
    let mut fields = document.fields(reading.report);
    check_environment(&mut fields, draft.environment);
    let (trust, revocations) = anchors::read(&mut fields, reading);
    let mut pins = Pins {
        trust,
        revocations,
        ..Pins::default()
    };
    let mut holders = Holders::new();
    let mut keys = BTreeMap::new();
    for entry in fields.get("certificate").iter().flat_map(Value::tables) {
        read_certificate(entry, reading, draft, &mut pins, &mut holders, &mut keys);
    }
    for entry in fields.get("token").iter().flat_map(Value::tables) {
        read_client(entry, Code::TokenTwice, reading, draft, &mut pins.tokens);
    }
    for entry in fields.get("client_certificate").iter().flat_map(Value::tables) {
        let pins = &mut pins.client_certificates;
        read_client(entry, Code::ClientCertificateTwice, reading, draft, pins);
    }
    fields.finish();
    check_coverage(reading, draft, &holders);
    check_profiles(reading, draft, &pins);
    check_tokens(reading, draft, &pins);
    draft.pins = Some(pins);
}

fn read_certificate(
    mut fields: Fields<'_>,
    reading: &Reading<'_>,
    draft: &Draft,
    pins: &mut Pins,
    holders: &mut Holders,
    keys: &mut BTreeMap<Vec<u8>, (String, Purpose, Digest, Position)>,
) {
    let position = fields.position().clone();
    let id = fields.require("id");
    let purpose = fields.require("purpose").and_then(|value| value.word(Purpose::ALL));
    let file = fields.require("file");
    let ml_kem = fields.get("ml_kem");
    let ml_kem_sha256 = match ml_kem {
        Some(_) => fields.require("ml_kem_sha256"),
        None => None,
    };
    let subject = fields.get("subject").and_then(|value| value.text());
    let term = read_term(&mut fields);
    let sha256 = fields
        .require("sha256")
        .and_then(|value| value.parse::<Digest>(Code::DigestMalformed));
    let (certificate, file) = file.and_then(|file| read_file(&file, reading)).unzip();
    let ml_kem_key = match (&ml_kem, ml_kem_sha256) {
        (Some(file), Some(sha256)) => read_ml_kem(file, &sha256, reading),
        _ => None,
    };
    fields.finish();
    let (Some(id), Some(purpose)) = (id, purpose) else {
        return;
    };
    let Some(holder) = read_holder(&id, purpose, draft) else {
        return;
    };
    let held = holders.entry((holder.to_string(), purpose)).or_default();
    let (Some(term), Some(sha256), Some(certificate), Some(file)) = (term, sha256, certificate, file) else {
        return;
    };
    if certificate.sha256() != sha256 {
        reading.report.add(Code::CertificateWrong, &position, &[&"SHA-256"]);
        return;
    }
    // Certificate and term must both hold, so one of them alone may be longer; without a common day it is a mistake.
    let end = term.until.min(certificate.valid_until());
    if term.from.max(certificate.valid_from()) >= end {
        reading.report.add(Code::CertificateWrong, &position, &[&"from, until"]);
        return;
    }
    if let Some(ml_kem) = &ml_kem {
        if purpose != Purpose::Encryption || !matches!(certificate.key(), PublicKey::P256(_)) {
            ml_kem.object(Code::MlKemWithoutPair, &[]);
            return;
        }
        if ml_kem_key.is_none() {
            return;
        }
    }
    for key in [certificate.key().octets()]
        .into_iter()
        .chain(ml_kem_key.as_ref().map(MlKemKey::octets))
    {
        if let Some((other, other_purpose, other_digest, earlier)) = keys.get(key)
            && (*other != holder.to_string() || *other_purpose != purpose || *other_digest == sha256)
        {
            reading.report.add(Code::CertificateTwice, &position, &[earlier]);
            return;
        }
        keys.insert(key.to_vec(), (holder.to_string(), purpose, sha256, position.clone()));
    }
    let judged = Judged {
        certificate: &certificate,
        holder: &holder.to_string(),
        purpose,
        subject: subject.as_deref(),
    };
    let Some(chain) = judge(&judged, pins, &position, reading) else {
        return;
    };
    pins.chains.insert(sha256, chain);
    let begin = term.from.max(certificate.valid_from());
    held.valid_today |= touches(
        reading.today,
        Term {
            from: begin,
            until: end,
        },
    );
    if held.last.as_ref().is_none_or(|(last, _)| *last < end) {
        held.last = Some((end, position));
    }
    let pin = Pin {
        certificate,
        ml_kem: ml_kem_key,
        term,
        file,
    };
    match holder {
        Holder::Custodian(id) => pins.signing.entry(id).or_default().push(pin),
        Holder::Participant(id) => pins.encryption.entry(id).or_default().push(pin),
    }
}

/// A certificate and what it is entered for.
struct Judged<'a> {
    certificate: &'a Certificate,
    holder: &'a str,
    purpose: Purpose,
    /// The distinguished name that was committed for this entry, where it does not bear the holder's identifier.
    subject: Option<&'a str>,
}

/// Whether a certificate may stand for its holder and purpose: its subject, its key usage and, where there are anchors,
/// its chain. All that is wrong is told at once.
fn judge(judged: &Judged<'_>, pins: &Pins, position: &Position, reading: &Reading<'_>) -> Option<Vec<Issued>> {
    let Judged {
        certificate,
        holder,
        purpose,
        subject,
    } = judged;
    let named = match subject {
        Some(subject) => certificate.subject() == *subject,
        None => trust::names(certificate, holder),
    };
    let subject = printable(certificate.subject());
    if !named {
        let arguments = [&subject as &dyn Display, holder];
        reading
            .report
            .add(Code::CertificateSubjectDiffers, position, &arguments);
    }
    let allowed = trust::allows(certificate, *purpose);
    if !allowed {
        reading.report.add(Code::CertificateKeyUsage, position, &[purpose]);
    }
    let chain = match pins.trust.anchors.is_empty() {
        true => Ok(Vec::new()),
        false => pins.trust.chain(certificate, anchors::instant_of(reading)),
    };
    match chain {
        Ok(chain) => {
            anchors::tell_revoked(&pins.revocations, &chain, position, reading);
            (named && allowed).then_some(chain)
        }
        Err(why) => {
            reading.report.add(Code::CertificateNotTrusted, position, &[&why]);
            None
        }
    }
}

/// Who holds a certificate.
enum Holder {
    Custodian(crate::ids::CustodianId),
    Participant(BehoerdeId),
}

impl Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Custodian(id) => id.fmt(f),
            Holder::Participant(id) => id.fmt(f),
        }
    }
}

fn read_holder(value: &Value<'_>, purpose: Purpose, draft: &Draft) -> Option<Holder> {
    let holder = match purpose {
        Purpose::Signing => Holder::Custodian(value.parse(Code::NameMalformed)?),
        Purpose::Encryption => Holder::Participant(value.parse(Code::BehoerdeMalformed)?),
    };
    let known = match &holder {
        Holder::Custodian(id) => draft.brokers.contains_key(id) || draft.is_entered(Sort::Gateway, id),
        Holder::Participant(id) => draft.is_entered(Sort::Participant, id),
    };
    if !known {
        value.object(Code::CertificateHolderUnknown, &[&holder, &purpose]);
    }
    known.then_some(holder)
}

/// Only files that were read from the folder can be named; a path is never given to the file system.
pub(super) fn named_file<'a>(value: &Value<'_>, reading: &Reading<'a>) -> Option<(Position, &'a [u8])> {
    file(value, &value.text()?, reading)
}

fn file<'a>(value: &Value<'_>, name: &str, reading: &Reading<'a>) -> Option<(Position, &'a [u8])> {
    let Some((path, octets)) = reading.optional(&format!("{FOLDER}{name}")) else {
        value.object(Code::CertificateFileMissing, &[&printable(name)]);
        return None;
    };
    Some((Position::start_of(path), octets))
}

/// The ML-KEM key in a file, if its digest is the entered one.
fn read_ml_kem(file: &Value<'_>, sha256: &Value<'_>, reading: &Reading<'_>) -> Option<MlKemKey> {
    let sha256: Option<Digest> = sha256.parse(Code::DigestMalformed);
    let (at, octets) = named_file(file, reading)?;
    let parsed = std::str::from_utf8(octets)
        .map_err(|_| MlKemError::NotPem)
        .and_then(MlKemKey::from_pem);
    match parsed {
        Ok(key) if sha256 == Some(key.sha256()) => return Some(key),
        Ok(_) if sha256.is_some() => file.object(Code::MlKemWrong, &[&"SHA-256"]),
        Ok(_) => {}
        Err(MlKemError::NotPem) => reading.report.add(Code::MlKemWrong, &at, &[&"PEM"]),
        Err(MlKemError::NotAllowed) => reading.report.add(Code::MlKemWrong, &at, &[&"ML-KEM-768"]),
    }
    None
}

/// The certificate in a file, and the file's name.
fn read_file(value: &Value<'_>, reading: &Reading<'_>) -> Option<(Certificate, String)> {
    let name = value.text()?;
    let (at, octets) = file(value, &name, reading)?;
    let parsed = std::str::from_utf8(octets)
        .map_err(|_| CertificateError::NotPem)
        .and_then(Certificate::from_pem);
    match parsed {
        Ok(certificate) => return Some((certificate, name)),
        Err(CertificateError::NotPem) => reading.report.add(Code::CertificateWrong, &at, &[&"PEM"]),
        Err(CertificateError::NotX509) => reading.report.add(Code::CertificateWrong, &at, &[&"X.509"]),
        Err(CertificateError::KeyNotAllowed) => reading.report.add(Code::CertificateTooWeak, &at, &[]),
    }
    None
}

/// The SHA-256 of what a client shows, a token or a certificate.
fn read_shown(mut fields: Fields<'_>, draft: &Draft) -> Option<ClientPin> {
    let client = fields.require("client").and_then(|value| {
        let id: ClientId = value.parse(Code::NameMalformed)?;
        let known = draft.is_entered(Sort::Client, &id);
        if !known {
            value.object(Code::ClientUnknown, &[&id]);
        }
        known.then_some(id)
    });
    let term = read_term(&mut fields);
    let sha256 = fields
        .require("sha256")
        .and_then(|value| value.parse(Code::DigestMalformed));
    fields.finish();
    Some(ClientPin {
        client: client?,
        sha256: sha256?,
        term: term?,
    })
}

/// What two clients show would tell nothing about who it is.
fn read_client(fields: Fields<'_>, twice: Code, reading: &Reading<'_>, draft: &Draft, pins: &mut Vec<ClientPin>) {
    let position = fields.position().clone();
    let Some(pin) = read_shown(fields, draft) else { return };
    let another = |other: &ClientPin| other.sha256 == pin.sha256 && other.client != pin.client;
    match pins.iter().find(|other| another(other)) {
        Some(other) => reading.report.add(twice, &position, &[&other.client]),
        None => pins.push(pin),
    }
}

fn read_term(fields: &mut Fields<'_>) -> Option<Term> {
    let from_value = fields.require("from");
    let from = from_value.as_ref().and_then(Value::instant);
    let until = fields.require("until").and_then(|value| value.instant());
    let (from, until) = (from?, until?);
    let from = from.begins()?;
    let until = match until {
        // The last day belongs to it.
        Instant::Day(day) => start_of_day(day.tomorrow().ok()?)?,
        Instant::Exact(instant) => instant,
    };
    if from >= until {
        if let Some(value) = from_value {
            value.object(Code::WindowBackwards, &[&from, &until]);
        }
        return None;
    }
    Some(Term { from, until })
}

/// Whether a term has an instant of this day.
fn touches(day: Date, term: Term) -> bool {
    let begins = start_of_day(day).is_none_or(|start| start < term.until);
    let next = day.tomorrow().ok().and_then(start_of_day);
    begins && next.is_none_or(|next| term.from < next)
}

/// Everyone who signs or is encrypted for needs a certificate that is valid today.
fn check_coverage(reading: &Reading<'_>, draft: &Draft, holders: &Holders) {
    let brokers = draft
        .brokers
        .values()
        .map(|broker| (broker.id.to_string(), Purpose::Signing, &broker.position));
    let gateways = draft.gateways.values().map(|entry| &entry.gateway);
    let signing = gateways
        .clone()
        .map(|gateway| (gateway.id.to_string(), Purpose::Signing, &gateway.position));
    let served: BTreeSet<_> = gateways.flat_map(|gateway| &gateway.serves).collect();
    let encryption = served
        .into_iter()
        .filter_map(|id| draft.participants.get(id))
        .map(|participant| (participant.id.to_string(), Purpose::Encryption, &participant.position));
    let soon = reading.today.checked_add(SOON_DAYS.days()).unwrap_or(Date::MAX);
    for (id, purpose, position) in brokers.chain(signing).chain(encryption) {
        match holders.get(&(id.clone(), purpose)) {
            None => reading.report.add(Code::CertificateMissing, position, &[&id, &purpose]),
            Some(Held { last: None, .. }) => {}
            Some(Held { valid_today: false, .. }) => {
                reading
                    .report
                    .add(Code::CertificateNoneValid, position, &[&id, &purpose, &reading.today]);
            }
            Some(Held {
                last: Some((end, at)), ..
            }) => {
                let end = day_in_berlin(*end);
                if end <= soon {
                    reading
                        .report
                        .add(Code::CertificateEndsSoon, at, &[&id, &purpose, &end]);
                }
            }
        }
    }
}

/// Whoever takes profile 2 only needs an ML-KEM key beside the certificate for which its messages are sealed today: its
/// own and its deputies'.
fn check_profiles(reading: &Reading<'_>, draft: &Draft, pins: &Pins) {
    for participant in draft.participants.values() {
        let LowestProfile { profile, from } = participant.lowest_profile;
        if profile == Profile::P1 {
            continue;
        }
        let holders: BTreeSet<&BehoerdeId> = participant
            .all_deliveries()
            .map(|delivery| delivery.deputy.as_ref().unwrap_or(&participant.id))
            .collect();
        for holder in holders {
            let in_force = pins.encryption.get(holder).into_iter().flatten();
            let newest = in_force
                .filter(|pin| touches(reading.today, pin.usable()))
                .max_by_key(|pin| pin.term.from);
            if newest.is_none_or(|pin| pin.ml_kem.is_some()) {
                continue;
            }
            match from.map(day_in_berlin).filter(|from| *from > reading.today) {
                None => {
                    let arguments = [&participant.id as &dyn Display, holder];
                    reading
                        .report
                        .add(Code::MlKemMissing, &participant.position, &arguments);
                }
                Some(from) => {
                    let arguments = [&participant.id as &dyn Display, holder, &from];
                    reading
                        .report
                        .add(Code::MlKemMissingSoon, &participant.position, &arguments);
                }
            }
        }
    }
}

/// Everyone who posts needs something to show.
fn check_tokens(reading: &Reading<'_>, draft: &Draft, pins: &Pins) {
    for client in draft.clients.values() {
        let today = |pins: &[ClientPin]| {
            let mut own = pins.iter().filter(|pin| pin.client == client.id);
            own.any(|pin| touches(reading.today, pin.term))
        };
        let certificate = today(&pins.client_certificates);
        match client.proof {
            Proof::Certificate if !certificate => {
                reading
                    .report
                    .add(Code::ClientCertificateMissing, &client.position, &[&client.id]);
            }
            Proof::Any if !certificate && client.oauth_client.is_none() && !today(&pins.tokens) => {
                reading.report.add(Code::TokenMissing, &client.position, &[&client.id]);
            }
            Proof::Any | Proof::Certificate => {}
        }
    }
}
