//! The configuration: what it refuses to read, and what it finds in what it reads.

use serde_json::json;

use crate::config::{Config, Severity};
use crate::testing::{SENDER, config, config_json};

fn error(more: &str) -> String {
    serde_json::from_value::<Config>(config_json(SENDER, more))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_key_that_does_not_fit_is_refused_by_name() {
    let delivery =
        |keys: &str| format!(r#"{{"delivery":[{{"behoerde":"wgb:010010000000","leistung":"default",{keys}}}]}}"#);
    for (more, expected) in [
        (r#"{"lissten":1}"#.to_owned(), "lissten"),
        (r#"{"limits":{"payload":1}}"#.to_owned(), "payload"),
        (delivery(r#""adapter":"ftp""#), "ftp"),
        (delivery(r#""adapter":"http""#), "url: missing"),
        (delivery(r#""adapter":"http","url":"ftp://a""#), "http or https"),
        (delivery(r#""adapter":"http","url":"http://a","folder":"x""#), "folder"),
        (delivery(r#""adapter":"directory""#), "folder: missing"),
        (
            delivery(r#""adapter":"directory","folder":"x","url":"http://a""#),
            "url",
        ),
        (
            delivery(r#""adapter":"directory","folder":"x","acknowledge":"never""#),
            "never",
        ),
        (
            delivery(r#""adapter":"directory","folder":"x","concurrency":0"#),
            "concurrency",
        ),
        (
            delivery(r#""adapter":"directory","folder":"x","per_minute":0"#),
            "per_minute",
        ),
        (r#"{"deadlines":{"expire":1}}"#.to_owned(), "expire"),
        (
            r#"{"fachverfahren":[{"name":"a","behoerden":[]}]}"#.to_owned(),
            "token_sha256",
        ),
    ] {
        let error = error(&more);
        assert!(error.contains(expected), "{more}: {error}");
    }
}

#[test]
fn what_is_unwise_warns_and_what_contradicts_itself_is_an_error() {
    assert!(config(SENDER, "").check().is_empty());
    let found = |more: serde_json::Value| {
        let findings = config(SENDER, &more.to_string()).check();
        findings
            .into_iter()
            .map(|finding| (finding.severity, finding.code, finding.key))
            .collect::<Vec<_>>()
    };
    let delivery = |more: serde_json::Value| {
        let mut delivery = json!({ "behoerde": "wgb:010010000000", "leistung": "default" });
        delivery
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        delivery
    };
    let folder = delivery(json!({ "adapter": "directory", "folder": "x" }));
    let rename = delivery(json!({ "adapter": "directory", "folder": "x", "acknowledge": "rename" }));
    let plain = delivery(json!({ "adapter": "http", "url": "http://fachverfahren.example/" }));
    let local = delivery(json!({ "adapter": "http", "url": "http://[::1]:80/" }));
    let (warning, error) = (Severity::Warning, Severity::Error);
    assert_eq!(found(json!({ "delivery": [folder] })), []);
    assert_eq!(found(json!({ "delivery": [local] })), []);
    assert_eq!(
        found(json!({ "delivery": [rename] })),
        [(warning, "accepted-unseen", "delivery[0].acknowledge".to_owned())]
    );
    assert_eq!(
        found(json!({ "delivery": [plain] })),
        [(warning, "plaintext", "delivery[0].url".to_owned())]
    );
    assert_eq!(
        found(json!({ "delivery": [folder, folder] })),
        [(error, "delivery-twice", "delivery[1]".to_owned())]
    );
    assert_eq!(
        found(json!({ "obsolete_after_days": 91 })),
        [(error, "out-of-range", "obsolete_after_days".to_owned())]
    );
    assert_eq!(
        found(json!({ "limits": { "bytes_in_flight": 1000 } })),
        [(error, "out-of-range", "limits.bytes_in_flight".to_owned())]
    );
    assert_eq!(
        found(json!({ "deadlines": { "warn_days": [9, 3] } })),
        [(error, "out-of-order", "deadlines.warn_days".to_owned())]
    );
    assert_eq!(
        found(json!({ "deadlines": { "expire_days": 9 } })),
        [(error, "out-of-order", "deadlines.warn_days".to_owned())]
    );
    assert_eq!(
        found(json!({ "retention": { "case_days": 0 } })),
        [(error, "out-of-range", "retention.case_days".to_owned())]
    );
}
