//! What people and systems do: applications, their ends, answers, with a word in every place where somebody can type.

use std::path::PathBuf;

use harness::wait::until;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use reqwest::header::HeaderMap;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use viereck::demo::applications::{EINBUERGERUNG, HUSUM, KIEL, KOELN, NIEBUELL, WOHNGELD};
use viereck::demo::samples;
use viereck::demo::site::{RECEIVER_NW, RECEIVER_SH};

use super::world::{DEADLINE, Ground, World};

/// A trace that a client is in the middle of, so that it is recorded.
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What became of it.
pub(super) struct Lived {
    /// The application that got a Bescheid: its id stands everywhere in the clear.
    pub(super) witness: String,
    /// Its case.
    pub(super) case: String,
    /// The application that was rejected, and so can be fetched.
    pub(super) rejected: String,
}

/// What a client says of an application, without words of its own.
pub(super) fn metadata(leistung: &str, place: &str) -> Value {
    let schema = match leistung {
        EINBUERGERUNG => samples::EINBUERGERUNG,
        _ => samples::WOHNGELD_JSON,
    };
    json!({
        "leistung": leistung, "region": place, "payloadSchema": schema,
        "applicant": { "kind": "person", "level": 4, "attributes": {} },
    })
}

/// A form of metadata and payload.
pub(super) fn form(metadata: &Value, payload: &str) -> Form {
    form_of(metadata, file("antrag.json", "application/json", payload))
}

/// The same with a payload that is any file.
pub(super) fn form_of(metadata: &Value, payload: Part) -> Form {
    let metadata = Part::text(metadata.to_string()).mime_str("application/json").unwrap();
    Form::new().part("metadata", metadata).part("payload", payload)
}

/// A file with a name and a media type, whatever they are.
pub(super) fn file(name: &str, media_type: &str, octets: &str) -> Part {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", media_type.parse().unwrap());
    Part::bytes(octets.as_bytes().to_vec())
        .file_name(name.to_owned())
        .headers(headers)
}

/// A request with words in everything about it that is not its content.
pub(super) fn dressed(world: &World, request: RequestBuilder) -> RequestBuilder {
    let word = |place: &str| world.canaries.word(place);
    request
        .header("X-Applicant", word("value of a header"))
        .header(word("name of a header"), "1")
        .header("User-Agent", word("User-Agent"))
        .header("Cookie", format!("session={}", word("Cookie")))
        .header("Referer", format!("https://example.org/{}", word("Referer")))
        .header("Accept-Language", word("Accept-Language"))
        .header("tracestate", format!("vendor={}", word("tracestate")))
}

/// Files an application, which has to be promised.
async fn promised(world: &World, key: &str, form: Form) -> Value {
    let word = |place: &str| world.canaries.word(place);
    let query = format!("q={}&{}=1", word("query of a good request"), word("key of a query"));
    let request = Client::new().post(format!("{}/v1/submissions?{query}", world.sender()));
    let request = dressed(world, request).bearer_auth(world.client_token());
    let answer = request
        .header("traceparent", TRACEPARENT)
        .header("Idempotency-Key", key)
        .multipart(form);
    let answer = answer.send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 202, "{body}");
    world.told.keep(body.as_bytes());
    serde_json::from_str(&body).unwrap()
}

/// The same without anything special about it.
async fn plain(world: &World, leistung: &str, place: &str, does: &str) -> String {
    let payload = json!({ "does": does, "name": world.canaries.word("payload of a further application") });
    let form = form(&metadata(leistung, place), &payload.to_string());
    let answer = promised(world, &uuid::Uuid::new_v4().to_string(), form).await;
    answer["submissionId"].as_str().unwrap().to_owned()
}

