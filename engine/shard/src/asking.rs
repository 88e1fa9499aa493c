//! Sessions that wait for an authorizer: what must not overtake the message that it is asked about.
//!
//! ```text
//!  message --(nobody knows whether it may)--> first of the queue, question under way
//!                                               |   ^
//!       PUBLISH, CALL, (UN)SUBSCRIBE,           |   | it must ask again
//!       (UN)REGISTER that come meanwhile:       v   |
//!       behind it            answer: dealt with again, from its octets, then the next one
//! ```
//!
//! YIELD, ERROR, CANCEL and GOODBYE wait for nothing: an authorizer may itself call a session that it is asked about. A CANCEL of a
//! call that is still in the queue ends it there. The queue is bounded; then the connection is not read.
//!
//! Invariants: a question is only under way while the message that it is about is the first of the queue; the queue is worked through
//! in order; it is gone when nothing is in it.

use std::collections::VecDeque;

use smallvec::SmallVec;
use wampline_routing::SessionRef;
use wampline_routing::authorization::{Action, CachedAnswer};
use wampline_wire::{Message, RequestId};

use crate::connection::Parked;
use crate::counters::add;
use crate::shard::Shard;

/// What an authorizer has answered, or why it has not.
pub(crate) type Answered = (Action, Result<CachedAnswer, &'static str>);

/// What waits, and for what.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    queue: VecDeque<Held>,
    octets: usize,
    /// The question that is under way about the first of them.
    question: Option<u64>,
    /// What has been answered about the first of them.
    answers: SmallVec<[Answered; 1]>,
    /// The answer to another session was for that one alone: the first of them waits for no other's again.
    is_alone: bool,
}

/// A message that waits.
#[derive(Debug)]
struct Held {
    /// Of a CALL.
    call: Option<RequestId>,
    is_canceled: bool,
    /// Its request id has been taken note of: it has been dealt with until its permission was asked for.
    is_counted: bool,
    octets: Box<[u8]>,
}

/// How a message is dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dispatch {
    /// As it comes.
    #[default]
    New,
    /// It has waited.
    Again { is_counted: bool, is_canceled: bool },
}

impl Dispatch {
    /// A message that waited for something else.
    pub(crate) const HELD: Dispatch = Dispatch::Again { is_counted: false, is_canceled: false };

    /// Whether the message's request id has been taken note of.
    pub(crate) fn is_counted(self) -> bool {
        matches!(self, Dispatch::Again { is_counted: true, .. })
    }

    /// Whether the message is a CALL that has been cancelled meanwhile.
    pub(crate) fn is_canceled(self) -> bool {
        matches!(self, Dispatch::Again { is_canceled: true, .. })
    }
}

impl Asking {
    pub(crate) fn answer_about(&self, action: Action) -> Option<Result<CachedAnswer, &'static str>> {
        self.answers.iter().find(|(about, _)| *about == action).map(|(_, answer)| *answer)
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// What is known about the first message is about no other one.
    fn forget_first(&mut self) {
        self.answers.clear();
        self.is_alone = false;
    }
}

/// Whether a message must not overtake others of its session that wait.
pub(crate) fn is_dependent(message: &Message<'_>) -> bool {
    matches!(
        message,
        Message::Publish { .. }
            | Message::Call { .. }
            | Message::Subscribe { .. }
            | Message::Unsubscribe { .. }
            | Message::Register { .. }
            | Message::Unregister { .. }
    )
}

impl Shard {
    /// A question about a session's message is under way.
    pub(crate) fn begin_asking(&mut self, session: u32, number: u64) {
        let asking = self.sessions[session].asking.get_or_insert_default();
        debug_assert_eq!(asking.question, None, "one question at a time");
        asking.question = Some(number);
    }

    /// Keeps the message that an authorizer is asked about.
    pub(crate) fn hold_first(&mut self, slot: u32, session: u32, octets: &[u8], call: Option<RequestId>) {
        let asking = self.sessions[session].asking.get_or_insert_default();
        asking.octets += octets.len();
        asking.queue.push_front(Held { call, is_canceled: false, is_counted: true, octets: octets.into() });
        self.bound_held(slot, session);
    }

