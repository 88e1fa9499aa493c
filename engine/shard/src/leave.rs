//! How a session ends: GOODBYE both ways, the end of its transport, shutdown. Leaving costs what the session owned, in slices.

use std::time::Duration;

use wampline_routing::meta::Testament;
use wampline_routing::{CancelMode, PayloadAttributes, error_uri};
use wampline_wire::{Dict, Message, Payload, SubscriptionId, Value};

use crate::connection::{Link, NEVER, Parked};
use crate::counters::{add, set};
use crate::frame::{Frame, HomeRequest, Reply, ReplyOutcome};
use crate::input::VISITS_PER_TURN;
use crate::session::SessionState;
use crate::shard::Shard;
use crate::{Now, ShutdownMode};

/// WebSocket close codes (RFC 6455, section 7.4.1, and its registry).
pub(crate) const CLOSE_NORMAL: u16 = 1000;
pub(crate) const CLOSE_GOING_AWAY: u16 = 1001;
pub(crate) const CLOSE_PROTOCOL_ERROR: u16 = 1002;
pub(crate) const CLOSE_RESTART: u16 = 1012;
pub(crate) const CLOSE_TRY_AGAIN: u16 = 1013;

/// How long the home shard may take to release what a session owned before GOODBYE is answered all the same.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Memberships of departed sessions that are taken back in one round.
const DEPART_PER_ROUND: usize = 1024;

/// An orderly shutdown under way.
#[derive(Debug)]
pub(crate) struct Shutdown {
    mode: ShutdownMode,
    /// Until then calls in flight may be answered, in nanoseconds.
    calls_by: u64,
    /// The calls still open at that time have been ended.
    is_past: bool,
}

/// A session that has left, and the memberships that it still has. (A list beside the session's table: to take entries out of
/// a hash table one by one from its front is quadratic.)
#[derive(Debug)]
pub(crate) struct Departure {
    session: u32,
    testaments: std::vec::IntoIter<Testament>,
    memberships: Vec<SubscriptionId>,
}

impl Shutdown {
    pub(crate) fn new(now: Now, mode: ShutdownMode, grace: Duration) -> Shutdown {
        Shutdown { mode, calls_by: now.after(grace / 2), is_past: false }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        (!self.is_past).then_some(self.calls_by)
    }
}

impl Shard {
    /// GOODBYE from the client. Answered when the home shard has released what the session owned.
    pub(crate) fn goodbye(&mut self, slot: u32, session: u32) {
        self.connections[slot].deadlines.goodbye = self.now.after(RELEASE_TIMEOUT);
        self.connections[slot].leaving = Some(session);
        self.arm(slot);
        self.park(slot, Parked::LEAVING);
        self.leave(session, true);
    }

    /// Ends the session of a connection, or what was to become one.
    pub(crate) fn leave_connection(&mut self, slot: u32) {
        self.end_authentication(slot);
        if let Some(session) = self.connections[slot].session {
            self.leave(session, false);
        }
    }

    /// Ends a session: its calls and invocations at once, its memberships in slices. `wants_goodbye`: its connection waits
    /// for our GOODBYE.
    pub(crate) fn leave(&mut self, session: u32, wants_goodbye: bool) {
        let entry = &mut self.sessions[session];
        let Some(slot) = entry.connection.take() else { return };
        let connection = &mut self.connections[slot];
        let goodbye_to = wants_goodbye.then_some((slot, connection.guard));
        entry.state = SessionState::Left { goodbye_to };
        connection.session = None;
        connection.receiver = None;
        connection.held = None;
        connection.past_invocations = connection.past_invocations.max(entry.invocations.last());
        entry.holding = None;
        self.drop_held(session);
        // What its client sends from now on waits for no answer to it.
        self.unpark(slot, Parked::REQUEST);
        self.unpark(slot, Parked::AUTHORIZER);
        let entry = &mut self.sessions[session];
        let calls = std::mem::take(&mut entry.calls);
        let invocations = entry.invocations.take();
        let services = std::mem::take(&mut entry.registrations);
        entry.awaited.clear();
        entry.ended_inputs = None;
        for &call in calls.values() {
            let reference = self.calls.reference(call).expect("invariant: a session's calls wait");
            let ended = self.end_call(reference).expect("invariant: the reference is current");
            self.cancel_at(ended.callee.shard, reference, CancelMode::KillNoWait);
        }
        for call in invocations {
            self.stubs.remove(call);
            let outcome = ReplyOutcome::Error(error_uri::CANCELED.into());
            let (attributes, payload) = (PayloadAttributes::default(), Payload::NONE.to_buf());
            // By way of the queue even to this shard: what one departure causes must not nest in another.
            let reply = Reply { call, outcome, attributes, payload };
            self.send(call.shard, Frame::Reply(Box::new(reply)), None);
        }
        for service in services.into_values() {
            self.release_waiting(service);
        }
        let entry = &mut self.sessions[session];
        let memberships = entry.subscriptions.keys().copied().collect();
        let testaments = entry.testaments.take().map(|testaments| testaments.into_publications());
        let testaments = testaments.unwrap_or_default();
        self.departures.push_back(Departure { session, testaments, memberships });
    }

