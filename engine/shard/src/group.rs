//! Calls that go to every callee of a registration (`runmode` `all`; "Sharded Registration" is a sketch, so this is
//! our reading of it).
//!
//! Such a call is a group: one entry that the caller knows, and a member for every callee, each with an invocation of its own.
//! The caller has one RESULT when the last member has ended: a list with one dict for each, `session` and either `args` and
//! `kwargs` or `error` beside them. A caller that takes progressive results has that dict as soon as a member ends, and
//! progressive results of callees in the same form. One timeout counts for all; nobody is replaced.

use std::borrow::Cow;

use smallvec::SmallVec;
use wampline_routing::uri::MatchPolicy;
use wampline_routing::{
    Call, CallOptions, CallProgress, CallRef, CancelMode, PayloadAttributes, Tried, error_uri,
};
use wampline_wire::{Dict, Payload, PayloadBuf, RegistrationId, SessionId, Value};

use crate::dealer::{CallExtra, reason_text};
use crate::frame::{Frame, InvokeHead, NotInvoked, ReplyOutcome};
use crate::question::Question;
use crate::route::{Route, owned};
use crate::shard::Shard;

/// What a call is to others.
#[derive(Debug, Default)]
pub(crate) enum CallRole {
    /// One call, one callee.
    #[default]
    Alone,
    /// A call to every callee.
    Group(Group),
    /// One callee's part of a group.
    Member { group: CallRef, session: SessionId },
    /// A call that the router makes itself.
    Question(Question),
}

/// A call to every callee.
#[derive(Debug, Default)]
pub(crate) struct Group {
    members: Vec<CallRef>,
    waiting: usize,
    answers: Vec<Answer>,
    octets: usize,
}

/// What one callee has answered.
#[derive(Debug)]
struct Answer {
    session: SessionId,
    error: Option<Box<str>>,
    attributes: PayloadAttributes<'static>,
    payload: PayloadBuf,
}

impl Shard {
    /// Sends a call to every callee of the best registration.
    pub(crate) fn call_all(
        &mut self,
        call: CallRef,
        procedure: &str,
        options: &CallOptions<'_>,
        payload: Payload<'_>,
        from: Option<u32>,
    ) {
        let Some(entry) = self.calls.get(call) else { return };
        let (caller, request, progress) = (entry.caller, entry.request, entry.progress);
        let realm = self.sessions[caller].realm;
        let Some((policy, found)) = self.realms[realm.index()].replica.procedure(procedure) else {
            let text = format!("no procedure {procedure} is registered");
            return self.finish_call(call, error_uri::NO_SUCH_PROCEDURE, &text);
        };
        let (registration, lineage) = (found.info.id, found.info.lineage);
        let callees: Vec<_> = found.callees.iter().cloned().collect();
        // Each answer is judged for itself; what the router makes of them is not.
        let own = self.calls.get_mut(call).and_then(|entry| entry.extra.as_mut());
        let validation = own.and_then(|extra| extra.validation.take());
        let mut heads = Vec::with_capacity(callees.len());
        for callee in callees {
            let role = CallRole::Member { group: call, session: callee.session };
            let extra =
                Some(Box::new(CallExtra { role, validation: validation.clone(), ..CallExtra::default() }));
            let member = self.calls.begin(Call { caller, request, callee: callee.at, progress, extra });
            let asked = options.disclose_me || callee.disclose_caller;
            let (is_disclosed, trust_level) =
                self.told_of_caller(caller, procedure, asked, options.disclosure);
            heads.push(InvokeHead {
                call: member,
                callee: callee.at,
                callee_session: callee.session,
                registration,
                lineage,
                names_procedure: policy != MatchPolicy::Exact,
                newest: 0,
                bound_to: Some(lineage),
                progress: false,
                is_continuation: false,
                timeout: options.timeout.filter(|_| callee.forward_timeout),
                caller: is_disclosed.then(|| self.sessions[caller].identity.clone()),
                trust_level,
            });
        }
        let members: Vec<CallRef> = heads.iter().map(|head| head.call).collect();
        let group = Group { waiting: members.len(), members, ..Group::default() };
        let Some(extra) = self.extra(call) else { return };
        extra.role = CallRole::Group(group);
        self.groups += 1;
        for head in heads {
            self.invoke_member(head, procedure, options, payload, from);
        }
    }

    /// Whether a call is part of a group: then its answer is none of the caller's yet.
    pub(crate) fn is_member(&self, call: CallRef) -> bool {
        let extra = self.calls.get(call).and_then(|entry| entry.extra.as_ref());
        extra.is_some_and(|extra| matches!(extra.role, CallRole::Member { .. }))
    }

    /// A member of a group came back from its callee's shard.
    pub(crate) fn member_returned(&mut self, call: CallRef, why: NotInvoked) {
        let error = match why {
            NotInvoked::Undeliverable => error_uri::CANCELED,
            NotInvoked::Full => error_uri::NO_AVAILABLE_CALLEE,
            NotInvoked::Failed(error) => error,
        };
        self.member_answered(
            call,
            ReplyOutcome::Error(error.into()),
            &PayloadAttributes::default(),
            Payload::NONE,
        );
    }

