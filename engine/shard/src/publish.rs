//! PUBLISH: what may be published and on what terms, matched here, delivered here, and handed to every shard that has members
//! of what it matches.
//!
//! An ordinary publication (no option but `acknowledge` and `exclude_me`, in a realm without rules for it) has no [`Terms`];
//! then none of what they bring is looked at.

use std::sync::Arc;

use smallvec::SmallVec;
use wampline_routing::authorization::Action;
use wampline_routing::feature::{ClientFeature, ClientRole};
use wampline_routing::meta::Testament;
use wampline_routing::pattern::UriHash;
use wampline_routing::uri::{MatchPolicy, is_reserved};
use wampline_routing::{
    Disclose, Publication, PublishOptionError, PublishOptions, RealmId, SessionRef, ShardId, ShardSet, Terms,
    error_uri,
};
use wampline_wire::{Dict, ID_MAX, Message, Payload, PublicationId, RequestId, RequestType, SubscriptionId};

use crate::authorize::{Flow, Permission, Wanted};
use crate::config::{FeatureRules, Realm};
use crate::counters::add;
use crate::event::{EVENT_BYTES, Event};
use crate::frame::{Frame, Keep, Subscriptions};
use crate::session::{Session, SessionState};
use crate::shard::Shard;
use crate::validate::is_opaque;

/// The subscriptions that a publication matches, whether their events name the topic, and the shards that have members.
type Matches = SmallVec<[(SubscriptionId, bool, ShardSet); 2]>;

/// A publication that may be made.
pub(crate) struct Accepted<'a> {
    /// The connection whose message caused it, if one did.
    pub(crate) from: Option<u32>,
    pub(crate) realm: RealmId,
    pub(crate) topic: &'a str,
    /// Of the topic, as the realm's replica has it.
    pub(crate) hash: UriHash,
    pub(crate) payload: Payload<'a>,
    pub(crate) terms: Option<Box<Terms>>,
    /// The session on this shard that does not receive it.
    pub(crate) excluded: Option<u32>,
    /// Who waits for PUBLISHED.
    pub(crate) acknowledge: Option<(SessionRef, RequestId)>,
}

