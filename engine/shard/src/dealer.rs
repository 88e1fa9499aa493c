//! The dealer's part on one shard: registrations of its sessions, calls from them, invocations to them.

use std::borrow::Cow;

use wampline_routing::uri::{MatchPolicy, is_reserved};
use wampline_routing::{Call, CallRef, Refusal, SessionRef, error_uri};
use wampline_wire::{Dict, Message, Payload, RegistrationId, RequestId, RequestType, Value};

use crate::action::Unsent;
use crate::counters::add;
use crate::frame::{Frame, HomeRequest, Invoke, Reply, ReplyOutcome};
use crate::leave::count_dropped;
use crate::session::SessionState;
use crate::shard::Shard;

/// A bound of the configuration is met. The specification has no URI for it.
pub(crate) const LIMIT_EXCEEDED: &str = "wampline.error.limit_exceeded";

/// Octets of an INVOCATION, RESULT or ERROR beside its payload, about.
const MESSAGE_BYTES: usize = 24;

impl Shard {
    /// REGISTER.
    pub(crate) fn register(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        options: Dict<'_>,
        procedure: &str,
    ) {
        let rules = self.shared.config.realms[self.sessions[session].realm.index()].uri_rules;
        let checked = crate::broker::match_policy(&options).and_then(|policy| {
            rules.check_pattern(procedure, policy).map_err(|error| error.to_string())?;
            if is_reserved(procedure) {
                return Err("procedures that begin with wamp. are the router's own".into());
            }
            Ok(policy)
        });
        match checked {
            Ok(policy) => {
                self.sessions[session].requests.begin(RequestType::Register, request);
                let request = HomeRequest::Register { request, policy, procedure: procedure.into() };
                self.ask_home(session, request, Some(slot));
            }
            Err(text) => self.error(slot, RequestType::Register, request, error_uri::INVALID_URI, &text),
        }
    }

    /// UNREGISTER.
    pub(crate) fn unregister(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        registration: RegistrationId,
    ) {
        self.sessions[session].requests.begin(RequestType::Unregister, request);
        self.ask_home(session, HomeRequest::Unregister { request, registration }, Some(slot));
    }

    /// The directory's answer to REGISTER: invocations are accepted from when REGISTERED is queued.
    pub(crate) fn registered(
        &mut self,
        session: u32,
        request: RequestId,
        result: Result<RegistrationId, Refusal>,
    ) {
        let Some(slot) = self.answered(session, RequestType::Register, request) else { return };
        match result {
            Ok(registration) => {
                self.sessions[session].registrations.insert(registration);
                let _ = self.post(slot, &Message::Registered { request, registration }, MESSAGE_BYTES);
            }
            Err(refusal) => self.refuse(slot, RequestType::Register, request, refusal),
        }
    }

    /// The directory's answer to UNREGISTER: no invocation follows UNREGISTERED.
    pub(crate) fn unregistered(
        &mut self,
        session: u32,
        request: RequestId,
        result: Result<RegistrationId, Refusal>,
    ) {
        let Some(slot) = self.answered(session, RequestType::Unregister, request) else { return };
        match result {
            Ok(registration) => {
                self.sessions[session].registrations.remove(&registration);
                let message = Message::Unregistered { request: Some(request), details: None };
                let _ = self.post(slot, &message, MESSAGE_BYTES);
            }
            Err(refusal) => self.refuse(slot, RequestType::Unregister, request, refusal),
        }
    }

