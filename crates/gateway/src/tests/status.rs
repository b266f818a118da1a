//! `GET /v1/submissions/{id}` and its events: only for whom it is, and with news as soon as there are some.

use std::time::{Duration, Instant};

use serde_json::Value;
use viereck_routing::MessageId;

use super::submissions::{answer, form, metadata};
use crate::testing::{Network, SENDER, Serving, token};

#[tokio::test]
async fn a_client_sees_its_own_submission_and_nobody_elses() {
    let network = Network::new();
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    let post = serving
        .http
        .post(format!("{}/v1/submissions", serving.base))
        .bearer_auth(token("alles"));
    let (_, filed) = answer(post.header("Idempotency-Key", "k").multipart(form(&metadata()))).await;
    let here = format!("{}{}", serving.base, filed["links"]["self"].as_str().unwrap());

    let (status, body) = answer(serving.http.get(&here).bearer_auth(token("alles"))).await;
    assert_eq!(status, 200);
    assert_eq!(body["submissionId"], filed["submissionId"]);
    assert_eq!(
        (body["status"].as_str(), body["statusText"].as_str()),
        (Some("received"), Some("eingereicht"))
    );
    assert_eq!(
        (body["terminal"].as_bool(), body["overdue"].as_bool()),
        (Some(false), Some(false))
    );
    assert_eq!(
        (body["holder"].as_str(), body["contact"].as_str()),
        (Some(SENDER), Some("a@amt.example"))
    );
    assert_eq!(body["filedAt"], filed["filedAt"]);
    let (_, events) = answer(serving.http.get(format!("{here}/events")).bearer_auth(token("alles"))).await;
    assert_eq!(events["events"][0]["stage"], "received");

    for path in [here.clone(), format!("{here}/events")] {
        assert_eq!(answer(serving.http.get(&path).bearer_auth(token("wenig"))).await.0, 404);
        assert_eq!(answer(serving.http.get(&path)).await.0, 401);
    }
    for id in ["x".to_owned(), MessageId::random().to_string()] {
        let path = format!("{}/v1/submissions/{id}", serving.base);
        assert_eq!(
            answer(serving.http.get(path).bearer_auth(token("alles"))).await.1["code"],
            "not-found"
        );
    }
}

#[tokio::test]
async fn a_request_that_prefers_to_wait_gets_the_news() {
    let network = Network::new();
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    let post = serving
        .http
        .post(format!("{}/v1/submissions", serving.base))
        .bearer_auth(token("alles"));
    let (_, filed) = answer(post.header("Idempotency-Key", "k").multipart(form(&metadata()))).await;
    let here = format!("{}{}", serving.base, filed["links"]["self"].as_str().unwrap());
    let get = || serving.http.get(&here).bearer_auth(token("alles"));
    let first = get().send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let body: Value = first.json().await.unwrap();

    assert_eq!(get().header("If-None-Match", &tag).send().await.unwrap().status(), 304);
    let began = Instant::now();
    let waited = get()
        .header("If-None-Match", &tag)
        .header("Prefer", "wait=1")
        .send()
        .await
        .unwrap();
    assert_eq!(waited.status(), 304);
    assert!(began.elapsed() >= Duration::from_millis(900));
    // what the client has is not the newest: no waiting
    let began = Instant::now();
    let old = get()
        .header("If-None-Match", "\"old\"")
        .header("Prefer", "wait=20")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (old.status().as_u16(), began.elapsed() < Duration::from_secs(5)),
        (200, true)
    );
    assert_eq!(old.json::<Value>().await.unwrap(), body);
    // a gateway that stops keeps nobody waiting
    let waiting = tokio::spawn(get().header("Prefer", "wait=20").send());
    gateway.draining.cancel();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
}
