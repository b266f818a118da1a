//! `viereck keys list`: every certificate of the table and every key of the folder, side by side.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use viereck_routing::Standing;

use super::stock::{Lists, Place, Readable, Stock, days_left, public_key};
use crate::failure::Failure;
use crate::output;

/// `viereck keys list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    place: Place,
    /// Certificates of everyone in the table, not only of those whose keys are here
    #[arg(long)]
    all: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// One certificate, one key, or both.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    holder: String,
    purpose: &'static str,
    number: Option<u32>,
    algorithm: Option<String>,
    subject: Option<String>,
    sha256: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    days_left: Option<i64>,
    /// Whether the table has the certificate.
    pinned: bool,
    /// Whether it is sealed for, or signed with, at this moment.
    in_use: bool,
    /// good, revoked or unknown; nothing without --revocation.
    standing: Option<&'static str>,
    /// The files of the key on this host; more than one when several gateways have it.
    keys: Vec<String>,
    certificate: Option<String>,
    /// Why a key of it cannot be read.
    failure: Option<&'static str>,
}

pub(super) fn run(args: &List) -> Result<(), Failure> {
    let now = Timestamp::now();
    let stock = args.place.stock(now)?;
    let rows = rows(&stock, args.all, now);
    if args.json {
        return output::json(&serde_json::json!({ "keys": rows }));
    }
    output::text(&told(&rows))
}

fn rows(stock: &Stock, all: bool, now: Timestamp) -> Vec<Row> {
    let mut rows = Vec::new();
    for pin in stock.tables.pinned_certificates() {
        let public = public_key(pin.certificate.der());
        let of_holder = || {
            let files = stock.files.iter();
            files.filter(|file| file.holder == pin.holder && file.purpose == pin.purpose)
        };
        let fits = |key: &Readable| Some(key.public) == public;
        let files: Vec<_> = of_holder().filter(|file| file.key.as_ref().is_ok_and(fits)).collect();
        if of_holder().next().is_none() && !all {
            continue;
        }
        let sha256 = pin.certificate.sha256();
        rows.push(Row {
            holder: pin.holder.to_owned(),
            purpose: pin.purpose.as_str(),
            number: files.first().map(|file| file.number),
            algorithm: Some(pin.certificate.key().algorithm()),
            subject: Some(pin.certificate.subject().to_owned()),
            sha256: Some(sha256.to_string()),
            from: Some(pin.from),
            until: Some(pin.until),
            days_left: Some(days_left(pin.until, now)),
            pinned: true,
            in_use: stock.in_use(pin.holder, pin.purpose, now) == Some(sha256),
            standing: (stock.lists == Lists::AtHand).then(|| match stock.tables.standing(&sha256, now) {
                Standing::Good => "good",
                Standing::Revoked => "revoked",
                Standing::Unknown => "unknown",
            }),
            keys: files.iter().map(|file| file.path.display().to_string()).collect(),
            certificate: Some(pin.file.to_owned()),
            failure: None,
        });
    }
    for file in stock.files.iter().filter(|file| stock.certificate_of(file).is_none()) {
        rows.push(Row {
            holder: file.holder.clone(),
            purpose: file.purpose.as_str(),
            number: Some(file.number),
            algorithm: file.key.as_ref().ok().map(|key| key.algorithm.clone()),
            subject: None,
            sha256: None,
            from: None,
            until: None,
            days_left: None,
            pinned: false,
            in_use: false,
            standing: None,
            keys: vec![file.path.display().to_string()],
            certificate: None,
            failure: file.key.as_ref().err().map(|failure| failure.code),
        });
    }
    rows.sort_by(|a, b| (&a.holder, a.purpose, a.from).cmp(&(&b.holder, b.purpose, b.from)));
    rows
}

fn told(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<20} {:<10} {:>3}  {:<8} {:<10} {:<10} {:>5}  state\n",
        "holder", "purpose", "no", "kind", "from", "until", "days"
    );
    let day = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d").to_string());
    for row in rows {
        let state = match (row.failure, row.pinned, row.in_use, row.standing) {
            (Some(code), ..) => code,
            (None, false, ..) => "not in the table",
            (None, true, _, Some("revoked")) => "revoked",
            (None, true, true, _) => "in use",
            (None, true, false, Some("unknown")) => "revocation unknown",
            (None, true, false, _) => "pinned",
        };
        let state = match row.pinned && row.keys.is_empty() {
            true => format!("{state}, no key here"),
            false => state.to_owned(),
        };
        text.push_str(&format!(
            "{:<20} {:<10} {:>3}  {:<8} {:<10} {:<10} {:>5}  {state}\n",
            row.holder,
            row.purpose,
            row.number.map_or_else(|| "-".to_owned(), |number| number.to_string()),
            row.algorithm.as_deref().unwrap_or("-"),
            day(row.from),
            day(row.until),
            row.days_left.map_or_else(|| "-".to_owned(), |days| days.to_string()),
        ));
    }
    text
}
