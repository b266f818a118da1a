//! The adapter `http`: one POST of `multipart/form-data` to the Fachverfahren.
//!
//! Parts: `message` (message.json), `payload`, then `form-01`, `attachment-01`, … as message.json names them. A repeat is
//! the same request under the same `Idempotency-Key`. The answers' meaning stands in [`super::outcome`]; a refusal counts
//! only with a reason code of the closed list.

use reqwest::multipart::Form;
use viereck_envelope::Reason;

use super::endpoint::{Endpoint, part};
use super::message::HandOver;
use super::outcome::{Outcome, Verdict};

/// Hands a message over.
pub(crate) async fn hand_over(endpoint: &Endpoint, message: &HandOver) -> Outcome {
    let mut form = Form::new().part("message", part("message.json", "application/json", &message.json));
    for file in &message.files {
        form = form.part(file.file.clone(), part(&file.file, &file.media_type, &file.octets));
    }
    match endpoint.post(message.opened.digest(), message.trace, form).await {
        Verdict::Ended(outcome) => outcome,
        Verdict::Refused(code) => match code.parse::<Reason>() {
            Ok(reason) => Outcome::Rejected(reason),
            // the code itself is the server's text and is not repeated
            Err(_) => Outcome::NotUnderstood("answer 422 with a code that is not on the list".to_owned()),
        },
    }
}
