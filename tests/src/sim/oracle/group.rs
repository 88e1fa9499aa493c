//! Calls to all callees: each is invoked once, all by one registration, nobody who serves it is left out, and the caller learns
//! every answer once: as it comes, if it takes progressive results, and in one list when the last one has come.

use std::collections::BTreeMap;

use serde_json::Value;

use super::dealer::Answer;
use super::{Oracle, SessionNo, Verdict};
use crate::sim::pool::Pattern;

/// The calls that go to all callees.
#[derive(Default)]
pub(super) struct Groups {
    by_call: BTreeMap<usize, Group>,
}

#[derive(Default)]
struct Group {
    /// By which registration, and its pattern.
    taken: Option<(u64, Pattern)>,
    members: BTreeMap<SessionNo, Member>,
    /// The sessions whose final answers have been reported as progress, by their ids, in this order.
    reported: Vec<u64>,
}

/// Who was invoked. Times are in nanoseconds.
#[derive(Default)]
struct Member {
    /// When it yielded its progressive results.
    yielded_on: Vec<u64>,
    /// How many of them have come.
    progress: usize,
    answer: Option<(Answer, u64)>,
}

impl Groups {
    pub(super) fn begin(&mut self, number: usize) {
        self.by_call.insert(number, Group::default());
    }

    /// Whether a call goes to all callees.
    pub(super) fn has(&self, number: usize) -> bool {
        self.by_call.contains_key(&number)
    }

    pub(super) fn yielded(&mut self, number: usize, callee: SessionNo, now: u64) {
        let member = self.by_call.get_mut(&number).and_then(|group| group.members.get_mut(&callee));
        if let Some(member) = member {
            member.yielded_on.push(now);
        }
    }

    pub(super) fn answered(&mut self, number: usize, callee: SessionNo, answer: Answer, now: u64) {
        let member = self.by_call.get_mut(&number).and_then(|group| group.members.get_mut(&callee));
        if let Some(member) = member {
            member.answer.get_or_insert((answer, now));
        }
    }
}

impl Oracle {
    /// Somebody is invoked for a call to all callees.
    pub(super) fn group_invoked(&mut self, callee: SessionNo, number: usize, registration: u64) -> Verdict {
        let pattern = self.sessions[callee].registrations[&registration].pattern.clone();
        let Some(group) = self.groups.by_call.get_mut(&number) else { return Ok(()) };
        let (taken, _) = group.taken.get_or_insert((registration, pattern));
        if *taken != registration {
            return Err("others were invoked by another registration".into());
        }
        match group.members.insert(callee, Member::default()) {
            Some(_) => Err("it has been invoked for this call before".into()),
            None => Ok(()),
        }
    }

    /// A progressive result: what one callee has answered, for good or not.
    pub(super) fn group_progress(&mut self, number: usize, message: &Value) -> Verdict {
        if !self.calls[number].wants_progress {
            return Err("the caller has not asked for progress".into());
        }
        let (id, is_final) = self.judge_entry(number, &message[3][0])?;
        self.calls[number].progress += 1;
        let callee = self.session_of(id);
        let group = self.groups.by_call.get_mut(&number).ok_or("not a call to all callees")?;
        if group.reported.contains(&id) {
            return Err("after its final answer".into());
        }
        let member = callee.and_then(|callee| group.members.get_mut(&callee));
        let at = match member {
            Some(member) if !is_final => {
                if message[3][0]["args"][3].as_u64() != Some(member.progress as u64) {
                    return Err(format!("progress {} of session {id} is due", member.progress));
                }
                member.progress += 1;
                member.yielded_on[member.progress - 1]
            }
            Some(member) => member.answer.map_or(0, |(_, at)| at),
            None => 0,
        };
        if is_final {
            group.reported.push(id);
        }
        self.renew_time_at(number, at);
        Ok(())
    }

