//! Events: a publication as one shard delivers it to the members of a subscription, encoded once per form.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use smallvec::SmallVec;
use wampline_routing::{Publication, RealmId, Terms};
use wampline_wire::{Dict, Message, Payload, PayloadBuf, PublicationId, Serializer, SubscriptionId, Value};

use crate::action::Cut;
use crate::arena::{Arena, FORMS, Form, Frame as EventFrame};
use crate::connection::Parked;
use crate::counters::add;
use crate::session::Session;
use crate::shard::Shard;

/// Octets of an EVENT beside its payload, about.
pub(crate) const EVENT_BYTES: usize = 32;

/// A publication as it is delivered on one shard.
pub(crate) struct Event<'a> {
    realm: RealmId,
    id: PublicationId,
    topic: &'a str,
    payload: Payload<'a>,
    /// The payload in other serializers, made when the first recipient needs it; `None` inside where it cannot be expressed.
    transcoded: [OnceCell<Option<PayloadBuf>>; Serializer::ALL.len()],
    terms: Option<Arc<Terms>>,
    /// The session on this shard that does not receive it.
    excluded: Option<u32>,
}

impl Shard {
    /// Queues the EVENT for every member on this shard.
    pub(crate) fn deliver(&mut self, event: &Event<'_>, subscription: SubscriptionId, names_topic: bool) {
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
            if let Some(terms) = &event.terms
                && !self.sessions[member.session].may_receive(terms)
            {
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

impl Session {
    /// Whether the terms of a publication let this session receive it.
    fn may_receive(&self, terms: &Terms) -> bool {
        terms.admits(&self.identity, self.features)
    }
}

impl<'a> Event<'a> {
    /// A publication that has just come from a client of this shard.
    pub(crate) fn new(
        realm: RealmId,
        id: PublicationId,
        topic: &'a str,
        payload: Payload<'a>,
        terms: Option<Arc<Terms>>,
        excluded: Option<u32>,
    ) -> Event<'a> {
        Event { realm, id, topic, payload, transcoded: Default::default(), terms, excluded }
    }

    /// A publication from another shard.
    pub(crate) fn of(publication: &'a Publication) -> Event<'a> {
        let Publication { realm, id, topic, payload, terms } = publication;
        Event::new(*realm, *id, topic, payload.as_payload(), terms.clone(), None)
    }

    /// A copy for other shards.
    pub(crate) fn to_publication(&self) -> Publication {
        Publication {
            realm: self.realm,
            id: self.id,
            topic: self.topic.into(),
            payload: self.payload.to_buf(),
            terms: self.terms.clone(),
        }
    }

    fn encode(
        &self,
        form: Form,
        subscription: SubscriptionId,
        names_topic: bool,
        arena: &mut Arena,
    ) -> Option<EventFrame> {
        let payload = self.payload_for(form.serializer())?;
        let topic = [("topic", Value::Str(Cow::Borrowed(self.topic)))];
        let topic = if names_topic { &topic[..] } else { &[] };
        let mut pairs: SmallVec<[(&str, Value<'_>); 8]> = SmallVec::new();
        let details = match &self.terms {
            None => Dict::pairs(topic),
            Some(terms) => {
                pairs.extend(topic.iter().cloned());
                terms.add_details(&mut pairs);
                Dict::pairs(&pairs)
            }
        };
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
