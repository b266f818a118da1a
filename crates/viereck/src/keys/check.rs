//! `viereck keys check`: rights, pairs, chains, revocation and ends, in one look.
//!
//! Every file is looked at that a start reads, and every pair that anything may still need has to be whole. Findings end
//! with exit 4; what is only worth knowing (a key that nobody needs any more) is told and ends with 0.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use viereck_gateway::{KeysError, NEEDED_DAYS, OWN_SECRETS, check_own_secret};
use viereck_routing::{MlKemKey, PinnedCertificate, Purpose, Standing};

use super::stock::{BesideFile, KeyFile, Lists, Place, Stock, days_left};
use crate::config::key_file;
use crate::failure::{Exit, Failure};
use crate::output;

/// A certificate without a successor that ends sooner is a finding.
const SOON_DAYS: i64 = 60;

/// `viereck keys check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    place: Place,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Finding,
    Note,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    code: &'static str,
    severity: Severity,
    /// A file, or a holder and purpose.
    subject: String,
    sentence: String,
    next_step: String,
}

pub(super) fn run(args: &Check) -> Result<(), Failure> {
    let now = Timestamp::now();
    let stock = args.place.stock(now)?;
    let mut told = Vec::new();
    files(&stock, now, &mut told);
    beside(&stock, &mut told);
    own_secrets(&stock, &mut told);
    holders(&stock, now, &mut told);
    revoked(&stock, now, &mut told);
    told.sort_by(|a, b| (a.severity, &a.subject).cmp(&(b.severity, &b.subject)));
    let findings = told.iter().filter(|one| one.severity == Severity::Finding).count();
    if args.json {
        output::json(&serde_json::json!({ "sound": findings == 0, "keys": stock.files.len(), "findings": told }))?;
    } else {
        let mut text = String::new();
        for one in &told {
            let word = if one.severity == Severity::Finding {
                "error"
            } else {
                "note"
            };
            let (code, subject) = (one.code, &one.subject);
            text.push_str(&format!(
                "{word}[{code}] {subject}: {}\n    next: {}\n",
                one.sentence, one.next_step
            ));
        }
        text.push_str(&format!("{} keys, {findings} findings\n", stock.files.len()));
        output::text(&text)?;
    }
    match findings {
        0 => Ok(()),
        _ => Err(
            Failure::new(Exit::Findings, "keys-unsound", format!("{findings} findings.")).help("Begin with the first."),
        ),
    }
}

fn files(stock: &Stock, now: Timestamp, told: &mut Vec<Told>) {
    for file in &stock.files {
        let subject = file.path.display().to_string();
        if let Err(failure) = &file.key {
            told.push(unusable(subject, failure));
            continue;
        }
        let Some(pin) = stock.certificate_of(file) else {
            told.push(Told {
                code: "key-without-certificate",
                severity: Severity::Note,
                subject,
                sentence: format!(
                    "No {} certificate of {} in the table is for this key.",
                    file.purpose, file.holder
                ),
                next_step:
                    "When its certificate was issued: `viereck keys import`. When it is from an old trial: destroy it."
                        .to_owned(),
            });
            continue;
        };
        let Some(superseded) = stock.superseded(&pin, now) else {
            continue;
        };
        let needed_until = not_needed_from(file.purpose, superseded);
        if needed_until <= now {
            told.push(Told {
                code: "key-not-needed",
                severity: Severity::Note,
                subject,
                sentence: format!(
                    "Its successor counts since {superseded:.0}: since {needed_until:.0} nothing needs it."
                ),
                next_step:
                    "`viereck doctor` says whether a message in flight still does; then destroy it. The certificate \
                            stays in the table."
                        .to_owned(),
            });
        }
    }
}

/// The ML-KEM keys, older ones too: a start reads them all.
fn beside(stock: &Stock, told: &mut Vec<Told>) {
    for file in &stock.beside {
        if let Err(failure) = &file.key {
            told.push(unusable(file.path.display().to_string(), failure));
        }
    }
}

/// With what the gateways of this host seal for themselves.
fn own_secrets(stock: &Stock, told: &mut Vec<Told>) {
    let folders = stock
        .tables
        .gateways()
        .map(|gateway| stock.keys.join(gateway.id.as_str()));
    for folder in folders.filter(|folder| folder.is_dir()) {
        for file in OWN_SECRETS.map(|name| folder.join(name)) {
            let failure = match check_own_secret(&file) {
                Ok(()) => continue,
                Err(KeysError::File(error)) => key_file(&error),
                Err(_) => {
                    let sentence = format!("{} does not hold 64 lower-case hexadecimal digits.", file.display());
                    Failure::new(Exit::Findings, "key-malformed", sentence)
                        .help("Bring back the file as it was made; what is sealed with it opens with no other.")
                }
            };
            told.push(unusable(file.display().to_string(), &failure));
        }
    }
}

fn unusable(subject: String, failure: &Failure) -> Told {
    Told {
        code: failure.code,
        severity: Severity::Finding,
        subject,
        sentence: failure.sentence.clone(),
        next_step: failure.help.clone().unwrap_or_default(),
    }
}

