//! One message out of what several custodians know: the same event seen by several of them is one event.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use viereck_custody::status::Flags;
use viereck_custody::{EventView, MessageView};
use viereck_envelope::Stage;
use viereck_routing::{CustodianId, MessageId, Tables};

use super::known::Known;
use super::route::{self, Decision};

/// A message as all custodians that were asked know it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Story {
    #[serde(flatten)]
    pub(super) message: MessageView,
    /// In whose journals it stands.
    pub(super) known_to: Vec<CustodianId>,
    /// What each of them has tried, and what stands in its way there.
    pub(super) at: Vec<At>,
    /// How long each stage took.
    pub(super) stages: Vec<Took>,
    /// Which entry of which table decided.
    pub(super) route: Decision,
    /// For whom it is, by name.
    pub(super) reader_name: Option<String>,
    /// Whom to call.
    pub(super) contact: Option<String>,
}

/// A message at one custodian.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct At {
    pub(super) custodian: CustodianId,
    pub(super) attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_attempt_at: Option<Timestamp>,
    pub(super) flags: Flags,
}

/// How long a stage took.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Took {
    pub(super) stage: Stage,
    /// Milliseconds after the one before; after the filing for the first. Clocks of custodians differ: never below zero.
    pub(super) milliseconds: i64,
}

/// Puts together what was said, in the order of filing.
pub(super) fn stories(known: Vec<Known>, tables: &[Tables]) -> Vec<Story> {
    let mut messages: BTreeMap<(MessageId, String), Story> = BTreeMap::new();
    for Known { custodian, message } in known {
        let key = (message.message_id, message.author.to_string());
        match messages.get_mut(&key) {
            Some(story) => story.merge(message, custodian),
            None => {
                messages.insert(key, Story::begin(message, custodian));
            }
        }
    }
    let mut stories: Vec<Story> = messages.into_values().collect();
    stories.sort_by_key(|story| (story.message.filed_at, story.message.entered_at));
    for story in &mut stories {
        story.complete(tables);
    }
    stories
}

impl Story {
    fn begin(message: MessageView, custodian: CustodianId) -> Self {
        Self {
            at: vec![At::of(&message, &custodian)],
            known_to: vec![custodian],
            stages: Vec::new(),
            route: Decision {
                release: None,
                at_hand: false,
                entry: None,
            },
            reader_name: None,
            contact: None,
            message,
        }
    }

    /// Adds what another custodian knows. Whoever knows most is believed about the state.
    fn merge(&mut self, mut other: MessageView, custodian: CustodianId) {
        self.at.push(At::of(&other, &custodian));
        if !self.known_to.contains(&custodian) {
            self.known_to.push(custodian);
        }
        if knowledge(&other) > knowledge(&self.message) {
            std::mem::swap(&mut self.message, &mut other);
        }
        let message = &mut self.message;
        message.client = message.client.take().or(other.client);
        message.replaced_by = message.replaced_by.or(other.replaced_by);
        for event in other.events {
            if !message.events.contains(&event) {
                message.events.insert(place_of(&event, &message.events), event);
            }
        }
    }

    fn complete(&mut self, tables: &[Tables]) {
        let message = &mut self.message;
        if !message.terminal {
            // each knows its own part of what stands in the way
            let flags = self.at.iter().map(|at| &at.flags);
            message.flags = flags.fold(message.flags.clone(), |all, one| Flags {
                overdue: all.overdue.or(one.overdue),
                parked: all.parked.or(one.parked),
                paused: all.paused.or(one.paused),
                held: all.held.or(one.held),
                deferral: all.deferral.or(one.deferral),
                conflict: all.conflict || one.conflict,
            });
            // who has spoken is not silent, whatever those believe who have not heard yet
            if message.status != Stage::Received && message.status != Stage::Relayed {
                message.flags.overdue = None;
            }
            message.overdue = message.flags.overdue.is_some();
        }
        message.tell();
        self.stages = took(message);
        self.route = route::decision(message, tables);
        let reader = tables.iter().find_map(|table| table.participant(&message.reader));
        self.reader_name = reader.map(|reader| reader.name.clone());
        self.contact = reader.and_then(|reader| reader.contact.clone());
        let gateway = tables.iter().find_map(|table| table.gateway(&message.holder));
        self.contact = self
            .contact
            .take()
            .or_else(|| gateway.map(|gateway| gateway.contact.clone()));
    }
}

impl At {
    fn of(message: &MessageView, custodian: &CustodianId) -> Self {
        Self {
            custodian: custodian.clone(),
            attempts: message.attempts,
            next_attempt_at: message.next_attempt_at,
            flags: message.flags.clone(),
        }
    }
}

/// How much a custodian knows: the end first, then the number of stages.
fn knowledge(message: &MessageView) -> (bool, usize) {
    let stages = message.events.iter().filter(|event| !event.internal).count();
    (message.terminal, stages)
}

