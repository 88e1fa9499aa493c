//! The dealer's part for callers: calls from sessions of this shard, from CALL to their final answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use smallvec::SmallVec;
use wampline_routing::authorization::{Action, Validation};
use wampline_routing::feature::{ClientFeature, ClientRole};
use wampline_routing::uri::is_reserved;
use wampline_routing::{
    Call, CallOptions, CallProgress, CallRef, CancelMode, Disclose, PayloadAttributes, RealmId, RunMode,
    SessionRef, Tried, error_uri,
};
use wampline_wire::{Dict, Message, Payload, RequestId, RequestType, Value};

use crate::action::Unsent;
use crate::authorize::{Flow, Permission, Wanted};
use crate::config::FeatureRules;
use crate::counters::add;
use crate::frame::{Frame, Invoke, Reply, ReplyOutcome};
use crate::group::CallRole;
use crate::leave::count_dropped;
use crate::question::{NOBODY, QuestionAnswer};
use crate::route::Route;
use crate::shard::Shard;
use crate::timeout::Timeout;

/// A bound of the configuration is met. The specification has no URI for it.
pub(crate) const LIMIT_EXCEEDED: &str = "wampline.error.limit_exceeded";

/// Octets of an INVOCATION, RESULT or ERROR beside its payload, about.
pub(crate) const MESSAGE_BYTES: usize = 24;

/// What is remembered of a call that is out of the ordinary.
#[derive(Debug, Default)]
pub(crate) struct CallExtra {
    pub(crate) role: CallRole,
    pub(crate) timeout: Option<Timeout>,
    /// The count of calls that wait for the callee.
    pub(crate) load: Option<Arc<AtomicU32>>,
    /// What was sent, for more chunks and for other callees; its payload only while another callee may need it.
    pub(crate) invoke: Option<Invoke>,
    /// The payload was kept: another callee can take the call over.
    pub(crate) is_whole: bool,
    /// What the results must be like.
    pub(crate) validation: Option<Arc<Validation>>,
}

impl Shard {
    /// CALL: matched here, invoked here or on the callee's shard; the call waits here.
    pub(crate) fn call(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        options: Dict<'_>,
        procedure: &str,
        payload: Payload<'_>,
    ) -> Flow {
        let realm = self.sessions[session].realm;
        let has_more = has_more(&options);
        let sent = options;
        let options = if sent.is_empty() { Ok(CallOptions::default()) } else { CallOptions::parse(&sent) };
        let mut refusal = match &options {
            Err(error) => Some((error_uri::INVALID_ARGUMENT, error.to_string())),
            Ok(options) => self.call_refusal(session, options, procedure),
        };
        let mut options = options.unwrap_or_default();
        if let Some(unannounced) = self.unannounced(session, &options) {
            self.violation(slot, unannounced);
            return Flow::Done;
        }
        let is_own = is_reserved(procedure);
        if refusal.is_none() && !is_own {
            match self.permission(session, Wanted::exactly(Action::Call, procedure, sent)) {
                Permission::Granted(disclosure) => {
                    options.disclosure = disclosure;
                    refusal = self.disclosure_refusal(realm, &options, procedure);
                    refusal = refusal.or_else(|| self.validate_call(session, &options, procedure, payload));
                }
                Permission::Refused(error, text) => refusal = Some((error, text)),
                Permission::Waits => return Flow::Waits,
            }
        }
        if let Some((error, text)) = refusal {
            if has_more {
                self.remember_input(session, request);
            }
            add(&self.counters().calls, 1);
            self.call_error(slot, request, error, &text);
            return Flow::Done;
        }
        let mut progress = CallProgress::default();
        if options.receive_progress {
            progress.set(CallProgress::WANTS_RESULTS);
        }
        if options.progress {
            progress.set(CallProgress::INPUT_OPEN);
        }
        if is_own {
            return self.call_meta(slot, session, (request, progress), procedure, sent, payload);
        }
        add(&self.counters().calls, 1);
        if self.is_purge(realm, procedure) {
            self.call_purge(slot, session, request, progress, payload);
            return Flow::Done;
        }
        // Nobody is invoked yet; routing sets who is.
        let callee = SessionRef { shard: self.id, slot: u32::MAX, guard: 0 };
        let call = self.calls.begin(Call { caller: session, request, callee, progress, extra: None });
        self.sessions[session].calls.insert(request, call.slot);
        let newest = self.realms[realm.index()].replica.newest_registration();
        let route = Route { procedure, tried: Tried::default(), newest, bound_to: None };
        self.start_timeout(call, options.timeout);
        if let Some(validation) = self.validation_of_results(session, procedure)
            && let Some(extra) = self.extra(call)
        {
            extra.validation = Some(validation);
        }
        if options.run_mode == RunMode::All {
            self.call_all(call, procedure, &options, payload, Some(slot));
        } else {
            self.route(call, route, &options, payload, Some(slot));
        }
        Flow::Done
    }

