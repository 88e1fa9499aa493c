//! Registrations, calls and invocations.

use serde_json::Value;

use super::broker::{is_valid_pattern, padding_of, pattern_of};
use super::removal::Taken;
use super::{ID_MAX, Oracle, Pending, SessionNo, Step, Verdict, code};
use crate::sim::pool::{Pattern, Policy};
use wampline_routing::authorization::Action;

/// From REGISTERED to UNREGISTERED.
pub(crate) struct Registration {
    pub(super) pattern: Pattern,
    /// When REGISTER was sent: what the session itself calls later waits for the answer.
    pub(super) asked_at: Step,
    /// When REGISTERED was received.
    pub(super) since: Step,
    /// When UNREGISTER was sent.
    pub(super) ending_at: Option<Step>,
    pub(super) hold: usize,
    /// How many invocations its callee takes at a time.
    concurrency: Option<u64>,
}

/// What a callee has answered for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Result,
    Error,
    /// Another callee is to take the call.
    Unavailable,
}

pub(super) struct Call {
    pub(super) caller: SessionNo,
    pub(super) procedure: String,
    pub(super) sent_at: Step,
    pub(super) is_valid: bool,
    is_permitted: bool,
    padding: usize,
    /// Who was invoked for it last.
    callee: Option<SessionNo>,
    /// What that callee has answered for good.
    pub(super) answer: Option<Answer>,
    /// When that callee was told how long the call may take, and so looks after it.
    pub(super) forwarded_at: Option<Step>,
    /// By which of the callee's registrations, and its pattern.
    taken: Option<(u64, Pattern)>,
    /// Who has been invoked for it before, in vain.
    tried: Vec<SessionNo>,
    pub(super) wants_progress: bool,
    /// Progressive results received.
    pub(super) progress: u64,
    /// Its caller has sent CANCEL.
    pub(super) is_canceled: bool,
    /// Its caller has its final answer.
    pub(super) is_over: bool,
}

impl Registration {
    /// Whether calls of this procedure may come to it.
    pub(super) fn serves(&self, procedure: &str) -> bool {
        self.pattern.matches(procedure)
    }
}

impl Call {
    pub(super) fn callee(&self) -> Option<SessionNo> {
        self.callee
    }
}

/// From INVOCATION to its answer, and beyond.
pub(crate) struct Invocation {
    pub(crate) call: usize,
    pub(crate) is_answered: bool,
    /// Progressive results that were yielded.
    pub(crate) yielded: u64,
    pub(super) registration: u64,
    at: Step,
}

impl Oracle {
    pub(super) fn register(&mut self, session: SessionNo, request: u64, message: &Value) {
        let pattern = pattern_of(message);
        let pending = if is_valid_pattern(&pattern) && !pattern.uri.starts_with("wamp.") {
            self.wants(session, code::REGISTER, request, vec![(Action::Register, pattern.clone())]);
            let invoke = message[2]["invoke"].as_str().unwrap_or("single").to_owned();
            let concurrency = message[2]["concurrency"].as_u64();
            Pending::Register(pattern.clone(), self.hold(session, pattern, invoke), self.step, concurrency)
        } else {
            Pending::Refused
        };
        if let Pending::Register(_, hold, ..) = pending {
            self.holds[hold].forwards_timeout = message[2]["forward_timeout"] == true;
            if message[2]["force_reregister"] == true {
                self.takes_over(session, hold);
            }
        }
        self.sessions[session].pending.insert((code::REGISTER, request), pending);
    }

    /// The pattern by which an invocation came, while its callee serves it.
    pub(crate) fn pattern_served(&self, session: SessionNo, invocation: u64) -> Option<Pattern> {
        let registration = self.sessions[session].invocations.get(&invocation)?.registration;
        let registration = self.sessions[session].registrations.get(&registration)?;
        Some(registration.pattern.clone())
    }

    pub(super) fn unregister(&mut self, session: SessionNo, request: u64, message: &Value) {
        let id = message[2].as_u64().unwrap_or_default();
        let step = self.step;
        let entry = &mut self.sessions[session];
        entry.pending.insert((code::UNREGISTER, request), Pending::Unregister(id));
        if let Some(registration) = entry.registrations.get_mut(&id) {
            registration.ending_at.get_or_insert(step);
        }
        self.service_ends(session, id);
    }

