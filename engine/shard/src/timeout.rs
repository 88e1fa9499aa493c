//! Timeouts of calls (advanced profile, "Call Timeouts"), on the shard of the caller.
//!
//! What a caller asks for is the matter of a callee with `forward_timeout` from when its INVOCATION is queued, of which the callee's
//! shard tells. Before that, above all while the call waits for its turn with a callee that has a `concurrency`, nobody but the
//! router can look after it. The callee is told of the time that is left.
//!
//! The queue has an entry per timed call, and some of calls that have ended; it is swept when those are the most, so that it
//! stays within a small multiple of the calls that wait.

use std::cmp::Reverse;
use std::time::Duration;

use wampline_routing::{CallOptions, CallRef};

use crate::Now;
use crate::frame::Frame;
use crate::route::Route;
use crate::shard::Shard;

/// How many entries of ended calls are let be before the queue is swept.
const SWEEP_FROM: usize = 1024;

/// When a call has taken too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    /// The CALL or the newest progressive result, in nanoseconds.
    since: u64,
    /// How long it may take by what the caller asks for, or else by the realm's rule.
    asked: Option<Duration>,
    /// How long it may take whatever is asked for.
    limit: Option<Duration>,
    /// The callee that has it now looks after what is asked for.
    is_forwarded: bool,
}

impl Timeout {
    /// For a call that has this long from now on, whatever its realm allows.
    pub(crate) fn starting(now: Now, span: Duration) -> Timeout {
        Timeout { since: now.0, asked: None, limit: Some(span), is_forwarded: false }
    }

    /// There was a progressive result: the time begins anew.
    pub(crate) fn renew(&mut self, now: Now) {
        self.since = now.0;
    }

    /// When the time is over, in nanoseconds.
    fn at(&self) -> Option<u64> {
        let asked = self.asked.filter(|_| !self.is_forwarded);
        let span = [asked, self.limit].into_iter().flatten().min()?;
        Some(Now(self.since).after(span))
    }
}

impl Shard {
    /// A call begins: it has the time that it asks for, in milliseconds, or what the realm allows.
    pub(crate) fn start_timeout(&mut self, call: CallRef, asked: Option<u64>) {
        let Some(caller) = self.calls.get(call).map(|entry| entry.caller) else { return };
        let realm = self.shared.realm(self.sessions[caller].realm);
        let (asked, limit) =
            (asked.map(Duration::from_millis).or(realm.call_timeout), realm.call_timeout_max);
        if asked.is_none() && limit.is_none() {
            return;
        }
        let since = self.now.0;
        let Some(extra) = self.extra(call) else { return };
        extra.timeout = Some(Timeout { since, asked, limit, is_forwarded: false });
        self.count_timed(call);
    }

    /// A call has been given a time.
    pub(crate) fn count_timed(&mut self, call: CallRef) {
        self.timed_calls += 1;
        self.sweep_timeouts();
        self.watch_call(call);
    }

    /// A call goes to a callee: until that is invoked the time is looked after here.
    pub(crate) fn hold_timeout(&mut self, call: CallRef) {
        if self.timeout_mut(call).is_some_and(|timeout| std::mem::take(&mut timeout.is_forwarded)) {
            self.watch_call(call);
        }
    }

    /// A callee of this shard has been invoked that looks after the time itself: the caller's shard leaves it to that.
    pub(crate) fn leave_timeout(&mut self, call: CallRef) {
        if call.shard == self.id {
            self.timeout_forwarded(call);
        } else {
            self.send(call.shard, Frame::TimeoutForwarded { call }, None);
        }
    }

    /// See [`Shard::leave_timeout`].
    pub(crate) fn timeout_forwarded(&mut self, call: CallRef) {
        if let Some(timeout) = self.timeout_mut(call) {
            timeout.is_forwarded = true;
        }
    }

    /// What a callee that looks after the time itself is told, in milliseconds: all of it, unless the call was elsewhere before.
    pub(crate) fn time_left(
        &self,
        call: CallRef,
        route: &Route<'_>,
        options: &CallOptions<'_>,
    ) -> Option<u64> {
        let asked = options.timeout?;
        let timeout = self.calls.get(call).and_then(|entry| entry.extra.as_ref()?.timeout);
        let since = timeout.filter(|_| !route.tried.is_empty()).map_or(self.now.0, |timeout| timeout.since);
        Some(left_of(asked, self.now.0.saturating_sub(since)))
    }

    fn timeout_mut(&mut self, call: CallRef) -> Option<&mut Timeout> {
        self.calls.get_mut(call)?.extra.as_mut()?.timeout.as_mut()
    }

    /// Sees to it that a call is looked at when its time is over.
    fn watch_call(&mut self, call: CallRef) {
        let timeout = self.calls.get(call).and_then(|entry| entry.extra.as_ref()?.timeout);
        if let Some(at) = timeout.and_then(|timeout| timeout.at())
            && let Some(born) = self.calls.born(call.slot)
        {
            self.call_timeouts.push(Reverse((at, call.slot, born)));
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
            match timeout.and_then(|timeout| timeout.at()) {
                Some(at) if at > self.now.0 => self.call_timeouts.push(Reverse((at, slot, born))),
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

/// What is left of so many milliseconds after so many nanoseconds: never 0, which would mean that there is no limit.
pub(crate) fn left_of(millis: u64, nanos: u64) -> u64 {
    millis.saturating_sub(nanos / 1_000_000).max(1)
}

#[cfg(test)]
mod tests {
    use super::left_of;

    #[test]
    fn the_time_that_is_left_is_never_none() {
        let millis = |millis: u64| millis * 1_000_000;
        assert_eq!(left_of(1000, 0), 1000);
        assert_eq!(left_of(1000, millis(1) - 1), 1000);
        assert_eq!(left_of(1000, millis(400)), 600);
        assert_eq!(left_of(1000, millis(1000)), 1);
        assert_eq!(left_of(1000, u64::MAX), 1);
    }
}