    /// The callee of a member has answered.
    pub(crate) fn member_answered(
        &mut self,
        call: CallRef,
        outcome: ReplyOutcome,
        attributes: &PayloadAttributes<'_>,
        payload: Payload<'_>,
    ) {
        let extra = self.calls.get(call).and_then(|entry| entry.extra.as_ref());
        let Some(CallRole::Member { group, session }) = extra.map(|extra| &extra.role) else { return };
        let (group, session) = (*group, *session);
        let (is_final, error) = match outcome {
            ReplyOutcome::Progress => (false, None),
            ReplyOutcome::Result => (true, None),
            ReplyOutcome::Error(error) => (true, Some(error)),
        };
        let answer =
            Answer { session, error, attributes: attributes.clone().into_owned(), payload: payload.to_buf() };
        if is_final {
            self.end_call(call);
        }
        self.report(group, &answer);
        let Some(limit) = self.bytes_max_of_caller(group) else { return };
        let Some(CallRole::Group(members)) = self.extra(group).map(|extra| &mut extra.role) else { return };
        if !is_final {
            return;
        }
        members.waiting -= 1;
        members.octets += answer.payload.len();
        members.answers.push(answer);
        if members.octets > limit {
            let error = error_uri::PAYLOAD_SIZE_EXCEEDED;
            self.finish_call(group, error, reason_text(error));
        } else if members.waiting == 0 {
            self.conclude(group);
        }
    }

    /// Ends what is left of a group, whose own call has ended.
    pub(crate) fn disband(&mut self, group: Group) {
        for member in group.members {
            if let Some(ended) = self.end_call(member) {
                self.cancel_at(ended.callee.shard, member, CancelMode::KillNoWait);
            }
        }
    }

    /// CANCEL of a group, as far as its callees are concerned. Returns whether the call is one.
    pub(crate) fn cancel_members(&mut self, call: CallRef, mode: CancelMode) -> bool {
        let extra = self.calls.get(call).and_then(|entry| entry.extra.as_ref());
        let Some(CallRole::Group(group)) = extra.map(|extra| &extra.role) else { return false };
        for member in group.members.clone() {
            if let Some(shard) = self.calls.get(member).map(|entry| entry.callee.shard) {
                self.cancel_at(shard, member, mode);
            }
        }
        true
    }

    fn invoke_member(
        &mut self,
        head: InvokeHead,
        procedure: &str,
        options: &CallOptions<'_>,
        payload: Payload<'_>,
        from: Option<u32>,
    ) {
        let bound_to: Option<RegistrationId> = head.bound_to;
        let route = Route { procedure, tried: Tried::default(), newest: 0, bound_to };
        let (call, callee) = (head.call, head.callee);
        if callee.shard != self.id {
            let invoke = owned(head, &route, options, payload);
            return self.send(callee.shard, Frame::Invoke(Box::new(invoke)), from);
        }
        match self.invoke(&head, procedure, options, payload) {
            Ok(true) => {}
            Ok(false) => self.enqueue(owned(head, &route, options, payload)),
            Err(why) => self.member_returned(call, why),
        }
    }

    /// Tells a caller that takes progressive results what one callee has answered.
    fn report(&mut self, group: CallRef, answer: &Answer) {
        let Some(entry) = self.calls.get(group) else { return };
        if !entry.progress.has(CallProgress::WANTS_RESULTS) {
            return;
        }
        let Some(serializer) = self.serializer_of(entry.caller) else { return };
        let entries = answer.entries();
        let arguments = PayloadBuf::from_values(serializer, &[Value::Dict(Dict::pairs(&entries))], &[]);
        if let Ok(arguments) = arguments {
            self.call_answered(
                group,
                ReplyOutcome::Progress,
                &PayloadAttributes::default(),
                arguments.as_payload(),
            );
        }
    }

    /// Every member has ended.
    fn conclude(&mut self, call: CallRef) {
        let Some(caller) = self.calls.get(call).map(|entry| entry.caller) else { return };
        let Some(serializer) = self.serializer_of(caller) else { return };
        let Some(CallRole::Group(group)) = self.extra(call).map(|extra| &mut extra.role) else { return };
        let answers = std::mem::take(&mut group.answers);
        let entries: Vec<Entries<'_>> = answers.iter().map(Answer::entries).collect();
        let listed: Vec<Value<'_>> =
            entries.iter().map(|entries| Value::Dict(Dict::pairs(entries))).collect();
        match PayloadBuf::from_values(serializer, &listed, &[]) {
            Ok(payload) => {
                let plain = PayloadAttributes::default();
                self.call_answered(call, ReplyOutcome::Result, &plain, payload.as_payload());
            }
            Err(_) => {
                let error = error_uri::INVALID_ARGUMENT;
                self.finish_call(call, error, reason_text(error));
            }
        }
    }

    fn serializer_of(&self, session: u32) -> Option<wampline_wire::Serializer> {
        self.sessions[session].connection.map(|slot| self.connections[slot].form.serializer())
    }

    fn bytes_max_of_caller(&self, call: CallRef) -> Option<usize> {
        let slot = self.sessions[self.calls.get(call)?.caller].connection?;
        Some(self.connections[slot].peer_bytes_max)
    }
}

type Entries<'a> = SmallVec<[(&'a str, Value<'a>); 4]>;

impl Answer {
    /// The answer as the entries of a dict.
    fn entries(&self) -> Entries<'_> {
        let mut entries: Entries<'_> = SmallVec::new();
        entries.push(("session", Value::Uint(self.session.get())));
        if let Some(error) = &self.error {
            entries.push(("error", Value::Str(Cow::Borrowed(error))));
        }
        let payload = self.payload.as_payload();
        if let Some(args) = payload.args() {
            entries.push(("args", Value::List(args)));
        }
        if let Some(kwargs) = payload.kwargs() {
            entries.push(("kwargs", Value::Dict(kwargs)));
        }
        for (name, value) in self.attributes.entries() {
            entries.push((name, value));
        }
        entries
    }
}
