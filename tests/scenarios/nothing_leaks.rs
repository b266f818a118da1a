//! Nothing that an applicant, a client, a Fachverfahren or a mailbox says stands in the clear but with those it is for; nor
//! does any token or password.
//!
//! Real processes log everything (`trace`, also of the libraries), RabbitMQ and PostgreSQL too. A word of its own is typed
//! into every place where somebody can type, right and wrong; then everything that was left anywhere is looked through for
//! every word in some twenty spellings. What may stand somewhere is a list with reasons (`places`), and each of its lines must
//! be found, for a scan that finds nothing may be blind. That it is not is shown once more with leaks that are planted.
//!
//! | file | what |
//! |---|---|
//! | `world` | the processes and all that stands around them |
//! | `life`, `refusals`, `looks` | what happens: applications and answers, mistakes, operators |
//! | `canaries`, `encodings`, `scan` | the words, their spellings, the search |
//! | `places` | where is looked, and what may be there |
//! | `plants` | leaks on purpose |
//!
//! Not looked at: memory, swap and core dumps of the processes; the network, which TLS has to cover; spellings within
//! spellings.

mod around;
mod canaries;
mod encodings;
mod life;
mod looks;
mod places;
mod plants;
mod refusals;
mod scan;
mod world;

use places::{ADMITTED, CLEAR};
use scan::{Hit, Looked, Scan};
use world::{Ground, World};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stands_in_the_clear_over_rabbitmq_and_files_and_a_planted_leak_is_found() {
    nothing_leaks(Ground::Files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stands_in_the_clear_over_rabbitmq_and_postgresql_and_a_planted_leak_is_found() {
    nothing_leaks(Ground::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stands_in_the_clear_in_one_process_and_a_planted_leak_is_found() {
    nothing_leaks(Ground::Embedded).await;
}

async fn nothing_leaks(ground: Ground) {
    let mut world = World::start(ground).await;
    let lived = life::live(&world).await;
    refusals::provoke(&world, &lived).await;
    looks::look(&world, &lived).await;
    // while they run, so that write-ahead logs are there
    let places = places::of(&world, &lived).await;
    let scan = Scan::of(&world.canaries);
    let looked: Vec<Looked> = places.iter().map(|place| scan.look(place)).collect();
    judge(&looked, &world.canaries.all());
    let planted = plants::plant(&mut world, &lived).await;
    println!(
        "account: {} words in {} spellings, {} places, {} octets, 0 leaks; {planted} planted leaks, all found",
        world.canaries.all().len(),
        encodings::of("x").len(),
        looked.len(),
        looked.iter().map(|looked| looked.octets).sum::<usize>()
    );
}

/// Prints what was found, and fails with everything that should not be there, or should and is not.
fn judge(looked: &[Looked], typed: &[(String, String)]) {
    let mut wrong = vec![];
    println!("{:<26} {:>12} {:>10} {:>6}", "place", "octets", "admitted", "leaks");
    for Looked { name, octets, hits } in looked {
        let clear = CLEAR.iter().find(|(place, _)| place == name);
        let may = |hit: &Hit| clear.is_some() || ADMITTED.iter().any(|one| one.covers(name, hit));
        let (admitted, leaks): (Vec<_>, Vec<_>) = hits.iter().partition(|hit| may(hit));
        println!("{name:<26} {octets:>12} {:>10} {:>6}", admitted.len(), leaks.len());
        wrong.extend(
            leaks
                .iter()
                .map(|hit| format!("{name}: {} as {}: {}", hit.canary, hit.encoding, hit.at)),
        );
        let must = clear.map_or(&[][..], |(_, must)| must).iter().copied();
        let must = must.chain(
            ADMITTED
                .iter()
                .filter(|one| one.places.contains(name))
                .map(|one| one.canary),
        );
        let absent = must.filter(|canary| {
            typed.iter().any(|(place, _)| place == canary) && !hits.iter().any(|hit| hit.canary == *canary)
        });
        wrong.extend(absent.map(|canary| format!("{name}: {canary} should be there")));
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
    for one in ADMITTED {
        println!("admitted: {} in {}: {}", one.canary, one.places.join(", "), one.why);
    }
}
