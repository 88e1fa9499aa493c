//! The meta API on one shard: calls of the router's own procedures, meta events, and what the home shard does to sessions.
//!
//! A call of a meta procedure is an ordinary call on its caller's shard. Instead of a callee the realm's home is asked, which
//! answers with a reply. Testaments concern the calling session alone and stay on its shard.
//!
//! Meta events are published by the home in the order in which its directory changes, before the answers and replies of the
//! same turn.

use std::collections::VecDeque;
use std::time::Duration;

use ahash::AHashSet;
use wampline_routing::authorization::{Action, PurgeFilter, Verdict};
use wampline_routing::feature::{ClientFeature, ClientRole};
use wampline_routing::history::HistoryReader;
use wampline_routing::meta::{
    Arrival, Farewell, MetaApi, MetaError, MetaEvent, MetaOutcome, Owned, Procedure, TestamentLimits,
    Testaments, Transport,
};
use wampline_routing::{
    Call, CallProgress, CallRef, Disclose, PayloadAttributes, RealmId, SessionRef, error_uri,
};
use wampline_wire::{
    Dict, Message, Payload, PayloadBuf, RequestId, RequestType, Serializer, SessionId, SubscriptionId, Value,
};

use crate::action::{Cut, Unsent};
use crate::authorize::{Flow, Permission, Wanted};
use crate::counters::add;
use crate::frame::{HomeRequest, ReplyOutcome};
use crate::publish::Accepted;
use crate::session::SessionState;
use crate::shard::Shard;
use crate::{Now, Peer};

/// How long the end of killed sessions is waited for before their killer is answered all the same.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// Octets of a GOODBYE, UNSUBSCRIBED or UNREGISTERED beside its texts, about.
const MESSAGE_BYTES: usize = 64;

/// A call of a meta procedure on its way to the realm's home.
#[derive(Debug)]
pub(crate) struct MetaCall {
    pub(crate) call: CallRef,
    pub(crate) procedure: Procedure,
    /// The caller's: the answer is written in it.
    pub(crate) serializer: Serializer,
    pub(crate) payload: PayloadBuf,
}

/// What a home shard owes to callers of meta procedures.
#[derive(Debug, Default)]
pub(crate) struct Dues {
    replies: Vec<(CallRef, Result<PayloadBuf, MetaError>)>,
    /// By deadline.
    kills: VecDeque<Kill>,
}

/// A kill whose sessions have not all been released.
#[derive(Debug)]
struct Kill {
    realm: RealmId,
    call: CallRef,
    sessions: AHashSet<SessionId>,
    result: PayloadBuf,
    by: u64,
}

impl Dues {
    /// A meta procedure has run.
    pub(crate) fn add(&mut self, now: Now, realm: RealmId, call: CallRef, outcome: MetaOutcome) {
        match outcome {
            MetaOutcome::Now(result) => self.replies.push((call, result)),
            MetaOutcome::AfterRelease { sessions, result } if sessions.is_empty() => {
                self.replies.push((call, Ok(result)));
            }
            MetaOutcome::AfterRelease { sessions, result } => {
                let (sessions, by) = (sessions.into_iter().collect(), now.after(KILL_TIMEOUT));
                self.kills.push_back(Kill { realm, call, sessions, result, by });
            }
        }
    }

    /// A killed session has been released.
    pub(crate) fn released(&mut self, realm: RealmId, session: SessionId) {
        let replies = &mut self.replies;
        self.kills.retain_mut(|kill| {
            let is_concerned = kill.realm == realm && kill.sessions.remove(&session);
            let is_over = is_concerned && kill.sessions.is_empty();
            if is_over {
                let result = std::mem::replace(&mut kill.result, Payload::NONE.to_buf());
                replies.push((kill.call, Ok(result)));
            }
            !is_over
        });
    }

    /// Gives up waiting. Returns how many killers are answered early.
    pub(crate) fn expire(&mut self, now: Now) -> u64 {
        let mut early = 0;
        while self.kills.front().is_some_and(|kill| kill.by <= now.0)
            && let Some(kill) = self.kills.pop_front()
        {
            self.replies.push((kill.call, Ok(kill.result)));
            early += 1;
        }
        early
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.kills.front().map(|kill| kill.by)
    }

    pub(crate) fn len(&self) -> usize {
        self.kills.len() + self.replies.len()
    }

    /// Whether there are answers to be sent now.
    pub(crate) fn has_replies(&self) -> bool {
        !self.replies.is_empty()
    }
}