    /// A CALL with the id of one that waits: another chunk of it, or a violation.
    pub(crate) fn call_again(
        &mut self,
        slot: u32,
        call: u32,
        request: RequestId,
        options: Dict<'_>,
        procedure: &str,
        payload: Payload<'_>,
    ) {
        let reference = self.calls.reference(call).expect("invariant: a session's calls wait");
        let entry = self.calls.get_mut(reference).expect("invariant: the reference is current");
        if !entry.progress.has(CallProgress::INPUT_OPEN) {
            return self.violation(slot, &format!("request id {request} is still in progress"));
        }
        let more = has_more(&options);
        if !more {
            entry.progress.clear(CallProgress::INPUT_OPEN);
        }
        let callee = entry.callee;
        let caller = entry.caller;
        if let Some(text) = self.invalid_payload(caller, Action::Call, procedure, false, payload) {
            self.cancel_at(callee.shard, reference, CancelMode::KillNoWait);
            return self.finish_call(reference, error_uri::INVALID_ARGUMENT, &text);
        }
        let entry = self.calls.get_mut(reference).expect("invariant: the reference is current");
        let sent = entry.extra.as_mut().and_then(|extra| extra.invoke.as_mut());
        let Some(sent) = sent.filter(|sent| *sent.procedure == *procedure) else {
            return add(&self.counters().chunks_dropped, 1);
        };
        sent.head.progress = more;
        sent.head.is_continuation = true;
        let released = std::mem::replace(&mut sent.payload, Payload::NONE.to_buf()).len();
        let head = sent.head.clone();
        let (procedure, options) = (sent.procedure.clone(), sent.options.clone());
        entry.progress.set(CallProgress::CONTINUED);
        self.rerouting_octets -= released;
        let (tried, payload) = (Tried::default(), payload.to_buf());
        let invoke = Invoke { head, procedure, options, tried, payload };
        if callee.shard == self.id {
            self.invoke_more(invoke);
        } else {
            self.send(callee.shard, Frame::Invoke(Box::new(invoke)), Some(slot));
        }
    }

    /// CANCEL. Nothing ever answers it but the end of the call.
    pub(crate) fn cancel(&mut self, session: u32, request: RequestId, options: &Dict<'_>) {
        let Some(&call) = self.sessions[session].calls.get(&request) else {
            return self.cancel_held(session, request);
        };
        add(&self.counters().calls_canceled, 1);
        let reference = self.calls.reference(call).expect("invariant: a session's calls wait");
        let entry = self.calls.get_mut(reference).expect("invariant: the reference is current");
        let callee = entry.callee.shard;
        let mode = CancelMode::parse(options);
        if mode == CancelMode::Kill {
            entry.progress.set(CallProgress::KILLED);
        }
        if !self.cancel_members(reference, mode) {
            self.cancel_at(callee, reference, mode);
        }
        if mode != CancelMode::Kill {
            self.finish_call(reference, error_uri::CANCELED, "");
        }
    }