/// Waits until a submission has this status; keeps what is told of it.
async fn comes_to(world: &World, submission: &str, wanted: &str) {
    let url = format!("{}/v1/submissions/{submission}", world.sender());
    let get = async |url: String| {
        let answer = Client::new()
            .get(url)
            .bearer_auth(world.client_token())
            .send()
            .await
            .ok()?;
        answer.text().await.ok()
    };
    until(DEADLINE, &format!("{submission} is {wanted}"), async || {
        let text = get(url.clone()).await?;
        let status: Value = serde_json::from_str(&text).ok()?;
        (status["status"] == wanted).then(|| world.told.keep(text.as_bytes()))
    })
    .await;
    world.told.keep(get(format!("{url}/events")).await.unwrap().as_bytes());
    world.told.keep(
        get(format!("{}/v1/submissions", world.sender()))
            .await
            .unwrap()
            .as_bytes(),
    );
}

/// Answers in a case, which has to be taken.
async fn replies(world: &World, gateway: &str, at: &str, case: &str, metadata: Value, file: Part) {
    let request = Client::new().post(format!("{at}/v1/cases/{case}/replies"));
    let answer = dressed(world, request)
        .bearer_auth(world.corners.site.fachverfahren_token(gateway).unwrap())
        .header("Idempotency-Key", uuid::Uuid::new_v4().to_string())
        .multipart(form_of(&metadata, file))
        .send();
    let answer = answer.await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 202, "{body}");
    world.told.keep(body.as_bytes());
}

/// Everything, in an order in which nothing waits for anything for long.
pub(super) async fn live(world: &World) -> Lived {
    webhook(world).await;
    let (witness, case) = decided(world).await;
    let rejected = plain(world, WOHNGELD, HUSUM, "it-rejects").await;
    comes_to(world, &rejected, "rejected").await;
    fetched(world, &rejected).await;
    let away = plain(world, WOHNGELD, HUSUM, "it-is-away").await;
    comes_to(world, &away, "accepted").await;
    in_a_folder(world).await;
    // each has a delivery of its own; that it was asked is all there is to wait for
    for (leistung, place, does) in [
        (WOHNGELD, NIEBUELL, "it-speaks-strangely"),
        (EINBUERGERUNG, KIEL, "it-leads-elsewhere"),
        (WOHNGELD, KIEL, "it-knows-nobody"),
    ] {
        let waiting = plain(world, leistung, place, does).await;
        until(DEADLINE, does, async || {
            world.around.fachverfahren.0.has(&waiting).then_some(())
        })
        .await;
        comes_to(world, &waiting, "delivered").await;
    }
    if world.ground != Ground::Embedded {
        strangers_write_to_queues(world).await;
    }
    Lived {
        witness,
        case,
        rejected,
    }
}

/// A client's server is told; the first time it fails.
async fn webhook(world: &World) {
    let url = format!(
        "{}/hook/{}",
        world.around.webhooks.1,
        world.canaries.word("URL of a webhook")
    );
    let post = |path: String, body: Value| {
        let request = Client::new().post(format!("{}/v1/webhooks{path}", world.sender()));
        request.bearer_auth(world.client_token()).json(&body).send()
    };
    let answer: Value = post(String::new(), json!({ "url": url }))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let secret = answer["secret"].as_str().unwrap_or_else(|| panic!("{answer}"));
    world
        .canaries
        .secret("secret of a webhook", secret.trim_start_matches("whsec_"));
    let id = answer["webhookId"].as_str().unwrap();
    let word = |place: &str| world.canaries.word(place);
    let url = format!(
        "{}/v1/webhooks/{id}/deliveries?cursor={}",
        world.sender(),
        word("cursor of a log")
    );
    let log = Client::new()
        .get(url)
        .bearer_auth(world.client_token())
        .send()
        .await
        .unwrap();
    world.told.keep(log.text().await.unwrap().as_bytes());
    let path = format!("/{id}/deliveries/{}/redeliver", word("delivery that is none"));
    assert_eq!(post(path, json!({})).await.unwrap().status(), 404);
    for what in ["test", "secret"] {
        assert!(
            post(format!("/{id}/{what}"), json!({}))
                .await
                .unwrap()
                .status()
                .is_success()
        );
    }
}

