//! The dealer's part for callees: invocations of sessions of this shard, and what they answer.

use std::borrow::Cow;
use std::collections::hash_map::Entry;

use smallvec::SmallVec;
use wampline_routing::feature::{ClientFeature, ClientFeatures, ClientRole};
use wampline_routing::{CallOptions, CallRef, CancelMode, OpenInvocation, PayloadAttributes, error_uri};
use wampline_wire::{Dict, Message, Payload, RegistrationId, RequestId, RequestType, Value};

use crate::action::Unsent;
use crate::config::FeatureRules;
use crate::counters::add;
use crate::dealer::{LIMIT_EXCEEDED, MESSAGE_BYTES};
use crate::frame::{Frame, Invoke, InvokeHead, NotInvoked, ReplyOutcome};
use crate::leave::count_dropped;
use crate::session::{Bounded, Service, SessionState, Waiting};
use crate::shard::Shard;
use crate::timeout::left_of;

impl Shard {
    /// A call, or another chunk of one, from another shard.
    pub(crate) fn invoke_from_afar(&mut self, invoke: Invoke) {
        if invoke.head.is_continuation {
            return self.invoke_more(invoke);
        }
        let plain = CallOptions::default();
        let options = invoke.options.as_deref().unwrap_or(&plain);
        match self.invoke(&invoke.head, &invoke.procedure, options, invoke.payload.as_payload()) {
            Ok(true) => {}
            Ok(false) => self.enqueue(invoke),
            Err(why) => self.give_back(invoke, why),
        }
    }

    /// Queues INVOCATION. `false` if the callee has as many as it takes: the call is to be [enqueued](Shard::enqueue).
    pub(crate) fn invoke(
        &mut self,
        head: &InvokeHead,
        procedure: &str,
        options: &CallOptions<'_>,
        payload: Payload<'_>,
    ) -> Result<bool, NotInvoked> {
        let callee = head.callee;
        if !self.sessions.is_live(callee.slot, callee.guard) {
            return Err(NotInvoked::Undeliverable);
        }
        let entry = &mut self.sessions[callee.slot];
        let (SessionState::Open, Some(slot)) = (entry.state, entry.connection) else {
            return Err(NotInvoked::Undeliverable);
        };
        let service = match entry.registrations.entry(head.registration) {
            Entry::Occupied(service) => service.into_mut(),
            // Other shards know of a registration before its callee has REGISTERED.
            Entry::Vacant(service) if entry.requests.any_pending_of(RequestType::Register) => {
                entry.awaited.push(head.registration);
                service.insert(Service { bounded: Some(Box::default()) })
            }
            Entry::Vacant(_) => return Err(NotInvoked::Undeliverable),
        };
        if !options.is_plain() && !can_serve(entry.features, options) {
            return Err(NotInvoked::Failed(error_uri::FEATURE_NOT_SUPPORTED));
        }
        let limits = &self.shared.realm(entry.realm).limits;
        if entry.invocations.len() >= limits.invocations_per_session_max {
            return Err(NotInvoked::Failed(LIMIT_EXCEEDED));
        }
        let counted_by = service.bounded.as_ref().map(|bounded| bounded.number);
        if let Some(bounded) = service.bounded.as_mut() {
            if bounded.active >= bounded.concurrency {
                let has_room = bounded.waiting.len() < limits.calls_per_callee_queued_max
                    && bounded.octets + payload.len() <= limits.calls_per_callee_queued_bytes_max;
                return if has_room { Ok(false) } else { Err(NotInvoked::Full) };
            }
            bounded.active += 1;
        }
        let request = entry.invocations.begin(OpenInvocation {
            call: head.call,
            registration: head.registration,
            wants_results: options.receive_progress,
            counted_by,
        });
        self.stubs.insert(head.call, callee.slot, request);
        let error = match self.post_invocation(slot, request, head, procedure, options, payload) {
            Ok(()) | Err(Unsent::Gone) => {
                if head.timeout.is_some() {
                    self.leave_timeout(head.call);
                }
                return Ok(true); // Gone: leaving has answered the call.
            }
            Err(Unsent::TooLong) => error_uri::PAYLOAD_SIZE_EXCEEDED,
            Err(Unsent::Inexpressible) => error_uri::INVALID_ARGUMENT,
        };
        self.stubs.remove(head.call);
        let entry = &mut self.sessions[callee.slot];
        entry.invocations.withdraw(request);
        if let Some(bounded) = entry.bounded(head.registration) {
            bounded.active -= 1;
        }
        Err(NotInvoked::Failed(error))
    }

