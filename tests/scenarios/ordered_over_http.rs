//! What an operator orders of a running process is done, and stands in the audit trail with who and why.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::corners::{Corners, ended, free_port, promised};
use harness::custodians::id;
use harness::process::Process;
use harness::rabbitmq;
use harness::wait::until;
use serde_json::{Value, json};
use viereck::demo::applications::{HUSUM, wohngeld_json};
use viereck::demo::site::{RECEIVER_SH, SENDER};
use viereck::demo::stand_ins::{Answer, Script};
use viereck_routing::Digest;
use viereck_transport::{Address, AmqpConfig, Link};

const DEADLINE: Duration = Duration::from_secs(60);
const TOKEN: &str = "of-anna";
const WHY: &str = "ticket 4711";

/// The operations interface of one process.
struct Operations {
    base: String,
    http: reqwest::Client,
    process: Process,
}

impl Operations {
    async fn start(corners: &Corners, role: &str) -> Self {
        let (listen, digest) = (free_port().to_string(), Digest::of(TOKEN.as_bytes()).to_string());
        let variables = [
            ("VIERECK__OPERATIONS__LISTEN", listen.as_str()),
            ("VIERECK__OPERATIONS__OPERATOR__0__NAME", "anna"),
            ("VIERECK__OPERATIONS__OPERATOR__0__TOKEN_SHA256", &digest),
            ("VIERECK__OPERATIONS__OPERATOR__0__MAY", "act"),
        ];
        let process = corners.start_with(role, &variables).await;
        Self {
            base: format!("http://{listen}"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            process,
        }
    }

    async fn get(&self, path: &str) -> Value {
        self.answer(self.http.get(format!("{}{path}", self.base))).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.answer(self.http.post(format!("{}{path}", self.base)).json(&body))
            .await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Value {
        let response = request.bearer_auth(TOKEN).send().await.unwrap();
        let (status, body) = (response.status(), response.json().await.unwrap());
        assert!(status.is_success(), "{status} {body}\n{}", self.process.describe());
        body
    }

    /// Who did what to which, with what outcome.
    async fn trail(&self, custodian: &str) -> Vec<[String; 5]> {
        let trail = self.get(&format!("/v1/audit?custodian={custodian}")).await;
        let lines = trail["trails"][0]["lines"].as_array().unwrap();
        let line = |line: &Value| {
            ["actor", "verb", "target", "reason", "outcome"].map(|field| line[field].as_str().unwrap().to_owned())
        };
        lines.iter().map(line).collect()
    }
}

fn by_anna(verb: &str, target: &str, outcome: &str) -> [String; 5] {
    ["operator:anna", verb, target, WHY, outcome].map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sealed_anew_and_octets_are_discarded_by_an_operator() {
    let amqp = rabbitmq::vhost().await;
    let accept: Script = Arc::new(|_, _| Answer::Accept);
    let corners = Corners::prepare("ordered-over-http", amqp.clone(), accept.clone(), accept).await;
    let _broker = corners.start("broker").await;
    let receiver = Operations::start(&corners, "receiver").await;
    let sender = Operations::start(&corners, "sender").await;
    let client = corners.client();

    // nothing has gone out yet, so it can be sealed anew
    let gateway = format!("gateway:{SENDER}");
    sender
        .post("/v1/pause", json!({ "scope": gateway, "reason": WHY }))
        .await;
    let submission = promised(&client, &wohngeld_json(1, HUSUM)).await.submission_id;
    let path = format!("/v1/messages/{submission}/seal-anew");
    let anew = sender.post(&path, json!({ "reason": WHY })).await;
    let replaced_by = anew["replacedBy"].as_str().unwrap();
    assert_eq!(
        (&anew["id"], &anew["outcome"]),
        (&json!(submission), &json!("sealed-anew"))
    );
    assert_ne!(replaced_by, submission);
    sender
        .post("/v1/resume", json!({ "scope": gateway, "reason": WHY }))
        .await;
    assert_eq!(ended(&client, &submission, DEADLINE).await, "accepted");
    let trail = sender.trail(SENDER).await;
    assert_eq!(trail[0], by_anna("pause", &gateway, "done"));
    assert_eq!(trail[1], by_anna("seal-anew", &submission, replaced_by));
    assert_eq!(trail[2], by_anna("resume", &gateway, "done"));
    assert_eq!(trail.len(), 3);

    // octets that nobody can read arrive at the receiver
    let poison = Bytes::from_static(b"<Envelope/>");
    let link = Link::amqp(AmqpConfig::new(&amqp)).unwrap();
    until(DEADLINE, "the link takes it", async || {
        link.publish(&Address::Gateway(id(RECEIVER_SH)), poison.clone())
            .await
            .ok()
    })
    .await;
    let parked = until(DEADLINE, "parked", async || {
        let page = receiver.get("/v1/parked").await;
        page["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let path = format!("/v1/parked/{parked}/discard");
    let discarded = receiver.post(&path, json!({ "reason": WHY })).await;
    assert_eq!(
        (&discarded["id"], &discarded["outcome"], &discarded["stage"]),
        (&json!(parked), &json!("discarded"), &Value::Null)
    );
    assert_eq!(receiver.get("/v1/parked").await["items"], json!([]));
    assert_eq!(
        receiver.trail(RECEIVER_SH).await,
        [by_anna("discard", &parked, "deleted")]
    );
    link.close().await;
    println!("account: 1 filed, sealed anew and accepted; 1 poison, discarded; 4 lines in two trails");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_shows_how_much_waits_how_fast_it_goes_and_until_when() {
    let amqp = rabbitmq::vhost().await;
    let slowly: Script = Arc::new(|_, _| Answer::AcceptAfter(Duration::from_millis(400)));
    let accept: Script = Arc::new(|_, _| Answer::Accept);
    let corners = Corners::prepare("backlogs", amqp, slowly, accept).await;
    let _broker = corners.start("broker").await;
    let receiver = Operations::start(&corners, "receiver").await;
    let _sender = corners.start("sender").await;
    let client = corners.client();
    let mut number = 0;
    let backlog = until(DEADLINE, "what waits, with an estimate", async || {
        // there is always something that waits, because more comes in than goes out
        for _ in 0..4 {
            number += 1;
            promised(&client, &wohngeld_json(number, HUSUM)).await;
        }
        let backlogs = receiver.get(&format!("/v1/backlogs?custodian={RECEIVER_SH}")).await;
        let shown = backlogs[RECEIVER_SH].as_array()?.first()?.clone();
        shown["readyAt"].is_string().then_some(shown)
    })
    .await;
    assert!(backlog["waiting"].as_u64().unwrap() > 0, "{backlog}");
    assert!(backlog["perMinute"].as_f64().unwrap() > 0.0, "{backlog}");
    assert_eq!(backlog["breaker"]["state"], "closed", "{backlog}");
    println!("account: {number} filed, of which so much waited: {backlog}");
}
