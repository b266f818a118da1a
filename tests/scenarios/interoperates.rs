//! Envelopes go both ways between us and programs that share no code with us: they verify, sign, open and seal what the
//! standards say, and a changed octet is refused everywhere.
//!
//! Ends in a table made of what happened in this run: `yes`, `no` or `cannot`, and why not. The test fails if any cell is
//! not the one that is expected, the better ones included.

mod document;

use std::fmt;

use harness::peers::{Answer, PEERS, Peer, Verb};
use harness::schema::Schema;
use jiff::Timestamp;
use viereck_routing::Digest;

use document::{Identity, Kind, World};

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Yes,
    No,
    Cannot,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Cell::Yes => "yes",
            Cell::No => "no",
            Cell::Cannot => "cannot",
        })
    }
}

/// What happens there, and here with what comes from there.
const COLUMNS: [&str; 7] = [
    "verifies ours",
    "refuses changed",
    "refuses another",
    "signs for us",
    "opens ours",
    "opens no changed",
    "seals for us",
];

/// What is expected of a peer, in the order of the columns.
fn expected(peer: &Peer, kind: Kind) -> [Cell; 7] {
    let if_can = |verb| if peer.can(verb) { Cell::Yes } else { Cell::Cannot };
    let [verify, sign, open, seal] = [Verb::Verify, Verb::Sign, kind.open(), kind.seal()].map(if_can);
    [verify, verify, verify, sign, open, open, seal]
}

#[test]
fn envelopes_go_both_ways_and_changed_ones_nowhere() -> anyhow::Result<()> {
    let columns = COLUMNS.map(|column| format!("{column:<16}")).concat();
    println!("{:<10} {:<22} {columns}", "keys", "peer");
    let mut differing = Vec::new();
    for kind in Kind::ALL {
        let world = World::new(*kind, Timestamp::now())?;
        Schema::Envelope.validate(world.text.as_bytes())?;
        for peer in PEERS {
            let found = row(peer, &world)?;
            println!(
                "{:<10} {:<22} {}{}",
                kind.name(),
                peer.name,
                found.map(|cell| format!("{cell:<16}")).concat(),
                if found.contains(&Cell::Cannot) {
                    peer.why_not
                } else {
                    ""
                }
            );
            if found != expected(peer, *kind) {
                differing.push((kind.name(), peer.name, found));
            }
        }
    }
    assert!(differing.is_empty(), "expected otherwise: {differing:?}");
    Ok(())
}

fn row(peer: &Peer, world: &World) -> anyhow::Result<[Cell; 7]> {
    let cell = |verb, found: &dyn Fn() -> anyhow::Result<bool>| -> anyhow::Result<Cell> {
        Ok(match peer.can(verb) {
            false => Cell::Cannot,
            true if found()? => Cell::Yes,
            true => Cell::No,
        })
    };
    Ok([
        cell(Verb::Verify, &|| verifies(peer, world, &world.text, &world.signer))?,
        cell(Verb::Verify, &|| refuses_changed(peer, world))?,
        cell(Verb::Verify, &|| {
            Ok(!verifies(peer, world, &world.text, &world.reader)?)
        })?,
        cell(Verb::Sign, &|| signs(peer, world))?,
        cell(world.kind.open(), &|| opens(peer, world))?,
        cell(world.kind.open(), &|| opens_no_changed(peer, world))?,
        cell(world.kind.seal(), &|| seals(peer, world))?,
    ])
}

/// With the certificate of whoever is said to have signed it.
fn verifies(peer: &Peer, world: &World, text: &str, signer: &Identity) -> anyhow::Result<bool> {
    let file = world.file("envelope.xml", text.as_bytes())?;
    let answer = peer.ask(Verb::Verify, &[&file, &signer.certificate_file])?;
    Ok(matches!(answer, Answer::Done(_)))
}

/// One octet of each part that is signed, and of the signature value; we refuse each as well.
fn refuses_changed(peer: &Peer, world: &World) -> anyhow::Result<bool> {
    for behind in [
        "<Author>wgp:",
        "<Region>",
        "<xenc:CipherValue>",
        "<xades:SigningTime>",
        "<ds:SignatureValue>",
    ] {
        let changed = world.changed_behind(behind)?;
        if world.verify(&changed).is_ok() || verifies(peer, world, &changed, &world.signer)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// It signs a document of ours from which all that a signature says was taken away; we verify it.
fn signs(peer: &Peer, world: &World) -> anyhow::Result<bool> {
    let signed = signed_by(peer, world, &world.text)?;
    Ok(signed.is_some_and(|text| text != world.text && world.verify(&text).is_ok()))
}

fn signed_by(peer: &Peer, world: &World, text: &str) -> anyhow::Result<Option<String>> {
    let template = world.file("template.xml", document::unsigned(text)?.as_bytes())?;
    match peer.ask(Verb::Sign, &[&template, &world.signer.key_file])? {
        Answer::Done(said) => document::with_signature(text, said.lines()).map(Some),
        Answer::Refused(_) => Ok(None),
    }
}

/// It finds the files that we put in.
fn opens(peer: &Peer, world: &World) -> anyhow::Result<bool> {
    let file = world.file("envelope.xml", world.text.as_bytes())?;
    let answer = peer.ask(world.kind.open(), &world.reader.opening(&file))?;
    let digests = world.files.iter().map(|octets| format!("{}\n", Digest::of(octets)));
    Ok(answer == Answer::Done(digests.collect()))
}

/// Neither a changed manifest nor a changed file opens, nor does a changed key.
fn opens_no_changed(peer: &Peer, world: &World) -> anyhow::Result<bool> {
    const VALUE: &str = "</ds:KeyInfo><xenc:CipherData><xenc:CipherValue>";
    for before in ["", "</xenc:EncryptedKey>", "URI=\"#key\"></ds:RetrievalMethod>"] {
        let file = world.file(
            "changed.xml",
            world.changed_behind(&format!("{before}{VALUE}"))?.as_bytes(),
        )?;
        let answer = peer.ask(world.kind.open(), &world.reader.opening(&file))?;
        if matches!(answer, Answer::Done(_)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// It encrypts a payload for our reader and signs the whole; we verify and open it.
fn seals(peer: &Peer, world: &World) -> anyhow::Result<bool> {
    let payload = "<antrag>von außen</antrag>".as_bytes();
    let envelope = world.file("envelope.xml", world.text.as_bytes())?;
    let payload_file = world.file("payload.xml", payload)?;
    let asked = world.reader.sealing(&envelope, &payload_file);
    let Answer::Done(sealed) = peer.ask(world.kind.seal(), &asked)? else {
        return Ok(false);
    };
    let Some(signed) = signed_by(peer, world, &sealed)? else {
        return Ok(false);
    };
    Ok(world.open(&signed)? == [payload])
}
