//! `GET /v1/submissions/{id}` and its events: only for whom it is, and with news as soon as there are some.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use viereck_custody::deadlines;
use viereck_envelope::Stage;
use viereck_routing::MessageId;

use super::submissions::{answer, form, metadata};
use crate::testing::{Network, SENDER, Serving, eventually, token};

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
    let told = viereck_custody::status::told(Stage::Received, None);
    assert_eq!(
        (&body["sentence"], &body["nextStep"]),
        (&json!(told.sentence), &json!(told.next_step))
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

#[tokio::test]
async fn a_request_that_waits_is_answered_with_what_changes_meanwhile() {
    let network = Network::new();
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    let here = format!("{}{}", serving.base, file(&serving, "k").await);
    let get = || serving.http.get(&here).bearer_auth(token("alles"));
    let tag = get().send().await.unwrap().headers()["etag"].clone();
    let waiting = get().header("If-None-Match", tag).header("Prefer", "wait=20");
    let waiting = tokio::spawn(waiting.send());
    eventually("somebody waits", || gateway.waiting.awaited() == 1).await;
    let too_late = Timestamp::now() + SignedDuration::from_hours(24 * 30);
    let config = deadlines::Config::default();
    let swept = gateway.journal.sweep_deadlines(too_late, &config).await.unwrap();
    assert_eq!(swept.ended.len(), 1);
    // whoever is not woken looks no second time: it would be told that nothing is new
    let answered = waiting.await.unwrap().unwrap();
    assert_eq!(answered.status(), 200);
    assert_eq!(answered.json::<Value>().await.unwrap()["status"], "expired");
}

#[tokio::test]
async fn a_preference_that_is_honoured_is_confirmed_and_one_without_a_place_is_not() {
    let network = Network::new();
    let gateway = network.gateway(SENDER, r#"{"limits":{"waiting":1}}"#).await;
    let serving = Serving::start(&gateway).await;
    let here = format!("{}{}", serving.base, file(&serving, "k").await);
    let get = || serving.http.get(&here).bearer_auth(token("alles"));
    let plain = get().send().await.unwrap();
    assert!(plain.headers().get("preference-applied").is_none());
    let waited = get().header("Prefer", "respond-async, wait=1").send().await.unwrap();
    assert_eq!(waited.headers()["preference-applied"], "wait=1");

    // the only place is taken: answered at once, without a word of having waited
    let place = gateway.waiting.place(MessageId::random()).unwrap();
    let began = Instant::now();
    let answered = get().header("Prefer", "wait=20").send().await.unwrap();
    assert!(answered.headers().get("preference-applied").is_none());
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(place);
}

/// Files an application and gives the path of its status.
async fn file(serving: &Serving, key: &str) -> String {
    let post = serving.http.post(format!("{}/v1/submissions", serving.base));
    let post = post.bearer_auth(token("alles")).header("Idempotency-Key", key);
    let (status, filed) = answer(post.multipart(form(&metadata()))).await;
    assert_eq!(status, 202, "{filed}");
    filed["links"]["self"].as_str().unwrap().to_owned()
}

/// The entries of a page and the path of the next one.
async fn page(serving: &Serving, path: &str, client: &str) -> (Vec<String>, Option<String>) {
    let response = serving.http.get(format!("{}{path}", serving.base));
    let response = response.bearer_auth(token(client)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let links = response.headers()["link"].to_str().unwrap().to_owned();
    let next = links.split(", ").find(|link| link.ends_with("rel=\"next\""));
    let next = next.map(|link| link[1..link.find('>').unwrap()].to_owned());
    let body: Value = response.json().await.unwrap();
    let entries = body["submissions"].as_array().unwrap();
    let ids = entries
        .iter()
        .map(|entry| entry["links"]["self"].as_str().unwrap().to_owned());
    (ids.collect(), next)
}

#[tokio::test]
async fn a_list_is_walked_page_by_page_and_what_comes_meanwhile_moves_nothing() {
    let network = Network::new();
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    let mut filed = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        filed.push(file(&serving, key).await);
    }
    filed.reverse();
    let (mut seen, mut next) = page(&serving, "/v1/submissions?limit=2&status=received", "alles").await;
    assert_eq!(seen, filed[..2]);
    file(&serving, "f").await;
    while let Some(path) = next {
        assert!(path.contains("status=received"), "{path}");
        let (more, after) = page(&serving, &path, "alles").await;
        assert!(more.len() <= 2);
        seen.extend(more);
        next = after;
    }
    assert_eq!(seen, filed, "each once, newest first");
    assert_eq!(page(&serving, "/v1/submissions", "alles").await.0.len(), 6);
    assert_eq!(
        page(&serving, "/v1/submissions", "wenig").await.0.len(),
        0,
        "somebody else's"
    );
}

#[tokio::test]
async fn a_list_is_narrowed_by_each_question_and_a_mistake_is_named() {
    let network = Network::new();
    let gateway = network.gateway(SENDER, "").await;
    let serving = Serving::start(&gateway).await;
    file(&serving, "a").await;
    let count = async |question: &str| {
        page(&serving, &format!("/v1/submissions?{question}"), "alles")
            .await
            .0
            .len()
    };
    for (question, expected) in [
        ("", 1),
        ("status=received", 1),
        ("status=accepted", 0),
        ("overdue=true", 0),
        ("overdue=false", 1),
        ("leistung=99107023037000", 1),
        ("leistung=99099002067003", 0),
        ("behoerde=wgb%3A010010000000", 1),
        ("behoerde=wgb%3A010020000000", 0),
        ("since=2020-01-01T00%3A00%3A00Z", 1),
        ("since=2099-01-01T00%3A00%3A00Z", 0),
        ("until=2020-01-01T00%3A00%3A00Z", 0),
    ] {
        assert_eq!(count(question).await, expected, "{question}");
    }
    for (question, pointer) in [
        ("status=granted", "/status"),
        ("since=yesterday", "/since"),
        ("limit=0", "/limit"),
        ("limit=1000", "/limit"),
        ("cursor=x", "/cursor"),
        ("overdue=1", "/overdue"),
        ("leistung=1", "/leistung"),
        ("colour=red", ""),
        ("status=received&status=received", ""),
    ] {
        let request = serving.http.get(format!("{}/v1/submissions?{question}", serving.base));
        let (status, body) = answer(request.bearer_auth(token("alles"))).await;
        assert_eq!(
            (status, body["errors"][0]["pointer"].as_str()),
            (422, Some(pointer)),
            "{question}: {body}"
        );
    }
    let nobody = serving.http.get(format!("{}/v1/submissions", serving.base));
    assert_eq!(answer(nobody).await.0, 401);
}
