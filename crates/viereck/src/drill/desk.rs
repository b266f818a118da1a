//! Corner 4 in the drill: two Fachverfahren and a Postfach that behave as the current strike says.
//!
//! They are the stand-ins of the demonstration. Their script asks [`Conduct`] what to do with each attempt; their
//! ledgers are what the account compares the promises with. An application takes effect there or nowhere.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;

use super::book::Number;
use super::paper::{Paper, REJECTION};
use super::plan::Trouble;
use crate::demo::stand_ins::{
    Answer, Ending, Fachverfahren, FolderFachverfahren, Gate, HandedOver, Postfach, ReplyRoute, Script,
};
use crate::failure::{Exit, Failure};

/// How long a slow Fachverfahren takes; the gateway waits for 5 s.
const SLOW: Duration = Duration::from_secs(3);
/// How long one takes that answers too late.
const TOO_LATE: Duration = Duration::from_millis(6500);

/// How the Fachverfahren over HTTP behaves now.
#[derive(Debug, Clone)]
pub(super) enum Conduct {
    /// As it should.
    Good,
    /// Badly.
    Troubled(Trouble),
    /// It has got the request and does not answer before the gate opens.
    Held(Gate),
}

/// The stand-ins.
pub(super) struct Desk {
    pub(super) http: Fachverfahren,
    pub(super) folder: FolderFachverfahren,
    pub(super) postfach: Postfach,
    mind: Arc<Mind>,
}

/// What the scripts share with whoever directs them.
struct Mind {
    conduct: Mutex<Conduct>,
    acted_on: Mutex<HashSet<Number>>,
}

impl Desk {
    /// Starts them; the folders of the one that reads folders are in `folder`.
    pub(super) async fn start(folder: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            let sentence = format!("A stand-in cannot start: {error}");
            Failure::new(Exit::Unexpected, "stand-in-failed", sentence)
        };
        let loopback = || TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0));
        let mind = Arc::new(Mind {
            conduct: Mutex::new(Conduct::Good),
            acted_on: Mutex::default(),
        });
        let http = Fachverfahren::start(loopback().await.map_err(failed)?, Arc::clone(&mind).script(true));
        let reader =
            FolderFachverfahren::start_ending(folder.to_owned(), Arc::clone(&mind).script(false), Ending::TakenAway);
        Ok(Self {
            http: http.map_err(failed)?,
            folder: reader.await.map_err(failed)?,
            postfach: Postfach::start(loopback().await.map_err(failed)?).map_err(failed)?,
            mind,
        })
    }

    /// Where Bescheide go.
    pub(super) fn reply_through(&self, http: ReplyRoute, folder: ReplyRoute) {
        self.http.reply_through(http);
        self.folder.reply_through(folder);
    }

    /// No Bescheid is posted until [`Desk::reply_through`] is called again.
    pub(super) async fn hold_bescheide(&self) {
        self.http.hold_replies().await;
        self.folder.hold_replies().await;
    }

    /// From now on the Fachverfahren over HTTP behaves so.
    pub(super) fn behave(&self, conduct: Conduct) {
        *self.mind.conduct.lock().unwrap_or_else(PoisonError::into_inner) = conduct;
    }

    /// Whether application `number` was decided on, or is being.
    pub(super) fn acted_on(&self, number: Number) -> bool {
        self.mind.acted_on().contains(&number)
    }

    /// How many applications from number `since` on were decided on.
    pub(super) fn acted_since(&self, since: Number) -> usize {
        let acted_on = self.mind.acted_on();
        acted_on.iter().filter(|number| **number >= since).count()
    }

    /// Ends them.
    pub(super) async fn stop(self) {
        self.http.stop().await;
        self.folder.stop().await;
        self.postfach.stop().await;
    }
}

impl Mind {
    fn script(self: Arc<Self>, troubled: bool) -> Script {
        Arc::new(move |handed_over, attempt| self.answer(handed_over, attempt, troubled))
    }

    fn answer(&self, handed_over: &HandedOver, attempt: u32, troubled: bool) -> Answer {
        let Some(paper) = handed_over.payload().and_then(|payload| Paper::read(payload)) else {
            // the account finds it: nobody was promised anything about it
            return Answer::Accept;
        };
        let conduct = match troubled {
            true => self.conduct.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            false => Conduct::Good,
        };
        let answer = match conduct {
            Conduct::Troubled(Trouble::Failing) => return Answer::Unavailable,
            Conduct::Troubled(Trouble::Misconfigured) => return Answer::Unauthorized,
            _ if paper.abzulehnen => Answer::Reject(REJECTION.to_owned()),
            Conduct::Good => Answer::Accept,
            Conduct::Troubled(Trouble::Slow) => Answer::AcceptAfter(SLOW),
            Conduct::Troubled(Trouble::Dying) => Answer::AcceptSilently,
            Conduct::Troubled(Trouble::Late) if attempt == 1 => Answer::AcceptAfter(TOO_LATE),
            Conduct::Troubled(Trouble::Late) => Answer::Accept,
            Conduct::Troubled(Trouble::Twice) => Answer::AcceptAndDecideTwice,
            Conduct::Held(gate) => Answer::AcceptWhenOpen(gate),
        };
        self.acted_on().insert(paper.nummer);
        answer
    }

    fn acted_on(&self) -> std::sync::MutexGuard<'_, HashSet<Number>> {
        // a set is whole after every statement
        self.acted_on.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