    /// Another chunk of a call that was invoked, or waits to be, on this shard. If the callee has answered, it is dropped.
    pub(crate) fn invoke_more(&mut self, invoke: Invoke) {
        let Some((callee, request)) = self.stubs.get(invoke.head.call) else {
            return self.enqueue_more(invoke);
        };
        let entry = &self.sessions[callee];
        let (SessionState::Open, Some(slot)) = (entry.state, entry.connection) else { return };
        let plain = CallOptions::default();
        let options = invoke.options.as_deref().unwrap_or(&plain);
        let payload = invoke.payload.as_payload();
        let error =
            match self.post_invocation(slot, request, &invoke.head, &invoke.procedure, options, payload) {
                Ok(()) | Err(Unsent::Gone) => return,
                Err(Unsent::TooLong) => error_uri::PAYLOAD_SIZE_EXCEEDED,
                Err(Unsent::Inexpressible) => error_uri::INVALID_ARGUMENT,
            };
        // The callee would wait for the rest of it.
        self.canceled(invoke.head.call, CancelMode::KillNoWait);
        self.reply_error(invoke.head.call, error);
    }

    /// A call waits until its callee has answered enough of those before.
    pub(crate) fn enqueue(&mut self, invoke: Invoke) {
        let head = &invoke.head;
        self.waiting.insert(head.call, (head.callee.slot, head.registration));
        let bounded = self.sessions[head.callee.slot].bounded(head.registration);
        let bounded = bounded.expect("invariant: only a bounded callee lets calls wait");
        bounded.octets += invoke.payload.len();
        bounded.waiting.push_back(Waiting { since: self.now.0, invoke, more: Vec::new() });
        add(&self.counters().calls_queued, 1);
    }

    /// CANCEL, a caller that is gone, or a timeout, from the caller's shard.
    pub(crate) fn canceled(&mut self, call: CallRef, mode: CancelMode) {
        let Some((callee, request)) = self.stubs.get(call) else {
            return self.cancel_waiting(call, mode);
        };
        let features = self.sessions[callee].features;
        let can_cancel = features.has(ClientRole::Callee, ClientFeature::CallCanceling);
        if can_cancel && mode != CancelMode::Skip {
            self.interrupt(callee, request, mode);
        }
        if mode == CancelMode::Kill && can_cancel {
            return;
        }
        self.end_invocation(callee, request);
        if mode == CancelMode::Kill {
            self.reply_error(call, error_uri::CANCELED);
        }
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
        let mut attributes = PayloadAttributes::default();
        if !options.is_empty() {
            attributes = PayloadAttributes::from_dict(&options);
            let entry = &self.sessions[session];
            if attributes.is_passthru()
                && self.shared.realm(entry.realm).features == FeatureRules::Strict
                && !entry.features.has(ClientRole::Callee, ClientFeature::PayloadPassthruMode)
            {
                let text = "YIELD in payload passthru mode, which was not announced";
                return self.violation(slot, text);
            }
            let is_progress = options.get("progress").and_then(|value| value.as_bool()) == Some(true);
            if is_progress && let Some(open) = self.sessions[session].invocations.get(request) {
                // A caller that has not asked for progress has the final result only.
                if open.wants_results {
                    self.reply(open.call, ReplyOutcome::Progress, attributes, payload, Some(slot));
                }
                return;
            }
        }
        if let Some(call) = self.invocation_ended(slot, session, request) {
            self.reply(call, ReplyOutcome::Result, attributes, payload, Some(slot));
        }
    }

    /// ERROR for an INVOCATION.
    pub(crate) fn invocation_failed(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        details: Dict<'_>,
        error: &str,
        payload: Payload<'_>,
    ) {
        if let Some(call) = self.invocation_ended(slot, session, request) {
            let rules = self.shared.realm(self.sessions[session].realm).uri_rules;
            let error = if rules.check(error).is_ok() { error } else { error_uri::RUNTIME_ERROR };
            let attributes = PayloadAttributes::from_dict(&details);
            self.reply(call, ReplyOutcome::Error(error.into()), attributes, payload, Some(slot));
        }
    }

    /// A session serves a registration no more: the calls that wait for it go elsewhere.
    pub(crate) fn end_service(&mut self, session: u32, registration: RegistrationId) {
        let entry = &mut self.sessions[session];
        if entry.awaited.contains(&registration) {
            return; // What ends is an earlier one of the same id.
        }
        if let Some(service) = entry.registrations.remove(&registration) {
            self.release_waiting(service);
        }
    }

