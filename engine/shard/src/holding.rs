//! Sessions that wait for retained events (advanced profile, "Event Retention").
//!
//! ```text
//!  SUBSCRIBED queued --> holding: live events wait --(the home shard's snapshot)--> snapshot queued, then what was held
//! ```
//!
//! The membership begins when SUBSCRIBED is queued, so nothing that is published later is missed. What was published before
//! and did not find it active is in the home shard's snapshot, because the home takes it only when every shard has dealt
//! with a change that was sent after the membership began. An event of the snapshot that reaches this shard (or has reached
//! it) as a live one after the membership began is left out there: it comes once, and in its publisher's order.
//!
//! A session holds the events of all of its subscriptions, because those of one publisher stay in order over all topics.
//! Held events are whole frames, bounded like the outbox they will go to: whoever exceeds that is cut.

use ahash::AHashMap;
use wampline_routing::SessionRef;
use wampline_wire::SubscriptionId;

use crate::action::Unsent;
use crate::counters::add;
use crate::event::Event;
use crate::frame::{HomeRequest, Snapshot};
use crate::session::SessionState;
use crate::shard::Shard;

/// What a session holds back.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    /// The subscriptions that wait for their snapshot.
    waiting: AHashMap<SubscriptionId, Question>,
    /// Whole frames, one after the other.
    frames: Vec<u8>,
    /// Where each of them ends, and the subscription that it belongs to.
    ends: Vec<(SubscriptionId, usize)>,
}

/// A question for retained events.
#[derive(Debug)]
struct Question {
    number: u64,
    /// By shard: the number of the newest publication to be retained that had come from there when the membership began.
    seen: Box<[u64]>,
}

impl Holding {
    /// Whether another event may wait under this bound; one may, however long it is.
    pub(crate) fn admits(&self, length: usize, limit: usize) -> bool {
        self.frames.is_empty() || self.frames.len() + length <= limit
    }

    /// Adds an event.
    pub(crate) fn add(&mut self, subscription: SubscriptionId, frame: &[u8]) {
        self.frames.extend_from_slice(frame);
        self.ends.push((subscription, self.frames.len()));
    }

    /// Drops what is held for a subscription.
    fn forget(&mut self, subscription: SubscriptionId) {
        self.waiting.remove(&subscription);
        if self.ends.iter().all(|(of, _)| *of != subscription) {
            return;
        }
        let frames = std::mem::take(&mut self.frames);
        let mut start = 0;
        for (of, end) in std::mem::take(&mut self.ends) {
            if of != subscription {
                self.add(of, &frames[start..end]);
            }
            start = end;
        }
    }
}

impl Shard {
    /// A membership has begun, or has been asked for again, and wants retained events.
    pub(crate) fn begin_holding(&mut self, session: u32, slot: u32, subscription: SubscriptionId) {
        self.last_question += 1;
        let question = Question { number: self.last_question, seen: self.retained_seen.clone().into() };
        let entry = &mut self.sessions[session];
        if entry.state != SessionState::Open {
            return;
        }
        let holding = entry.holding.get_or_insert_default();
        if holding.waiting.contains_key(&subscription) {
            // The snapshot that is under way serves both.
            return;
        }
        holding.waiting.insert(subscription, question);
        self.connections[slot].receiver = None;
        let request = HomeRequest::Retained {
            subscription,
            question: self.last_question,
            identity: entry.identity.clone(),
            features: entry.features,
        };
        self.ask_home(session, request, None);
    }

    /// A membership has ended: what is held for it is dropped.
    pub(crate) fn forget_held(&mut self, session: u32, subscription: SubscriptionId) {
        if let Some(holding) = self.sessions[session].holding.as_mut() {
            holding.forget(subscription);
            self.release_if_answered(session);
        }
    }

    /// The home shard's snapshot.
    pub(crate) fn retained(&mut self, to: SessionRef, snapshot: Snapshot) {
        if !self.sessions.is_live(to.slot, to.guard) {
            return;
        }
        let session = to.slot;
        let Some(holding) = self.sessions[session].holding.as_mut() else { return };
        let question = holding.waiting.remove(&snapshot.subscription);
        match question {
            Some(question) if question.number == snapshot.question => {
                self.send_retained(session, &snapshot, &question);
                self.release_if_answered(session);
            }
            Some(later) => {
                holding.waiting.insert(snapshot.subscription, later);
            }
            // Unsubscribed meanwhile.
            None => {}
        }
    }

    fn send_retained(&mut self, session: u32, snapshot: &Snapshot, question: &Question) {
        let mut sent = 0;
        for retained in &snapshot.events {
            let event = Event::of(&retained.publication);
            let entry = &self.sessions[session];
            // (Live it goes to one node of a ring, retained to every one that asks.)
            let comes_live =
                retained.live.is_some_and(|(source, number)| number > question.seen[source.index()])
                    && event.is_for(session, entry, snapshot.subscription);
            let Some(slot) = self.sessions[session].connection else { break };
            if comes_live || self.sessions[session].state != SessionState::Open {
                continue;
            }
            let form = self.connections[slot].form;
            if event.has_extensions() && !self.connections[slot].reads_extensions {
                add(&self.counters().events_inexpressible, 1);
                continue;
            }
            let estimate = event.estimate(snapshot.names_topic);
            let queued = self.queue(slot, estimate, None, |buffer| {
                event.write(form, snapshot.subscription, snapshot.names_topic, true, buffer)
            });
            match queued {
                Ok(()) => sent += 1,
                Err(Unsent::TooLong) => add(&self.counters().events_too_long, 1),
                Err(Unsent::Inexpressible) => add(&self.counters().events_inexpressible, 1),
                Err(Unsent::Gone) => break,
            }
        }
        add(&self.counters().events, sent);
    }

    /// Lets out what a session holds, if it has no more questions.
    fn release_if_answered(&mut self, session: u32) {
        let entry = &mut self.sessions[session];
        let Some(holding) = entry.holding.take_if(|holding| holding.waiting.is_empty()) else { return };
        let Some(slot) = entry.connection else { return };
        if entry.state != SessionState::Open {
            return;
        }
        self.connections[slot].receiver = Some(session);
        let (mut start, mut sent) = (0, 0);
        for (_, end) in holding.ends {
            let frame = &holding.frames[start..end];
            start = end;
            // (The length of the message has been checked when the frame was held.)
            let queued = self.queue(slot, frame.len(), None, |buffer| {
                buffer.extend_from_slice(frame);
                Ok(0)
            });
            sent += u64::from(queued.is_ok());
        }
        add(&self.counters().events, sent);
    }
}
