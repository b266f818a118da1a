//! `viereck keys rotate`: the next self-signed pair of a holder, with an overlap, entered in the table.
//!
//! For tests and trials, as `keys new`: where the table names anchors, keys are certified by an authority. Nothing is
//! deleted; the command says from when on the key before is needed by nobody.

use clap::Args;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use viereck_routing::{Digest, Purpose};

use super::check::not_needed_from;
use super::make::{self, Entry};
use super::new::Algorithm;
use super::stock::Place;
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
    /// From when on it counts: now, or a day (its start in UTC); tomorrow if left out
    #[arg(long, value_name = "now|YYYY-MM-DD", value_parser = begin)]
    from: Option<Begin>,
    /// How long the certificate is valid
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// The kind of the key
    #[arg(long, value_enum, default_value_t)]
    algorithm: Algorithm,
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

pub(super) fn run(args: &Rotate) -> Result<(), Failure> {
    let now = Timestamp::now();
    let stock = args.place.stock(now)?;
    if stock.tables.has_anchors() {
        let sentence = "The table names trust anchors: a certificate that signs itself does not count in it.";
        return Err(Failure::new(Exit::Usage, "anchors-configured", sentence)
            .help("`viereck keys csr` makes the key and a request, `viereck keys import` enters what was issued."));
    }
    let invalid = |_| Failure::new(Exit::Usage, "days-invalid", "The validity would leave the calendar.");
    let today = TimeZone::UTC.to_datetime(now).date();
    let midnight = |day: Date| TimeZone::UTC.to_timestamp(day.to_datetime(Time::midnight()));
    let (from, first) = match args.from {
        Some(Begin::Now) => (now, today),
        Some(Begin::Day(day)) => (midnight(day).map_err(invalid)?, day),
        None => {
            let tomorrow = today.tomorrow().map_err(invalid)?;
            (midnight(tomorrow).map_err(invalid)?, tomorrow)
        }
    };
    let last = first.checked_add(i64::from(args.days).days()).map_err(invalid)?;
    let until = midnight(last).map_err(invalid)?;
    let (number, places) = make::places(&stock, &args.holder, args.purpose)?;

    let failed = |error: rcgen::Error| {
        let sentence = format!("Cannot make a certificate for {}: {error}.", args.holder);
        Failure::new(Exit::Unexpected, "key-failed", sentence)
    };
    let key = args.algorithm.generate().map_err(failed)?;
    let day = |day: Date| rcgen::date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs());
    let mut params = make::params(&args.holder, args.purpose, &key);
    (params.not_before, params.not_after) = (day(first.yesterday().map_err(invalid)?), day(last));
    let certificate = params.self_signed(&key).map_err(failed)?;
    let pem = make::protected(&key.serialize_pem(), stock.passphrase.as_ref())?;
    make::write_keys(&pem, &places)?;
    let entry = Entry {
        holder: &args.holder,
        purpose: args.purpose,
        number,
        pem: &certificate.pem(),
        sha256: Digest::of(certificate.der()),
        // whole seconds, as the table writes them
        from: Timestamp::from_second(from.as_second()).unwrap_or(from),
        until,
        subject: None,
    };
    let entered = make::enter(&args.place.table, &entry, now).inspect_err(|_| make::take_back(&places))?;
    let destroy = not_needed_from(args.purpose, entry.from);
    if args.json {
        return output::json(&serde_json::json!({
            "holder": args.holder, "purpose": args.purpose.as_str(), "number": number, "keys": places,
            "certificate": entered, "sha256": entry.sha256, "from": entry.from, "until": until,
            "previousNeededUntil": destroy,
        }));
    }
    output::text(&format!(
        "{} ({}): {entered} counts from {:.0} until {until:.0}\n\
         release the table, and send SIGHUP to the processes; the key before is needed until {destroy:.0}\n",
        args.holder, args.purpose, entry.from
    ))
}
