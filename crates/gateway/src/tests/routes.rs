//! `GET /v1/routes`: public, explained, and known again by its tag.

use super::submissions::answer;
use crate::testing::{Network, SENDER, Serving, WOHNGELD};

#[tokio::test]
async fn who_is_competent_can_be_asked_by_anyone() {
    let network = Network::new();
    let serving = Serving::start(&network.gateway(SENDER, "").await).await;
    let get = |query: &str| serving.http.get(format!("{}/v1/routes?{query}", serving.base));
    let (status, body) = answer(get(&format!("leistung={WOHNGELD}&ars=010010000000"))).await;
    assert_eq!((status, body["outcome"].as_str()), (200, Some("route")));
    assert_eq!(
        (body["behoerde"].as_str(), body["gateway"].as_str()),
        (Some("wgb:010010000000"), Some("gw-r"))
    );
    assert!(body["line"].is_u64() && body["file"].is_string() && body["steps"].is_array());
    assert_eq!(
        answer(get(&format!("leistung={WOHNGELD}&ags=01001000"))).await.1["behoerde"],
        body["behoerde"]
    );
    assert_eq!(
        answer(get(&format!("leistung={WOHNGELD}&ars=010020000000"))).await.1["outcome"],
        "refused"
    );
    assert_eq!(
        answer(get(&format!("leistung={WOHNGELD}&ars=010030000000"))).await.1["outcome"],
        "choices"
    );
    let (status, body) = answer(get(&format!("leistung={WOHNGELD}&ars=010040000000"))).await;
    assert_eq!((status, body["code"].as_str()), (422, Some("no-route")));

    let query = format!("leistung={WOHNGELD}&ars=010010000000&date=2026-05-01");
    let first = get(&query).send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    assert_eq!(
        tag.to_str().unwrap(),
        format!("\"{}.2026-05-01\"", network.tables.release())
    );
    assert_eq!(
        get(&query).header("If-None-Match", tag).send().await.unwrap().status(),
        304
    );
}

#[tokio::test]
async fn a_question_that_makes_no_sense_names_its_key() {
    let network = Network::new();
    let serving = Serving::start(&network.gateway(SENDER, "").await).await;
    for (query, pointer) in [
        ("", "/leistung"),
        ("leistung=1&ars=010010000000", "/leistung"),
        ("leistung=99107023037000", "/ars"),
        ("leistung=99107023037000&ars=1", "/ars"),
        ("leistung=99107023037000&ags=x", "/ags"),
        ("leistung=99107023037000&ars=010010000000&ags=01001000", "/ars"),
        ("leistung=99107023037000&ars=010010000000&date=1.5.2026", "/date"),
        ("leistung=99107023037000&ars=010010000000&x=1", ""),
    ] {
        let (status, body) = answer(serving.http.get(format!("{}/v1/routes?{query}", serving.base))).await;
        assert_eq!(
            (status, body["errors"][0]["pointer"].as_str()),
            (422, Some(pointer)),
            "{query}"
        );
    }
}