    /// CALL: matched here, invoked here or on the callee's shard; the call waits here.
    pub(crate) fn call(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        _options: Dict<'_>,
        procedure: &str,
        payload: Payload<'_>,
    ) {
        add(&self.counters().calls, 1);
        let entry = &self.sessions[session];
        let realm = &self.realms[entry.realm.index()];
        let rules = self.shared.config.realms[entry.realm.index()].uri_rules;
        if let Err(error) = rules.check(procedure) {
            return self.call_error(slot, request, error_uri::INVALID_URI, &error.to_string());
        }
        if entry.calls.len() >= self.shared.config.limits.calls_per_session_max {
            return self.call_error(slot, request, LIMIT_EXCEEDED, "too many calls wait for their answer");
        }
        if self.shutdown.is_some() {
            return self.call_error(slot, request, error_uri::CANCELED, "the router is shutting down");
        }
        if is_reserved(procedure) {
            return self.call_meta(slot, session, request, procedure, payload);
        }
        let Some((policy, found)) = realm.replica.procedure(procedure) else {
            let text = format!("no procedure {procedure} is registered");
            return self.call_error(slot, request, error_uri::NO_SUCH_PROCEDURE, &text);
        };
        let (registration, callee) = (found.registration, found.callees[0].at);
        let names_procedure = policy != MatchPolicy::Exact;
        let call = self.calls.begin(Call { caller: session, request, callee });
        self.sessions[session].calls.insert(request, call.slot);
        if callee.shard == self.id {
            let procedure = names_procedure.then_some(procedure);
            if let Err(outcome) = self.invoke(call, callee, registration, procedure, payload) {
                self.finish_call(call, outcome, Payload::NONE);
            }
        } else {
            let procedure = names_procedure.then(|| procedure.into());
            let invoke = Invoke { call, callee, registration, procedure, payload: payload.to_buf() };
            self.send(callee.shard, Frame::Invoke(Box::new(invoke)), Some(slot));
        }
    }

    /// A call from another shard.
    pub(crate) fn invoke_from_afar(&mut self, invoke: Invoke) {
        let Invoke { call, callee, registration, procedure, payload } = invoke;
        if let Err(outcome) =
            self.invoke(call, callee, registration, procedure.as_deref(), payload.as_payload())
        {
            self.reply(call, outcome, Payload::NONE, None);
        }
    }

    /// Queues INVOCATION. An error is the outcome of the call: the INVOCATION has not been queued then.
    fn invoke(
        &mut self,
        call: CallRef,
        callee: SessionRef,
        registration: RegistrationId,
        procedure: Option<&str>,
        payload: Payload<'_>,
    ) -> Result<(), ReplyOutcome> {
        if !self.sessions.is_live(callee.slot, callee.guard) {
            return Err(ReplyOutcome::Undeliverable);
        }
        let entry = &mut self.sessions[callee.slot];
        let (SessionState::Open, Some(slot)) = (entry.state, entry.connection) else {
            return Err(ReplyOutcome::Undeliverable);
        };
        if !entry.registrations.contains(&registration) {
            return Err(ReplyOutcome::Undeliverable);
        }
        if entry.invocations.len() >= self.shared.config.limits.invocations_per_session_max {
            return Err(ReplyOutcome::Error(LIMIT_EXCEEDED.into()));
        }
        let request = entry.invocations.begin(call);
        self.stubs.insert(call, callee.slot, request);
        let names = procedure.map(|procedure| [("procedure", Value::Str(Cow::Borrowed(procedure)))]);
        let details = names.as_ref().map_or(Dict::EMPTY, |names| Dict::pairs(names));
        let message = Message::Invocation { request, registration, details, payload };
        let estimate = MESSAGE_BYTES + payload.len() + procedure.map_or(0, str::len);
        let error = match self.post(slot, &message, estimate) {
            Ok(()) | Err(Unsent::Gone) => return Ok(()), // Gone: leaving has answered the call.
            Err(Unsent::TooLong) => error_uri::PAYLOAD_SIZE_EXCEEDED,
            Err(Unsent::Inexpressible) => error_uri::INVALID_ARGUMENT,
        };
        self.stubs.remove(call);
        self.sessions[callee.slot].invocations.withdraw(request);
        Err(ReplyOutcome::Error(error.into()))
    }

    /// YIELD.
    pub(crate) fn yielded(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        options: Dict<'_>,
        payload: Payload<'_>,
    ) {
        let is_progress =
            !options.is_empty() && options.get("progress").and_then(|value| value.as_bool()) == Some(true);
        if is_progress && self.sessions[session].invocations.get(request).is_some() {
            // No caller has asked for progressive results: only the final one goes out.
            return;
        }
        if let Some(call) = self.invocation_ended(slot, session, request) {
            self.reply(call, ReplyOutcome::Result, payload, Some(slot));
        }
    }

