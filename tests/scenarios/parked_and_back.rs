//! A message that was parked goes back by an operator's word and is delivered, and everybody can read the whole story.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use harness::account::Account;
use harness::corners::{Corners, READY, ended, free_port, promised};
use harness::process;
use harness::rabbitmq;
use harness::wait::until;
use serde_json::Value;
use viereck::demo::applications;
use viereck::demo::site::{RECEIVER_SH, Site};
use viereck::demo::stand_ins::{Answer, Script};
use viereck_routing::Digest;

const DEADLINE: Duration = Duration::from_secs(60);

/// The command line of an operator of this network.
struct Operator {
    configuration: String,
    url: String,
    tokens: tempfile::TempDir,
}

impl Operator {
    /// Runs a command as `who`, whose token lies in a file.
    fn run(&self, who: &str, args: &[&str]) -> Output {
        let token = self.tokens.path().join(who);
        let reach = ["--config", &self.configuration, "--url", &self.url, "--token-file"];
        let token = [token.to_str().unwrap()];
        process::run(&[args, &reach, &token].concat())
    }

    /// The same, which has to succeed; its JSON.
    fn json(&self, args: &[&str]) -> Value {
        let output = self.run("anna", &[args, &["--json"]].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {told}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The code of the failure with which it ends, and its exit code.
    fn refused(&self, who: &str, args: &[&str]) -> (String, i32) {
        let output = self.run(who, args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = told.strip_prefix("error[").and_then(|rest| rest.split(']').next());
        (code.unwrap_or(&told).to_owned(), output.status.code().unwrap())
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_parked_is_requeued_and_delivered_and_its_story_is_on_one_screen() {
    let amqp = rabbitmq::vhost().await;
    let accept: Script = Arc::new(|_, _| Answer::Accept);
    let corners = Corners::prepare("parked-and-back", amqp, accept.clone(), accept).await;
    // the receiver has a table of its own, and other certificates lie ready for it
    let table = corners.path().join("table-of-receiver");
    copy(&corners.site.table(), &table);
    let elsewhere = tempfile::tempdir().unwrap();
    let others = Site::prepare(elsewhere.path()).unwrap();

    let tokens = tempfile::tempdir().unwrap();
    let listen = free_port();
    let mut variables = vec![
        ("VIERECK__TABLE__FOLDER".to_owned(), table.to_str().unwrap().to_owned()),
        ("VIERECK__OPERATIONS__LISTEN".to_owned(), listen.to_string()),
    ];
    for (index, (who, may)) in [("anna", "act"), ("otto", "look")].into_iter().enumerate() {
        let token = uuid::Uuid::new_v4().to_string();
        std::fs::write(tokens.path().join(who), &token).unwrap();
        let key = |name: &str| format!("VIERECK__OPERATIONS__OPERATOR__{index}__{name}");
        variables.extend([
            (key("NAME"), who.to_owned()),
            (key("TOKEN_SHA256"), Digest::of(token.as_bytes()).to_string()),
            (key("MAY"), may.to_owned()),
        ]);
    }
    std::fs::write(tokens.path().join("nobody"), "wrong").unwrap();
    let borrowed: Vec<(&str, &str)> = variables
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let _broker = corners.start("broker").await;
    let mut receiver = corners.start_with("receiver", &borrowed).await;
    let _sender = corners.start("sender").await;
    let client = corners.client();
    let operator = Operator {
        configuration: corners.site.configuration().to_str().unwrap().to_owned(),
        url: format!("http://{listen}"),
        tokens,
    };

    // the gateway rests, so the message is taken and waits
    let gateway = ["--gateway", RECEIVER_SH];
    operator.json(
        &[
            &["pause"],
            &gateway[..],
            &["--reason", "ticket 4711: certificates change"],
        ]
        .concat(),
    );
    let paused_again = operator.refused("anna", &[&["pause"], &gateway[..], &["--reason", "x"]].concat());
    assert_eq!(paused_again, ("pause-unchanged".to_owned(), 8));
    let application = applications::wohngeld_json(1, applications::HUSUM);
    let submission = promised(&client, &application).await.submission_id;
    until(DEADLINE, "delivered, and no further", async || {
        let status = client.get(&format!("/v1/submissions/{submission}"), 0).await.ok()?;
        (status["status"] == "delivered").then_some(())
    })
    .await;

    // somebody puts the wrong certificates in force: what was taken no longer verifies
    let certificates = table.join("certificates");
    std::fs::rename(&certificates, table.join("certificates.right")).unwrap();
    copy(&others.table().join("certificates"), &certificates);
    let reload = async |receiver: &mut process::Process| {
        let before = receiver.log().matches("routing table reloaded").count();
        receiver.hang_up();
        until(READY, &receiver.describe(), async || {
            (receiver.log().matches("routing table reloaded").count() > before).then_some(())
        })
        .await;
    };
    reload(&mut receiver).await;
    operator.json(&[&["resume"], &gateway[..], &["--reason", "ticket 4711"]].concat());
    let parked = until(DEADLINE, "parked", async || {
        let page = operator.json(&["parked", "list"]);
        page["items"]
            .as_array()
            .is_some_and(|items| items.len() == 1)
            .then_some(page)
    })
    .await;
    assert_eq!(parked["groups"][0]["messages"], 1);
    assert_eq!(parked["items"][0]["id"], submission.as_str());
    assert_eq!(parked["items"][0]["targetNow"], RECEIVER_SH);
    let shown = operator.json(&["parked", "show", &submission]);
    assert_eq!(shown["parked"][0]["cause"], "T002");
    let sick = operator.run("otto", &["doctor"]);
    let told = String::from_utf8_lossy(&sick.stdout).into_owned();
    assert!(told.contains("[parked] gw-sh-2"), "{told}");

    // who may what, and what is not there
    let requeue = ["parked", "requeue", &submission];
    let reason = ["--reason", "certificates mended, ticket 4711"];
    let act = [&requeue[..], &reason].concat();
    assert_eq!(operator.refused("anna", &requeue).1, 2, "a reason is needed");
    assert_eq!(operator.refused("nobody", &act), ("unauthenticated".to_owned(), 6));
    assert_eq!(operator.refused("otto", &act), ("not-permitted".to_owned(), 6));
    let unknown = [
        "parked",
        "requeue",
        "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6b",
        "--reason",
        "x",
    ];
    assert_eq!(operator.refused("anna", &unknown), ("not-parked".to_owned(), 3));
    let forged = [&requeue[..], &["--reason", "a\nerror[x]: b"]].concat();
    assert_eq!(operator.refused("anna", &forged).1, 2, "a reason is one line");

    // too early: it is parked again for the same cause; then the right certificates come back
    std::fs::remove_dir_all(&certificates).unwrap();
    std::fs::rename(table.join("certificates.right"), &certificates).unwrap();
    reload(&mut receiver).await;
    let back = operator.json(&act);
    assert_eq!(
        (&back["outcome"], &back["targetThen"], &back["targetNow"]),
        (&"flowing".into(), &RECEIVER_SH.into(), &RECEIVER_SH.into())
    );
    assert_eq!(ended(&client, &submission, DEADLINE).await, "accepted");
    assert_eq!(
        operator.refused("anna", &act),
        ("not-parked".to_owned(), 3),
        "only once"
    );

    // one screen
    let configuration = &operator.configuration;
    let trace = process::run(&["message", "trace", &submission, "--config", configuration]);
    let story = String::from_utf8(trace.stdout).unwrap();
    println!("{story}");
    let mut last = 0;
    for step in [
        "received",
        "published",
        "relayed",
        "delivered",
        "parked",
        "requeued",
        "handing-over",
        "accepted",
    ] {
        let at = story.find(step).unwrap_or_else(|| panic!("{step} is not in\n{story}"));
        assert!(at > last, "{step} is not in its place in\n{story}");
        last = at;
    }
    let trail = operator.json(&["journal", "audit", "--custodian", RECEIVER_SH, "--verify"]);
    let lines = trail["trails"][0]["lines"].as_array().unwrap();
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| (line["verb"].as_str().unwrap(), line["actor"].as_str().unwrap()))
        .collect();
    let by_anna = |verb| (verb, "operator:anna");
    assert_eq!(told, ["pause", "pause", "resume", "requeue"].map(by_anna));
    assert_eq!(trail["trails"][0]["check"]["broken"], Value::Null);

    let account = Account::of(&corners, &[submission], DEADLINE).await;
    println!("{account}");
    account.assert_exactly_once();
    receiver.terminate(READY);
    assert_eq!(
        operator.refused("anna", &["parked", "list"]),
        ("operations-unreachable".to_owned(), 7)
    );
}
