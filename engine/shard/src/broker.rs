//! The subscriptions of one shard's sessions: SUBSCRIBE, UNSUBSCRIBE and their answers, memberships, and the ERROR for any
//! request. Publications are in `publish.rs`, events in `event.rs`.

use std::borrow::Cow;

use wampline_routing::authorization::Action;
use wampline_routing::uri::MatchPolicy;
use wampline_routing::{Member, RealmId, Refusal, error_uri};
use wampline_wire::{Dict, Message, Payload, PayloadBuf, RequestId, RequestType, SubscriptionId, Value};

use crate::authorize::{Flow, Permission, Wanted};
use crate::connection::Parked;
use crate::event::EVENT_BYTES;
use crate::frame::HomeRequest;
use crate::session::{SessionState, Subscribing};
use crate::shard::Shard;

impl Shard {
    /// SUBSCRIBE.
    pub(crate) fn subscribe(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        options: Dict<'_>,
        topic: &str,
    ) -> Flow {
        let rules = self.shared.realm(self.sessions[session].realm).uri_rules;
        let checked = match_policy(&options).and_then(|policy| {
            rules.check_pattern(topic, policy).map(|()| policy).map_err(|error| error.to_string())
        });
        let policy = match checked {
            Ok(policy) => policy,
            Err(text) => {
                self.error(slot, RequestType::Subscribe, request, error_uri::INVALID_URI, &text);
                return Flow::Done;
            }
        };
        let (mut get_retained, mut nkey) = (false, None);
        if !options.is_empty() {
            get_retained = options.get("get_retained").and_then(|value| value.as_bool()) == Some(true);
            nkey = options.get("nkey");
        }
        let nkey: Option<Box<str>> = match &nkey {
            None => None,
            Some(Value::Str(nkey)) => Some(nkey.as_ref().into()),
            Some(_) => {
                let (error, text) = (error_uri::INVALID_ARGUMENT, "the option nkey must be a string");
                self.error(slot, RequestType::Subscribe, request, error, text);
                return Flow::Done;
            }
        };
        let wanted = Wanted { action: Action::Subscribe, policy, uri: topic, options };
        match self.permission(session, wanted) {
            Permission::Granted(_) => {}
            Permission::Refused(error, text) => {
                self.error(slot, RequestType::Subscribe, request, error, &text);
                return Flow::Done;
            }
            Permission::Waits => return Flow::Waits,
        }
        let entry = &mut self.sessions[session];
        entry.requests.begin(RequestType::Subscribe, request);
        if get_retained || nkey.is_some() {
            entry.subscribing.push(Subscribing { request, get_retained, is_node: nkey.is_some() });
        }
        let request = HomeRequest::Subscribe { request, policy, topic: topic.into(), nkey };
        self.ask_home(session, request, Some(slot));
        Flow::Done
    }

    /// UNSUBSCRIBE.
    pub(crate) fn unsubscribe(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        subscription: SubscriptionId,
    ) {
        self.sessions[session].requests.begin(RequestType::Unsubscribe, request);
        self.ask_home(session, HomeRequest::Unsubscribe { request, subscription }, Some(slot));
    }

    /// The directory's answer to SUBSCRIBE: the membership begins when SUBSCRIBED is queued.
    pub(crate) fn subscribed(
        &mut self,
        session: u32,
        request: RequestId,
        result: Result<SubscriptionId, Refusal>,
    ) {
        let Some(slot) = self.answered(session, RequestType::Subscribe, request) else {
            // It has left meanwhile; the directory releases the subscription with all others.
            return;
        };
        let entry = &mut self.sessions[session];
        let asked = entry.subscribing.iter().position(|asked| asked.request == request);
        let asked = asked.map(|position| entry.subscribing.swap_remove(position));
        match result {
            Ok(subscription) => {
                if asked.is_some_and(|asked| asked.is_node) {
                    entry.nodes.insert(subscription);
                } else {
                    entry.nodes.remove(&subscription);
                }
                let queued = self.post(slot, &Message::Subscribed { request, subscription }, EVENT_BYTES);
                if queued.is_ok() {
                    self.add_member(session, slot, subscription);
                    if asked.is_some_and(|asked| asked.get_retained) {
                        self.begin_holding(session, slot, subscription);
                    }
                }
            }
            Err(refusal) => self.refuse(slot, RequestType::Subscribe, request, refusal),
        }
    }

    /// A membership ends, and what was held for it.
    pub(crate) fn end_membership(&mut self, session: u32, subscription: SubscriptionId) {
        let entry = &mut self.sessions[session];
        let realm = entry.realm;
        entry.nodes.remove(&subscription);
        if let Some(position) = entry.subscriptions.remove(&subscription) {
            self.remove_member(realm, subscription, position);
        }
        self.forget_held(session, subscription);
    }