/// An application with a word in every place, taken over and decided.
async fn decided(world: &World) -> (String, String) {
    let word = |place: &str| world.canaries.word(place);
    let metadata = json!({
        "leistung": WOHNGELD, "region": HUSUM, "payloadSchema": samples::WOHNGELD_JSON,
        "mediaType": format!("application/json; profile={}", word("mediaType of the metadata")),
        "clientReference": word("client's reference"),
        "applicant": {
            "kind": "person", "level": 4,
            "attributes": { "familyName": word("applicant's name"), (word("key of an attribute")): "yes" },
            "representative": { "givenName": word("representative's name") },
        },
        "replyChannel": { "mailbox": word("handle of the mailbox"), "level": 3 },
        "consents": [{ "text": word("consent") }],
        "payment": { "reference": word("payment") },
    });
    let payload = json!({ "does": "it-takes-over", "name": word("payload") });
    let name = |place: &str| format!("{}.json", word(place));
    let media_type = |place: &str| format!("text/plain; name={}", word(place));
    let make = || {
        let media_type_of = media_type("media type of the payload");
        form_of(
            &metadata,
            file(&name("name of the payload"), &media_type_of, &payload.to_string()),
        )
        .part(
            "attachment",
            file(
                &name("name of an attachment"),
                &media_type("media type of an attachment"),
                &word("attachment"),
            ),
        )
    };
    let key = word("Idempotency-Key");
    let answer = promised(world, &key, make()).await;
    assert_eq!(
        promised(world, &key, make()).await,
        answer,
        "the same again gets the same answer"
    );
    let of = |name: &str| answer[name].as_str().unwrap().to_owned();
    let (submission, case) = (of("submissionId"), of("caseId"));
    comes_to(world, &submission, "accepted").await;
    for (kind, refused) in [("bescheid", ""), ("question", ""), ("status", "it-refuses")] {
        let about = json!({ "kind": kind, "inReplyTo": submission, "dueDate": "2030-01-31",
            "title": format!("{refused} {}", word(&format!("title of a {kind}"))) });
        let file = file(
            &name("name of a Bescheid"),
            &media_type("media type of a Bescheid"),
            &word("Bescheid"),
        );
        replies(world, RECEIVER_SH, &world.receiver(), &case, about, file).await;
        let title = word(&format!("title of a {kind}"));
        until(DEADLINE, "it is in the mailbox", async || {
            world.around.postfach.0.has(&title).then_some(())
        })
        .await;
    }
    (submission, case)
}

/// What a client gets back is its own, and then gone.
async fn fetched(world: &World, rejected: &str) {
    let url = format!("{}/v1/submissions/{rejected}/content", world.sender());
    let content = Client::new()
        .get(url)
        .bearer_auth(world.client_token())
        .send()
        .await
        .unwrap();
    assert_eq!(content.status(), 200);
    world.given_back.keep(&content.bytes().await.unwrap());
}

