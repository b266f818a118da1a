//! How long the other authority's messages take: at a gentle pace, each in its time, whatever became of the ones before.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use harness::wait::until;
use tokio::time::interval;
use viereck_envelope::Stage;

use super::fachverfahren::Fachverfahren;
use super::network::Network;

/// Times the same is measured.
const ROUNDS: usize = 3;
/// Messages of each.
const MESSAGES: usize = 150;
/// How far apart they come.
const PACE: Duration = Duration::from_millis(20);

/// How long after its promise a message was where it should be.
#[derive(Debug, Clone, Copy)]
struct Took {
    published: Duration,
    handed_over: Duration,
    accepted: Duration,
}

/// What is shown of one round's times.
#[derive(Debug, Clone, Copy)]
struct Spread {
    p50: Duration,
    p99: Duration,
}

impl Spread {
    fn of(took: impl Iterator<Item = Duration>) -> Self {
        let mut sorted: Vec<Duration> = took.collect();
        sorted.sort();
        let at = |per_cent: usize| sorted[(sorted.len() - 1) * per_cent / 100];
        Self {
            p50: at(50),
            p99: at(99),
        }
    }
}

/// The rounds of one state of the network, for one part of the way.
pub(super) struct Part {
    name: &'static str,
    rounds: Vec<Spread>,
}

/// All parts of the way.
pub(super) struct Measured([Part; 3]);

impl Measured {
    /// Sends the other authority's messages, and waits until their sender knows that all of them are accepted.
    pub(super) async fn of(network: &Arc<Network>, fachverfahren: &Arc<Fachverfahren>) -> Self {
        let mut parts = [
            ("published", vec![]),
            ("handed over", vec![]),
            ("known as accepted", vec![]),
        ];
        for _ in 0..ROUNDS {
            let took = round(network, fachverfahren).await;
            let of = |part: fn(&Took) -> Duration| Spread::of(took.iter().map(part));
            let spreads = [
                of(|took| took.published),
                of(|took| took.handed_over),
                of(|took| took.accepted),
            ];
            parts
                .iter_mut()
                .zip(spreads)
                .for_each(|((_, rounds), spread)| rounds.push(spread));
        }
        Self(parts.map(|(name, rounds)| Part { name, rounds }))
    }

    /// Each part of the way beside what it was `before`.
    pub(super) fn beside<'a>(&'a self, before: &'a Measured) -> impl Iterator<Item = Beside<'a>> {
        self.0.iter().zip(&before.0).map(|(now, before)| Beside { now, before })
    }
}

async fn round(network: &Arc<Network>, fachverfahren: &Arc<Fachverfahren>) -> Vec<Took> {
    let envelopes: Vec<_> = (0..MESSAGES).map(|_| network.sealed(&network.other)).collect();
    let before = fachverfahren.effects();
    let mut on_the_way = vec![];
    let mut pace = interval(PACE);
    for envelope in envelopes {
        let begun = pace.tick().await;
        let (network, fachverfahren) = (Arc::clone(network), Arc::clone(fachverfahren));
        on_the_way.push(tokio::spawn(async move {
            let key = envelope.digest().to_string();
            let heard = network.carry(envelope, Stage::Accepted).await;
            Took {
                published: heard.published - begun,
                handed_over: fachverfahren.effect(&key) - begun,
                accepted: heard.stage - begun,
            }
        }));
    }
    let mut took = vec![];
    for message in on_the_way {
        took.push(message.await.unwrap());
    }
    until(Duration::from_secs(60), "each has taken effect", async || {
        (fachverfahren.effects() == before + MESSAGES).then_some(())
    })
    .await;
    took
}

impl Part {
    fn p50(&self) -> Duration {
        median(self.rounds.iter().map(|round| round.p50))
    }

    fn p99(&self) -> Duration {
        median(self.rounds.iter().map(|round| round.p99))
    }
}

fn median(of: impl Iterator<Item = Duration>) -> Duration {
    let mut sorted: Vec<Duration> = of.collect();
    sorted.sort();
    sorted[sorted.len() / 2]
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            write!(f, "  {:<18}", part.name)?;
            for Spread { p50, p99 } in &part.rounds {
                write!(f, " {p50:>8.1?} {p99:>8.1?} |")?;
            }
            writeln!(f, " p50 {:.1?}, p99 {:.1?}", part.p50(), part.p99())?;
        }
        Ok(())
    }
}

/// One part of the way, now and before.
pub(super) struct Beside<'a> {
    now: &'a Part,
    before: &'a Part,
}

impl Beside<'_> {
    /// Whether even the best round took so long as only a cost for each message that waits can explain. What a loaded
    /// machine does to a single message is not judged.
    pub(super) fn is_far_slower(&self) -> bool {
        let best = self.now.rounds.iter().map(|round| round.p50).min();
        let worst = self.before.rounds.iter().map(|round| round.p50).max();
        best > worst.map(|worst| worst * 5 + Duration::from_millis(250))
    }
}

impl fmt::Display for Beside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = |now: Duration, before: Duration| now.as_secs_f64() / before.as_secs_f64();
        write!(
            f,
            "{}: p50 x {:.2}, p99 x {:.2}",
            self.now.name,
            times(self.now.p50(), self.before.p50()),
            times(self.now.p99(), self.before.p99())
        )
    }
}