    /// ERROR for an INVOCATION.
    pub(crate) fn invocation_failed(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        error: &str,
        payload: Payload<'_>,
    ) {
        if let Some(call) = self.invocation_ended(slot, session, request) {
            let rules = self.shared.config.realms[self.sessions[session].realm.index()].uri_rules;
            let error = if rules.check(error).is_ok() { error } else { error_uri::RUNTIME_ERROR };
            self.reply(call, ReplyOutcome::Error(error.into()), payload, Some(slot));
        }
    }

    /// Sends the answer of a call to the shard of its caller. `from` is the callee's connection, if its message is the answer.
    pub(crate) fn reply(
        &mut self,
        call: CallRef,
        outcome: ReplyOutcome,
        payload: Payload<'_>,
        from: Option<u32>,
    ) {
        if call.shard == self.id {
            self.finish_call(call, outcome, payload);
        } else {
            let reply = Reply { call, outcome, payload: payload.to_buf() };
            self.send(call.shard, Frame::Reply(Box::new(reply)), from);
        }
    }

    /// Ends a call with its one final answer. An answer that comes second is dropped.
    pub(crate) fn finish_call(&mut self, call: CallRef, outcome: ReplyOutcome, payload: Payload<'_>) {
        let Some(call) = self.calls.end(call) else { return count_dropped(self) };
        let entry = &mut self.sessions[call.caller];
        entry.calls.remove(&call.request);
        let Some(slot) = entry.connection else { return count_dropped(self) };
        let request = call.request;
        let error = match outcome {
            ReplyOutcome::Result => {
                let message = Message::Result { request, details: Dict::EMPTY, payload };
                match self.post(slot, &message, MESSAGE_BYTES + payload.len()) {
                    Ok(()) => return add(&self.counters().results, 1),
                    Err(unsent) => Err(unsent),
                }
            }
            ReplyOutcome::Error(error) => {
                add(&self.counters().call_errors, 1);
                let (request_type, details) = (RequestType::Call, Dict::EMPTY);
                let estimate = MESSAGE_BYTES + error.len() + payload.len();
                let error = Cow::Borrowed(&*error);
                self.post(slot, &Message::Error { request_type, request, details, error, payload }, estimate)
            }
            ReplyOutcome::Undeliverable => {
                let text = "the procedure has just been unregistered";
                return self.call_error(slot, request, error_uri::NO_SUCH_PROCEDURE, text);
            }
        };
        match error {
            Ok(()) | Err(Unsent::Gone) => {}
            Err(Unsent::TooLong) => {
                let text = "the answer is longer than the caller accepts";
                self.call_error(slot, request, error_uri::PAYLOAD_SIZE_EXCEEDED, text);
            }
            Err(Unsent::Inexpressible) => {
                let text = "the answer cannot be expressed in the caller's serializer";
                self.call_error(slot, request, error_uri::INVALID_ARGUMENT, text);
            }
        }
    }

    /// Nobody waits for this call any more: its answer will be ignored.
    pub(crate) fn caller_gone(&mut self, call: CallRef) {
        if let Some((callee, invocation)) = self.stubs.remove(call) {
            self.sessions[callee].invocations.end(invocation);
        }
    }

    fn call_error(&mut self, slot: u32, request: RequestId, error: &str, text: &str) {
        add(&self.counters().call_errors, 1);
        self.error(slot, RequestType::Call, request, error, text);
    }

    /// A callee has answered for good. Gives the call, if it is known; an answer to an id never sent is a violation.
    fn invocation_ended(&mut self, slot: u32, session: u32, request: RequestId) -> Option<CallRef> {
        let invocations = &mut self.sessions[session].invocations;
        if let Some(call) = invocations.end(request) {
            self.stubs.remove(call);
            return Some(call);
        }
        if invocations.was_issued(request) || request.get() <= self.connections[slot].past_invocations {
            count_dropped(self);
        } else {
            self.violation(slot, &format!("answer to an invocation {request} that was never sent"));
        }
        None
    }
}