impl Shard {
    /// CALL of a procedure whose URI is reserved: the router's own or nobody's.
    pub(crate) fn call_meta(
        &mut self,
        slot: u32,
        session: u32,
        (request, progress): (RequestId, CallProgress),
        procedure: &str,
        options: Dict<'_>,
        payload: Payload<'_>,
    ) -> Flow {
        let permitted = match self.meta_permission(session, procedure, options, payload) {
            Permission::Waits => return Flow::Waits,
            Permission::Granted(disclosure) => Ok(disclosure),
            Permission::Refused(error, text) => Err((error, text)),
        };
        add(&self.counters().calls, 1);
        match (permitted, Procedure::from_uri(procedure)) {
            (Err((error, text)), _) => {
                self.meta_answer(slot, session, request, progress, Err((error, &text)))
            }
            (Ok(disclosure), Some(found)) => {
                self.run_meta(slot, session, (request, progress), found, payload, disclosure);
            }
            // (Nobody may call what is not there.)
            (Ok(_), None) => {}
        }
        Flow::Done
    }

    /// Whether a session may call a procedure of the router's own, that is there, and what its testament says, if it adds one.
    fn meta_permission(
        &mut self,
        session: u32,
        procedure: &str,
        options: Dict<'_>,
        payload: Payload<'_>,
    ) -> Permission {
        let realm = self.shared.realm(self.sessions[session].realm);
        let (api, rules) = (realm.meta, realm.uri_rules);
        let Some(found) = Procedure::from_uri(procedure).filter(|_| api != MetaApi::Off) else {
            let text = format!("no procedure {procedure} is registered");
            return Permission::Refused(error_uri::NO_SUCH_PROCEDURE, text);
        };
        let role = self.sessions[session].role;
        let verdict = realm.roles.decide_meta(role, api, found, procedure);
        if verdict == Verdict::Denied && role.is_none() {
            let text = "the realm does not permit procedures that change what belongs to others";
            return Permission::Refused(error_uri::NOT_AUTHORIZED, text.into());
        }
        let permission =
            self.permission_by(session, verdict, Wanted::exactly(Action::Call, procedure, options));
        match (permission, found) {
            (Permission::Granted(_), Procedure::AddTestament) => match Testaments::topic(payload, rules) {
                Some(topic) => self.permission(session, Wanted::exactly(Action::Publish, &topic, options)),
                // What is wrong with it is said when it is to be added.
                None => Permission::Granted(None),
            },
            (permission, _) => permission,
        }
    }

    fn run_meta(
        &mut self,
        slot: u32,
        session: u32,
        (request, progress): (RequestId, CallProgress),
        found: Procedure,
        payload: Payload<'_>,
        disclosure: Option<Disclose>,
    ) {
        if payload.has_extensions() {
            // What is kept of the arguments could reach clients that break on them.
            let text = "arguments of the router's procedures have no extension types";
            return self.meta_answer(
                slot,
                session,
                request,
                progress,
                Err((error_uri::INVALID_ARGUMENT, text)),
            );
        }
        if found == Procedure::AddTestament
            && let Some(text) = self.invalid_testament(session, payload)
        {
            let error = Err((error_uri::INVALID_ARGUMENT, text.as_str()));
            return self.meta_answer(slot, session, request, progress, error);
        }
        let realm = self.shared.realm(self.sessions[session].realm);
        let (rules, limits) = (realm.uri_rules, &realm.limits);
        let limits = TestamentLimits {
            count_max: limits.testaments_per_session_max,
            bytes_max: limits.testament_bytes_per_session_max,
        };
        let own = match found {
            Procedure::AddTestament => {
                let testaments = self.sessions[session].testaments.get_or_insert_default();
                testaments.add(payload, rules, limits, disclosure)
            }
            Procedure::FlushTestaments => {
                self.sessions[session].testaments.get_or_insert_default().flush(payload)
            }
            _ => return self.call_home(slot, session, request, progress, found, payload),
        };
        let testaments = &mut self.sessions[session].testaments;
        if testaments.as_ref().is_some_and(|testaments| testaments.is_empty()) {
            *testaments = None;
        }
        let own = own.as_ref().map_err(|MetaError { uri, text }| (*uri, &**text));
        self.meta_answer(slot, session, request, progress, own.copied());
    }

