//! What is bounded before a client is known, and what a client is told of its quota.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::submissions::{answer, form, metadata};
use crate::testing::{Network, SENDER, Serving, token};

const HUGE: usize = 100 << 20;

/// The head of a submission with a body that nobody sends.
fn head(authorization: &str) -> String {
    format!(
        "POST /v1/submissions HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n{authorization}\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {HUGE}\r\n\r\n"
    )
}

#[tokio::test]
async fn nothing_is_read_or_reserved_for_somebody_who_is_not_known() {
    // room for the largest request, once
    let limits = json!({ "limits": { "payload_bytes": 4096, "attachment_bytes": 4096, "together_bytes": 4096,
        "metadata_bytes": 4096, "attachments": 1, "bytes_in_flight": 11 << 10 } });
    let network = Network::new();
    let gateway = network.gateway(SENDER, &limits.to_string()).await;
    let serving = Serving::start(&gateway).await;
    let mut open = Vec::new();
    for authorization in ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic eA==\r\n"] {
        let mut stream = TcpStream::connect(serving.address).await.unwrap();
        stream.write_all(head(authorization).as_bytes()).await.unwrap();
        let mut said = vec![0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut said)).await;
        let said = String::from_utf8_lossy(&said[..read.unwrap().unwrap()]).into_owned();
        assert!(said.starts_with("HTTP/1.1 401"), "{said}");
        open.push(stream);
    }
    // one who is known holds the only room while its body is awaited; those before it hold none
    let mut known = TcpStream::connect(serving.address).await.unwrap();
    let authorization = format!("Authorization: Bearer {}\r\n", token("alles"));
    known.write_all(head(&authorization).as_bytes()).await.unwrap();
    let post = || {
        let request = serving.http.post(format!("{}/v1/submissions", serving.base));
        let request = request.bearer_auth(token("alles")).header("Idempotency-Key", "k2");
        answer(request.multipart(form(&metadata())))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while post().await.0 != 503 {
        assert!(
            Instant::now() < deadline,
            "the room was never taken by the one who is known"
        );
    }
    drop(known);
    while post().await.0 != 202 {
        assert!(Instant::now() < deadline, "the room was never given back");
    }
}

#[tokio::test]
async fn an_address_that_is_wrong_again_and_again_is_told_to_wait_and_others_behind_it_are_served() {
    let network = Network::new();
    let limits = json!({ "limits": { "unauthenticated_per_minute": 3 } });
    let gateway = network.gateway(SENDER, &limits.to_string()).await;
    let serving = Serving::start(&gateway).await;
    let list = async |token: &str| {
        let list = serving.http.get(format!("{}/v1/submissions", serving.base));
        let response = list.bearer_auth(token).send().await.unwrap();
        let after = response
            .headers()
            .get("retry-after")
            .map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body: serde_json::Value = response.json().await.unwrap();
        (status, body["code"].as_str().unwrap_or("none").to_owned(), after)
    };
    for _ in 0..3 {
        assert_eq!(list("wrong").await, (401, "unauthenticated".to_owned(), None));
    }
    let (status, code, after) = list("wrong").await;
    assert_eq!((status, code.as_str()), (429, "too-many-attempts"));
    let after: u64 = after.unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(list(&token("alles")).await.0, 200);
}

#[tokio::test]
async fn an_address_has_no_more_than_its_share_of_the_connections() {
    let network = Network::new();
    let limits = json!({ "limits": { "connections": 16, "connections_per_address": 2 } });
    let gateway = network.gateway(SENDER, &limits.to_string()).await;
    let serving = Serving::start(&gateway).await;
    let ask = b"GET /healthz/live HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(serving.address).await.unwrap();
        stream.write_all(ask).await.unwrap();
        assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
        open.push(stream);
    }
    let mut third = TcpStream::connect(serving.address).await.unwrap();
    let _ = third.write_all(ask).await;
    let mut said = Vec::new();
    let _ = third.read_to_end(&mut said).await;
    assert!(said.is_empty(), "closed without a word");
    drop(open);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut again = TcpStream::connect(serving.address).await.unwrap();
        let _ = again.write_all(ask).await;
        if again.read(&mut [0; 512]).await.is_ok_and(|read| read > 0) {
            break;
        }
        assert!(Instant::now() < deadline, "the places were never given back");
    }
}

#[tokio::test]
async fn every_answer_to_a_submission_says_what_is_left() {
    let network = Network::new();
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    let post = async |key: &str, form: reqwest::multipart::Form| {
        let request = serving.http.post(format!("{}/v1/submissions", serving.base));
        let request = request.bearer_auth(token("wenig")).header("Idempotency-Key", key);
        let response = request.multipart(form).send().await.unwrap();
        let field = |name: &str| {
            response
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let (policy, limit) = (field("ratelimit-policy").unwrap(), field("ratelimit").unwrap());
        assert_eq!(policy, "\"submissions\";q=2;w=60");
        let (left, time) = limit.split_once(";t=").unwrap();
        assert!((1..=61).contains(&time.parse::<u64>().unwrap()), "{limit}");
        (
            response.status().as_u16(),
            left.to_owned(),
            field("retry-after").is_some(),
        )
    };
    let left = |count: u32| format!("\"submissions\";r={count}");
    assert_eq!(post("k1", form(&metadata())).await, (202, left(1), false));
    // a refusal counts and says so
    let broken = reqwest::multipart::Form::new().text("metadata", "{}");
    assert_eq!(post("k2", broken).await, (422, left(0), false));
    assert_eq!(post("k3", form(&metadata())).await, (429, left(0), true));
}