/// A Fachverfahren that works with folders, and writes strange markers first.
async fn in_a_folder(world: &World) {
    let word = |place: &str| world.canaries.word(place);
    let mut said = metadata(WOHNGELD, KOELN);
    said["applicant"] = json!({ "kind": "person", "level": 4, "assertion": word("assertion") });
    said["replyChannel"] = json!({ "mailbox": word("handle of another mailbox"), "level": 3 });
    let payload = json!({ "name": word("payload for a folder") }).to_string();
    let key = word("Idempotency-Key for a folder");
    let answer = promised(world, &key, form(&said, &payload)).await;
    let of = |name: &str| answer[name].as_str().unwrap().to_owned();
    let (submission, case) = (of("submissionId"), of("caseId"));
    let folder: PathBuf = world.folder().join(&submission);
    until(DEADLINE, "its folder", async || {
        folder.join("payload").is_file().then_some(())
    })
    .await;
    std::fs::write(
        folder.join(word("name of a foreign file")),
        word("content of a foreign file"),
    )
    .unwrap();
    std::fs::write(folder.join("rejected"), word("marker of rejection")).unwrap();
    let log = world.log(world.role("receiver"));
    until(DEADLINE, "the marker is looked at", async || {
        std::fs::read_to_string(&log)
            .ok()?
            .contains("marker-unclear")
            .then_some(())
    })
    .await;
    std::fs::remove_file(folder.join("rejected")).unwrap();
    std::fs::write(folder.join("accepted"), word("marker of acceptance")).unwrap();
    comes_to(world, &submission, "accepted").await;
    let at = format!("http://{}", world.corners.listen[2]);
    let title = word("title of another Bescheid");
    let about = json!({ "kind": "bescheid", "title": title });
    replies(
        world,
        RECEIVER_NW,
        &at,
        &case,
        about,
        file("bescheid.txt", "text/plain", &word("another Bescheid")),
    )
    .await;
    until(DEADLINE, "it is in the mailbox", async || {
        world.around.postfach.0.has(&title).then_some(())
    })
    .await;
}

/// Whoever breaks into RabbitMQ writes what it likes into the queues: garbage, and something like an envelope.
async fn strangers_write_to_queues(world: &World) {
    let (_, url) = world.rabbitmq.as_ref().unwrap();
    let word = |place: &str| world.canaries.word(place);
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let like_an_envelope = format!(
        "<Envelope xmlns=\"urn:viereck:envelope:1\"><Header><Author>{0}</Author><{0}/></Header></Envelope>",
        word("octets of a stranger")
    );
    for (exchange, key) in [
        ("viereck.ingress", "submit.gw-sh-1".to_owned()),
        ("viereck.ingress", "receipt.gw-sh-1".to_owned()),
        (
            "viereck.ingress",
            format!("submit.{}", word("routing key of a stranger")),
        ),
        ("viereck.route", "gateway.gw-sh-2".to_owned()),
        ("viereck.receipts", "broker.gw-sh-1".to_owned()),
    ] {
        for octets in [word("octets of a stranger"), like_an_envelope.clone()] {
            let mut headers = FieldTable::default();
            headers.insert(
                word("header of a stranger").into(),
                AMQPValue::LongString(word("header of a stranger").into()),
            );
            let properties = BasicProperties::default()
                .with_headers(headers)
                .with_content_type(word("content type of a stranger").into())
                .with_message_id(word("message id of a stranger").into())
                .with_app_id(word("app id of a stranger").into())
                .with_reply_to(word("reply-to of a stranger").into());
            let options = BasicPublishOptions::default();
            let published = channel.basic_publish(
                exchange.into(),
                key.as_str().into(),
                options,
                octets.as_bytes(),
                properties,
            );
            published.await.unwrap();
        }
    }
    // what was published before on this channel has arrived when it is closed in order
    channel.close(200, "done".into()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
    for role in ["broker", "receiver"] {
        until(DEADLINE, &format!("the {role} has parked it"), async || {
            let parked = parked(world, role).await?;
            (!parked.is_empty()).then_some(())
        })
        .await;
    }
}

/// The ids of what a role has parked.
pub(super) async fn parked(world: &World, role: &'static str) -> Option<Vec<String>> {
    let request = Client::new().get(format!("{}/v1/parked", world.operations_of(role)));
    let listed = request
        .bearer_auth(world.canaries.word("token of operator anna"))
        .send()
        .await
        .ok()?;
    let listed: Value = listed.json().await.ok()?;
    let ids = listed["items"].as_array()?.iter().filter_map(|one| one["id"].as_str());
    Some(ids.map(str::to_owned).collect())
}