    /// Answers a call that goes nowhere.
    fn meta_answer(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        progress: CallProgress,
        answer: Result<(), (&'static str, &str)>,
    ) {
        if progress.has(CallProgress::INPUT_OPEN) {
            self.remember_input(session, request);
        }
        match answer {
            Ok(()) => {
                let message = Message::Result { request, details: Dict::EMPTY, payload: Payload::NONE };
                let _ = self.post(slot, &message, MESSAGE_BYTES);
                add(&self.counters().results, 1);
            }
            Err((error, text)) => {
                add(&self.counters().call_errors, 1);
                self.error(slot, RequestType::Call, request, error, text);
            }
        }
    }

    /// Asks the realm's home; the call waits here.
    fn call_home(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        progress: CallProgress,
        procedure: Procedure,
        payload: Payload<'_>,
    ) {
        let call = self.begin_home_call(session, request, progress);
        let serializer = self.connections[slot].form.serializer();
        let call = MetaCall { call, procedure, serializer, payload: payload.to_buf() };
        self.ask_home(session, HomeRequest::Call(Box::new(call)), Some(slot));
    }

    /// A call that the realm's home answers.
    fn begin_home_call(&mut self, session: u32, request: RequestId, progress: CallProgress) -> CallRef {
        let home = self.shared.home(self.sessions[session].realm);
        // Nobody is invoked: the slot is that of no session.
        let callee = SessionRef { shard: home, slot: u32::MAX, guard: 0 };
        let call = self.calls.begin(Call { caller: session, request, callee, progress, extra: None });
        self.sessions[session].calls.insert(request, call.slot);
        call
    }

    /// CALL of the procedure that makes answers of authorizers be forgotten: answered when every shard has forgotten them.
    pub(crate) fn call_purge(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        progress: CallProgress,
        payload: Payload<'_>,
    ) {
        match PurgeFilter::read(payload) {
            Ok(filter) => {
                let call = self.begin_home_call(session, request, progress);
                self.ask_home(session, HomeRequest::Forget(call, Box::new(filter)), Some(slot));
            }
            Err(MetaError { uri, text }) => {
                self.meta_answer(slot, session, request, progress, Err((uri, &text)));
            }
        }
    }

    /// Publishes what has happened in the realms that live here. The changes that it came with have been applied here.
    pub(crate) fn publish_meta_events(&mut self) {
        for (realm, events) in self.home.take_events() {
            for event in events {
                self.publish_meta_event(realm, &event);
            }
        }
    }

    fn publish_meta_event(&mut self, realm: RealmId, event: &MetaEvent) {
        if let Some(payload) = event.payload() {
            let topic = event.topic().uri();
            self.spread(Accepted {
                from: None,
                realm,
                hash: self.realms[realm.index()].replica.hash(topic),
                topic,
                payload: payload.as_payload(),
                terms: None,
                excluded: None,
                acknowledge: None,
            });
        }
    }

    /// Answers callers of meta procedures. Returns whether there were any.
    pub(crate) fn pay_dues(&mut self) -> bool {
        let replies = std::mem::take(&mut self.home.dues.replies);
        let any = !replies.is_empty();
        for (call, result) in replies {
            match result {
                Ok(payload) => {
                    let attributes = PayloadAttributes::default();
                    self.reply(call, ReplyOutcome::Result, attributes, payload.as_payload(), None);
                }
                Err(MetaError { uri, text }) => {
                    let text = [Value::Str(text)];
                    let payload = PayloadBuf::from_values(Serializer::Json, &text, &[]);
                    let payload = payload.as_ref().map_or(Payload::NONE, PayloadBuf::as_payload);
                    let attributes = PayloadAttributes::default();
                    self.reply(call, ReplyOutcome::Error(uri.into()), attributes, payload, None);
                }
            }
        }
        any
    }

    /// What the home shard must know of a session that joins.
    pub(crate) fn arrival(&self, slot: u32, session: u32) -> Arrival {
        let connection = &self.connections[slot];
        let kind = connection.kind();
        let peer = match connection.peer {
            Peer::Tcp(address) => Some(address),
            Peer::Unix => None,
        };
        let (serializer, tls) = (connection.form.serializer().name(), connection.tls.is_some());
        let transport = Transport { kind, serializer, tls, peer };
        Arrival { identity: self.sessions[session].identity.clone(), transport }
    }

    /// The answer before this one has been queued: the home is told.
    pub(crate) fn confirm(&mut self, session: u32, owned: Owned, number: u64) {
        if self.sessions[session].connection.is_some() {
            self.ask_home(session, HomeRequest::Confirmed(owned, number), None);
        }
    }

    /// The home shard ends a session: GOODBYE, and everything that it owned is released without waiting for its answer.
    pub(crate) fn killed(&mut self, session: u32, farewell: &Farewell) {
        let entry = &self.sessions[session];
        let Some(slot) = entry.connection else { return };
        if entry.state == SessionState::Open {
            let Farewell { reason, message } = farewell;
            let details = message.as_deref().map(|message| [("message", Value::Str(message.into()))]);
            let details = details.as_ref().map_or(Dict::EMPTY, |details| Dict::pairs(details));
            let estimate = MESSAGE_BYTES + reason.len() + message.as_ref().map_or(0, |message| message.len());
            let posted = self.post(slot, &Message::Goodbye { details, reason: (&**reason).into() }, estimate);
            if posted == Err(Unsent::TooLong) {
                let goodbye = Message::Goodbye { details: Dict::EMPTY, reason: error_uri::KILLED.into() };
                let _ = self.post(slot, &goodbye, MESSAGE_BYTES);
            }
        }
        if self.connections[slot].session != Some(session) {
            return; // The GOODBYE has filled its outbox.
        }
        tracing::info!(session = self.sessions[session].id().get(), reason = %farewell.reason, "session killed");
        self.leave(session, false);
        let close_by = self.now.after(self.shared.config.limits.close_timeout);
        let connection = &mut self.connections[slot];
        connection.is_dismissed = true;
        connection.deadlines.close = connection.deadlines.close.min(close_by);
        self.arm(slot);
    }

    /// The home shard takes a subscription away ("Subscription Revocation").
    pub(crate) fn subscription_revoked(
        &mut self,
        session: u32,
        subscription: SubscriptionId,
        reason: Option<&str>,
    ) {
        self.end_membership(session, subscription);
        let entry = &self.sessions[session];
        let (SessionState::Open, Some(slot)) = (entry.state, entry.connection) else { return };
        if entry.features.has(ClientRole::Subscriber, ClientFeature::SubscriptionRevocation) {
            let details = revoked("subscription", subscription.get(), reason);
            let message = Message::Unsubscribed { request: None, details: Some(Dict::pairs(&details)) };
            let _ = self.post(slot, &message, MESSAGE_BYTES + reason.map_or(0, str::len));
        }
    }

    /// A session is about to be cut: others may want to know.
    pub(crate) fn tell_of_cut(&mut self, session: u32, why: Cut) {
        let reason = match why {
            Cut::OutboxFull => "outbox_full",
            Cut::Stalled => "write_stalled",
            Cut::Silent | Cut::Unresponsive | Cut::NoTls => return,
        };
        if self.sessions[session].state == SessionState::Open {
            self.ask_home(session, HomeRequest::Cut(reason), None);
        }
    }
}

/// Details of UNSUBSCRIBED and UNREGISTERED that nobody asked for.
pub(crate) fn revoked<'a>(
    what: &'static str,
    id: u64,
    reason: Option<&'a str>,
) -> Vec<(&'static str, Value<'a>)> {
    let mut details = vec![(what, Value::Uint(id))];
    details.extend(reason.map(|reason| ("reason", Value::Str(reason.into()))));
    details
}