    pub(super) fn call(&mut self, session: SessionNo, request: u64, message: &Value) {
        let procedure = message[3].as_str().unwrap_or_default().to_owned();
        let exact = Pattern { policy: Policy::Exact, uri: procedure.clone() };
        let number = self.calls.len();
        let permit = self.permit(session, Action::Call, &exact);
        if message[2]["runmode"] == "all" {
            self.groups.begin(number);
        }
        if is_valid_pattern(&exact) {
            self.wants(session, code::CALL, request, vec![(Action::Call, exact.clone())]);
        }
        self.calls.push(Call {
            is_permitted: permit.may(),
            caller: session,
            is_valid: is_valid_pattern(&exact),
            procedure,
            sent_at: self.step,
            padding: padding_of(&message[4]),
            callee: None,
            answer: None,
            forwarded_at: None,
            taken: None,
            tried: Vec::new(),
            wants_progress: message[2]["receive_progress"] == true,
            progress: 0,
            is_canceled: false,
            is_over: false,
        });
        self.sessions[session].pending.insert((code::CALL, request), Pending::Call(number));
    }

    /// A caller cancels one of its calls.
    pub(super) fn cancel(&mut self, session: SessionNo, request: u64) {
        if let Some(Pending::Call(number)) = self.sessions[session].pending.get(&(code::CALL, request)) {
            self.calls[*number].is_canceled = true;
        }
    }

    /// A callee yields a progressive result.
    pub(super) fn progressed(&mut self, session: SessionNo, invocation: u64) {
        if let Some(invocation) = self.sessions[session].invocations.get_mut(&invocation)
            && !invocation.is_answered
        {
            invocation.yielded += 1;
            let call = invocation.call;
            if self.groups.has(call) {
                self.groups.yielded(call, session, self.times.now());
            } else {
                self.renew_time(call);
            }
        }
    }

    /// A callee answers an invocation.
    pub(super) fn answered(&mut self, session: SessionNo, invocation: u64, answer: Answer) {
        if let Some(invocation) = self.sessions[session].invocations.get_mut(&invocation)
            && !std::mem::replace(&mut invocation.is_answered, true)
        {
            self.groups.answered(invocation.call, session, answer, self.times.now());
            let call = &mut self.calls[invocation.call];
            if call.callee == Some(session) {
                call.answer = Some(answer);
            }
        }
    }

    /// The router interrupts an invocation: its call is cancelled, or its caller is gone.
    pub(super) fn interrupt(&mut self, session: SessionNo, message: &Value) -> Verdict {
        let entry = &self.sessions[session];
        if !entry.can_cancel {
            return Err("it has not announced that it can be interrupted".into());
        }
        let id = message[1].as_u64().ok_or("no request id")?;
        if entry.questions.contains_key(&id) {
            return Ok(()); // It takes too long, or whoever it is about is gone.
        }
        let invocation = entry.invocations.get(&id).ok_or("an invocation that never was")?;
        if !matches!(message[2]["mode"].as_str(), Some("kill" | "killnowait")) {
            return Err("no mode".into());
        }
        let (number, call) = (invocation.call, &self.calls[invocation.call]);
        let is_over = self.may_have_timed_out(number)
            || self.sessions[call.caller].ending_at.is_some()
            || self.going_down.is_some();
        if !call.is_canceled && !is_over {
            return Err("nobody has cancelled the call".into());
        }
        self.chunks_interrupted(session, id, &message[2]["mode"]);
        Ok(())
    }

    pub(super) fn registered(&mut self, session: SessionNo, pending: Pending, message: &Value) -> Verdict {
        let Pending::Register(pattern, hold, asked_at, concurrency) = pending else {
            return Err("the pattern is not valid".into());
        };
        let id = message[2].as_u64().filter(|id| (1..=ID_MAX).contains(id)).ok_or("id out of range")?;
        self.registered_again(session, id);
        let realm = &self.sessions[session].realm;
        let invoke = &self.holds[hold].invoke;
        let taken = self.stable(realm, Step::MAX, session).find(|(other, registration)| {
            let is_shared =
                *other != session && invoke != "single" && *invoke == self.holds[registration.hold].invoke;
            registration.pattern == pattern && !is_shared
        });
        // A shared registration keeps its id, so the session may have given it up again before it reads this.
        let is_given_up = |pending: &Pending| matches!(pending, Pending::Unregister(other) if *other == id);
        let entry = &self.sessions[session];
        let under_way = entry.pending.values().any(is_given_up).then_some(self.step);
        let under_way = under_way
            .or_else(|| self.lost_already(Taken::Registration, session, id))
            .or_else(|| self.is_taken_over(hold).then_some(self.step));
        let entry = &self.sessions[session];
        // (And a session that is ending may have lost it.)
        if let Some((other, _)) = taken
            && under_way.is_none()
            && entry.ending_at.is_none()
        {
            return Err(format!("s{other} has registered it already"));
        }
        let since = self.step;
        self.service_begins(hold, under_way.is_some());
        let registration = Registration { pattern, asked_at, since, ending_at: under_way, hold, concurrency };
        match self.sessions[session].registrations.insert(id, registration) {
            Some(_) => Err("a registration id for the second time".into()),
            None => Ok(()),
        }
    }

