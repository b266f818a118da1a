//! The configurations of `deploy/local/`, followed as its README says: four processes over RabbitMQ, an application by
//! `curl`, the same octets in the authority's folder, a marker, the whole story. Once in plaintext, and once over TLS with
//! a certificate and the rights of its role for each of them.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::corners::{READY, free_port};
use harness::process::{Process, binary, repository};
use harness::rabbitmq::{self, Node};
use harness::wait::until;
use serde_json::Value;
use tempfile::TempDir;
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

fn deploy(file: &str) -> PathBuf {
    repository().join("deploy").join(file)
}

/// `deploy/local/prepare` in a new folder.
fn prepared() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    must(
        Command::new(deploy("local/prepare"))
            .current_dir(dir.path())
            .env("VIERECK", binary()),
    );
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_carry_an_application_to_a_folder_and_its_bescheid_back() {
    let amqp = rabbitmq::vhost().await;
    let dir = prepared();
    carried(
        dir.path(),
        |custodian, arguments, mut environment| {
            environment.push(("VIERECK__LINK__URL", amqp.clone()));
            let name = format!("four-processes-{custodian}");
            Process::start_in(dir.path(), &name, arguments, &environment)
        },
        async || (),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_do_the_same_over_tls_each_with_its_own_certificate_and_rights() {
    let dir = prepared();
    let node = Node::start_with_tls(&dir.path().join("var/link/rabbitmq"))
        .await
        .expect("RabbitMQ: tests/run --only prepare installs it");
    must(node.operator(&deploy("rabbitmq/apply")).arg("viereck-local"));
    let table = dir.path().join("var/routing-tables");
    let custodians = must(Command::new(binary()).args(["routes", "custodians"]).arg(table));
    let list = dir.path().join("custodians");
    std::fs::write(&list, custodians).unwrap();
    must(
        node.operator(&deploy("rabbitmq/grant"))
            .args(["viereck-local", "-"])
            .stdin(File::open(list).unwrap()),
    );
    let url = format!("amqps://localhost:{}/viereck-local", node.port());
    let starting = |custodian: &str, arguments: &[&str], mut environment: Vec<(&'static str, String)>| {
        environment.push(("VIERECK__LINK__URL", url.clone()));
        let name = format!("four-processes-over-tls-{custodian}");
        let binary = binary();
        let command = [&[custodian, binary.to_str().unwrap()], arguments].concat();
        Process::start_through(&deploy("local/over-tls"), dir.path(), &name, &command, &environment)
    };
    carried(dir.path(), starting, async || {
        let connected = until(READY, "four users are connected", async || {
            let columns = ["list_connections", "--silent", "user", "ssl_protocol", "auth_mechanism"];
            let listed = node.ctl(&columns).await.ok()?;
            let users: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
            (users.len() >= 4).then_some(users)
        })
        .await;
        let expected = ["broker", "gw-nw-1", "gw-sh-1", "gw-sh-2"].map(|user| format!("{user}\ttlsv1.3\tEXTERNAL"));
        assert_eq!(connected, BTreeSet::from(expected));
    })
    .await;

    // Looked at with its own certificate a gateway is well; with another's, doctor says so.
    for (custodian, expected) in [("gw-sh-1", false), ("gw-sh-2", true)] {
        let mut doctor = Command::new(deploy("local/over-tls"));
        doctor.current_dir(dir.path()).env("VIERECK__LINK__URL", &url);
        doctor
            .arg(custodian)
            .arg(binary())
            .args(["doctor", "--json", "--config"]);
        let output = doctor.arg(deploy("local/sender.toml")).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        let found: Value = serde_json::from_str(&told).unwrap();
        let codes: Vec<&str> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|finding| finding["code"].as_str())
            .collect();
        assert_eq!(codes.contains(&"link-certificate-of-another"), expected, "{told}");
        assert!(!codes.contains(&"link-unreachable"), "{told}");
    }
}

/// Starts a custodian: its id, the arguments of the binary, variables.
type Starting<'a> = dyn Fn(&str, &[&str], Vec<(&'static str, String)>) -> Process + 'a;

/// Starts all four, looks at them `once_ready`, and lets an application and its Bescheid go through them.
async fn carried(
    trial: &Path,
    starting: impl Fn(&str, &[&str], Vec<(&'static str, String)>) -> Process,
    once_ready: impl AsyncFnOnce(),
) {
    let starting: &Starting<'_> = &starting;
    let start = |custodian: &str, role: &str, file: &str, listen: Option<SocketAddr>| {
        let mut environment = vec![("VIERECK_LOG", "info".to_owned())];
        environment.extend(listen.map(|listen| ("VIERECK__GATEWAY__0__LISTEN", listen.to_string())));
        let file = deploy("local").join(file);
        starting(custodian, &[role, "--config", file.to_str().unwrap()], environment)
    };
    let [at_sender, at_sh, at_nw] = [free_port(), free_port(), free_port()];
    let mut processes = vec![
        start("broker", "broker", "broker.toml", None),
        start("gw-sh-1", "sender", "sender.toml", Some(at_sender)),
        start("gw-sh-2", "receiver", "receiver-sh.toml", Some(at_sh)),
        start("gw-nw-1", "receiver", "receiver-nw.toml", Some(at_nw)),
    ];
    for (address, process) in [at_sender, at_sh, at_nw].iter().zip(&processes[1..]) {
        let url = format!("http://{address}/healthz/ready");
        until(READY, &process.describe(), async || {
            reqwest::get(&url).await.ok().filter(|r| r.status().is_success())
        })
        .await;
    }
    once_ready().await;

    // file it as the README does
    let payload = samples::wohngeld_xml(1, &"wgb:010540880000".parse().unwrap()).octets;
    std::fs::write(trial.join("antrag.xml"), &payload).unwrap();
    let token = std::fs::read_to_string(trial.join("var/keys/clients/antragsportal-sh.token")).unwrap();
    let token = token.trim();
    let metadata = format!(
        "metadata={{\"leistung\": \"{WOHNGELD}\", \"region\": \"{NIEBUELL}\", \"payloadSchema\": \"{}\", \
         \"applicant\": {{\"kind\": \"person\", \"level\": 3, \"attributes\": {{\"familyName\": \"Beispiel\"}}}}, \
         \"replyChannel\": {{\"mailbox\": \"beispiel\", \"level\": 3}}}};type=application/json",
        samples::WOHNGELD
    );
    let answer = curl(
        trial,
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
    let folder = trial.join("var/fachverfahren-sh").join(id);
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
    std::fs::write(trial.join("bescheid.txt"), "Bewilligt (Beispiel).\n").unwrap();
    let reply_token = std::fs::read_to_string(trial.join("var/keys/gw-sh-2/fachverfahren.token")).unwrap();
    let reply = curl(
        trial,
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
    let mailbox = trial.join("var/postfach").join(reply["messageId"].as_str().unwrap());
    let bescheid = until(DEADLINE, "the Bescheid", async || {
        std::fs::read(mailbox.join("payload")).ok()
    })
    .await;
    assert_eq!(bescheid, b"Bewilligt (Beispiel).\n");
    std::fs::write(mailbox.join("accepted"), b"").unwrap();

    // one story out of all journals
    let configs = ["sender", "broker", "receiver-sh"].map(|name| deploy("local").join(name).with_extension("toml"));
    let mut trace = Command::new(binary());
    trace.current_dir(trial).args(["message", "trace", id, "--json"]);
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