    /// Keeps a message behind those that wait already.
    pub(crate) fn hold_behind(&mut self, slot: u32, session: u32, octets: &[u8], call: Option<RequestId>) {
        let Some(asking) = self.sessions[session].asking.as_mut() else { return };
        asking.octets += octets.len();
        asking.queue.push_back(Held { call, is_canceled: false, is_counted: false, octets: octets.into() });
        self.bound_held(slot, session);
    }

    fn bound_held(&mut self, slot: u32, session: u32) {
        let entry = &self.sessions[session];
        let limit = self.shared.realm(entry.realm).limits.requests_held_bytes_max;
        let is_full = entry.asking.as_ref().is_some_and(|asking| asking.octets > limit);
        if is_full && !self.connections[slot].parked.has(Parked::AUTHORIZER) {
            self.park(slot, Parked::AUTHORIZER);
            add(&self.counters().parked, 1);
        }
    }

    /// A question has its answer, or (without one) is to be asked anew.
    pub(crate) fn end_asking(&mut self, session: SessionRef, number: u64, answer: Option<Answered>) {
        if !self.sessions.is_live(session.slot, session.guard) {
            return;
        }
        let entry = &mut self.sessions[session.slot];
        let Some(asking) = entry.asking.as_mut().filter(|asking| asking.question == Some(number)) else {
            return;
        };
        asking.question = None;
        asking.is_alone |= answer.is_none();
        asking.answers.extend(answer);
        if let Some(slot) = entry.connection {
            self.go_on(slot);
        }
    }

    /// The queue of a connection's session may be worked through.
    fn go_on(&mut self, slot: u32) {
        if self.connections[slot].parked.has(Parked::AUTHORIZER) {
            return self.unpark(slot, Parked::AUTHORIZER);
        }
        if !self.connections[slot].parked.any() {
            let key = self.key(slot);
            self.resumable.push_back(key);
        }
    }

    /// Works through what waits, as far as that goes.
    pub(crate) fn deal_with_held(&mut self, slot: u32) {
        while let Some(session) = self.connections[slot].session
            && !self.connections[slot].parked.any()
            && self.connections[slot].held.is_none()
            && let Some(asking) = self.sessions[session].asking.as_mut()
            && asking.question.is_none()
        {
            let Some(Held { is_canceled, is_counted, mut octets, .. }) = asking.queue.pop_front() else {
                self.sessions[session].asking = None;
                return;
            };
            asking.octets -= octets.len();
            self.received_again(slot, &mut octets, Dispatch::Again { is_counted, is_canceled });
            if let Some(asking) = self.sessions.get_mut(session).and_then(|entry| entry.asking.as_mut())
                && asking.question.is_none()
            {
                asking.forget_first();
            }
        }
    }

    /// CANCEL of a call that waits, if it is one.
    pub(crate) fn cancel_held(&mut self, session: u32, request: RequestId) {
        let reference = self.session_ref(session);
        let entry = &mut self.sessions[session];
        let Some(asking) = entry.asking.as_mut() else { return };
        let Some(position) = asking.queue.iter().position(|held| held.call == Some(request)) else { return };
        asking.queue[position].is_canceled = true;
        if position > 0 {
            return; // It ends when its turn comes.
        }
        let (question, slot) = (asking.question.take(), entry.connection);
        if let Some(number) = question {
            self.leave_question(reference, number);
        }
        if let Some(slot) = slot {
            self.go_on(slot);
        }
    }

    /// A session ends: nothing of what waits is dealt with.
    pub(crate) fn drop_held(&mut self, session: u32) {
        let reference = self.session_ref(session);
        let asking = self.sessions[session].asking.take();
        if let Some(number) = asking.and_then(|asking| asking.question) {
            self.leave_question(reference, number);
        }
    }
}
