//! `viereck keys rotate`: the next self-signed pair of a holder, with an overlap, entered in the table.
//!
//! For tests and trials, as `keys new`: where the table names anchors, keys are certified by an authority. Nothing is
//! deleted; the command says from when on the key before is needed by nobody.

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use viereck_routing::{Digest, Purpose};

use super::check::not_needed_from;
use super::make::{self, Entry};
use super::new::Algorithm;
use super::stock::{Changing, Place};
use crate::failure::{Exit, Failure};
use crate::output;

/// `viereck keys rotate`.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The gateway, broker or participant, as in the table
    #[arg(value_name = "HOLDER")]
    holder: String,
    /// signing or encryption
    #[arg(long, value_name = "PURPOSE")]
    purpose: Purpose,
    /// From when on it counts: now, or a day to come (its start in UTC); tomorrow if left out
    #[arg(long, value_name = "now|YYYY-MM-DD", value_parser = begin)]
    from: Option<Begin>,
    /// How long the certificate is valid
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// The kind of the key
    #[arg(long, value_enum, default_value_t)]
    algorithm: Algorithm,
    /// An ML-KEM-768 key beside an EC key for encryption: messages for it are sealed in profile 2
    #[arg(long)]
    ml_kem: bool,
    #[command(flatten)]
    place: Place,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// From when on the new key counts.
#[derive(Debug, Clone, Copy)]
enum Begin {
    Now,
    Day(Date),
}

fn begin(text: &str) -> Result<Begin, String> {
    match text {
        "now" => Ok(Begin::Now),
        day => day
            .parse()
            .map(Begin::Day)
            .map_err(|_| "now or YYYY-MM-DD is expected".to_owned()),
    }
}

/// The next pair of a holder.
pub(crate) struct Next<'a> {
    pub(crate) holder: &'a str,
    pub(crate) purpose: Purpose,
    pub(crate) algorithm: Algorithm,
    /// Whether an ML-KEM key stands beside it.
    pub(crate) ml_kem: bool,
    /// From when on it counts; whole seconds are entered in the table.
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// What was made and entered.
pub(crate) struct Entered {
    number: u32,
    keys: Vec<PathBuf>,
    certificate: String,
    sha256: Digest,
    from: Timestamp,
    until: Timestamp,
}

pub(super) fn run(args: &Rotate) -> Result<(), Failure> {
    let changing = args.place.changing()?;
    let now = changing.now;
    if changing.stock.tables.has_anchors() {
        let sentence = "The table names trust anchors: a certificate that signs itself does not count in it.";
        return Err(Failure::new(Exit::Usage, "anchors-configured", sentence)
            .help("`viereck keys csr` makes the key and a request, `viereck keys import` enters what was issued."));
    }
    let invalid = |_| Failure::new(Exit::Usage, "days-invalid", "The validity would leave the calendar.");
    let today = TimeZone::UTC.to_datetime(now).date();
    let midnight = |day: Date| TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0));
    let (from, first) = match args.from {
        Some(Begin::Now) => (now, today),
        Some(Begin::Day(day)) => (make::not_from_the_past(midnight(day).map_err(invalid)?, now)?, day),
        None => {
            let tomorrow = today.tomorrow().map_err(invalid)?;
            (midnight(tomorrow).map_err(invalid)?, tomorrow)
        }
    };
    let last = first.checked_add(i64::from(args.days).days()).map_err(invalid)?;
    let next = Next {
        holder: &args.holder,
        purpose: args.purpose,
        algorithm: args.algorithm,
        ml_kem: args.ml_kem,
        from,
        until: midnight(last).map_err(invalid)?,
    };
    let entered = enter(&changing, &next)?;
    let destroy = not_needed_from(args.purpose, entered.from);
    let Entered {
        certificate,
        from,
        until,
        ..
    } = &entered;
    if args.json {
        return output::json(&serde_json::json!({
            "holder": args.holder, "purpose": args.purpose.as_str(), "number": entered.number, "keys": entered.keys,
            "certificate": certificate, "sha256": entered.sha256, "from": from, "until": until,
            "previousNeededUntil": destroy,
        }));
    }
    output::text(&format!(
        "{} ({}): {certificate} counts from {from:.0} until {until:.0}\n\
         release the table, and send SIGHUP to the processes; the key before is needed until {destroy:.0}\n",
        args.holder, args.purpose
    ))
}

/// Makes the next pair with a certificate that signs itself, and enters it. What failed has changed nothing.
pub(crate) fn enter(changing: &Changing, next: &Next<'_>) -> Result<Entered, Failure> {
    let stock = &changing.stock;
    let (number, places) = make::places(stock, next.holder, next.purpose)?;
    let failed = |error: rcgen::Error| {
        let sentence = format!("Cannot make a certificate for {}: {error}.", next.holder);
        Failure::new(Exit::Unexpected, "key-failed", sentence)
    };
    let key = next.algorithm.generate().map_err(failed)?;
    let (from, until) = (make::whole(next.from), make::whole(next.until));
    let mut params = make::params(next.holder, next.purpose, &key);
    // a clock that is behind may use it at once
    params.not_before = make::instant(from - SignedDuration::from_hours(24));
    params.not_after = make::instant(until);
    let certificate = params.self_signed(&key).map_err(failed)?;
    let pem = make::protected(&key.serialize_pem(), stock.passphrase.as_ref())?;
    let ml_kem = match next.ml_kem {
        true => Some(make::beside(next.purpose, next.algorithm, stock.passphrase.as_ref())?),
        false => None,
    };
    let keys = make::write_pair(&pem, ml_kem.as_ref(), places)?;
    let entry = Entry {
        holder: next.holder,
        purpose: next.purpose,
        number,
        pem: &certificate.pem(),
        sha256: Digest::of(certificate.der()),
        from,
        until,
        subject: None,
        ml_kem: ml_kem.as_ref().map(|pair| &pair.public),
    };
    let certificate = make::enter(changing, &entry).inspect_err(|_| make::take_back(&keys))?;
    Ok(Entered {
        number,
        keys,
        certificate,
        sha256: entry.sha256,
        from,
        until,
    })
}
