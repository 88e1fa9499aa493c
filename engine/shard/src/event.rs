//! Events: a publication as one shard delivers it to the members of a subscription, encoded once per form.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use smallvec::SmallVec;
use wampline_routing::{Publication, RealmId, ShardBy, Terms};
use wampline_wire::{
    Dict, EncodeError, Message, Payload, PayloadBuf, PublicationId, Serializer, SubscriptionId, Value,
};

use crate::action::Cut;
use crate::arena::{FORMS, Form, Frame as EventFrame};
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
    /// The payload in other serializers, made when the first recipient needs it.
    transcoded: [OnceCell<Result<PayloadBuf, EncodeError>>; Serializer::ALL.len()],
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
        let has_extensions = event.has_extensions();
        let (mut queued, mut too_long, mut inexpressible) = (0, 0, 0);
        for member in members {
            if event.excluded == Some(member.session) {
                continue;
            }
            // A session that has left is taken out of its member lists in slices; its connection may be gone before.
            let Some(connection) = self.connections.get_mut(member.connection) else { continue };
            let takes_events = connection.receiver == Some(member.session);
            if connection.is_ending() || !takes_events && !self.sessions[member.session].is_holding(member) {
                continue;
            }
            if event.terms.is_some()
                && !event.is_for(member.session, &self.sessions[member.session], subscription)
            {
                continue;
            }
            let form = member.form as usize;
            let arena = &mut self.arenas[form];
            let frame = frames[form].get_or_insert_with(|| {
                let form = Form(member.form);
                arena.add(|out| event.write(form, subscription, names_topic, false, out)).ok()
            });
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
            if !takes_events {
                match &mut self.sessions[member.session].holding {
                    Some(holding) if holding.admits(length, limit) => {
                        holding.add(subscription, arena.octets(frame));
                    }
                    _ => full.push(member.connection),
                }
                continue;
            }
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

    /// Whether its payload has extension types, which some clients cannot read.
    pub(crate) fn has_extensions(&self) -> bool {
        self.payload.has_extensions()
    }

    /// On what terms it is delivered.
    pub(crate) fn terms(&self) -> Option<&Arc<Terms>> {
        self.terms.as_ref()
    }

    /// Whether a member of a subscription receives it: not its publisher, one whom its terms admit and, if it goes to one
    /// node of a ring, that node or a member that is none.
    pub(crate) fn is_for(&self, session: u32, entry: &Session, subscription: SubscriptionId) -> bool {
        if self.excluded == Some(session) {
            return false;
        }
        let Some(terms) = &self.terms else { return true };
        let is_picked = |by: &ShardBy| {
            !entry.nodes.contains(&subscription) || by.picks.contains(&(subscription, entry.id()))
        };
        terms.shard_by.as_ref().is_none_or(is_picked) && terms.admits(&entry.identity, entry.features)
    }

    /// Octets of the EVENT, about.
    pub(crate) fn estimate(&self, names_topic: bool) -> usize {
        EVENT_BYTES + self.payload.len() + if names_topic { self.topic.len() } else { 0 }
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

    /// Appends the EVENT as a frame of this form; gives the length of the message in it. On an error nothing is appended.
    pub(crate) fn write(
        &self,
        form: Form,
        subscription: SubscriptionId,
        names_topic: bool,
        is_retained: bool,
        out: &mut Vec<u8>,
    ) -> Result<usize, EncodeError> {
        let serializer = form.serializer();
        let payload = self.payload_for(serializer)?;
        let topic = [("topic", Value::Str(Cow::Borrowed(self.topic)))];
        let topic = if names_topic { &topic[..] } else { &[] };
        let mut pairs: SmallVec<[(&str, Value<'_>); 8]> = SmallVec::new();
        let details = match &self.terms {
            None => Dict::pairs(topic),
            Some(terms) => {
                pairs.extend(topic.iter().cloned());
                terms.add_details(&mut pairs);
                if is_retained {
                    pairs.push(("retained", Value::Bool(true)));
                }
                Dict::pairs(&pairs)
            }
        };
        let message = Message::Event { subscription, publication: self.id, details, payload };
        let estimate = self.estimate(names_topic);
        form.framing().frame(serializer, out, estimate, |out| message.encode(serializer, out))
    }

    fn payload_for(&self, serializer: Serializer) -> Result<Payload<'_>, EncodeError> {
        if self.payload.is_none() || self.payload.serializer() == serializer {
            return Ok(self.payload);
        }
        let cached = &self.transcoded[serializer as usize];
        let transcoded = cached.get_or_init(|| self.payload.transcode(serializer));
        transcoded.as_ref().map(PayloadBuf::as_payload).map_err(Clone::clone)
    }
}