    /// Publishes the testaments of departed sessions and takes back their memberships; the last frame of each to its home follows.
    pub(crate) fn depart(&mut self) {
        let mut budget = DEPART_PER_ROUND;
        while budget > 0
            && let Some(departure) = self.departures.front_mut()
        {
            let session = departure.session;
            if let Some(testament) = departure.testaments.next() {
                self.publish_testament(session, &testament);
                if self.visits >= VISITS_PER_TURN {
                    return;
                }
                continue;
            }
            let Some(subscription) = departure.memberships.pop() else {
                self.departures.pop_front();
                self.ask_home(session, HomeRequest::Leave, None);
                continue;
            };
            let entry = &mut self.sessions[session];
            let realm = entry.realm;
            if let Some(position) = entry.subscriptions.remove(&subscription) {
                self.remove_member(realm, subscription, position);
            }
            budget -= 1;
        }
    }

    /// The home shard has released everything: the name and the slot are free.
    pub(crate) fn released(&mut self, session: u32) {
        let SessionState::Left { goodbye_to } = self.sessions[session].state else { return };
        self.sessions.remove(session);
        set(&self.counters().sessions, self.sessions.len());
        if let Some((slot, guard)) = goodbye_to
            && self.connections.is_live(slot, guard)
            && self.connections[slot].leaving == Some(session)
        {
            self.answer_goodbye(slot);
        }
    }

    /// Queues our GOODBYE; the transport stays open for another HELLO for a while.
    pub(crate) fn answer_goodbye(&mut self, slot: u32) {
        self.connections[slot].leaving = None;
        self.connections[slot].deadlines.goodbye = NEVER;
        if self.connections[slot].is_ending() {
            return;
        }
        let message = Message::Goodbye { details: Dict::EMPTY, reason: error_uri::GOODBYE_AND_OUT.into() };
        if self.post(slot, &message, 48).is_err() {
            return self.close_link(slot, Some(CLOSE_NORMAL));
        }
        self.connections[slot].deadlines.hello = self.now.after(self.shared.config.limits.rejoin_timeout);
        self.arm(slot);
        self.unpark(slot, Parked::LEAVING);
    }

    /// One step of a shutdown: sessions without open calls go first, the others when their calls are answered or the time for
    /// that is up.
    pub(crate) fn shutdown_turn(&mut self) {
        let Some(shutdown) = self.shutdown.as_mut() else { return };
        let mode = shutdown.mode;
        let is_past = self.now.0 >= shutdown.calls_by;
        shutdown.is_past |= is_past;
        let slots: Vec<u32> = self.connections.slots().collect();
        for slot in slots {
            if self.connections[slot].is_ending() {
                continue;
            }
            match self.connections[slot].session {
                // Its GOODBYE is answered first.
                None if self.connections[slot].leaving.is_some() => {}
                None => {
                    let code = if mode == ShutdownMode::Restart { CLOSE_RESTART } else { CLOSE_GOING_AWAY };
                    let is_open = self.connections[slot].link == Link::Open;
                    self.close_link(slot, is_open.then_some(code));
                }
                Some(session) if self.sessions[session].state == SessionState::Open => {
                    let entry = &self.sessions[session];
                    if is_past || (entry.calls.is_empty() && entry.invocations.is_empty()) {
                        self.dismiss(slot, session, mode);
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Ends one session because the router goes down.
    fn dismiss(&mut self, slot: u32, session: u32, mode: ShutdownMode) {
        let calls: Vec<u32> = self.sessions[session].calls.values().copied().collect();
        for call in calls {
            if self.connections[slot].session != Some(session) {
                // An answer has filled its outbox: it has been cut, and its other calls have ended with it.
                return;
            }
            let reference = self.calls.reference(call).expect("invariant: a session's calls wait");
            let callee = self.calls.get(reference).map_or(self.id, |call| call.callee.shard);
            self.cancel_at(callee, reference, CancelMode::KillNoWait);
            self.finish_call(reference, error_uri::CANCELED, "");
        }
        if self.connections[slot].session != Some(session) {
            return;
        }
        if mode == ShutdownMode::Restart {
            return self.close_link(slot, Some(CLOSE_RESTART));
        }
        let details = [("message", Value::Str("the router is shutting down".into()))];
        let reason = error_uri::SYSTEM_SHUTDOWN.into();
        if self.post(slot, &Message::Goodbye { details: Dict::pairs(&details), reason }, 96).is_ok() {
            self.sessions[session].state = SessionState::Closing;
            self.connections[slot].receiver = None;
            let close_by = self.now.after(self.shared.config.limits.close_timeout);
            self.connections[slot].deadlines.close = close_by;
            self.arm(slot);
        }
    }
}

/// Counts an answer that nobody waits for.
pub(crate) fn count_dropped(shard: &Shard) {
    add(&shard.counters().answers_dropped, 1);
}
