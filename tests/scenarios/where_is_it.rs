//! Whoever knows an application by its id, its key or what its client calls it finds it, and reads the whole story.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use harness::corners::{Corners, ended, free_port};
use harness::process;
use harness::rabbitmq;
use jiff::Timestamp;
use serde_json::Value;
use viereck::demo::applications;
use viereck::demo::site::{CLIENT, SENDER};
use viereck::demo::stand_ins::{Answer, Script};
use viereck_routing::{Digest, day_in_berlin};

const DEADLINE: Duration = Duration::from_secs(60);

/// What a client calls its first application. It says who applied.
const REFERENCE: &str = "Beispiel, Anna-Maria 4711";

/// Runs a command that has to succeed, and gives what it wrote.
fn must(args: &[&str]) -> String {
    let output = process::run(args);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&must(&[args, &["--json"]].concat())).unwrap()
}

/// Whether these octets stand in any file below `folder`.
fn stands_in(folder: &Path, octets: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(Result::unwrap).any(|entry| {
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => stands_in(&path, octets),
            false => std::fs::read(&path).is_ok_and(|text| text.windows(octets.len()).any(|part| part == octets)),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_by_all_that_name_it_and_by_what_it_has_in_common_with_others() {
    let amqp = rabbitmq::vhost().await;
    let accept: Script = Arc::new(|_, _| Answer::Accept);
    let corners = Corners::prepare("where-is-it", amqp, accept.clone(), accept).await;
    let token = corners.path().join("operator.token");
    std::fs::write(&token, "operator").unwrap();
    let (listen, digest) = (free_port(), Digest::of(b"operator"));
    let (listen, digest) = (listen.to_string(), digest.to_string());
    let operations = [
        ("VIERECK__OPERATIONS__LISTEN", listen.as_str()),
        ("VIERECK__OPERATIONS__OPERATOR__0__NAME", "otto"),
        ("VIERECK__OPERATIONS__OPERATOR__0__TOKEN_SHA256", &digest),
        ("VIERECK__OPERATIONS__OPERATOR__0__MAY", "look"),
    ];
    let _broker = corners.start("broker").await;
    let _receiver = corners.start("receiver").await;
    let _sender = corners.start_with("sender", &operations).await;

    // filed as a client of the command line files it
    let client_token = corners.path().join("client.token");
    std::fs::write(&client_token, corners.site.client_token(CLIENT).unwrap()).unwrap();
    let url = format!("http://{}", corners.listen[0]);
    let (mut filed, mut cases) = (Vec::new(), Vec::new());
    for number in 1..=6 {
        let application = applications::wohngeld_json(number, applications::HUSUM);
        let (payload, metadata) = (corners.path().join("antrag.json"), corners.path().join("metadata.json"));
        std::fs::write(&payload, &application.payload.octets).unwrap();
        let reference = if number == 1 {
            REFERENCE.to_owned()
        } else {
            format!("AZ {number}")
        };
        let said = serde_json::json!({
            "clientReference": reference,
            "applicant": { "kind": "person", "level": 3, "attributes": { "familyName": "Beispiel" } },
            "replyChannel": { "mailbox": application.mailbox, "level": 3 },
        });
        std::fs::write(&metadata, said.to_string()).unwrap();
        let answer = json(&[
            "send",
            payload.to_str().unwrap(),
            "--leistung",
            application.leistung,
            "--ars",
            applications::HUSUM,
            "--url",
            &url,
            "--token-file",
            client_token.to_str().unwrap(),
            "--schema",
            application.schema,
            "--metadata",
            metadata.to_str().unwrap(),
            "--idempotency-key",
            &format!("key-{number}"),
        ]);
        filed.push(answer["submissionId"].as_str().unwrap().to_owned());
        cases.push(answer["caseId"].as_str().unwrap().to_owned());
    }
    let client = corners.client();
    for submission in &filed {
        assert_eq!(ended(&client, submission, DEADLINE).await, "accepted");
    }

    let configuration = corners.site.configuration();
    let config = ["--config", configuration.to_str().unwrap()];
    let interface = format!("http://{listen}");
    let running = ["--url", &interface, "--token-file", token.to_str().unwrap()];
    let first = filed[0].as_str();
    let by_id = ["message", "trace", first];
    let by_key = ["message", "trace", "--key", "key-1", "--client", CLIENT];
    let by_reference = ["message", "trace", "--reference", REFERENCE];
    for what in [&by_id[..], &by_key, &by_reference] {
        for way in [&[][..], &running] {
            let found = json(&[what, &config, way].concat());
            assert_eq!(found.as_array().map(Vec::len), Some(1), "{what:?} {way:?}");
            assert_eq!(
                (&found[0]["messageId"], &found[0]["status"]),
                (&first.into(), &"accepted".into())
            );
            assert_eq!(
                found[0]["knownTo"].as_array().map(Vec::len),
                Some(3),
                "{what:?} {way:?}"
            );
        }
    }
    // its case leads to it, and to what was answered in it
    for way in [&[][..], &running] {
        let found = json(&[&["message", "trace", &cases[0]], &config[..], way].concat());
        let found = found.as_array().unwrap();
        assert!(found.iter().all(|one| one["caseId"] == cases[0].as_str()), "{found:?}");
        assert_eq!(found[0]["messageId"], first, "the application was filed first");
    }
    let story = must(&[&by_id[..], &config].concat());
    println!("{story}");
    // a place in a file is one word and stays one, so that it can be copied
    let fits = |line: &str| line.chars().count() <= 80 || !line.trim().contains(' ');
    assert!(story.lines().count() <= 40 && story.lines().all(fits), "{story}");
    let words = story.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "entry",
        "laender/01-schleswig-holstein/",
        "accepted +",
        "; in all ",
        "holder",
        "next",
        "contact",
        CLIENT,
    ] {
        assert!(words.contains(part), "{part} is not in\n{story}");
    }

    // what is not known is not repeated, and what a client calls it stands nowhere
    let unknown = |what: &[&str]| -> Output { process::run(&[&["message", "trace"], what, &config].concat()) };
    for what in [
        ["--reference", "Beispiel, Berta"],
        ["--reference", "beispiel, anna-maria 4711"],
    ] {
        let output = unknown(&what);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(!told.to_lowercase().contains("beispiel"), "{told}");
    }
    assert!(
        stands_in(&corners.path().join("var"), first.as_bytes()),
        "the journals are looked at"
    );
    assert!(!stands_in(&corners.path().join("var"), REFERENCE.as_bytes()));

    // lists
    let list = |more: &[&str]| must(&[&["message", "list"], &config[..], more].concat());
    let lines = |text: &str| text.lines().filter(|line| line.contains("accepted")).count();
    // a Bescheid of each is a message too
    assert_eq!(lines(&list(&["--client", CLIENT])), 6);
    assert_eq!(list(&["--status", "rejected"]), "");
    assert_eq!(list(&["--in-flight", "--client", CLIENT]), "");
    assert_eq!(
        lines(&list(&["--client", CLIENT, "--until", "2020-01-01T00:00:00Z"])),
        0
    );
    for way in [&[][..], &running] {
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let at = ["--custodian", SENDER, "--client", CLIENT, "--limit", "4"];
            let after: Vec<&str> = cursor.iter().flat_map(|cursor| ["--cursor", cursor]).collect();
            let page = json(&[&["message", "list"], &config[..], &at, &after, way].concat());
            let messages = page["messages"].as_array().unwrap();
            seen.extend(messages.iter().map(|one| one["messageId"].as_str().unwrap().to_owned()));
            match page["next"][SENDER].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        seen.reverse();
        assert_eq!(seen, filed, "each once, newest first");
    }

    // the month in numbers
    let today = day_in_berlin(Timestamp::now());
    let month = today.strftime("%Y-%m").to_string();
    let report = ["report", "--month", &month];
    let counted = json(&[&report[..], &config].concat());
    assert_eq!(
        (&counted["total"]["filed"], &counted["gateway"]),
        (&6.into(), &SENDER.into())
    );
    let row = &counted["rows"][0];
    assert_eq!(
        (&row["filed"], &row["ended"]["accepted"], &row["land"]),
        (&6.into(), &6.into(), &"01".into())
    );
    assert!(row["medianSeconds"].is_i64() && row["p95Seconds"].is_i64());
    let csv = must(&[&report[..], &config, &["--csv"]].concat());
    assert!(
        csv.starts_with("month,leistung,") && csv.contains(",6,6,0,0,0,0,0,0,"),
        "{csv}"
    );
    println!(
        "account: 6 filed and taken over, each found by id, key, reference and case, in journals and in a running process"
    );
}
