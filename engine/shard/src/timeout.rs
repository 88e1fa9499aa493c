//! Timeouts of calls (advanced profile, "Call Timeouts"), on the shard of the caller.
//!
//! The queue has an entry per timed call, and some of calls that have ended; it is swept when those are the most, so that it
//! stays within a small multiple of the calls that wait.

use std::cmp::Reverse;
use std::time::Duration;

use wampline_routing::CallRef;

use crate::Now;
use crate::shard::Shard;

/// How many entries of ended calls are let be before the queue is swept.
const SWEEP_FROM: usize = 1024;

/// When a call has taken too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    /// How long it may take, from the CALL or the newest progressive result.
    span: Duration,
    /// In nanoseconds.
    at: u64,
}

impl Timeout {
    /// There was a progressive result: the time begins anew.
    pub(crate) fn renew(&mut self, now: Now) {
        self.at = now.after(self.span);
    }
}

impl Shard {
    /// A call begins: it has the time that it asks for, in milliseconds, or what the realm allows.
    pub(crate) fn start_timeout(&mut self, call: CallRef, asked: Option<u64>) {
        let Some(caller) = self.calls.get(call).map(|entry| entry.caller) else { return };
        let realm = &self.shared.config.realms[self.sessions[caller].realm.index()];
        let span = asked.map(Duration::from_millis).or(realm.call_timeout);
        let span = [span, realm.call_timeout_max].into_iter().flatten().min();
        let Some(span) = span else { return };
        let at = self.now.after(span);
        let born = self.calls.born(call.slot).expect("invariant: the call has just been looked at");
        let Some(extra) = self.extra(call) else { return };
        extra.timeout = Some(Timeout { span, at });
        self.timed_calls += 1;
        self.sweep_timeouts();
        self.call_timeouts.push(Reverse((at, call.slot, born)));
    }

    /// The callee looks after the time that the call asks for: what is left to us is the bound of the realm.
    pub(crate) fn hand_over_timeout(&mut self, call: CallRef) {
        let Some(caller) = self.calls.get(call).map(|entry| entry.caller) else { return };
        let most = self.shared.config.realms[self.sessions[caller].realm.index()].call_timeout_max;
        let now = self.now;
        let Some(extra) = self.extra(call) else { return };
        if extra.timeout.is_some() {
            extra.timeout = most.map(|span| Timeout { span, at: now.after(span) });
            self.timed_calls -= usize::from(most.is_none());
        }
    }

    /// When the next call may have taken too long.
    pub(crate) fn next_timeout(&self) -> Option<u64> {
        self.call_timeouts.peek().map(|Reverse((at, ..))| *at)
    }

    /// Ends the calls that have taken too long.
    pub(crate) fn expire_calls(&mut self) {
        while let Some(&Reverse((at, slot, born))) = self.call_timeouts.peek()
            && at <= self.now.0
        {
            self.call_timeouts.pop();
            if self.calls.born(slot) != Some(born) {
                continue;
            }
            let Some(call) = self.calls.reference(slot) else { continue };
            let timeout = self.calls.get(call).and_then(|entry| entry.extra.as_ref()?.timeout);
            match timeout {
                Some(timeout) if timeout.at > self.now.0 => {
                    self.call_timeouts.push(Reverse((timeout.at, slot, born)));
                }
                Some(_) => self.call_timed_out(call),
                None => {}
            }
        }
    }

    fn sweep_timeouts(&mut self) {
        if self.call_timeouts.len() < SWEEP_FROM + 2 * self.timed_calls {
            return;
        }
        let calls = &self.calls;
        self.call_timeouts.retain(|Reverse((_, slot, born))| calls.born(*slot) == Some(*born));
    }
}
