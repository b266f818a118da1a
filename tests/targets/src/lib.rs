//! Every parser of outside input as a function of octets, with the laws that hold whatever the octets are.
//!
//! Two drivers run the same functions: `tests/mutations.rs` here, by chance that can be repeated, on every run of
//! `tests/run`; and cargo-fuzz in `tests/fuzz`, guided by coverage, for as long as somebody lets it. A target gives the
//! code of what it found; it panics when a law is broken, and must not panic otherwise.
//!
//! Genuine documents are made when they are needed, with fresh keys: none is committed.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod dice;
mod documents;
mod mutate;
mod names;
mod tables;

pub use dice::Dice;
pub use mutate::mutated;

/// One parser.
pub struct Target {
    /// Its name, also in cargo-fuzz.
    pub name: &'static str,
    /// Runs it: `ok` or the code of the refusal.
    pub run: fn(&[u8]) -> &'static str,
    /// Genuine inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All parsers.
pub const TARGETS: &[Target] = &[
    target("verify", documents::verify, documents::envelopes),
    target("inspect", documents::inspect, documents::envelopes),
    target("spelling", documents::spelling, documents::envelopes),
    target("canonicalize", documents::canonicalize, documents::any_xml),
    target("manifest", documents::manifest, documents::manifests),
    target("batch", documents::batch, documents::batches),
    target("event", documents::event, documents::events),
    target("names", names::names, names::seeds),
    target("reply_token", names::reply_token, names::tokens),
    target("tables", tables::tables, tables::seeds),
    target("revocation_list", tables::revocation_list, tables::revocation_lists),
    target("key_set", viereck_gateway::fuzzing::key_set, key_sets),
    target("multipart", viereck_gateway::fuzzing::multipart, forms),
    target("metadata", viereck_gateway::fuzzing::metadata, metadata),
    target("reply_metadata", viereck_gateway::fuzzing::reply_metadata, metadata),
    target("marker", viereck_gateway::fuzzing::marker, markers),
    target("webhook_address", viereck_gateway::fuzzing::webhook_address, addresses),
];

const fn target(name: &'static str, run: fn(&[u8]) -> &'static str, seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// Runs the target of this name, for cargo-fuzz.
///
/// # Panics
/// When there is none, or a law is broken.
pub fn run(name: &str, octets: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    (target.run)(octets);
}

fn owned(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn metadata() -> Vec<Vec<u8>> {
    owned(&[
        r#"{"leistung":"99107023037000","region":"010545489088","payloadSchema":"urn:x:1","mediaType":"application/xml",
            "clientReference":"A-17","applicant":{"kind":"person","level":3,"attributes":{"name":"Ada"},
            "representative":{"kind":"person"}},"replyChannel":{"mailbox":"m","level":3},"consents":[{"a":1}],
            "payment":{"id":"p"}}"#,
        r#"{"leistung":"99107023037000","behoerde":"wgb:010540880000","payloadSchema":"urn:x:1"}"#,
        r#"{"kind":"bescheid","inReplyTo":"11111111-1111-4111-8111-111111111111","title":"Ihr Bescheid","dueDate":"2026-12-31"}"#,
        r#"{"kind":"question","inReplyTo":"11111111-1111-4111-8111-111111111111","title":"?"}"#,
    ])
}

fn forms() -> Vec<Vec<u8>> {
    let part = |head: &str, body: &str| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n");
    let metadata = part("name=\"metadata\"\r\nContent-Type: application/json", "{}");
    let payload = part(
        "name=\"payload\"; filename=\"a.xml\"\r\nContent-Type: application/xml",
        "<a/>",
    );
    let attachment = part(
        "name=\"attachment\"; filename*=UTF-8''%c3%a4.pdf\r\nContent-Transfer-Encoding: binary",
        "PDF",
    );
    vec![
        format!("{metadata}{payload}{attachment}{attachment}--b--\r\n").into_bytes(),
        format!("{payload}{metadata}--b--").into_bytes(),
    ]
}

fn key_sets() -> Vec<Vec<u8>> {
    owned(&[
        r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","use":"sig","key_ops":["verify"],"alg":"ES256",
            "x":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","y":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"},
            {"kty":"RSA","kid":"b","n":"AQAB","e":"AQAB","x5c":["AA=="]},{"kty":"oct","k":"AAAA"},7]}"#,
    ])
}

fn markers() -> Vec<Vec<u8>> {
    owned(&[
        "T080\n",
        "S100",
        "competence-changed",
        "urn:viereck:reason:1:undecipherable",
        "",
    ])
}

fn addresses() -> Vec<Vec<u8>> {
    owned(&[
        "https://example.org/hook?x=1",
        "https://user:pw@example.org/",
        "http://localhost:80/",
        "https://[::ffff:10.0.0.1]/",
        "https://0x7f.1/",
        "https://[64:ff9b::a00:1]/#f",
        "https://1.1.1.1:8443/",
    ])
}