/// Why a publication is refused.
enum Refused {
    /// ERROR if it was to be acknowledged; else it is dropped.
    Error(&'static str, String),
    /// The session has broken the protocol.
    Violation(&'static str),
}

impl Shard {
    /// PUBLISH.
    pub(crate) fn publish(
        &mut self,
        slot: u32,
        session: u32,
        request: RequestId,
        options: Dict<'_>,
        topic: &str,
        payload: Payload<'_>,
    ) -> Flow {
        let sent = options;
        let (mut options, read) = PublishOptions::read(&sent);
        let entry = &self.sessions[session];
        let (realm, settings) = (entry.realm, self.shared.realm(entry.realm));
        let hash = self.realms[realm.index()].replica.hash(topic);
        let mut checked = check_publication(entry, settings, topic, &options, read);
        if checked.is_ok() {
            checked = match entry.role {
                None => set_terms(entry, settings, topic, &mut options, None),
                Some(role) => {
                    let wanted = Wanted::exactly(Action::Publish, topic, sent);
                    match self.permission_to_use(session, role, hash, wanted) {
                        Permission::Granted(disclosure) => {
                            let entry = &self.sessions[session];
                            set_terms(entry, self.shared.realm(realm), topic, &mut options, disclosure)
                                .and_then(|()| self.validate_publication(session, topic, &options, payload))
                        }
                        Permission::Refused(error, text) => Err(Refused::Error(error, text)),
                        Permission::Waits => return Flow::Waits,
                    }
                }
            };
        }
        if let Err(refused) = checked {
            self.refuse_publication(slot, request, options.acknowledge, refused);
            return Flow::Done;
        }
        let published = self.spread(Accepted {
            from: Some(slot),
            realm,
            topic,
            hash,
            payload,
            terms: options.terms,
            excluded: options.excludes_publisher.then_some(session),
            acknowledge: options.acknowledge.then(|| (self.session_ref(session), request)),
        });
        if let Some(publication) = published
            && options.acknowledge
            && self.connections[slot].session == Some(session)
        {
            let _ = self.post(slot, &Message::Published { request, publication }, EVENT_BYTES);
        }
        Flow::Done
    }

    /// Publishes a testament of a session that has left, as if the session still published. That it
    /// may was found out when the testament was added.
    pub(crate) fn publish_testament(&mut self, session: u32, testament: &Testament) {
        let (mut options, read) = PublishOptions::read(&testament.options());
        let (topic, disclosure) = (&*testament.topic, testament.disclosure);
        let entry = &self.sessions[session];
        let (realm, settings) = (entry.realm, self.shared.realm(entry.realm));
        let checked = check_publication(entry, settings, topic, &options, read)
            .and_then(|()| set_terms(entry, settings, topic, &mut options, disclosure));
        if checked.is_err() {
            return add(&self.counters().publications_dropped, 1);
        }
        self.spread(Accepted {
            from: None,
            realm,
            topic,
            hash: self.realms[realm.index()].replica.hash(topic),
            payload: testament.payload.as_payload(),
            terms: options.terms,
            excluded: None,
            acknowledge: None,
        });
    }

    /// The home shard keeps a publication.
    pub(crate) fn published(&mut self, session: u32, request: RequestId, publication: PublicationId) {
        let entry = &self.sessions[session];
        if let Some(slot) = entry.connection
            && entry.state == SessionState::Open
        {
            let _ = self.post(slot, &Message::Published { request, publication }, EVENT_BYTES);
        }
    }

    /// Delivers a publication on this shard and hands it to the others that have members of what it matches, and to the realm's
    /// home if it is to be kept. Gives its id, unless the home shard will acknowledge it.
    pub(crate) fn spread(&mut self, accepted: Accepted<'_>) -> Option<PublicationId> {
        let Accepted { from, realm, topic, hash, payload, mut terms, excluded, acknowledge } = accepted;
        let id =
            PublicationId::new(self.random.u64(1..=ID_MAX)).expect("invariant: drawn from the range of ids");
        add(&self.counters().publications, 1);
        let mut matches = Matches::new();
        self.realms[realm.index()].replica.for_each_topic(hash, topic, |policy, found| {
            matches.push((found.subscription, policy != MatchPolicy::Exact, found.shards));
        });
        let mut is_kept = self.shared.realm(realm).history.covers(topic);
        if let Some(terms) = terms.as_deref_mut() {
            self.complete_terms(realm, terms, &matches, excluded);
            is_kept |= terms.retain.is_some();
        }
        let terms = terms.map(|terms| Arc::new(*terms));
        let event = Event::new(realm, id, topic, payload, terms, excluded);
        let mut elsewhere = ShardSet::default();
        for &(subscription, names_topic, shards) in &matches {
            if shards.contains(self.id) {
                self.deliver(&event, subscription, names_topic);
            }
            shards.without(self.id).for_each(|shard| elsewhere.insert(shard));
        }
        if elsewhere.is_empty() && !is_kept {
            return Some(id);
        }
        let publication = Arc::new(event.to_publication());
        self.publish_elsewhere(from, &publication, &matches, elsewhere);
        if !is_kept {
            return Some(id);
        }
        let sent_to = matches.iter().map(|(subscription, _, shards)| (*subscription, *shards)).collect();
        let keep = Keep { publication, sent_to, acknowledge };
        self.send(self.shared.home(realm), Frame::Keep(Box::new(keep)), from);
        None
    }

    /// Adds to the terms of a publication what follows from what it matches.
    fn complete_terms(
        &mut self,
        realm: RealmId,
        terms: &mut Terms,
        matches: &Matches,
        excluded: Option<u32>,
    ) {
        if let Some(retain) = &mut terms.retain {
            self.retained_sent += 1;
            retain.number = self.retained_sent;
            // What is published here is delivered here at once.
            self.retained_seen[self.id.index()] = self.retained_sent;
            terms.excluded = excluded.map(|session| self.sessions[session].id());
        }
        if let Some(by) = &mut terms.shard_by {
            for (subscription, ..) in matches {
                let Some(ring) = self.realms[realm.index()].replica.ring(*subscription) else { continue };
                self.visits += ring.len();
                by.picks.extend(ring.pick(&by.rkey).map(|picked| (*subscription, picked)));
            }
        }
    }

    /// A publication from another shard.
    pub(crate) fn publication(
        &mut self,
        from: ShardId,
        publication: &Publication,
        subscriptions: &Subscriptions,
    ) {
        let event = Event::of(publication);
        if let Some(retain) = event.terms().and_then(|terms| terms.retain) {
            self.retained_seen[from.index()] = retain.number;
        }
        for &(subscription, names_topic) in subscriptions {
            self.deliver(&event, subscription, names_topic);
        }
    }

    /// Looks at the payload, where a rule says what it must be like.
    fn validate_publication(
        &self,
        session: u32,
        topic: &str,
        options: &PublishOptions,
        payload: Payload<'_>,
    ) -> Result<(), Refused> {
        match self.invalid_payload(session, Action::Publish, topic, is_opaque(options), payload) {
            Some(text) => Err(Refused::Error(error_uri::INVALID_ARGUMENT, text)),
            None => Ok(()),
        }
    }

    fn refuse_publication(&mut self, slot: u32, request: RequestId, acknowledge: bool, refused: Refused) {
        match refused {
            Refused::Violation(text) => self.violation(slot, text),
            Refused::Error(error, text) if acknowledge => {
                self.error(slot, RequestType::Publish, request, error, &text);
            }
            Refused::Error(error, text) => {
                tracing::debug!(peer = %self.connections[slot].peer, error, text, "publication dropped");
                add(&self.counters().publications_dropped, 1);
            }
        }
    }

    fn publish_elsewhere(
        &mut self,
        from: Option<u32>,
        publication: &Arc<Publication>,
        matches: &Matches,
        elsewhere: ShardSet,
    ) {
        for shard in elsewhere {
            let here = |(subscription, names_topic, shards): &(SubscriptionId, bool, ShardSet)| {
                shards.contains(shard).then_some((*subscription, *names_topic))
            };
            let subscriptions = matches.iter().filter_map(here).collect();
            self.send(shard, Frame::Publication { publication: publication.clone(), subscriptions }, from);
        }
    }
}

/// Checks what is published.
#[inline]
fn check_publication(
    entry: &Session,
    realm: &Realm,
    topic: &str,
    options: &PublishOptions,
    read: Result<(), PublishOptionError>,
) -> Result<(), Refused> {
    let invalid = |text: String| Refused::Error(error_uri::INVALID_URI, text);
    realm.uri_rules.check(topic).map_err(|error| invalid(error.to_string()))?;
    if is_reserved(topic) {
        return Err(invalid("topics that begin with wamp. are the router's own".into()));
    }
    read.map_err(|error| Refused::Error(error_uri::INVALID_ARGUMENT, error.to_string()))?;
    if realm.features == FeatureRules::Strict
        && options.terms.as_ref().is_some_and(|terms| terms.attributes.is_passthru())
        && !entry.features.has(ClientRole::Publisher, ClientFeature::PayloadPassthruMode)
    {
        return Err(Refused::Violation("PUBLISH in payload passthru mode, which was not announced"));
    }
    Ok(())
}

/// Adds to the terms of a publication what is said of who publishes: by the permission, or else by the realm's rules.
#[inline]
fn set_terms(
    entry: &Session,
    realm: &Realm,
    topic: &str,
    options: &mut PublishOptions,
    disclosure: Option<Disclose>,
) -> Result<(), Refused> {
    let disclosure = disclosure.unwrap_or_else(|| realm.disclosure.publisher(topic));
    let disclosed = disclosure.decide(options.disclose_me).map_err(|_| {
        let text = "publishers to this topic are not disclosed".into();
        Refused::Error(error_uri::OPTION_DISALLOWED_DISCLOSE_ME, text)
    })?;
    if disclosed {
        options.terms_mut().publisher = Some(entry.identity.clone());
    }
    if let Some(level) = realm.trust_levels.publisher(topic, &entry.identity.authrole) {
        options.terms_mut().trustlevel = Some(level);
    }
    Ok(())
}
