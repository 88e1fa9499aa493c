//! The broker's part on one shard: subscriptions of its sessions, publications from them, events to them.

use std::borrow::Cow;
use std::cell::OnceCell;

use smallvec::SmallVec;
use wampline_routing::uri::{MatchPolicy, is_reserved};
use wampline_routing::{Member, RealmId, Refusal, ShardSet, error_uri};
use wampline_wire::{
    Dict, ID_MAX, Message, Payload, PayloadBuf, PublicationId, RequestId, RequestType, Serializer,
    SubscriptionId, Value,
};

use crate::action::Cut;
use crate::arena::{FORMS, Form, Frame as EventFrame};
use crate::connection::Parked;
use crate::counters::add;
use crate::frame::{Frame, HomeRequest, Publication, Subscriptions};
use crate::session::SessionState;
use crate::shard::Shard;

/// Octets of an EVENT beside its payload, about.
const EVENT_BYTES: usize = 32;

/// A publication as it is delivered on one shard.
struct Event<'a> {
    realm: RealmId,
    id: PublicationId,
    topic: &'a str,
    payload: Payload<'a>,
    /// The payload in other serializers, made when the first recipient needs it; `None` inside where it cannot be expressed.
    transcoded: [OnceCell<Option<PayloadBuf>>; Serializer::ALL.len()],
    /// The session that does not receive it.
    excluded: Option<u32>,
}

