//! What the demonstration came to: the document of `--json` and the last lines of the story.

use std::fmt::Write as _;

use serde::Serialize;
use viereck_custody::Account;

/// The whole account of one run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    /// `embedded` or `amqp`.
    pub(super) link: &'static str,
    /// From the first application to the end of the last message.
    pub(super) elapsed_seconds: f64,
    /// What was promised, in the order of filing.
    pub(super) submissions: Vec<Submission>,
    /// What was refused before anything was stored; it counts nowhere else.
    pub(super) refused: Vec<Refused>,
    /// Over every message, Bescheide included.
    pub(super) ledger: Account,
}

/// One application that was promised.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Submission {
    /// Its name.
    pub(super) submission_id: String,
    /// Its case.
    pub(super) case_id: String,
    /// What was applied for.
    pub(super) leistung: &'static str,
    /// Where, as the client named it.
    pub(super) region: &'static str,
    /// Who is competent.
    pub(super) behoerde: String,
    /// How it ended.
    pub(super) status: String,
    /// The reason codes of the end, where there are any.
    pub(super) reasons: Vec<String>,
    /// The stages that custodians stated, in order.
    pub(super) events: Vec<String>,
    /// Whether a Bescheid is in the Postfach.
    pub(super) bescheid: bool,
}

/// One application that was refused.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refused {
    /// What was applied for.
    pub(super) leistung: &'static str,
    /// Where.
    pub(super) region: &'static str,
    /// Why.
    pub(super) code: String,
}

impl Document {
    /// The account as a person reads it.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for submission in &self.submissions {
            let Submission {
                submission_id,
                behoerde,
                status,
                events,
                bescheid,
                reasons,
                ..
            } = submission;
            let bescheid = if *bescheid { ", Bescheid in the Postfach" } else { "" };
            let reasons = if reasons.is_empty() {
                String::new()
            } else {
                format!(" ({})", reasons.join(", "))
            };
            // writing to a String does not fail
            let _ = writeln!(text, "{submission_id}  {behoerde:<16}  {status}{reasons}{bescheid}");
            let _ = writeln!(text, "    {}", events.join(" > "));
        }
        for Refused { leistung, region, code } in &self.refused {
            let _ = writeln!(text, "refused: {leistung} in {region}: {code}");
        }
        let Account {
            received,
            ended,
            in_flight,
        } = self.ledger;
        let _ = writeln!(
            text,
            "ledger over all messages, Bescheide included: {received} received = {ended} ended + {in_flight} in flight \
             ({:.1} s on the {} link)",
            self.elapsed_seconds, self.link
        );
        text
    }
}