    /// RESULT: the list of all answers.
    pub(super) fn group_result(&mut self, number: usize, message: &Value) -> Verdict {
        self.summary.groups += 1;
        let (mut listed, mut yielded) = (Vec::new(), Vec::new());
        for entry in message[3].as_array().ok_or("not a list")? {
            let (id, is_final) = self.judge_entry(number, entry)?;
            if !is_final || listed.contains(&id) {
                return Err(format!(
                    "session {id} is there twice, or with what it has not answered for good"
                ));
            }
            listed.push(id);
            // (Who has left may have answered, and nothing of that has arrived.)
            if entry["error"].is_null() {
                yielded.push(id);
            }
        }
        let is_listed = |callee: SessionNo| self.sessions[callee].id.is_some_and(|id| listed.contains(&id));
        let (call, group) = (&self.calls[number], &self.groups.by_call[&number]);
        if call.wants_progress && group.reported != listed {
            return Err(format!("the answers of {:?} have been reported", group.reported));
        }
        for (callee, member) in &group.members {
            let has_yielded = self.sessions[*callee].id.is_some_and(|id| yielded.contains(&id));
            if !is_listed(*callee) {
                return Err(format!("s{callee} was invoked and is not listed"));
            }
            if call.wants_progress && has_yielded && member.progress != member.yielded_on.len() {
                return Err(format!("{} progressive results of s{callee} have come", member.progress));
            }
        }
        let Some((_, pattern)) = &group.taken else { return Ok(()) };
        let realm = &self.sessions[call.caller].realm;
        let mut left_out = self
            .stable(realm, call.sent_at, call.caller)
            .filter(|(callee, registration)| registration.pattern == *pattern && !is_listed(*callee));
        match left_out.next() {
            Some((callee, _)) => Err(format!("s{callee} serves {pattern:?} and is left out")),
            None => Ok(()),
        }
    }

    /// ERROR: of the router alone.
    pub(super) fn group_failed(&mut self, number: usize, uri: &str) -> Verdict {
        let call = &self.calls[number];
        let is_going_down = self.going_down.is_some();
        match uri {
            "wamp.error.invalid_uri" if !call.is_valid => Ok(()),
            "wamp.error.canceled" if call.is_canceled || is_going_down => Ok(()),
            "wamp.error.no_such_procedure" if is_going_down => Ok(()),
            "wamp.error.no_such_procedure" if self.groups.by_call[&number].members.is_empty() => {
                self.not_found(number)
            }
            "wamp.error.timeout" => self.timed_out(number),
            _ => Err("an error that no call to all callees can have".into()),
        }
    }

    /// What is said of one callee must be what it has answered. Gives its session's id, and whether that is final.
    fn judge_entry(&self, number: usize, entry: &Value) -> Result<(u64, bool), String> {
        let id = entry["session"].as_u64().ok_or("of nobody")?;
        let Some(callee) = self.session_of(id) else {
            // It has registered and left before it has heard that it has joined.
            let is_lost = entry["error"] == "wamp.error.canceled";
            return if is_lost { Ok((id, true)) } else { Err("of nobody".into()) };
        };
        let member = self.groups.by_call.get(&number).and_then(|group| group.members.get(&callee));
        let answer = member.and_then(|member| member.answer).map(|(answer, _)| answer);
        let arguments = &entry["args"];
        let is_own = arguments[0].as_u64() == Some(number as u64)
            && arguments[2].as_u64() == Some(callee as u64)
            && member.is_some();
        let is_right = match entry["error"].as_str() {
            None => {
                let yielded = member.map_or(0, |member| member.yielded_on.len());
                if is_own && arguments[3].as_u64().is_some_and(|position| position < yielded as u64) {
                    return Ok((id, false));
                }
                is_own && answer == Some(Answer::Result)
            }
            Some("com.app.failed") => is_own && answer == Some(Answer::Error),
            Some("wamp.error.unavailable") => is_own && answer == Some(Answer::Unavailable),
            Some("wamp.error.canceled") => self.may_be_lost(number, callee, member.is_some()),
            _ => false,
        };
        if is_right { Ok((id, true)) } else { Err(format!("s{callee} has not answered that")) }
    }

    /// Whether the router may say of a callee that there is no answer from it.
    fn may_be_lost(&self, number: usize, callee: SessionNo, was_invoked: bool) -> bool {
        let call = &self.calls[number];
        let realm = &self.sessions[call.caller].realm;
        let serves = |pattern: &Pattern| pattern.matches(&call.procedure);
        let staying: Vec<usize> = self
            .stable(realm, call.sent_at, call.caller)
            .filter(|(n, registration)| *n == callee && serves(&registration.pattern))
            .map(|(_, registration)| registration.hold)
            .collect();
        // By which one the call has come is not known: none of them may have begun or ended of late.
        let is_shaky = self.holds.iter().enumerate().any(|(n, hold)| {
            let is_late = hold.until.is_none_or(|until| until > self.last_rest);
            hold.session == callee && serves(&hold.pattern) && is_late && !staying.contains(&n)
        });
        call.is_canceled
            || self.going_down.is_some()
            || self.sessions[callee].ending_at.is_some()
            || (!was_invoked && (staying.is_empty() || is_shaky))
    }
}
