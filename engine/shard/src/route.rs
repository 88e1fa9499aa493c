//! Which callee takes a call, and which one next when that one does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use wampline_routing::uri::MatchPolicy;
use wampline_routing::{CallOptions, CallProgress, CallRef, Disclose, RealmId, SessionRef, Tried, error_uri};
use wampline_wire::{Payload, RegistrationId, SessionId};

use crate::counters::add;
use crate::dealer::reason_text;
use crate::frame::{Frame, Invoke, InvokeHead, NotInvoked};
use crate::leave::count_dropped;
use crate::question::NOBODY;
use crate::shard::Shard;

/// Where a call is to go.
pub(crate) struct Route<'a> {
    pub(crate) procedure: &'a str,
    pub(crate) tried: Tried,
    /// The newest registration when the call began: later ones are not looked at, unless they took over from an earlier one.
    pub(crate) newest: u64,
    /// The lineage of the registration that it must be, because its callees were full or unavailable.
    pub(crate) bound_to: Option<RegistrationId>,
}

/// Which callee takes a call.
struct Choice {
    registration: RegistrationId,
    lineage: RegistrationId,
    names_procedure: bool,
    callee: SessionRef,
    session: SessionId,
    disclose_caller: bool,
    forward_timeout: bool,
    load: Option<Arc<AtomicU32>>,
    has_others: bool,
}

impl Shard {
    /// Sends a call to another callee than those before.
    fn route_again(
        &mut self,
        call: CallRef,
        route: Route<'_>,
        options: &CallOptions<'_>,
        payload: Payload<'_>,
    ) {
        let Some(call) = self.calls.attempt(call) else { return };
        self.route(call, route, options, payload, None);
    }

    /// Sends a call to the best callee there is. `from` is the caller's connection, if its message is being dealt with.
    pub(crate) fn route(
        &mut self,
        call: CallRef,
        mut route: Route<'_>,
        options: &CallOptions<'_>,
        payload: Payload<'_>,
        from: Option<u32>,
    ) {
        loop {
            let Some(entry) = self.calls.get(call) else { return };
            let (caller, realm) = (entry.caller, self.realm_of_call(entry));
            let Some(choice) = self.choose(realm, &route, options) else {
                return self.nobody_takes(call, &route);
            };
            if !route.tried.is_empty() {
                add(&self.counters().calls_rerouted, 1);
            }
            let head = self.decide(call, caller, &route, options, &choice);
            let callee = choice.callee;
            self.take_note(call, choice, &head, &route, options, payload);
            if callee.shard != self.id {
                let invoke = owned(head, &route, options, payload);
                return self.send(callee.shard, Frame::Invoke(Box::new(invoke)), from);
            }
            let why = match self.invoke(&head, route.procedure, options, payload) {
                Ok(true) => return,
                Ok(false) => return self.enqueue(owned(head, &route, options, payload)),
                Err(why) => why,
            };
            if let NotInvoked::Failed(error) = why {
                return self.finish_call(call, error, reason_text(error));
            }
            route.tried.push(head.registration, head.callee_session);
            if why == NotInvoked::Full {
                route.bound_to = Some(head.lineage);
            }
        }
    }

    fn choose(&mut self, realm: RealmId, route: &Route<'_>, options: &CallOptions<'_>) -> Option<Choice> {
        if route.tried.is_exhausted() {
            return None;
        }
        let random = &mut self.random;
        let replica = &self.realms[realm.index()].replica;
        let admissible = |lineage: RegistrationId| match route.bound_to {
            Some(only) => lineage == only,
            None => lineage.get() <= route.newest,
        };
        replica.procedures(route.procedure).filter(|(_, found)| admissible(found.info.lineage)).find_map(
            |(policy, found)| {
                let callee =
                    found.pick(&route.tried, options.rkey.as_deref(), |below| random.usize(..below))?;
                Some(Choice {
                    registration: found.info.id,
                    lineage: found.info.lineage,
                    names_procedure: policy != MatchPolicy::Exact,
                    callee: callee.at,
                    session: callee.session,
                    disclose_caller: callee.disclose_caller,
                    forward_timeout: callee.forward_timeout,
                    load: callee.load.clone(),
                    has_others: found.callees.len() > 1,
                })
            },
        )
    }

    fn decide(
        &self,
        call: CallRef,
        caller: u32,
        route: &Route<'_>,
        options: &CallOptions<'_>,
        choice: &Choice,
    ) -> InvokeHead {
        let asked = options.disclose_me || choice.disclose_caller;
        // The router itself is nobody whom a callee could be told of.
        let (is_disclosed, trust_level) = match caller {
            NOBODY => (false, None),
            caller => self.told_of_caller(caller, route.procedure, asked, options.disclosure),
        };
        InvokeHead {
            call,
            callee: choice.callee,
            callee_session: choice.session,
            registration: choice.registration,
            lineage: choice.lineage,
            names_procedure: choice.names_procedure,
            newest: route.newest,
            bound_to: route.bound_to,
            progress: options.progress,
            is_continuation: false,
            timeout: if choice.forward_timeout { self.time_left(call, route, options) } else { None },
            caller: is_disclosed.then(|| self.sessions[caller].identity.clone()),
            trust_level,
        }
    }

