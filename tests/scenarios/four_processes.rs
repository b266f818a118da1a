//! The configurations of `deploy/local/`, followed as its README says: four processes over RabbitMQ, an application by
//! `curl`, the same octets in the authority's folder, a marker, the whole story.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::corners::{READY, free_port};
use harness::process::{Process, binary, repository};
use harness::rabbitmq;
use harness::wait::until;
use serde_json::Value;
use viereck::demo::applications::{NIEBUELL, WOHNGELD};
use viereck::demo::samples;

const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a command that must succeed, and gives what it wrote.
fn must(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {told}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn curl(folder: &Path, url: &str, token: &str, more: &[&str]) -> Value {
    let mut command = Command::new("curl");
    command.current_dir(folder).args([
        "-sS",
        "--fail-with-body",
        url,
        "-H",
        &format!("Authorization: Bearer {token}"),
    ]);
    serde_json::from_str(&must(command.args(more))).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_carry_an_application_to_a_folder_and_its_bescheid_back() {
    let amqp = rabbitmq::vhost().await;
    let dir = tempfile::tempdir().unwrap();
    let deploy = repository().join("deploy/local");
    must(
        Command::new(deploy.join("prepare"))
            .current_dir(dir.path())
            .env("VIERECK", binary()),
    );

    let start = |role: &str, file: &str, listen: Option<SocketAddr>| {
        let mut environment = vec![("VIERECK__LINK__URL", amqp.clone()), ("VIERECK_LOG", "info".to_owned())];
        environment.extend(listen.map(|listen| ("VIERECK__GATEWAY__0__LISTEN", listen.to_string())));
        let file = deploy.join(file);
        let args = [role, "--config", file.to_str().unwrap()];
        Process::start_in(
            dir.path(),
            &format!("four-processes-{}", file.file_stem().unwrap().display()),
            &args,
            &environment,
        )
    };
    let [at_sender, at_sh, at_nw] = [free_port(), free_port(), free_port()];
    let mut processes = vec![
        start("broker", "broker.toml", None),
        start("sender", "sender.toml", Some(at_sender)),
        start("receiver", "receiver-sh.toml", Some(at_sh)),
        start("receiver", "receiver-nw.toml", Some(at_nw)),
    ];
    for (address, process) in [at_sender, at_sh, at_nw].iter().zip(&processes[1..]) {
        let url = format!("http://{address}/healthz/ready");
        until(READY, &process.describe(), async || {
            reqwest::get(&url).await.ok().filter(|r| r.status().is_success())
        })
        .await;
    }

    // file it as the README does
    let payload = samples::wohngeld_xml(1, &"wgb:010540880000".parse().unwrap()).octets;
    std::fs::write(dir.path().join("antrag.xml"), &payload).unwrap();
    let token = std::fs::read_to_string(dir.path().join("var/keys/clients/antragsportal-sh.token")).unwrap();
    let token = token.trim();
    let metadata = format!(
        "metadata={{\"leistung\": \"{WOHNGELD}\", \"region\": \"{NIEBUELL}\", \"payloadSchema\": \"{}\", \
         \"applicant\": {{\"kind\": \"person\", \"level\": 3, \"attributes\": {{\"familyName\": \"Beispiel\"}}}}, \
         \"replyChannel\": {{\"mailbox\": \"beispiel\", \"level\": 3}}}};type=application/json",
        samples::WOHNGELD
    );
    let answer = curl(
        dir.path(),
        &format!("http://{at_sender}/v1/submissions"),
        token,
        &[
            "-H",
            "Idempotency-Key: one",
            "-F",
            &metadata,
            "-F",
            "payload=@antrag.xml;type=application/xml",
        ],
    );
    let (id, case) = (
        answer["submissionId"].as_str().unwrap(),
        answer["caseId"].as_str().unwrap(),
    );
    assert_eq!(answer["behoerde"], "wgb:010540880000");

    // the same octets, in a folder of its own; delivered, and no more than that
    let folder = dir.path().join("var/fachverfahren-sh").join(id);
    let arrived = until(DEADLINE, "the payload arrives", async || {
        std::fs::read(folder.join("payload")).ok()
    })
    .await;
    assert!(
        arrived == payload,
        "the octets in the authority's folder are those that were sent"
    );
    let status = async || -> Option<Value> {
        let url = format!("http://{at_sender}/v1/submissions/{id}");
        reqwest::Client::new()
            .get(&url)
            .bearer_auth(token)
            .send()
            .await
            .ok()?
            .json()
            .await
            .ok()
    };
    let delivered = until(DEADLINE, "delivered", async || {
        status().await.filter(|s| s["status"] == "delivered")
    })
    .await;
    assert_eq!(delivered["terminal"], false);

    // the marker makes it accepted
    std::fs::write(folder.join("accepted"), b"").unwrap();
    until(DEADLINE, "accepted", async || {
        status()
            .await
            .filter(|s| s["status"] == "accepted" && s["terminal"] == true)
    })
    .await;

    // the Bescheid comes back into the folder that stands for the Postfach
    std::fs::write(dir.path().join("bescheid.txt"), "Bewilligt (Beispiel).\n").unwrap();
    let reply_token = std::fs::read_to_string(dir.path().join("var/keys/gw-sh-2/fachverfahren.token")).unwrap();
    let reply = curl(
        dir.path(),
        &format!("http://{at_sh}/v1/cases/{case}/replies"),
        reply_token.trim(),
        &[
            "-H",
            "Idempotency-Key: two",
            "-F",
            "metadata={\"kind\": \"bescheid\", \"title\": \"Wohngeldbescheid\"};type=application/json",
            "-F",
            "payload=@bescheid.txt;type=text/plain",
        ],
    );
    let mailbox = dir
        .path()
        .join("var/postfach")
        .join(reply["messageId"].as_str().unwrap());
    let bescheid = until(DEADLINE, "the Bescheid", async || {
        std::fs::read(mailbox.join("payload")).ok()
    })
    .await;
    assert_eq!(bescheid, b"Bewilligt (Beispiel).\n");
    std::fs::write(mailbox.join("accepted"), b"").unwrap();

    // one story out of all journals
    let configs = ["sender", "broker", "receiver-sh"].map(|name| deploy.join(name).with_extension("toml"));
    let mut trace = Command::new(binary());
    trace.current_dir(dir.path()).args(["message", "trace", id, "--json"]);
    for config in &configs {
        trace.arg("--config").arg(config);
    }
    let story: Value = serde_json::from_str(&must(&mut trace)).unwrap();
    let told = story.to_string();
    for stage in [
        "received",
        "published",
        "relayed",
        "delivered",
        "handing-over",
        "accepted",
    ] {
        assert!(told.contains(&format!("\"{stage}\"")), "{stage} is not in {told}");
    }
    for process in &mut processes {
        assert!(process.terminate(READY).success(), "{}", process.describe());
    }
    println!("account: 1 application and 1 Bescheid promised, 2 taken over, octets equal, 4 processes ended with 0");
}
