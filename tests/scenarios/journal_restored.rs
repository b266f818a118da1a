//! A journal restored from a copy stays closed until it knows what happened since: then nothing is handed over twice,
//! nothing is lost that somebody else still holds, and what was taken over in between can still be answered.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use harness::account::Account;
use harness::corners::{Corners, ended, promised};
use harness::process;
use harness::rabbitmq;
use harness::wait::until;
use serde_json::Value;
use viereck::demo::applications;
use viereck::demo::site::RECEIVER_SH;
use viereck::demo::stand_ins::{Answer, Script};

const DEADLINE: Duration = Duration::from_secs(60);

fn json(output: &Output) -> Value {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Puts the copy where the journal was, and nothing beside it.
fn restore(copy: &Path, journal: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", journal.display());
        if Path::new(&file).exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    std::fs::copy(copy, journal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_restored_from_a_backup_asks_the_others_before_it_goes_on() {
    let amqp = rabbitmq::vhost().await;
    let accept: Script = Arc::new(|_, _| Answer::Accept);
    // what Nordrhein-Westfalen's folder gets is no matter here; Schleswig-Holstein's answers, until it is told not to
    let open = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let seen = open.clone();
    let http: Script = Arc::new(move |_, _| match seen.load(std::sync::atomic::Ordering::SeqCst) {
        true => Answer::Accept,
        false => Answer::Unavailable,
    });
    let corners = Corners::prepare("journal-restored", amqp, http, accept).await;
    let configuration = corners.site.configuration();
    let configuration = configuration.to_str().unwrap();
    let _broker = corners.start("broker").await;
    let receiver = corners.start("receiver").await;
    let _sender = corners.start("sender").await;
    let client = corners.client();
    let mut submissions = vec![];
    let mut number = 0;
    let file = async |submissions: &mut Vec<String>, number: &mut u32, count: u32| {
        for _ in 0..count {
            *number += 1;
            let application = applications::wohngeld_json(*number, applications::HUSUM);
            submissions.push(promised(&client, &application).await.submission_id);
        }
    };
    let delivered = async |submission: &str| {
        until(DEADLINE, "delivered", async || {
            let status = client.get(&format!("/v1/submissions/{submission}"), 0).await.ok()?;
            (status["status"] == "delivered").then_some(())
        })
        .await;
    };

    // at the copy: three have ended, three were taken and not handed over
    file(&mut submissions, &mut number, 3).await;
    for submission in &submissions {
        ended(&client, submission, DEADLINE).await;
    }
    open.store(false, std::sync::atomic::Ordering::SeqCst);
    file(&mut submissions, &mut number, 3).await;
    for submission in &submissions[3..] {
        delivered(submission).await;
    }
    // what is answered meanwhile and not yet published would be nowhere else
    corners.http.hold_replies().await;
    let since = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(5);
    let copy = corners.path().join("backup.sqlite");
    let copied = process::run(&[
        "journal",
        "backup",
        "--config",
        configuration,
        "--gateway",
        RECEIVER_SH,
        "--to",
        copy.to_str().unwrap(),
    ]);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));

    // since then: those three ended, four more came and ended, three more were only taken
    open.store(true, std::sync::atomic::Ordering::SeqCst);
    file(&mut submissions, &mut number, 4).await;
    for submission in &submissions {
        assert_eq!(ended(&client, submission, DEADLINE).await, "accepted");
    }
    open.store(false, std::sync::atomic::Ordering::SeqCst);
    file(&mut submissions, &mut number, 3).await;
    for submission in &submissions[10..] {
        delivered(submission).await;
    }
    receiver.kill();
    let journal = corners.site.journal(RECEIVER_SH);
    restore(&copy, Path::new(&journal));
    open.store(true, std::sync::atomic::Ordering::SeqCst);

    // closed
    let refused = process::run(&["receiver", "--config", configuration]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(8), "{told}");
    assert!(told.contains("error[journal-restored]"), "{told}");

    // the broker alone knows what was taken, and has no octets of it
    let facts = |custodian: &str| {
        let since = since.to_string();
        let output = process::run(&[
            "journal",
            "facts",
            "--config",
            configuration,
            "--about",
            RECEIVER_SH,
            "--since",
            &since,
            "--custodian",
            custodian,
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = corners.path().join(format!("facts-{custodian}.jsonl"));
        std::fs::write(&file, output.stdout).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (of_broker, of_sender) = (facts("broker"), facts("gw-sh-1"));
    let reconcile = |more: &[&str]| {
        let begin = [
            "journal",
            "reconcile",
            "--config",
            configuration,
            "--gateway",
            RECEIVER_SH,
        ];
        let end = ["--reason", "disk replaced, ticket 12", "--json"];
        process::run(&[&begin[..], more, &end].concat())
    };
    let short = reconcile(&["--facts", &of_broker]);
    assert_eq!(
        short.status.code(),
        Some(4),
        "{}",
        String::from_utf8_lossy(&short.stderr)
    );
    let named: Value = serde_json::from_slice(&short.stdout).unwrap();
    let mut missing: Vec<&str> = named["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|missing| missing["messageId"].as_str().unwrap())
        .collect();
    let mut expected: Vec<&str> = submissions[10..].iter().map(String::as_str).collect();
    missing.sort_unstable();
    expected.sort_unstable();
    assert_eq!(missing, expected, "exactly what was taken and had not ended is named");

    // with its author's gateway nothing is missing
    let whole = json(&reconcile(&["--facts", &of_broker, "--facts", &of_sender]));
    assert_eq!(
        (&whole["opened"], &whole["missingInAll"]),
        (&true.into(), &0.into()),
        "{whole}"
    );
    assert_eq!(whole["takenAgain"], 3, "{whole}");
    let twice = reconcile(&["--facts", &of_broker]);
    assert_eq!(twice.status.code(), Some(8), "it is open now");

    let _receiver = corners.start("receiver").await;
    // the Bescheide to those that ended in between belong to cases that the copy did not know
    corners.reply();
    for submission in &submissions {
        assert_eq!(ended(&client, submission, DEADLINE).await, "accepted");
    }
    let account = Account::of(&corners, &submissions, DEADLINE).await;
    println!("{account}");
    account.assert_exactly_once();
    // what had ended before was never even tried again
    let http = corners.http.ledger().now();
    for submission in &submissions[6..10] {
        assert_eq!(http.attempts(submission), 1, "{submission}");
    }
    let doctor = process::run(&["doctor", "--config", configuration, "--json"]);
    let report: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let of_ledger: Vec<&Value> = findings
        .iter()
        .filter(|one| one["code"] == "ledger-difference")
        .collect();
    assert!(of_ledger.is_empty(), "{of_ledger:?}");
    let audit = json(&process::run(&[
        "journal",
        "audit",
        "--config",
        configuration,
        "--custodian",
        RECEIVER_SH,
        "--verify",
        "--json",
    ]));
    assert_eq!(audit["trails"][0]["lines"][0]["verb"], "reconcile");
}