    /// The directory's answer to UNSUBSCRIBE: the membership ends when UNSUBSCRIBED is queued.
    pub(crate) fn unsubscribed(
        &mut self,
        session: u32,
        request: RequestId,
        result: Result<SubscriptionId, Refusal>,
    ) {
        let Some(slot) = self.answered(session, RequestType::Unsubscribe, request) else { return };
        match result {
            Ok(subscription) => {
                self.end_membership(session, subscription);
                let message = Message::Unsubscribed { request: Some(request), details: None };
                let _ = self.post(slot, &message, EVENT_BYTES);
            }
            Err(refusal) => self.refuse(slot, RequestType::Unsubscribe, request, refusal),
        }
    }

    /// Ends a membership.
    pub(crate) fn remove_member(&mut self, realm: RealmId, subscription: SubscriptionId, position: u32) {
        let moved = self.realms[realm.index()].members.remove(subscription, position);
        if let Some(moved) = moved {
            self.sessions[moved.session].subscriptions.insert(subscription, position);
        }
    }

    /// Queues ERROR for a request.
    pub(crate) fn error(
        &mut self,
        slot: u32,
        request_type: RequestType,
        request: RequestId,
        error: &str,
        text: &str,
    ) {
        let arguments = [Value::Str(Cow::Borrowed(text))];
        let arguments = if text.is_empty() { &[][..] } else { &arguments[..] };
        let serializer = self.connections[slot].form.serializer();
        let payload = PayloadBuf::from_values(serializer, arguments, &[]);
        let payload = payload.as_ref().map_or(Payload::NONE, PayloadBuf::as_payload);
        let message = Message::Error {
            request_type,
            request,
            details: Dict::EMPTY,
            error: Cow::Borrowed(error),
            payload,
        };
        let _ = self.post(slot, &message, EVENT_BYTES + error.len() + text.len());
    }

    /// Queues the ERROR for what the directory refuses.
    pub(crate) fn refuse(
        &mut self,
        slot: u32,
        request_type: RequestType,
        request: RequestId,
        refusal: Refusal,
    ) {
        let (error, text) = match refusal {
            Refusal::NoSuchSubscription => {
                (error_uri::NO_SUCH_SUBSCRIPTION, "the session has no such subscription")
            }
            Refusal::NoSuchRegistration => {
                (error_uri::NO_SUCH_REGISTRATION, "the session has no such registration")
            }
            Refusal::ProcedureAlreadyExists => {
                (error_uri::PROCEDURE_ALREADY_EXISTS, "the procedure is registered already")
            }
            Refusal::DifferentInvocationPolicy => (
                error_uri::PROCEDURE_EXISTS_WITH_DIFFERENT_INVOCATION_POLICY,
                "the procedure is registered with another invocation policy",
            ),
            Refusal::LimitExceeded => (crate::dealer::LIMIT_EXCEEDED, "the session owns as many as it may"),
            Refusal::Pattern(error) => {
                let text = error.to_string();
                return self.error(slot, request_type, request, error_uri::INVALID_URI, &text);
            }
        };
        self.error(slot, request_type, request, error, text);
    }

    /// A request has its answer: gives the connection to send it to, if the session is still open.
    pub(crate) fn answered(&mut self, session: u32, kind: RequestType, request: RequestId) -> Option<u32> {
        let entry = &mut self.sessions[session];
        entry.requests.finish(kind, request);
        let slot = entry.connection?;
        let is_open = entry.state == SessionState::Open;
        if !entry.requests.any_pending() {
            self.unpark(slot, Parked::REQUEST);
        }
        is_open.then_some(slot)
    }

    /// Begins a membership, if it is not there.
    fn add_member(&mut self, session: u32, slot: u32, subscription: SubscriptionId) {
        let form = self.connections[slot].form.0;
        let entry = &mut self.sessions[session];
        if !entry.subscriptions.contains_key(&subscription) {
            let member = Member { session, connection: slot, form };
            let position = self.realms[entry.realm.index()].members.add(subscription, member);
            entry.subscriptions.insert(subscription, position);
        }
    }
}

/// The `match` option of SUBSCRIBE and REGISTER; absent means exact.
pub(crate) fn match_policy(options: &Dict<'_>) -> Result<MatchPolicy, String> {
    if options.is_empty() {
        return Ok(MatchPolicy::Exact);
    }
    match options.get("match") {
        None => Ok(MatchPolicy::Exact),
        Some(value) => value
            .as_str()
            .and_then(MatchPolicy::parse)
            .ok_or_else(|| "the option match must be exact, prefix or wildcard".to_owned()),
    }
}
