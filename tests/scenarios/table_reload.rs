//! SIGHUP puts a changed table in force without a restart; one that does not load changes nothing.

use std::net::Ipv4Addr;

use harness::corners::{READY, free_port};
use harness::process::Process;
use harness::wait::until;
use serde_json::Value;
use viereck::demo::applications::{Client, HUSUM, RATZEBURG, WOHNGELD};
use viereck::demo::site::{CLIENT, Site, Surroundings};

#[tokio::test]
async fn a_broken_table_never_replaces_the_one_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::prepare(dir.path()).unwrap();
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let listen = free_port();
    std::fs::create_dir_all(dir.path().join("folders")).unwrap();
    site.configure(&Surroundings {
        amqp: None,
        listen: [listen, any, any],
        fachverfahren_url: "http://127.0.0.1:9/".to_owned(),
        fachverfahren_folder: dir.path().join("folders"),
        postfach_url: "http://127.0.0.1:9/".to_owned(),
    })
    .unwrap();
    let client = Client::new(format!("http://{listen}"), site.client_token(CLIENT).unwrap());
    let configuration = site.configuration();
    let mut process = Process::start(
        "table-reload",
        &["run", "--config", configuration.to_str().unwrap()],
        &[],
    );
    let route = async |ars: &str| -> Option<Value> {
        client
            .get(&format!("/v1/routes?leistung={WOHNGELD}&ars={ars}"), 0)
            .await
            .ok()
    };
    until(READY, &process.describe(), async || {
        route(HUSUM).await.filter(|answer| answer["outcome"] == "route")
    })
    .await;
    assert_eq!(route(RATZEBURG).await.unwrap()["outcome"], "refused");

    // the Kreis joins: its refusal becomes a competence of its own
    let list = find(
        &site.table().join("laender/01-schleswig-holstein/zustaendigkeiten"),
        "refused",
    );
    let before = std::fs::read_to_string(&list).unwrap();
    let begin = before.find("refused").unwrap();
    let end = before[begin..].find('\n').map_or(before.len(), |end| begin + end);
    let joined = format!("{}behoerde = \"wgb:010600000000\"{}", &before[..begin], &before[end..]);
    std::fs::write(&list, &joined).unwrap();
    process.hang_up();
    until(READY, &process.describe(), async || {
        route(RATZEBURG)
            .await
            .filter(|answer| answer["behoerde"] == "wgb:010600000000")
    })
    .await;

    // a table that does not load: said in the log, and nothing changes
    std::fs::write(&list, format!("{joined}\n[[competence]]\nregion = 01\n")).unwrap();
    process.hang_up();
    until(READY, &process.describe(), async || {
        process.log().contains("routing table kept").then_some(())
    })
    .await;
    assert_eq!(route(RATZEBURG).await.unwrap()["behoerde"], "wgb:010600000000");
    assert!(process.terminate(READY).success(), "{}", process.describe());
}

/// The file below `folder` that contains `text`.
fn find(folder: &std::path::Path, text: &str) -> std::path::PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &std::path::PathBuf| std::fs::read_to_string(path).is_ok_and(|content| content.contains(text));
    files.into_iter().find(holds).expect("a file with it")
}
