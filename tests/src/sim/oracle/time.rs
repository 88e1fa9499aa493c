//! Timeouts of calls: none ends too early, and none waits longer than it may.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Oracle, Pending, State, Step, Verdict};

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
    /// The newest time that has passed at rest: from when to when, and the step at which it began.
    pause: (u64, u64, Step),
    /// Everybody has heard what has happened in it.
    is_heard: bool,
}

struct Timed {
    span: u64,
    /// The milliseconds that its caller asks for.
    asked: Option<u64>,
    sent_at: u64,
    /// When each progressive result was yielded.
    yielded: Vec<u64>,
}

impl Times {
    pub(super) fn now(&self) -> u64 {
        self.now
    }
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
        let asked = message[2]["timeout"].as_u64();
        let times = &mut self.times;
        let nanos = asked.map(|millis| millis * 1_000_000).or(times.default);
        if let Some(span) = [nanos, times.limit].into_iter().flatten().min() {
            times.calls.insert(number, Timed { span, asked, sent_at: times.now, yielded: Vec::new() });
        }
    }

    /// A progressive result is on its way: when it comes, the time begins anew.
    pub(super) fn renew_time(&mut self, number: usize) {
        let now = self.times.now;
        if let Some(timed) = self.times.calls.get_mut(&number) {
            timed.yielded.push(now);
        }
    }

    /// The same for a call to all callees, whose progressive results come of many: this one was yielded at that time.
    pub(super) fn renew_time_at(&mut self, number: usize, at: u64) {
        if let Some(timed) = self.times.calls.get_mut(&number) {
            let last = timed.yielded.last().copied().unwrap_or(0);
            timed.yielded.push(at.max(last));
        }
    }

    /// This much time is about to pass. Nothing is on its way, and everybody has read everything.
    pub(crate) fn pauses(&mut self, nanos: u64) {
        self.times.pause = (self.times.now, self.times.now + nanos, self.step);
        self.times.is_heard = false;
    }

    /// `INVOCATION.Details.timeout`: what is left, for callees that look after it.
    pub(super) fn judge_forwarded(&mut self, number: usize, forwards: bool, told: &Value) -> Verdict {
        let times = &self.times;
        let timed = times.calls.get(&number).filter(|_| forwards);
        let Some((timed, asked)) = timed.and_then(|timed| timed.asked.map(|asked| (timed, asked))) else {
            return if told.is_null() { Ok(()) } else { Err("it has not asked for timeouts".into()) };
        };
        let told = told.as_u64().ok_or("its timeout is due")?;
        let at_least = asked.saturating_sub((times.now - timed.sent_at).div_ceil(1_000_000)).max(1);
        let (from, until, _) = times.pause;
        let has_waited = timed.sent_at <= from && times.is_heard;
        let waited = if has_waited { (until - from) / 1_000_000 } else { 0 };
        let at_most = asked.saturating_sub(waited).max(1);
        self.summary.forwarded += 1;
        match (at_least..=at_most).contains(&told) {
            true => Ok(()),
            false => Err(format!("from {at_least} to {at_most} ms are left")),
        }
    }

    /// Whether the callee of a call looks after what its caller has asked for.
    fn is_forwarded(&self, number: usize, since: Step) -> bool {
        let call = &self.calls[number];
        call.answer.is_none() && call.forwarded_at.is_some_and(|at| at <= since)
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
        let is_forwarded = self.is_forwarded(number, self.times.pause.2);
        let limit = self.times.limit;
        let span = if is_forwarded { limit.ok_or("its callee looks after it")? } else { timed.span };
        match self.times.now.checked_sub(since + span) {
            Some(_) => Ok(()),
            None => Err(format!("{} ns too early", since + span - self.times.now)),
        }
    }

    /// This much time has passed since everything was at rest, and nobody has yielded anything: no call waits that may take no
    /// longer.
    pub(crate) fn check_timed(&mut self, pause: u64) -> Verdict {
        self.times.is_heard = true;
        for (n, session) in self.sessions.iter().enumerate() {
            // What an authorizer is asked about waits for it, and its time has not begun.
            let is_asked_about = session.role.zip(self.model()).is_some_and(|(role, model)| model.asks(role));
            if session.state != State::Open || session.ending_at.is_some() || is_asked_about {
                continue;
            }
            for pending in session.pending.values() {
                let Pending::Call(number) = pending else { continue };
                let span = match self.is_forwarded(*number, Step::MAX) {
                    true => self.times.limit,
                    false => self.times.calls.get(number).map(|timed| timed.span),
                };
                if span.is_some_and(|span| span <= pause) {
                    return Err(format!("at rest: call {number} of s{n} waits longer than it may"));
                }
            }
        }
        Ok(())
    }
}
