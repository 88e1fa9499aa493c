//! Deadlines of connections: handshake, liveness, progress of output, closing.
//!
//! The queue holds at most a few entries per connection: an entry is added only when the connection's earliest deadline
//! moves closer than what is armed; a later one is found when the armed entry comes up.

use std::cmp::Reverse;

use wampline_transports::Framing;

use crate::action::Cut;
use crate::connection::{Link, NEVER};
use crate::counters::add;
use crate::shard::Shard;
use crate::{ConnKey, Now};

impl Shard {
    /// When [`Shard::expire`] wants to be called next, at the latest.
    pub fn next_deadline(&self) -> Option<Now> {
        let queued = self.deadlines.peek().map(|Reverse((at, ..))| *at);
        let shutdown = self.shutdown.as_ref().and_then(|shutdown| shutdown.next_deadline());
        let kills = self.home.dues.next_deadline();
        [queued, self.next_timeout(), shutdown, kills].into_iter().flatten().min().map(Now)
    }

    /// Deals with the deadlines that have passed.
    pub fn expire(&mut self, now: Now) {
        self.now = now;
        let early = self.home.dues.expire(now);
        add(&self.counters().kills_early, early);
        self.expire_calls();
        while let Some(&Reverse((at, slot, guard))) = self.deadlines.peek()
            && at <= self.now.0
        {
            self.deadlines.pop();
            if self.is_live(ConnKey { slot, guard }) && self.connections[slot].deadlines.armed == at {
                self.connections[slot].deadlines.armed = NEVER;
                self.expire_connection(slot);
                if self.connections.is_live(slot, guard) {
                    self.arm(slot);
                }
            }
        }
    }

    /// Makes sure that the connection is looked at when its earliest deadline has passed.
    pub(crate) fn arm(&mut self, slot: u32) {
        let connection = &mut self.connections[slot];
        let earliest = connection.deadlines.earliest();
        if earliest < connection.deadlines.armed {
            connection.deadlines.armed = earliest;
            self.deadlines.push(Reverse((earliest, slot, connection.guard)));
        }
    }

    /// Something was received.
    pub(crate) fn heard_from(&mut self, slot: u32) {
        let connection = &mut self.connections[slot];
        if connection.deadlines.ping != NEVER || connection.deadlines.pong != NEVER {
            let settings = &self.shared.config.listeners[connection.listener.0 as usize];
            if let Some(interval) = settings.ping_interval {
                connection.deadlines.ping = self.now.after(interval);
                connection.deadlines.pong = NEVER;
                self.arm(slot);
            }
        }
    }

    /// The transport is open: a WebSocket is pinged when it is silent. (RawSocket is not: widely used clients take a PING
    /// for a message of 16 MiB; TCP keep-alive watches those.)
    pub(crate) fn watch_liveness(&mut self, slot: u32) {
        let connection = &mut self.connections[slot];
        let settings = &self.shared.config.listeners[connection.listener.0 as usize];
        if let (Framing::WebSocket, Some(interval)) = (connection.form.framing(), settings.ping_interval) {
            connection.deadlines.ping = self.now.after(interval);
            self.arm(slot);
        }
    }

    fn expire_connection(&mut self, slot: u32) {
        let due = self.connections[slot].deadlines;
        if due.close <= self.now.0 {
            self.connections[slot].deadlines.close = NEVER;
            self.cut(slot, Cut::Unresponsive);
        } else if due.stall <= self.now.0 {
            self.connections[slot].deadlines.stall = NEVER;
            self.cut(slot, Cut::Stalled);
        } else if due.pong <= self.now.0 {
            self.connections[slot].deadlines.pong = NEVER;
            self.cut(slot, Cut::Silent);
        } else if due.hello <= self.now.0 {
            self.hello_overdue(slot);
        } else if due.authentication <= self.now.0 {
            self.authentication_due(slot);
        } else if due.goodbye <= self.now.0 {
            add(&self.counters().goodbye_early, 1);
            self.answer_goodbye(slot);
        } else if due.ping <= self.now.0 {
            self.ping(slot);
        }
    }

    fn hello_overdue(&mut self, slot: u32) {
        self.connections[slot].deadlines.hello = NEVER;
        if !self.connections[slot].had_session {
            add(&self.counters().handshake_timeouts, 1);
            tracing::debug!(peer = %self.connections[slot].peer, "no HELLO in time");
        }
        if self.connections[slot].link == Link::Open {
            self.close_link(slot, Some(crate::leave::CLOSE_NORMAL));
        } else {
            self.close_link(slot, None);
        }
    }

    fn ping(&mut self, slot: u32) {
        let connection = &mut self.connections[slot];
        let settings = &self.shared.config.listeners[connection.listener.0 as usize];
        connection.deadlines.ping = NEVER;
        connection.deadlines.pong = self.now.after(settings.ping_timeout);
        if let Some(server) = connection.server.as_mut() {
            server.ping(&mut connection.outbox.control);
        }
        self.mark_dirty(slot);
    }
}