    pub(super) fn registration_refused(&mut self, hold: usize, uri: &str) -> Verdict {
        let step = self.step;
        self.holds[hold].until = Some(step);
        self.force_refused(hold);
        let asked = &self.holds[hold];
        let is_justified = self.holds.iter().enumerate().any(|(n, other)| {
            let is_reason = match uri {
                "wamp.error.procedure_already_exists" => {
                    other.invoke == "single" || other.session == asked.session
                }
                "wamp.error.procedure_exists_with_different_invocation_policy" => {
                    other.invoke != asked.invoke
                }
                _ => false,
            };
            n != hold
                && is_reason
                && (&other.realm, &other.pattern) == (&asked.realm, &asked.pattern)
                && other.from < step
                && other.until.is_none_or(|until| until > asked.from)
        });
        if is_justified { Ok(()) } else { Err("nobody has registered it in such a way".into()) }
    }

    pub(super) fn unregistered(&mut self, session: SessionNo, pending: Pending) -> Verdict {
        let Pending::Unregister(id) = pending else { return Err("not asked for".into()) };
        let registration = self.sessions[session].registrations.remove(&id);
        let may_be_lost = !self.can_lose(session, Taken::Registration);
        if registration.is_none() && (self.was_lost(Taken::Registration, session, id) || may_be_lost) {
            return Ok(());
        }
        let registration = registration.ok_or("there was no such registration")?;
        self.holds[registration.hold].until = Some(self.step);
        Ok(())
    }

    pub(super) fn invocation(&mut self, session: SessionNo, message: &Value) -> Verdict {
        let id = message[1].as_u64().ok_or("no request id")?;
        if self.sessions[session].invocations.contains_key(&id) {
            return self.next_chunk(session, id, message);
        }
        let number = message[4][0].as_u64().ok_or("not one of our calls")? as usize;
        self.first_chunk(session, id, number, message)?;
        let call = self.calls.get_mut(number).ok_or("nobody has called this")?;
        if !call.is_permitted {
            return Err("the call is not permitted".into());
        }
        let entry = &mut self.sessions[session];
        if id != entry.last_invocation + 1 {
            return Err(format!("invocation id {} is due", entry.last_invocation + 1));
        }
        entry.last_invocation = id;
        let registration = message[2].as_u64().ok_or("no registration id")?;
        let is_group = self.groups.has(number);
        if !is_group && let Some(before) = call.callee.replace(session) {
            if call.answer.take() != Some(Answer::Unavailable) || call.progress > 0 {
                return Err("the call has been invoked before".into());
            }
            call.tried.push(before);
            let mut before = entry.invocations.values();
            if before.any(|before| before.call == number) {
                return Err("it has said that it is not available".into());
            }
        }
        let is_rerouted = !call.tried.is_empty();
        if call.padding != padding_of(&message[4]) {
            return Err("the payload has changed".into());
        }
        let caller = call.caller;
        let last = entry.last_called.entry(caller).or_insert(number);
        let came_before = *last;
        *last = number.max(came_before);
        let invocation =
            Invocation { call: number, is_answered: false, yielded: 0, registration, at: self.step };
        entry.invocations.insert(id, invocation);
        let named = message[3]["procedure"].as_str();
        self.judge_choice(session, number, registration, named)?;
        let taken = &self.sessions[session].registrations[&registration];
        let (pattern, concurrency) = (taken.pattern.clone(), taken.concurrency);
        // What it was registered with before counts for calls that were on their way.
        let before = self.holds.iter().any(|hold| {
            hold.session == session
                && hold.pattern == pattern
                && hold.forwards_timeout != self.holds[taken.hold].forwards_timeout
                && hold.until.is_none_or(|until| until > self.calls[number].sent_at)
        });
        let is_told = !message[3]["timeout"].is_null();
        let forwards = if before { is_told } else { self.holds[taken.hold].forwards_timeout };
        self.judge_forwarded(number, forwards, &message[3]["timeout"])?;
        if is_group {
            self.group_invoked(session, number, registration)?;
        } else {
            self.calls[number].taken = Some((registration, pattern));
            self.calls[number].forwarded_at = is_told.then_some(self.step);
        }
        self.check_concurrency(session, registration, concurrency)?;
        // A call that was elsewhere, or waited for its callee, counts from when it was released.
        let is_delayed = is_rerouted || concurrency.is_some();
        if came_before > number && !is_delayed && !self.was_crossed(number, session, registration) {
            return Err(format!("calls of s{caller} out of order: {came_before} came before {number}"));
        }
        Ok(())
    }