/// When a key whose successor counts since `superseded` can be destroyed: at once when it only signed, else when the
/// last message sealed for it can have no purpose any more.
pub(super) fn not_needed_from(purpose: Purpose, superseded: Timestamp) -> Timestamp {
    match purpose {
        Purpose::Signing => superseded,
        Purpose::Encryption => superseded + SignedDuration::from_hours(24 * NEEDED_DAYS),
    }
}

/// Every holder whose keys belong here has the key of each certificate that is needed, and a certificate that lasts.
fn holders(stock: &Stock, now: Timestamp, told: &mut Vec<Told>) {
    for (custodian, holder, purpose, folder) in stock.folders() {
        let subject = format!("{holder} ({purpose})");
        let end = stock.pins_of(&holder, purpose).map(|pin| pin.until).max();
        if let Some(end) = end
            && days_left(end, now) < SOON_DAYS
        {
            told.push(Told {
                code: "certificate-ends-soon",
                severity: Severity::Finding,
                subject: subject.clone(),
                sentence: format!(
                    "Its last certificate ends in {} days, at {end:.0}.",
                    days_left(end, now)
                ),
                next_step: match stock.tables.has_anchors() {
                    true => "`viereck keys csr`, have it certified, `viereck keys import`.",
                    false => "`viereck keys rotate`.",
                }
                .to_owned(),
            });
        }
        // a key that cannot be read is told already, and may be the one
        let of_holder = || {
            let files = stock.files.iter();
            files.filter(|file| file.custodian == custodian && file.holder == holder && file.purpose == purpose)
        };
        let beside: Vec<&BesideFile> = {
            let files = stock.beside.iter();
            let own = files.filter(|file| file.custodian == custodian && file.holder == holder);
            own.filter(|_| purpose == Purpose::Encryption).collect()
        };
        if of_holder().any(|file| file.key.is_err()) || beside.iter().any(|file| file.key.is_err()) {
            continue;
        }
        if stock.in_use(&holder, purpose, now).is_none() {
            told.push(Told {
                code: "certificate-none-valid",
                severity: Severity::Finding,
                subject,
                sentence: "No certificate of it can be used now.".to_owned(),
                next_step: "Enter a certificate that is valid and not revoked.".to_owned(),
            });
            continue;
        }
        for pin in stock.pins_of(&holder, purpose).filter(|pin| stock.is_needed(pin, now)) {
            let of_pin = |file: &&KeyFile| {
                let found = stock.certificate_of(file);
                found.is_some_and(|found| found.certificate == pin.certificate)
            };
            let whole = beside_of(stock, &pin).is_none_or(|entered| {
                let mut keys = beside.iter().filter_map(|file| file.key.as_ref().ok());
                keys.any(|key| key == entered)
            });
            let (sentence, next_step) = match (of_holder().find(of_pin), whole) {
                (Some(_), true) => continue,
                (Some(_), false) => (
                    format!(
                        "No ML-KEM key in {} belongs to the one entered with {}.",
                        folder.display(),
                        pin.file
                    ),
                    "Bring the key here from where it was made; what is sealed in profile 2 cannot be opened without it.",
                ),
                (None, _) => (
                    format!(
                        "No key in {} belongs to {}, {}.",
                        folder.display(),
                        pin.file,
                        why_needed(stock, &pin, now)
                    ),
                    "Bring the key here from where it was made; a lost key needs a new certificate.",
                ),
            };
            told.push(Told {
                code: "key-missing",
                severity: Severity::Finding,
                subject: subject.clone(),
                sentence,
                next_step: next_step.to_owned(),
            });
        }
    }
}

/// The ML-KEM key that is entered with a certificate.
fn beside_of<'a>(stock: &'a Stock, pin: &PinnedCertificate<'_>) -> Option<&'a MlKemKey> {
    let holder = pin.holder.parse().ok().filter(|_| pin.purpose == Purpose::Encryption)?;
    stock.tables.ml_kem_key(&holder, &pin.certificate.sha256())
}

fn why_needed(stock: &Stock, pin: &PinnedCertificate<'_>, now: Timestamp) -> String {
    match stock.in_use(pin.holder, pin.purpose, now) == Some(pin.certificate.sha256()) {
        true => "the certificate in use".to_owned(),
        false if now < pin.from => format!("which counts from {:.0} on", pin.from),
        false => format!("for which messages in flight may be sealed: it was in use in the last {NEEDED_DAYS} days"),
    }
}

fn revoked(stock: &Stock, now: Timestamp, told: &mut Vec<Told>) {
    for pin in stock.tables.pinned_certificates() {
        let subject = format!("{} ({}), {}", pin.holder, pin.purpose, pin.file);
        match stock.tables.standing(&pin.certificate.sha256(), now) {
            Standing::Good => {}
            Standing::Revoked => told.push(Told {
                code: "certificate-revoked",
                severity: Severity::Finding,
                subject,
                sentence: "Its issuer has revoked it.".to_owned(),
                next_step: "Enter a successor; leave the entry while there are messages to open with it.".to_owned(),
            }),
            // without the process's lists nothing is known, and that is no finding about a key
            Standing::Unknown if stock.lists == Lists::NotAsked => {}
            Standing::Unknown => told.push(Told {
                code: "revocation-unknown",
                severity: Severity::Finding,
                subject,
                sentence: "There is no revocation list of its issuer that can be relied on.".to_owned(),
                next_step: "Look at the log of the process for why the list is not had.".to_owned(),
            }),
        }
    }
}