impl Shard {
    /// SUBSCRIBE.
    pub(crate) fn subscribe(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        options: Dict<'_>,
        topic: &str,
    ) {
        let rules = self.shared.config.realms[self.sessions[session].realm.index()].uri_rules;
        let checked = match_policy(&options).and_then(|policy| {
            rules.check_pattern(topic, policy).map(|()| policy).map_err(|error| error.to_string())
        });
        match checked {
            Ok(policy) => {
                self.sessions[session].requests.begin(RequestType::Subscribe, request);
                let request = HomeRequest::Subscribe { request, policy, topic: topic.into() };
                self.ask_home(session, request, Some(slot));
            }
            Err(text) => self.error(slot, RequestType::Subscribe, request, error_uri::INVALID_URI, &text),
        }
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
        match result {
            Ok(subscription) => {
                self.add_member(session, slot, subscription);
                let _ = self.post(slot, &Message::Subscribed { request, subscription }, EVENT_BYTES);
            }
            Err(refusal) => self.refuse(slot, RequestType::Subscribe, request, refusal),
        }
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
                let entry = &mut self.sessions[session];
                let realm = entry.realm;
                if let Some(position) = entry.subscriptions.remove(&subscription) {
                    self.remove_member(realm, subscription, position);
                }
                let message = Message::Unsubscribed { request: Some(request), details: None };
                let _ = self.post(slot, &message, EVENT_BYTES);
            }
            Err(refusal) => self.refuse(slot, RequestType::Unsubscribe, request, refusal),
        }
    }

    /// PUBLISH: matched here, delivered here, and handed to every shard that has members of what it matches.
    pub(crate) fn publish(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        options: Dict<'_>,
        topic: &str,
        payload: Payload<'_>,
    ) {
        let flag = |key| options.get(key).and_then(|value| value.as_bool());
        let (acknowledge, exclude_me) =
            if options.is_empty() { (None, None) } else { (flag("acknowledge"), flag("exclude_me")) };
        let acknowledge = acknowledge == Some(true);
        let realm = self.sessions[session].realm;
        if let Err(text) = self.publishable(realm, topic) {
            if acknowledge {
                self.error(slot, RequestType::Publish, request, error_uri::INVALID_URI, &text);
            } else {
                add(&self.counters().publications_dropped, 1);
            }
            return;
        }
        let id =
            PublicationId::new(self.random.u64(1..=ID_MAX)).expect("invariant: drawn from the range of ids");
        add(&self.counters().publications, 1);
        let mut matches: SmallVec<[(SubscriptionId, bool, ShardSet); 2]> = SmallVec::new();
        self.realms[realm.index()].replica.for_each_topic(topic, |policy, found| {
            matches.push((found.subscription, policy != MatchPolicy::Exact, found.shards));
        });
        let excluded = (exclude_me != Some(false)).then_some(session);
        let event = Event { realm, id, topic, payload, transcoded: Default::default(), excluded };
        let mut elsewhere = ShardSet::default();
        for &(subscription, names_topic, shards) in &matches {
            if shards.contains(self.id) {
                self.deliver(&event, subscription, names_topic);
            }
            shards.without(self.id).for_each(|shard| elsewhere.insert(shard));
        }
        if !elsewhere.is_empty() {
            self.publish_elsewhere(slot, &event, &matches, elsewhere);
        }
        if acknowledge && self.connections[slot].session == Some(session) {
            let _ = self.post(slot, &Message::Published { request, publication: id }, EVENT_BYTES);
        }
    }

    /// A publication from another shard.
    pub(crate) fn publication(&mut self, publication: &Publication, subscriptions: &Subscriptions) {
        let event = Event {
            realm: publication.realm,
            id: publication.id,
            topic: &publication.topic,
            payload: publication.payload.as_payload(),
            transcoded: Default::default(),
            excluded: None,
        };
        for &(subscription, names_topic) in subscriptions {
            self.deliver(&event, subscription, names_topic);
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

    fn add_member(&mut self, session: u32, slot: u32, subscription: SubscriptionId) {
        let form = self.connections[slot].form.0;
        let entry = &mut self.sessions[session];
        if !entry.subscriptions.contains_key(&subscription) {
            let member = Member { session, connection: slot, form };
            let position = self.realms[entry.realm.index()].members.add(subscription, member);
            entry.subscriptions.insert(subscription, position);
        }
    }

    fn publishable(&self, realm: RealmId, topic: &str) -> Result<(), String> {
        self.shared.config.realms[realm.index()].uri_rules.check(topic).map_err(|error| error.to_string())?;
        if is_reserved(topic) {
            return Err("topics that begin with wamp. are the router's own".into());
        }
        Ok(())
    }

    fn publish_elsewhere(
        &mut self,
        slot: u32,
        event: &Event<'_>,
        matches: &[(SubscriptionId, bool, ShardSet)],
        elsewhere: ShardSet,
    ) {
        let publication = std::sync::Arc::new(Publication {
            realm: event.realm,
            id: event.id,
            topic: event.topic.into(),
            payload: event.payload.to_buf(),
        });
        for shard in elsewhere {
            let here = |(subscription, names_topic, shards): &(SubscriptionId, bool, ShardSet)| {
                shards.contains(shard).then_some((*subscription, *names_topic))
            };
            let subscriptions = matches.iter().filter_map(here).collect();
            self.send(
                shard,
                Frame::Publication { publication: publication.clone(), subscriptions },
                Some(slot),
            );
        }
    }

    /// Queues the EVENT for every member on this shard, encoded once per form.
    fn deliver(&mut self, event: &Event<'_>, subscription: SubscriptionId, names_topic: bool) {
        let limit = self.shared.config.limits.outbox_bytes_max;
        let members = self.realms[event.realm.index()].members.of(subscription);
        let mut frames: [Option<Option<EventFrame>>; FORMS] = Default::default();
        let mut full: SmallVec<[u32; 4]> = SmallVec::new();
        let visited = members.len();
        let has_extensions = event.payload.has_extensions();
        let (mut queued, mut too_long, mut inexpressible) = (0, 0, 0);
        for member in members {
            if event.excluded == Some(member.session) {
                continue;
            }
            // A session that has left is taken out of its member lists in slices; its connection may be gone before.
            let Some(connection) = self.connections.get_mut(member.connection) else { continue };
            if connection.receiver != Some(member.session) || connection.is_ending() {
                continue;
            }
            let form = member.form as usize;
            let arena = &mut self.arenas[form];
            let frame = frames[form]
                .get_or_insert_with(|| event.encode(Form(member.form), subscription, names_topic, arena));
            let Some(frame) = frame.as_ref().filter(|_| !has_extensions || connection.reads_extensions)
            else {
                inexpressible += 1;
                continue;
            };
            if frame.message_len > connection.peer_bytes_max {
                too_long += 1;
                continue;
            }
            let length = (frame.end - frame.start) as usize;
            if !connection.outbox.admits(length, limit) {
                full.push(member.connection);
                continue;
            }
            connection.outbox.share(&frame.block, frame.start, frame.end, arena.octets(frame));
            queued += 1;
            if !connection.is_dirty {
                connection.is_dirty = true;
                self.dirty.push_back(crate::ConnKey { slot: member.connection, guard: connection.guard });
            }
            if connection.outbox.is_half_full(limit) && !connection.parked.has(Parked::OUTBOX) {
                connection.parked.set(Parked::OUTBOX);
                add(&self.shared.counters[self.id.index()].parked, 1);
            }
        }
        self.visits += visited;
        let counters = self.counters();
        add(&counters.events, queued);
        if too_long > 0 || inexpressible > 0 {
            add(&counters.events_too_long, too_long);
            add(&counters.events_inexpressible, inexpressible);
            tracing::warn!(topic = event.topic, too_long, inexpressible, "events not delivered");
        }
        for slot in full {
            self.cut(slot, Cut::OutboxFull);
        }
    }
}

impl Event<'_> {
    fn encode(
        &self,
        form: Form,
        subscription: SubscriptionId,
        names_topic: bool,
        arena: &mut crate::arena::Arena,
    ) -> Option<EventFrame> {
        let payload = self.payload_for(form.serializer())?;
        let topic = [("topic", Value::Str(Cow::Borrowed(self.topic)))];
        let details = if names_topic { Dict::pairs(&topic) } else { Dict::EMPTY };
        let message = Message::Event { subscription, publication: self.id, details, payload };
        let estimate = EVENT_BYTES + payload.len() + if names_topic { self.topic.len() } else { 0 };
        let serializer = form.serializer();
        arena
            .add(|out| form.framing().frame(serializer, out, estimate, |out| message.encode(serializer, out)))
            .ok()
    }

    fn payload_for(&self, serializer: Serializer) -> Option<Payload<'_>> {
        if self.payload.is_none() || self.payload.serializer() == serializer {
            return Some(self.payload);
        }
        let cached = &self.transcoded[serializer as usize];
        cached
            .get_or_init(|| self.payload.to_buf().transcode(serializer).ok())
            .as_ref()
            .map(PayloadBuf::as_payload)
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