    /// A callee has no more invocations at a time than it takes. Those count which it has not answered, and whose call may
    /// still wait for it.
    fn check_concurrency(&self, session: SessionNo, registration: u64, concurrency: Option<u64>) -> Verdict {
        let Some(concurrency) = concurrency else { return Ok(()) };
        // Those of the time before it gave the registration up and took it again do not count.
        let since = self.sessions[session].registrations[&registration].since;
        let open = self.sessions[session].invocations.values().filter(|invocation| {
            let call = &self.calls[invocation.call];
            let may_be_over = self.may_have_timed_out(invocation.call)
                || call.is_canceled
                || call.is_over
                || self.sessions[call.caller].ending_at.is_some();
            invocation.registration == registration
                && invocation.at > since
                && !invocation.is_answered
                && !may_be_over
        });
        let open = open.count() as u64;
        if open > concurrency { Err(format!("{open} invocations at a time")) } else { Ok(()) }
    }

    /// Whether a registration that goes before the one that took a call has begun or ended so lately that the call may have been
    /// there first. Such a call takes its place in the order of calls when it comes to its callee, not when it was made.
    fn was_crossed(&mut self, call: usize, callee: SessionNo, registration: u64) -> bool {
        let call = &self.calls[call];
        let taken = &self.sessions[callee].registrations[&registration];
        let realm = &self.sessions[callee].realm;
        let is_crossed = self.holds.iter().any(|hold| {
            hold.realm == *realm
                && hold.pattern.matches(&call.procedure)
                && hold.pattern.rank() <= taken.pattern.rank()
                && hold.until.is_none_or(|until| until > self.last_rest)
        });
        self.summary.crossings += u64::from(is_crossed);
        is_crossed
    }

    /// The registration is one of the session's, matches, and no better one was known to be in force.
    fn judge_choice(&self, session: SessionNo, call: usize, id: u64, named: Option<&str>) -> Verdict {
        let call = &self.calls[call];
        let registration = self.sessions[session].registrations.get(&id).ok_or("no such registration")?;
        let names_procedure = registration.pattern.policy != Policy::Exact;
        let realm = &self.sessions[session].realm;
        if !registration.pattern.matches(&call.procedure)
            || named != names_procedure.then_some(call.procedure.as_str())
            || *realm != self.sessions[call.caller].realm
        {
            return Err("the procedure is wrong".into());
        }
        let rank = registration.pattern.rank();
        let better = self
            .stable(realm, call.sent_at, call.caller)
            .find(|(_, other)| other.pattern.matches(&call.procedure) && other.pattern.rank() < rank);
        match better {
            Some((other, better)) => Err(format!("s{other} serves {:?}, which goes first", better.pattern)),
            None => Ok(()),
        }
    }

    pub(super) fn result(&mut self, _: SessionNo, pending: Pending, message: &Value) -> Verdict {
        let Pending::Call(number) = pending else { return Err("not a call".into()) };
        self.summary.answers += 1;
        let call = &mut self.calls[number];
        call.is_over = true;
        if self.groups.has(number) {
            return self.group_result(number, message);
        }
        if message[3][0].as_u64() != Some(number as u64) {
            return Err("the result of another call".into());
        }
        if call.wants_progress && message[3][3].as_u64() != Some(call.progress) {
            return Err(format!("{} progressive results have come", call.progress));
        }
        match (call.callee, call.answer) {
            (Some(callee), Some(Answer::Result)) if message[3][2].as_u64() == Some(callee as u64) => Ok(()),
            _ => Err("nobody has yielded it".into()),
        }
    }

