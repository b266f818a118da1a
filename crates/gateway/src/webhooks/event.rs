//! What a call says: a thin CloudEvent 1.0 in structured JSON, no more than "look again".
//!
//! Guarantees: the same event is the same octets at every attempt, and nothing in it is about a person: ids, a status and
//! whether it is an end.

use serde::Serialize;
use viereck_custody::webhooks::{Event, News};
use viereck_envelope::Stage;
use viereck_routing::{CaseId, GatewayId, MessageId};

use crate::sealing::instant;

/// The media type of the body.
pub(crate) const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// Names in JSON are those of CloudEvents: attributes in lower case.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<MessageId>,
    time: String,
    datacontenttype: &'static str,
    data: Data,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data {
    #[serde(rename_all = "camelCase")]
    Status {
        submission_id: MessageId,
        case_id: CaseId,
        status: Stage,
        terminal: bool,
    },
    Test {},
}

/// The type of an event.
pub(crate) fn type_of(event: &Event) -> &'static str {
    match event.news {
        News::Status { .. } => "de.viereck.submission.status.v1",
        News::Test => "de.viereck.webhook.test.v1",
    }
}

/// The body for one event of gateway `from`.
pub(crate) fn body(from: &GatewayId, event: &Event) -> String {
    let (subject, data) = match event.news {
        News::Status {
            submission,
            case_id,
            status,
        } => (
            Some(submission),
            Data::Status {
                submission_id: submission,
                case_id,
                status,
                terminal: status.is_terminal(),
            },
        ),
        News::Test => (None, Data::Test {}),
    };
    let body = CloudEvent {
        specversion: "1.0",
        id: &event.id,
        source: format!("urn:viereck:gateway:{from}"),
        r#type: type_of(event),
        subject,
        time: instant(event.time),
        datacontenttype: "application/json",
        data,
    };
    // plain texts under fixed names: nothing that could fail
    serde_json::to_string(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_event_is_thin_and_says_the_same_each_time() {
        let id = "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6b";
        let event = Event {
            id: "e1".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            news: News::Status {
                submission: id.parse().unwrap(),
                case_id: id.parse().unwrap(),
                status: Stage::Accepted,
            },
        };
        let expected = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"urn:viereck:gateway:gw-s\",\
             \"type\":\"de.viereck.submission.status.v1\",\"subject\":\"{id}\",\"time\":\"1970-01-01T00:00:00.000Z\",\
             \"datacontenttype\":\"application/json\",\"data\":{{\"submissionId\":\"{id}\",\"caseId\":\"{id}\",\
             \"status\":\"accepted\",\"terminal\":true}}}}"
        );
        assert_eq!(body(&"gw-s".parse().unwrap(), &event), expected);
    }
}