    /// A session serves a registration. Gives what has waited for that: it is dealt with when REGISTERED is queued.
    pub(crate) fn begin_service(
        &mut self,
        session: u32,
        registration: RegistrationId,
        service: Service,
    ) -> Option<Service> {
        let entry = &mut self.sessions[session];
        entry.awaited.retain(|awaited| *awaited != registration);
        entry.registrations.insert(registration, service)
    }

    /// Deals with calls that have come before REGISTERED as if they came now.
    pub(crate) fn serve_awaited(&mut self, awaited: Service) {
        for waiting in awaited.bounded.map(|bounded| bounded.waiting).into_iter().flatten() {
            self.invoke_waiting(waiting);
        }
    }

    /// A REGISTER has been answered. After the last one nothing is awaited any more.
    pub(crate) fn await_no_more(&mut self, session: u32) {
        let entry = &mut self.sessions[session];
        if entry.requests.any_pending_of(RequestType::Register) {
            return;
        }
        for registration in std::mem::take(&mut entry.awaited) {
            self.end_service(session, registration);
        }
    }

    /// Gives back the calls that wait for a callee which serves them no more.
    pub(crate) fn release_waiting(&mut self, service: Service) {
        for waiting in service.bounded.map(|bounded| bounded.waiting).into_iter().flatten() {
            self.waiting.remove(&waiting.invoke.head.call);
            self.give_back(waiting.invoke, NotInvoked::Undeliverable);
        }
    }

    /// Gives an invocation that was never queued back to its caller's shard.
    fn give_back(&mut self, invoke: Invoke, why: NotInvoked) {
        // By way of the queue even to this shard: what one call's end causes must not nest in another's.
        self.send(invoke.head.call.shard, Frame::Returned(Box::new(invoke), why), None);
    }

    fn reply_error(&mut self, call: CallRef, error: &'static str) {
        let outcome = ReplyOutcome::Error(error.into());
        self.reply(call, outcome, PayloadAttributes::default(), Payload::NONE, None);
    }