    /// What a callee is told of who calls: whether it is told who that is (by what the permission to call says, or else the realm), and
    /// how far it is trusted ("Caller Identification",
    /// "Call Trust Levels").
    pub(crate) fn told_of_caller(
        &self,
        caller: u32,
        procedure: &str,
        asked: bool,
        permitted: Option<Disclose>,
    ) -> (bool, Option<u32>) {
        let entry = &self.sessions[caller];
        let realm = self.shared.realm(entry.realm);
        let is_disclosed = match permitted.unwrap_or_else(|| realm.disclosure.caller(procedure)) {
            Disclose::Always => true,
            Disclose::OnRequest => asked,
            Disclose::Never => false,
        };
        (is_disclosed, realm.trust_levels.caller(procedure, &entry.identity.authrole))
    }

    /// Remembers who was invoked, and what another callee or another chunk would need.
    fn take_note(
        &mut self,
        call: CallRef,
        choice: Choice,
        head: &InvokeHead,
        route: &Route<'_>,
        options: &CallOptions<'_>,
        payload: Payload<'_>,
    ) {
        let Some(entry) = self.calls.get_mut(call) else { return };
        entry.callee = choice.callee;
        if !choice.has_others && !options.progress && choice.load.is_none() && entry.extra.is_none() {
            return;
        }
        let room = self.shared.config.limits.rerouting_bytes_max - self.rerouting_octets;
        let is_kept = choice.has_others && payload.len() <= room;
        let kept = if is_kept { payload } else { Payload::NONE };
        let invoke = (is_kept || options.progress).then(|| owned(head.clone(), route, options, kept));
        let added = invoke.as_ref().map_or(0, |invoke| invoke.payload.len());
        let Some(extra) = self.extra(call) else { return };
        let removed = extra.invoke.as_ref().map_or(0, |invoke| invoke.payload.len());
        extra.invoke = invoke;
        extra.is_whole = is_kept;
        if let Some(load) = std::mem::replace(&mut extra.load, choice.load) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(load) = &extra.load {
            load.fetch_add(1, Ordering::Relaxed);
        }
        self.rerouting_octets = self.rerouting_octets + added - removed;
        self.hold_timeout(call);
    }

    /// Every callee that matches has been tried.
    fn nobody_takes(&mut self, call: CallRef, route: &Route<'_>) {
        if route.bound_to.is_some() {
            let text = format!("no callee of {} takes the call", route.procedure);
            return self.finish_call(call, error_uri::NO_AVAILABLE_CALLEE, &text);
        }
        let text = format!("no procedure {} is registered", route.procedure);
        self.finish_call(call, error_uri::NO_SUCH_PROCEDURE, &text);
    }

    /// A call came back from its callee's shard.
    pub(crate) fn call_returned(&mut self, invoke: Invoke, why: NotInvoked) {
        let Invoke { head, procedure, options, mut tried, payload } = invoke;
        if self.is_member(head.call) {
            return self.member_returned(head.call, why);
        }
        let Some(entry) = self.calls.get(head.call) else { return count_dropped(self) };
        let is_over = match why {
            NotInvoked::Failed(error) => Some(error),
            _ if entry.progress.has(CallProgress::KILLED) => Some(error_uri::CANCELED),
            // Chunks that followed the first one are lost: no other callee could make sense of the rest.
            _ if entry.progress.has(CallProgress::CONTINUED) => Some(error_uri::CANCELED),
            _ => None,
        };
        if let Some(error) = is_over {
            return self.finish_call(head.call, error, reason_text(error));
        }
        tried.push(head.registration, head.callee_session);
        let bound_to = if why == NotInvoked::Full { Some(head.lineage) } else { head.bound_to };
        let route = Route { procedure: &procedure, tried, newest: head.newest, bound_to };
        let options = options.map_or_else(CallOptions::default, |options| *options);
        self.route_again(head.call, route, &options, payload.as_payload());
    }

    /// The callee asks for another one ("Call Re-Routing").
    pub(crate) fn callee_unavailable(&mut self, call: CallRef) {
        let Some(entry) = self.calls.get_mut(call) else { return count_dropped(self) };
        if entry.progress.has(CallProgress::KILLED) {
            return self.finish_call(call, error_uri::CANCELED, "");
        }
        let is_pinned = entry.progress.has(CallProgress::CONTINUED);
        let whole = entry.extra.as_mut().filter(|extra| extra.is_whole && !is_pinned);
        let invoke = whole.and_then(|extra| extra.invoke.take());
        let Some(Invoke { head, procedure, options, mut tried, payload }) = invoke else {
            let text = "the only callee of the procedure is not available";
            return self.finish_call(call, error_uri::NO_AVAILABLE_CALLEE, text);
        };
        self.rerouting_octets -= payload.len();
        tried.push_unavailable(head.registration, head.callee_session);
        let bound_to = Some(head.lineage);
        let route = Route { procedure: &procedure, tried, newest: head.newest, bound_to };
        let options = options.map_or_else(CallOptions::default, |options| *options);
        self.route_again(call, route, &options, payload.as_payload());
    }
}

pub(crate) fn owned(
    head: InvokeHead,
    route: &Route<'_>,
    options: &CallOptions<'_>,
    payload: Payload<'_>,
) -> Invoke {
    let options = (!options.is_plain()).then(|| Box::new(options.clone().into_owned()));
    Invoke {
        head,
        procedure: route.procedure.into(),
        options,
        tried: route.tried.clone(),
        payload: payload.to_buf(),
    }
}
