//! The account of both sides with which a scenario ends: what was promised at corner 2, what took effect at corner 4.

use std::fmt;
use std::time::Duration;

use crate::corners::Corners;
use crate::wait::until;

/// What became of the messages of one scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Promised to the client.
    pub sent: usize,
    /// Took effect at a Fachverfahren exactly once.
    pub once: usize,
    /// More than once.
    pub twice: usize,
    /// Not at all.
    pub never: usize,
    /// Attempts at all of them together.
    pub attempts: u32,
    /// Bescheide in the Postfach.
    pub bescheide: usize,
    /// Effects that nobody was promised anything about.
    pub strangers: usize,
    /// Contracts of corner 4 that were broken.
    pub breaches: usize,
}

impl Account {
    /// Counts what `submissions` came to, once every accepted one has its Bescheid.
    ///
    /// # Panics
    /// When the Bescheide do not arrive within `deadline`.
    pub async fn of(corners: &Corners, submissions: &[String], deadline: Duration) -> Self {
        until(deadline, "a Bescheid for every application", async || {
            (corners.postfach.mailboxes().now().mail().count() >= submissions.len()).then_some(())
        })
        .await;
        let (http, folder, postfach) = (
            corners.http.ledger().now(),
            corners.folder.ledger().now(),
            corners.postfach.mailboxes().now(),
        );
        let mut account = Account {
            sent: submissions.len(),
            ..Account::default()
        };
        for submission in submissions {
            match http.effects(submission) + folder.effects(submission) {
                0 => account.never += 1,
                1 => account.once += 1,
                _ => account.twice += 1,
            }
            account.attempts += http.attempts(submission) + folder.attempts(submission);
        }
        let acted_on = http
            .entries()
            .values()
            .chain(folder.entries().values())
            .filter(|entry| entry.effects > 0);
        account.strangers = acted_on
            .filter(|entry| !submissions.contains(&entry.handed_over.message.message_id))
            .count();
        account.bescheide = postfach.mail().count();
        account.breaches = http.breaches().len() + folder.breaches().len() + postfach.breaches().len();
        account
    }

    /// Everything once, nothing else, and a Bescheid for each.
    ///
    /// # Panics
    /// When it is not so.
    pub fn assert_exactly_once(&self) {
        let expected = Account {
            sent: self.sent,
            once: self.sent,
            bescheide: self.sent,
            attempts: self.attempts,
            ..Account::default()
        };
        assert_eq!(*self, expected, "not exactly once");
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account {
            sent,
            once,
            twice,
            never,
            attempts,
            bescheide,
            strangers,
            breaches,
        } = self;
        write!(
            f,
            "account: {sent} promised; effects: {once} once, {twice} twice, {never} never, {strangers} unasked; \
             {attempts} attempts; {bescheide} Bescheide; {breaches} breaches of contract"
        )
    }
}
