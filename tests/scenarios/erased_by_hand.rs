//! What a Fachverfahren refused lies at its author's gateway until an operator erases it: once, with a reason, and never
//! while somebody may still take it over.

use std::sync::Arc;
use std::time::Duration;

use harness::account::Account;
use harness::corners::{Corners, ended, free_port, promised};
use harness::{process, rabbitmq};
use serde_json::Value;
use viereck::demo::applications;
use viereck::demo::site::{CLIENT, SENDER};
use viereck::demo::stand_ins::{Answer, Script};
use viereck_routing::Digest;

const DEADLINE: Duration = Duration::from_secs(60);

/// The status of the answer to a look at the content.
async fn content(corners: &Corners, submission: &str) -> u16 {
    let url = format!("http://{}/v1/submissions/{submission}/content", corners.listen[0]);
    let look = reqwest::Client::new().get(url);
    let look = look.bearer_auth(corners.site.client_token(CLIENT).unwrap());
    look.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_erases_what_ended_without_being_taken_over() {
    let amqp = rabbitmq::vhost().await;
    let refuse: Script = Arc::new(|_, _| Answer::Reject("S011".to_owned()));
    let corners = Corners::prepare("erased-by-hand", amqp, refuse.clone(), refuse).await;
    let token = corners.path().join("operator.token");
    std::fs::write(&token, "operator").unwrap();
    let (listen, digest) = (free_port().to_string(), Digest::of(b"operator").to_string());
    let operations = [
        ("VIERECK__OPERATIONS__LISTEN", listen.as_str()),
        ("VIERECK__OPERATIONS__OPERATOR__0__NAME", "anna"),
        ("VIERECK__OPERATIONS__OPERATOR__0__TOKEN_SHA256", &digest),
        ("VIERECK__OPERATIONS__OPERATOR__0__MAY", "act"),
    ];
    let _broker = corners.start("broker").await;
    let _sender = corners.start_with("sender", &operations).await;
    let client = corners.client();
    let application = applications::wohngeld_json(1, applications::HUSUM);
    let submission = promised(&client, &application).await.submission_id;

    let (configuration, url) = (corners.site.configuration(), format!("http://{listen}"));
    let run = |args: &[&str]| {
        let configuration = configuration.to_str().unwrap();
        let reach = [
            "--config",
            configuration,
            "--url",
            &url,
            "--token-file",
            token.to_str().unwrap(),
        ];
        process::run(&[args, &reach].concat())
    };
    let erase = ["parked", "erase", &submission, "--reason", "filed on paper, 4714"];
    let refused = |args: &[&str]| {
        let output = run(args);
        let told = String::from_utf8(output.stderr).unwrap();
        let code = told.strip_prefix("error[").and_then(|rest| rest.split(']').next());
        (code.unwrap_or(&told).to_owned(), output.status.code().unwrap())
    };
    // the reader's gateway is not there yet
    assert_eq!(refused(&erase), ("content-in-flight".to_owned(), 8));
    assert_eq!(content(&corners, &submission).await, 409);
    let _receiver = corners.start("receiver").await;
    assert_eq!(ended(&client, &submission, DEADLINE).await, "rejected");
    assert_eq!(content(&corners, &submission).await, 200);

    assert_eq!(refused(&erase[..3]).1, 2, "a reason is needed");
    let unknown = [
        "parked",
        "erase",
        "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6b",
        "--reason",
        "x",
    ];
    assert_eq!(refused(&unknown), ("message-unknown".to_owned(), 3));
    let done = run(&[&erase[..], &["--json"]].concat());
    let done: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (&done["outcome"], &done["custodian"]),
        (&"erased".into(), &SENDER.into())
    );
    assert_eq!(content(&corners, &submission).await, 404);
    assert_eq!(refused(&erase), ("content-not-kept".to_owned(), 3), "once");

    let trail = run(&["journal", "audit", "--custodian", SENDER, "--json"]);
    let trail: Value = serde_json::from_slice(&trail.stdout).unwrap();
    let lines = trail["trails"][0]["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{trail}");
    let told = ["verb", "actor", "target", "reason"].map(|name| lines[0][name].as_str().unwrap());
    assert_eq!(told, ["erase", "operator:anna", &submission, "filed on paper, 4714"]);
    // of what was refused there is no Bescheid to wait for
    let account = Account::of(&corners, &[], DEADLINE).await;
    println!("{account}; 1 refused, its content erased");
    assert_eq!(account, Account::default(), "nothing took effect");
}