    /// A progressive result: all of them come, in order, from the one callee, before the final answer.
    pub(super) fn progress(&mut self, number: usize, message: &Value) -> Verdict {
        let call = &mut self.calls[number];
        if !call.wants_progress {
            return Err("the caller has not asked for progress".into());
        }
        if message[3][0].as_u64() != Some(number as u64) || message[3][3].as_u64() != Some(call.progress) {
            return Err(format!("progress {} of call {number} is due", call.progress));
        }
        call.progress += 1;
        match call.callee {
            Some(callee) if message[3][2].as_u64() == Some(callee as u64) => Ok(()),
            _ => Err("of somebody who was not invoked".into()),
        }
    }

    /// A call has its final answer.
    pub(super) fn end_call(&mut self, number: usize) {
        self.summary.answers += 1;
        self.calls[number].is_over = true;
    }

    pub(super) fn call_failed(&mut self, _: SessionNo, number: usize, uri: &str, message: &Value) -> Verdict {
        self.summary.answers += 1;
        self.calls[number].is_over = true;
        if self.groups.has(number) {
            return self.group_failed(number, uri);
        }
        let call = &self.calls[number];
        match uri {
            "wamp.error.invalid_uri" if !call.is_valid => Ok(()),
            "com.app.failed" => {
                let is_own = message[5][0].as_u64() == Some(number as u64);
                if is_own && call.answer == Some(Answer::Error) {
                    Ok(())
                } else {
                    Err("nobody has failed".into())
                }
            }
            "wamp.error.canceled" | "wamp.error.no_such_procedure" if self.going_down.is_some() => Ok(()),
            "wamp.error.canceled" if call.is_canceled => Ok(()),
            "wamp.error.no_available_callee" => self.nobody_available(number),
            // Its next callee has left before it could read the invocation.
            "wamp.error.canceled" if call.answer == Some(Answer::Unavailable) => Ok(()),
            "wamp.error.canceled" => match call.callee {
                Some(callee) if self.sessions[callee].ending_at.is_none() => {
                    Err(format!("its callee s{callee} has not left"))
                }
                _ => Ok(()),
            },
            "wamp.error.no_such_procedure" => self.not_found(number),
            "wamp.error.timeout" => self.timed_out(number),
            "wamp.error.feature_not_supported" if self.is_too_much(number) => Ok(()),
            _ => Err("an error that no call here can have".into()),
        }
    }

    /// A call was told that nobody is available: everybody who serves the registration that it came to has said so.
    fn nobody_available(&self, number: usize) -> Verdict {
        let call = &self.calls[number];
        let (Some(callee), Some(Answer::Unavailable), Some((_, pattern))) =
            (call.callee, call.answer, &call.taken)
        else {
            return Err("nobody has said so".into());
        };
        if call.progress > 0 || self.is_continued(number) {
            return Ok(());
        }
        let realm = &self.sessions[call.caller].realm;
        let left = self.stable(realm, call.sent_at, call.caller).find(|(session, registration)| {
            registration.pattern == *pattern && *session != callee && !call.tried.contains(session)
        });
        match left {
            Some((left, _)) => Err(format!("s{left} has not been asked")),
            None => Ok(()),
        }
    }

    /// A call was told that there is no procedure: nobody may be known to serve it.
    pub(super) fn not_found(&mut self, number: usize) -> Verdict {
        let call = &self.calls[number];
        if let Some(callee) = call.callee {
            return Err(format!("s{callee} has been invoked"));
        }
        let realm = &self.sessions[call.caller].realm;
        let mut matching =
            self.stable(realm, call.sent_at, call.caller).filter(|(_, r)| r.pattern.matches(&call.procedure));
        match matching.next() {
            Some((callee, registration)) => Err(format!("s{callee} serves {:?}", registration.pattern)),
            None => self.judge_gap(number),
        }
    }

    /// Registrations of a realm that a call of `caller` at `at` must find, and whose end nobody has begun: REGISTERED was
    /// received before, or they are the caller's own and were asked for before.
    pub(super) fn stable(
        &self,
        realm: &str,
        at: Step,
        caller: SessionNo,
    ) -> impl Iterator<Item = (SessionNo, &Registration)> {
        // While the router goes down sessions end before their clients know.
        let sessions = self.sessions.iter().enumerate().filter(|_| self.going_down.is_none());
        sessions.filter(move |(_, session)| session.realm == realm && session.ending_at.is_none()).flat_map(
            move |(n, session)| {
                let stays = move |registration: &&Registration| {
                    let since = if n == caller { registration.asked_at } else { registration.since };
                    since < at && registration.ending_at.is_none()
                };
                session.registrations.values().filter(stays).map(move |registration| (n, registration))
            },
        )
    }
}