/// Clocks differ by more than a message takes: stages stand in their own order, a step behind what its own custodian
/// did before it.
fn place_of(event: &EventView, events: &[EventView]) -> usize {
    if event.internal {
        let before = |other: &EventView| other.custodian == event.custodian && other.time <= event.time;
        return events.iter().rposition(before).map_or(0, |at| at + 1);
    }
    let rank = |event: &EventView| Stage::ALL.iter().position(|stage| Some(*stage) == event.stage.stage());
    let after = |other: &EventView| !other.internal && rank(other) > rank(event);
    events.iter().position(after).unwrap_or(events.len())
}

/// The time between the stages that count, each from the first who stated it.
fn took(message: &MessageView) -> Vec<Took> {
    let mut before = message.filed_at;
    let mut took: Vec<Took> = Vec::new();
    for event in &message.events {
        let Some(stage) = event
            .stage
            .stage()
            .filter(|stage| took.iter().all(|one| one.stage != *stage))
        else {
            continue;
        };
        let milliseconds = event.time.duration_since(before).max(SignedDuration::ZERO).as_millis();
        before = before.max(event.time);
        took.push(Took {
            stage,
            milliseconds: i64::try_from(milliseconds).unwrap_or(i64::MAX),
        });
    }
    took
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn event(stage: &str, millisecond: i64, custodian: &str, internal: bool) -> EventView {
        EventView {
            stage: stage.parse().unwrap(),
            time: Timestamp::from_millisecond(millisecond).unwrap(),
            custodian: custodian.parse().unwrap(),
            target: None,
            reasons: vec![],
            internal,
        }
    }

    pub(in super::super) fn view(status: Stage, events: &[EventView]) -> MessageView {
        let mut view: MessageView = serde_json::from_value(serde_json::json!({
            "messageId": "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6b",
            "submissionId": "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6b",
            "caseId": "6f0a6f6c-8f0e-4c3e-9a53-1c2d3e4f5a6c",
            "kind": "application",
            "author": "wgp:010000000000",
            "reader": "wgb:010540880000",
            "leistung": "99107023037000",
            "region": "01054",
            "release": null,
            "filedAt": Timestamp::UNIX_EPOCH,
            "enteredAt": Timestamp::UNIX_EPOCH,
            "obsoleteAfter": Timestamp::UNIX_EPOCH,
            "side": "sent",
            "client": null,
            "status": status,
            "terminal": status.is_terminal(),
            "overdue": false,
            "flags": {},
            "attempts": 1,
            "holder": "gw-sh-1",
            "reasons": [],
            "events": [],
        }))
        .unwrap();
        view.events = events.to_vec();
        view.tell();
        view
    }

    /// The clock of the receiver is behind, and nobody but the one who did it knows a step.
    #[test]
    fn the_story_is_the_same_whoever_is_asked_first() {
        let received = event("received", 10, "gw-sh-1", false);
        let published = event("published", 11, "gw-sh-1", true);
        let relayed = event("relayed", 12, "broker", false);
        let delivered = event("delivered", 1, "gw-sh-2", false);
        let handing_over = event("handing-over", 2, "gw-sh-2", true);
        let accepted = event("accepted", 30, "gw-sh-2", false);
        let story = [received, published, relayed, delivered, handing_over, accepted].to_vec();
        let views = [
            ("gw-sh-1", view(Stage::Relayed, &story[..3])),
            ("broker", view(Stage::Accepted, &[&story[2..4], &story[5..]].concat())),
            ("gw-sh-2", view(Stage::Accepted, &story[3..])),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let known = order.map(|at| Known {
                custodian: views[at].0.parse().unwrap(),
                message: views[at].1.clone(),
            });
            let traced = stories(known.to_vec(), &[]).pop().unwrap();
            assert_eq!(traced.message.status, Stage::Accepted, "{order:?}");
            assert_eq!(traced.message.events, story, "{order:?}");
            let took: Vec<i64> = traced.stages.iter().map(|one| one.milliseconds).collect();
            assert_eq!(took, [10, 2, 0, 18], "never below zero, and the sum is the whole");
        }
    }

    #[test]
    fn what_stands_in_the_way_at_one_custodian_stands_in_the_story() {
        let received = event("received", 10, "gw-sh-1", false);
        let delivered = event("delivered", 20, "gw-sh-2", false);
        let mut at_receiver = view(Stage::Delivered, &[received.clone(), delivered]);
        at_receiver.flags.deferral = Some(viereck_custody::Deferral::FachverfahrenUnavailable);
        let mut at_sender = view(Stage::Received, &[received]);
        at_sender.flags.overdue = Some(Timestamp::UNIX_EPOCH);
        let known = |custodian: &str, message| Known {
            custodian: custodian.parse().unwrap(),
            message,
        };
        let story = stories(vec![known("gw-sh-1", at_sender), known("gw-sh-2", at_receiver)], &[])
            .pop()
            .unwrap();
        assert!(story.message.flags.deferral.is_some() && !story.message.overdue);
        assert_eq!(story.known_to.len(), 2);
    }
}