    fn post_invocation(
        &mut self,
        slot: u32,
        request: RequestId,
        head: &InvokeHead,
        procedure: &str,
        options: &CallOptions<'_>,
        payload: Payload<'_>,
    ) -> Result<(), Unsent> {
        let mut details: SmallVec<[(&str, Value<'_>); 4]> = SmallVec::new();
        if head.names_procedure {
            details.push(("procedure", Value::Str(Cow::Borrowed(procedure))));
        }
        if options.receive_progress {
            details.push(("receive_progress", Value::Bool(true)));
        }
        if head.progress {
            details.push(("progress", Value::Bool(true)));
        }
        if let Some(timeout) = head.timeout {
            details.push(("timeout", Value::Uint(timeout)));
        }
        if let Some(caller) = &head.caller {
            details.push(("caller", Value::Uint(caller.session.get())));
            details.push(("caller_authid", Value::Str(Cow::Borrowed(&caller.authid))));
            details.push(("caller_authrole", Value::Str(Cow::Borrowed(&caller.authrole))));
        }
        if let Some(level) = head.trust_level {
            details.push(("trustlevel", Value::Uint(u64::from(level))));
        }
        details.extend(options.attributes.entries());
        let estimate = MESSAGE_BYTES + payload.len() + if head.names_procedure { procedure.len() } else { 0 };
        let registration = head.registration;
        let message = Message::Invocation { request, registration, details: Dict::pairs(&details), payload };
        self.post(slot, &message, estimate)
    }

    fn interrupt(&mut self, callee: u32, request: RequestId, mode: CancelMode) {
        let entry = &self.sessions[callee];
        let (SessionState::Open, Some(slot)) = (entry.state, entry.connection) else { return };
        let mode = if mode == CancelMode::Kill { "kill" } else { "killnowait" };
        let options = [("mode", Value::Str(Cow::Borrowed(mode)))];
        let _ =
            self.post(slot, &Message::Interrupt { request, options: Dict::pairs(&options) }, MESSAGE_BYTES);
    }

    /// A callee has answered for good. Gives the call, if it is known; an answer to an id never sent is a violation.
    fn invocation_ended(&mut self, slot: u32, session: u32, request: RequestId) -> Option<CallRef> {
        if let Some(open) = self.end_invocation(session, request) {
            return Some(open.call);
        }
        let invocations = &self.sessions[session].invocations;
        if invocations.was_issued(request) || request.get() <= self.connections[slot].past_invocations {
            count_dropped(self);
        } else {
            self.violation(slot, &format!("answer to an invocation {request} that was never sent"));
        }
        None
    }

    /// Takes an invocation out of the books, and lets the next call that waits for the callee go to it.
    fn end_invocation(&mut self, callee: u32, request: RequestId) -> Option<OpenInvocation> {
        let entry = &mut self.sessions[callee];
        let open = entry.invocations.end(request)?;
        self.stubs.remove(open.call);
        if let Some(number) = open.counted_by
            && let Some(bounded) = entry.bounded(open.registration).filter(|bounded| bounded.number == number)
        {
            bounded.active -= 1;
            if !bounded.waiting.is_empty() {
                let at = self.session_ref(callee);
                self.send(self.id, Frame::CalleeFree { callee: at, registration: open.registration }, None);
            }
        }
        Some(open)
    }

    /// A callee has answered: calls that wait for it go to it, as many as it takes.
    pub(crate) fn callee_free(&mut self, callee: u32, registration: RegistrationId) {
        loop {
            let Some(bounded) = self.sessions[callee].bounded(registration) else { return };
            if bounded.active >= bounded.concurrency {
                return;
            }
            let Some(waiting) = bounded.waiting.pop_front() else { return };
            bounded.octets -= octets(&waiting);
            self.invoke_waiting(waiting);
        }
    }

    /// Deals with a call that has waited as if it came now, with what is left of its time.
    fn invoke_waiting(&mut self, waiting: Waiting) {
        let Waiting { since, mut invoke, more } = waiting;
        self.waiting.remove(&invoke.head.call);
        let waited = self.now.0.saturating_sub(since);
        let timeout = invoke.head.timeout.map(|millis| left_of(millis, waited));
        invoke.head.timeout = timeout;
        self.invoke_from_afar(invoke);
        for mut more in more {
            more.head.timeout = timeout;
            self.invoke_more(more);
        }
    }

    fn enqueue_more(&mut self, invoke: Invoke) {
        let call = invoke.head.call;
        let realm_of = |(callee, _): &(u32, _)| self.shared.realm(self.sessions[*callee].realm);
        let most = self.waiting.get(&call).map(|at| realm_of(at).limits.calls_per_callee_queued_bytes_max);
        let (Some(most), Some((bounded, position))) = (most, self.find_waiting(call)) else {
            return add(&self.counters().chunks_dropped, 1);
        };
        if bounded.octets + invoke.payload.len() > most {
            self.cancel_waiting(call, CancelMode::KillNoWait);
            return self.reply_error(call, LIMIT_EXCEEDED);
        }
        bounded.octets += invoke.payload.len();
        bounded.waiting[position].more.push(invoke);
    }

    /// Ends a call that waits for its callee.
    fn cancel_waiting(&mut self, call: CallRef, mode: CancelMode) {
        let Some((bounded, position)) = self.find_waiting(call) else { return };
        if let Some(waiting) = bounded.waiting.remove(position) {
            bounded.octets -= octets(&waiting);
        }
        self.waiting.remove(&call);
        if mode == CancelMode::Kill {
            self.reply_error(call, error_uri::CANCELED);
        }
    }

    fn find_waiting(&mut self, call: CallRef) -> Option<(&mut Bounded, usize)> {
        let &(callee, registration) = self.waiting.get(&call)?;
        let bounded = self.sessions[callee].bounded(registration)?;
        let position = bounded.waiting.iter().position(|waiting| waiting.invoke.head.call == call)?;
        Some((bounded, position))
    }
}

/// Octets of a call that waits.
fn octets(waiting: &Waiting) -> usize {
    waiting.invoke.payload.len() + waiting.more.iter().map(|more| more.payload.len()).sum::<usize>()
}

/// Whether a callee can make sense of what a call needs.
fn can_serve(features: ClientFeatures, options: &CallOptions<'_>) -> bool {
    let has = |feature| features.has(ClientRole::Callee, feature);
    let can_stream = has(ClientFeature::ProgressiveCallInvocations) && has(ClientFeature::CallCanceling);
    (!options.progress || can_stream)
        && (!options.attributes.is_passthru() || has(ClientFeature::PayloadPassthruMode))
        && (!options.attributes.is_transparent() || has(ClientFeature::PayloadTransparency))
}

impl crate::session::Session {
    /// The bound of a registration, where it has one.
    fn bounded(&mut self, registration: RegistrationId) -> Option<&mut Bounded> {
        self.registrations.get_mut(&registration)?.bounded.as_deref_mut()
    }
}
