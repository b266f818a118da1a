//! What keeps a process from starting is said in one clear sentence with a stable code and the documented exit code.

use std::net::Ipv4Addr;
use std::path::Path;

use harness::process::run;
use tempfile::TempDir;
use viereck::demo::site::{Site, Surroundings};

fn site() -> (TempDir, Site) {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::prepare(dir.path()).unwrap();
    configure(&site, dir.path(), 0);
    (dir, site)
}

fn configure(site: &Site, dir: &Path, port: u16) {
    let loopback = |port: u16| (Ipv4Addr::LOCALHOST, port).into();
    std::fs::create_dir_all(dir.join("folders")).unwrap();
    site.configure(&Surroundings {
        amqp: None,
        listen: [loopback(port), loopback(0), loopback(0)],
        fachverfahren_url: "http://127.0.0.1:9/".to_owned(),
        fachverfahren_folder: dir.join("folders"),
        postfach_url: "http://127.0.0.1:9/".to_owned(),
    })
    .unwrap();
}

/// Runs and expects this exit code and this code in the first line of stderr.
fn refused(site: &Site, exit: i32, code: &str) -> String {
    let output = run(&["run", "--config", site.configuration().to_str().unwrap()]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{told}");
    let complaint = told.lines().find(|line| line.starts_with("error")).unwrap_or_default();
    assert!(complaint.contains(code), "{code} is not in: {told}");
    assert!(told.contains("help:"), "no next step in: {told}");
    told
}

#[test]
fn a_table_that_does_not_load_is_named_by_file_and_line() {
    let (_dir, site) = site();
    let broken = site.table().join("laender/01-schleswig-holstein/zustaendigkeiten");
    let broken = std::fs::read_dir(broken).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&broken).unwrap();
    std::fs::write(
        &broken,
        format!("{text}\n[[competence]]\nregion = 01054\nbehoerde = \"wgb:010540880000\"\n"),
    )
    .unwrap();
    let told = refused(&site, 4, "table-invalid");
    let line = text.lines().count() + 3;
    let place = format!("{}:{line}:", broken.file_name().unwrap().to_str().unwrap());
    assert!(told.contains(&place), "{place} is not in: {told}");
}

#[test]
fn a_missing_key_is_named() {
    let (_dir, site) = site();
    std::fs::remove_file(site.keys().join("gw-sh-1/signing-1.key.pem")).unwrap();
    let told = refused(&site, 3, "key-missing");
    assert!(told.contains("gw-sh-1"), "{told}");
}

#[test]
fn a_port_in_use_is_named() {
    let (dir, site) = site();
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    configure(&site, dir.path(), taken.local_addr().unwrap().port());
    let told = refused(&site, 8, "port-in-use");
    assert!(told.contains(&taken.local_addr().unwrap().to_string()), "{told}");
}

#[test]
fn a_table_of_another_environment_is_refused() {
    let (_dir, site) = site();
    let file = site.configuration();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("environment = \"test\"", "environment = \"production\""),
    )
    .unwrap();
    refused(&site, 4, "environment-mismatch");
}

#[test]
fn an_unknown_key_of_the_configuration_is_named() {
    let (_dir, site) = site();
    let file = site.configuration();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[broker]", "[broker]\nprefetsch = 3")).unwrap();
    let told = refused(&site, 2, "config-invalid");
    assert!(told.contains("prefetsch"), "{told}");
}