impl crate::home::Home {
    /// A meta procedure is called.
    pub(crate) fn meta_call(&mut self, now: Now, realm: RealmId, caller: SessionId, call: MetaCall) {
        let MetaCall { call, procedure, serializer, payload } = call;
        if procedure == Procedure::SubscriptionGetEvents {
            let outcome = self.history_answer(realm, caller, payload.as_payload(), serializer);
            return self.dues.add(now, realm, call, MetaOutcome::Now(outcome));
        }
        let (directory, out) = self.directory(realm);
        let outcome = directory.meta_call(caller, procedure, payload.as_payload(), serializer, out);
        self.dues.add(now, realm, call, outcome);
    }

    /// `wamp.subscription.get_events` ("Event History"). A subscription without a history has had no events.
    fn history_answer(
        &mut self,
        realm: RealmId,
        caller: SessionId,
        payload: Payload<'_>,
        serializer: Serializer,
    ) -> Result<PayloadBuf, MetaError> {
        let (directory, _) = self.directory(realm);
        let (subscription, query) = directory.history_query(payload)?;
        if !self.may_read(realm, caller, subscription) {
            let text = "the session may not subscribe to this";
            return Err(MetaError { uri: error_uri::NOT_AUTHORIZED, text: text.into() });
        }
        let (directory, _) = self.directory(realm);
        let Some(identity) = directory.identity(caller).cloned() else { return Ok(Payload::NONE.to_buf()) };
        let reader = HistoryReader { authid: &identity.authid, authrole: &identity.authrole };
        let events = self.get_events(realm, subscription, &query, reader, serializer);
        Ok(events.unwrap_or_else(|| Payload::NONE.to_buf()))
    }
}