    /// The time of a call is over.
    pub(crate) fn call_timed_out(&mut self, call: CallRef) {
        let Some(entry) = self.calls.get(call) else { return };
        if entry.caller != NOBODY {
            add(&self.counters().calls_timed_out, 1);
        }
        self.cancel_at(entry.callee.shard, call, CancelMode::KillNoWait);
        self.finish_call(call, error_uri::TIMEOUT, "the call took longer than it may");
    }

    /// Tells the callee's shard that a call is over, or shall be.
    pub(crate) fn cancel_at(&mut self, shard: wampline_routing::ShardId, call: CallRef, mode: CancelMode) {
        if shard == self.id {
            self.canceled(call, mode);
        } else {
            self.send(shard, Frame::Cancel { call, mode }, None);
        }
    }

    /// An answer of the callee.
    pub(crate) fn call_answered(
        &mut self,
        call: CallRef,
        outcome: ReplyOutcome,
        attributes: &PayloadAttributes<'_>,
        payload: Payload<'_>,
    ) {
        let extra = self.calls.get(call).and_then(|entry| entry.extra.as_ref());
        let is_member = extra.is_some_and(|extra| matches!(extra.role, CallRole::Member { .. }));
        if let Some(validation) = extra.and_then(|extra| extra.validation.clone())
            && !self.admit_result(call, &validation, &outcome, attributes, payload)
        {
            return;
        }
        if is_member {
            return self.member_answered(call, outcome, attributes, payload);
        }
        match outcome {
            ReplyOutcome::Progress => self.call_progressed(call, attributes, payload),
            ReplyOutcome::Result => self.call_yielded(call, attributes, payload),
            ReplyOutcome::Error(error) if &*error == error_uri::UNAVAILABLE => self.callee_unavailable(call),
            ReplyOutcome::Error(error) => self.call_failed(call, &error, attributes, payload),
        }
    }

    /// Ends a call with an ERROR of the router's own. `text` may be empty.
    pub(crate) fn finish_call(&mut self, call: CallRef, error: &str, text: &str) {
        let Some(ended) = self.end_call(call) else { return count_dropped(self) };
        if ended.caller == NOBODY {
            return self.question_ended(ended, QuestionAnswer::of_router(error));
        }
        let Some(slot) = self.sessions[ended.caller].connection else { return count_dropped(self) };
        self.call_error(slot, ended.request, error, text);
    }

    /// Takes a call out of the books. `None` if it is not there any more.
    pub(crate) fn end_call(&mut self, call: CallRef) -> Option<Call<CallExtra>> {
        let mut ended = self.calls.end(call)?;
        let mut role = CallRole::Alone;
        if let Some(extra) = ended.extra.as_mut() {
            role = std::mem::take(&mut extra.role);
            if let Some(load) = &extra.load {
                load.fetch_sub(1, Ordering::Relaxed);
            }
            if let Some(invoke) = &extra.invoke {
                self.rerouting_octets -= invoke.payload.len();
            }
            self.timed_calls -= usize::from(extra.timeout.is_some());
        }
        match role {
            CallRole::Member { .. } => return Some(ended),
            CallRole::Question(_) => {
                self.questions -= 1;
                ended.extra.get_or_insert_default().role = role;
                return Some(ended);
            }
            CallRole::Alone | CallRole::Group(_) => {}
        }
        self.sessions[ended.caller].calls.remove(&ended.request);
        if ended.progress.has(CallProgress::INPUT_OPEN) {
            self.remember_input(ended.caller, ended.request);
        }
        if let CallRole::Group(group) = role {
            self.groups -= 1;
            self.disband(group);
        }
        Some(ended)
    }

