//! Timeouts of calls: none ends too early, and none waits longer than it may.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Oracle, Pending, State, Verdict};

/// What is known of time, in nanoseconds.
#[derive(Default)]
pub(super) struct Times {
    now: u64,
    /// How long calls may take that ask for nothing.
    default: Option<u64>,
    /// How long calls may take whatever they ask for.
    limit: Option<u64>,
    /// The calls that have a limit.
    calls: BTreeMap<usize, Timed>,
}

struct Timed {
    span: u64,
    sent_at: u64,
    /// When each progressive result was yielded.
    yielded: Vec<u64>,
}

impl Oracle {
    pub(crate) fn set_time(&mut self, now: u64) {
        self.times.now = now;
    }

    /// The rules of all realms, in nanoseconds.
    pub(crate) fn limit_calls(&mut self, default: Option<u64>, limit: Option<u64>) {
        (self.times.default, self.times.limit) = (default, limit);
    }

    pub(super) fn begin_time(&mut self, number: usize, message: &Value) {
        let asked = message[2]["timeout"].as_u64().map(|millis| millis * 1_000_000);
        let times = &mut self.times;
        if let Some(span) = [asked.or(times.default), times.limit].into_iter().flatten().min() {
            times.calls.insert(number, Timed { span, sent_at: times.now, yielded: Vec::new() });
        }
    }

    /// A progressive result is on its way: when it comes, the time begins anew.
    pub(super) fn renew_time(&mut self, number: usize) {
        let now = self.times.now;
        if let Some(timed) = self.times.calls.get_mut(&number) {
            timed.yielded.push(now);
        }
    }

    /// Whether a call may have ended for its time.
    pub(super) fn may_have_timed_out(&self, number: usize) -> bool {
        let timed = self.times.calls.get(&number);
        timed.is_some_and(|timed| timed.sent_at + timed.span <= self.times.now)
    }

    /// A call has been told that its time is over.
    pub(super) fn timed_out(&mut self, number: usize) -> Verdict {
        self.summary.timeouts += 1;
        let timed = self.times.calls.get(&number).ok_or("it has no limit")?;
        let progress = self.calls[number].progress as usize;
        let renewed_at = progress.checked_sub(1).and_then(|last| timed.yielded.get(last)).copied();
        let since = timed.sent_at.max(renewed_at.unwrap_or(0));
        match self.times.now.checked_sub(since + timed.span) {
            Some(_) => Ok(()),
            None => Err(format!("{} ns too early", since + timed.span - self.times.now)),
        }
    }

    /// This much time has passed since everything was at rest, and nobody has yielded anything: no call waits that may take no
    /// longer.
    pub(crate) fn check_timed(&self, pause: u64) -> Verdict {
        for (n, session) in self.sessions.iter().enumerate() {
            // What an authorizer is asked about waits for it, and its time has not begun.
            let is_asked_about = session.role.zip(self.model()).is_some_and(|(role, model)| model.asks(role));
            if session.state != State::Open || session.ending_at.is_some() || is_asked_about {
                continue;
            }
            for pending in session.pending.values() {
                if let Pending::Call(number) = pending
                    && self.times.calls.get(number).is_some_and(|timed| timed.span <= pause)
                {
                    return Err(format!("at rest: call {number} of s{n} waits longer than it may"));
                }
            }
        }
        Ok(())
    }
}
