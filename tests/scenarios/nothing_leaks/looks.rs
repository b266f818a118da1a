//! What operators look at and do: every command that prints something of messages, logging everything itself.

use jiff::Timestamp;
use viereck::demo::applications::WOHNGELD;
use viereck::demo::site::CLIENT;

use super::life::{Lived, parked};
use super::world::{Ground, World};

/// Runs them all, some with mistakes.
pub(super) async fn look(world: &World, lived: &Lived) {
    let word = |place: &str| world.canaries.word(place);
    let configuration = world.configuration();
    let token = world.token("anna");
    let file = ["--config", configuration.as_str()];
    let reach = [
        "--config",
        configuration.as_str(),
        "--token-file",
        token.to_str().unwrap(),
    ];
    let witness = lived.witness.as_str();
    let month = viereck_routing::day_in_berlin(Timestamp::now())
        .strftime("%Y-%m")
        .to_string();
    let (key, reference) = (word("Idempotency-Key"), word("client's reference"));
    let reason = format!("ticket {}", word("reason of an operator"));
    let (unknown, mistyped) = (
        word("a reference that an operator asks for"),
        word("mistyped by an operator"),
    );
    for role in ["sender", "receiver", "broker"] {
        let run = |args: &[&str], reach: &[&str]| world.command(role, &[args, reach].concat());
        for args in [
            &["message", "trace", witness][..],
            &["message", "trace", witness, "--json"],
            &["message", "trace", &lived.case, "--json"],
            &["message", "trace", "--reference", &reference, "--json"],
            &["message", "trace", "--key", &key, "--client", CLIENT, "--json"],
            &["message", "trace", "--reference", &unknown],
            &["message", "trace", "--key", &unknown, "--client", CLIENT],
            &["message", "trace", &mistyped],
            &["message", "list", "--json"],
            &["message", "list", "--status", &mistyped],
            &["message", "list", "--client", &mistyped],
            &["parked", "list", "--json"],
            &["parked", "show", &mistyped],
            &["pause", "--gateway", "gw-nw-1", "--reason", &reason],
            &["resume", "--gateway", "gw-nw-1", "--reason", &reason],
            &["pause", "--gateway", &mistyped, "--reason", &reason],
            &["journal", "audit", "--json", "--verify"],
            &["journal", "audit"],
            &["doctor", "--json"],
        ] {
            run(args, &reach);
        }
        for args in [
            &["report", "--month", &month, "--json"][..],
            &["config", "show"],
            &["config", "check"],
            &["doctor", "--from-here"],
        ] {
            run(args, &file);
        }
        for id in parked(world, role).await.unwrap_or_default() {
            run(&["parked", "show", &id, "--json"], &reach);
            run(&["parked", "requeue", &id, "--reason", &reason], &reach);
            run(&["parked", "discard", &id, "--reason", &reason], &reach);
        }
    }
    sent(world);
    for custodian in world.custodians() {
        let facts = [
            "journal",
            "facts",
            "--about",
            custodian,
            "--since",
            "2020-01-01T00:00:00Z",
        ];
        world.command("sender", &[&facts[..], &file].concat());
        if world.ground != Ground::Database {
            let to = world.backups().join(format!("{custodian}.sqlite"));
            let whose: &[&str] = if custodian == "broker" {
                &["--broker"]
            } else {
                &["--gateway", custodian]
            };
            let backup = ["journal", "backup", "--to", to.to_str().unwrap()];
            world.command("sender", &[&backup[..], whose, &file].concat());
            assert!(to.is_file(), "no copy of the journal of {custodian}");
        }
    }
}

/// The command line as a client, with what the gateway refuses.
fn sent(world: &World) {
    let word = |place: &str| world.canaries.word(place);
    let file = |name: &str, text: String| {
        let path = world.token("x").with_file_name(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let payload = file(
        "sent.json",
        format!("{{\"name\":{:?}}}", word("payload of the command line")),
    );
    let said = file(
        "metadata.json",
        format!(
            "{{{:?}:{:?}}}",
            word("key in metadata of the command line"),
            word("value of the command line")
        ),
    );
    let token = file("client.token", world.client_token());
    let wrong = file("wrong.token", word("wrong token of the command line"));
    let url = world.sender();
    for (token, key) in [
        (&token, word("Idempotency-Key of the command line")),
        (&wrong, "k".to_owned()),
    ] {
        let args = [
            "send",
            &payload,
            "--leistung",
            WOHNGELD,
            "--ars",
            "010540056056",
            "--url",
            &url,
            "--token-file",
            token,
        ];
        let more = [
            "--schema",
            "urn:example",
            "--metadata",
            &said,
            "--idempotency-key",
            &key,
        ];
        world.command("sender", &[&args[..], &more].concat());
    }
}