    /// What of a call is out of the ordinary; makes room for it.
    pub(crate) fn extra(&mut self, call: CallRef) -> Option<&mut CallExtra> {
        let extra = &mut self.calls.get_mut(call)?.extra;
        Some(extra.get_or_insert_default())
    }

    /// Which feature a call needs that its caller has not announced, where the realm holds that against it.
    fn unannounced(&self, session: u32, options: &CallOptions<'_>) -> Option<&'static str> {
        let entry = &self.sessions[session];
        if self.shared.realm(entry.realm).features != FeatureRules::Strict {
            return None;
        }
        let lacks = |feature| !entry.features.has(ClientRole::Caller, feature);
        if options.progress && lacks(ClientFeature::ProgressiveCallInvocations) {
            return Some("CALL with progress, which was not announced");
        }
        let is_passthru = options.attributes.is_passthru();
        (is_passthru && lacks(ClientFeature::PayloadPassthruMode))
            .then_some("CALL in payload passthru mode, which was not announced")
    }

    fn call_refusal(
        &self,
        session: u32,
        options: &CallOptions<'_>,
        procedure: &str,
    ) -> Option<(&'static str, String)> {
        let entry = &self.sessions[session];
        let realm = self.shared.realm(entry.realm);
        let limits = &realm.limits;
        if let Err(error) = realm.uri_rules.check(procedure) {
            return Some((error_uri::INVALID_URI, error.to_string()));
        }
        if entry.calls.len() >= limits.calls_per_session_max {
            return Some((LIMIT_EXCEEDED, "too many calls wait for their answer".into()));
        }
        let ended_inputs = entry.ended_inputs.as_ref().map_or(0, |ended| ended.len());
        if options.progress && ended_inputs >= limits.inputs_per_session_max {
            return Some((
                LIMIT_EXCEEDED,
                "too many progressive calls have ended without their last chunk".into(),
            ));
        }
        if options.run_mode == RunMode::All && options.progress {
            let text = "a call to all callees cannot be sent in chunks";
            return Some((error_uri::OPTION_NOT_ALLOWED, text.into()));
        }
        if self.shutdown.is_some() {
            return Some((error_uri::CANCELED, "the router is shutting down".into()));
        }
        None
    }

    /// Looks at the payload, where a rule says what it must be like.
    fn validate_call(
        &self,
        session: u32,
        options: &CallOptions<'_>,
        procedure: &str,
        payload: Payload<'_>,
    ) -> Option<(&'static str, String)> {
        let is_opaque = options.attributes.is_passthru() || options.attributes.is_transparent();
        let text = self.invalid_payload(session, Action::Call, procedure, is_opaque, payload)?;
        Some((error_uri::INVALID_ARGUMENT, text))
    }

    /// Who calls asks to be disclosed where that is forbidden.
    fn disclosure_refusal(
        &self,
        realm: RealmId,
        options: &CallOptions<'_>,
        procedure: &str,
    ) -> Option<(&'static str, String)> {
        if !options.disclose_me {
            return None;
        }
        let rules = &self.shared.realm(realm).disclosure;
        let disclosure = options.disclosure.unwrap_or_else(|| rules.caller(procedure));
        let text = "callers of this procedure are not disclosed";
        (disclosure == Disclose::Never).then(|| (error_uri::OPTION_DISALLOWED_DISCLOSE_ME, text.into()))
    }

    /// A call was cancelled while it waited for an authorizer.
    pub(crate) fn call_canceled(&mut self, slot: u32, session: u32, request: RequestId, options: &Dict<'_>) {
        add(&self.counters().calls, 1);
        add(&self.counters().calls_canceled, 1);
        if has_more(options) {
            self.remember_input(session, request);
        }
        self.call_error(slot, request, error_uri::CANCELED, "");
    }

    /// A call has ended, or never began, while its caller may send more of it.
    pub(crate) fn remember_input(&mut self, session: u32, request: RequestId) {
        let entry = &mut self.sessions[session];
        let Some(slot) = entry.connection else { return };
        let ended = entry.ended_inputs.get_or_insert_with(Default::default);
        ended.insert(request);
        if ended.len() > 2 * self.shared.realm(entry.realm).limits.inputs_per_session_max {
            // It was refused as many calls again and goes on. To forget one could run its last chunk as a new call.
            self.violation(slot, "too many progressive calls without their last chunk");
        }
    }

    /// Whether a CALL is another chunk of a call that has ended: then it is dropped, and forgotten with the last one.
    pub(crate) fn is_late_chunk(&mut self, session: u32, request: RequestId, options: &Dict<'_>) -> bool {
        let entry = &mut self.sessions[session];
        let Some(ended) = entry.ended_inputs.as_mut().filter(|ended| ended.contains(&request)) else {
            return false;
        };
        if !has_more(options) {
            ended.remove(&request);
            if ended.is_empty() {
                entry.ended_inputs = None;
            }
        }
        add(&self.counters().chunks_dropped, 1);
        true
    }

    /// A progressive result.
    fn call_progressed(&mut self, call: CallRef, attributes: &PayloadAttributes<'_>, payload: Payload<'_>) {
        let now = self.now;
        let Some(entry) = self.calls.get_mut(call) else { return count_dropped(self) };
        let (caller, request) = (entry.caller, entry.request);
        if caller == NOBODY {
            return count_dropped(self); // A question asks for the final result only.
        }
        if let Some(extra) = entry.extra.as_mut() {
            if let Some(timeout) = extra.timeout.as_mut() {
                timeout.renew(now);
            }
            // It has begun to answer: no other callee takes over.
            if let Some(invoke) = extra.invoke.as_mut() {
                self.rerouting_octets -= invoke.payload.len();
                invoke.payload = Payload::NONE.to_buf();
                entry.progress.set(CallProgress::CONTINUED);
            }
        }
        let Some(slot) = self.sessions[caller].connection else { return count_dropped(self) };
        if let Err(error) = self.result(slot, caller, request, true, attributes, payload) {
            let callee = self.calls.get(call).map(|entry| entry.callee.shard);
            if let Some(callee) = callee {
                self.cancel_at(callee, call, CancelMode::KillNoWait);
            }
            self.finish_call(call, error, reason_text(error));
        }
    }

    fn call_yielded(&mut self, call: CallRef, attributes: &PayloadAttributes<'_>, payload: Payload<'_>) {
        let Some(ended) = self.end_call(call) else { return count_dropped(self) };
        if ended.caller == NOBODY {
            return self.question_ended(ended, QuestionAnswer::Result(payload.to_buf()));
        }
        let Some(slot) = self.sessions[ended.caller].connection else { return count_dropped(self) };
        match self.result(slot, ended.caller, ended.request, false, attributes, payload) {
            Ok(()) => add(&self.counters().results, 1),
            Err(error) => self.call_error(slot, ended.request, error, reason_text(error)),
        }
    }

    fn call_failed(
        &mut self,
        call: CallRef,
        error: &str,
        attributes: &PayloadAttributes<'_>,
        payload: Payload<'_>,
    ) {
        let Some(ended) = self.end_call(call) else { return count_dropped(self) };
        if ended.caller == NOBODY {
            return self.question_ended(ended, QuestionAnswer::failed(error));
        }
        let Some(slot) = self.sessions[ended.caller].connection else { return count_dropped(self) };
        let features = self.sessions[ended.caller].features;
        if attributes.is_transparent()
            && !features.has(ClientRole::Caller, ClientFeature::PayloadTransparency)
        {
            let error = error_uri::FEATURE_NOT_SUPPORTED;
            return self.call_error(slot, ended.request, error, reason_text(error));
        }
        add(&self.counters().call_errors, 1);
        let entries: SmallVec<[(&str, Value<'_>); 4]> = attributes.entries().collect();
        let (request_type, request) = (RequestType::Call, ended.request);
        let (details, estimate) = (Dict::pairs(&entries), MESSAGE_BYTES + error.len() + payload.len());
        let error = if wampline_routing::error_uri::is_canceled(error) { error_uri::CANCELED } else { error };
        let error = Cow::Borrowed(error);
        let message = Message::Error { request_type, request, details, error, payload };
        match self.post(slot, &message, estimate) {
            Ok(()) | Err(Unsent::Gone) => {}
            Err(unsent) => {
                self.call_error(slot, request, unsent_error(unsent), reason_text(unsent_error(unsent)))
            }
        }
    }

    /// Queues RESULT. The error is what the call ends with instead.
    fn result(
        &mut self,
        slot: u32,
        caller: u32,
        request: RequestId,
        is_progress: bool,
        attributes: &PayloadAttributes<'_>,
        payload: Payload<'_>,
    ) -> Result<(), &'static str> {
        let mut entries: SmallVec<[(&str, Value<'_>); 4]> = SmallVec::new();
        if is_progress {
            entries.push(("progress", Value::Bool(true)));
        }
        if !attributes.is_empty() {
            let features = self.sessions[caller].features;
            let lacks = |is_used: bool, feature| is_used && !features.has(ClientRole::Caller, feature);
            if lacks(attributes.is_passthru(), ClientFeature::PayloadPassthruMode)
                || lacks(attributes.is_transparent(), ClientFeature::PayloadTransparency)
            {
                return Err(error_uri::FEATURE_NOT_SUPPORTED);
            }
            entries.extend(attributes.entries());
        }
        let message = Message::Result { request, details: Dict::pairs(&entries), payload };
        match self.post(slot, &message, MESSAGE_BYTES + payload.len()) {
            Ok(()) | Err(Unsent::Gone) => Ok(()),
            Err(unsent) => Err(unsent_error(unsent)),
        }
    }

    fn call_error(&mut self, slot: u32, request: RequestId, error: &str, text: &str) {
        add(&self.counters().call_errors, 1);
        self.error(slot, RequestType::Call, request, error, text);
    }

    /// Sends an answer to the shard of its caller. `from` is the callee's connection, if its message is the answer.
    pub(crate) fn reply(
        &mut self,
        call: CallRef,
        outcome: ReplyOutcome,
        attributes: PayloadAttributes<'_>,
        payload: Payload<'_>,
        from: Option<u32>,
    ) {
        if call.shard == self.id {
            self.call_answered(call, outcome, &attributes, payload);
        } else {
            let (attributes, payload) = (attributes.into_owned(), payload.to_buf());
            let reply = Reply { call, outcome, attributes, payload };
            self.send(call.shard, Frame::Reply(Box::new(reply)), from);
        }
    }
}

/// Whether more of a CALL follows.
fn has_more(options: &Dict<'_>) -> bool {
    !options.is_empty() && options.get("progress").and_then(|value| value.as_bool()) == Some(true)
}

fn unsent_error(unsent: Unsent) -> &'static str {
    match unsent {
        Unsent::TooLong => error_uri::PAYLOAD_SIZE_EXCEEDED,
        Unsent::Inexpressible | Unsent::Gone => error_uri::INVALID_ARGUMENT,
    }
}

/// What is said beside an error URI that the router answers with.
pub(crate) fn reason_text(error: &str) -> &'static str {
    match error {
        error_uri::PAYLOAD_SIZE_EXCEEDED => "the message is longer than its receiver accepts",
        error_uri::INVALID_ARGUMENT => "the message cannot be expressed in its receiver's serializer",
        error_uri::FEATURE_NOT_SUPPORTED => "the receiver has not announced a feature that the message needs",
        LIMIT_EXCEEDED => "too many invocations wait for the callee's answer",
        _ => "",
    }
}
