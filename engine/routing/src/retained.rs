//! The retained events of a realm, on its home shard (advanced profile, "Event Retention").
//!
//! Owns, per topic, the newest event that everybody may receive and, after it, those with limited distribution: of
//! these the newest of each audience. (An event that everybody but its publisher may receive counts as one for
//! everybody.) Subscribers get the newest that they may see, pattern-based ones that of every topic that matches.
//!
//! Bounds: events and octets of the realm (the oldest event goes first), [`PER_TOPIC_MAX`] events of a topic. Events
//! that have outlived their time are gone from answers at once, and from memory with the next publication or answer.
//!
//! Cost: storing and finding by topic or prefix is logarithmic in the topics; a wildcard pattern is compared with every
//! topic that begins with what stands before its first wildcard.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use wampline_wire::SubscriptionId;

use crate::feature::ClientFeatures;
use crate::identity::Identity;
use crate::key::{ShardId, ShardSet};
use crate::publication::Publication;
use crate::uri::MatchPolicy;

/// The most events of one topic: one for everybody and those with limited distribution after it.
pub const PER_TOPIC_MAX: usize = 64;

/// Octets that an event costs beside its publication, about.
const ENTRY_BYTES: usize = 192;

/// What a realm retains at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedLimits {
    /// Events.
    pub events_max: usize,
    /// Octets.
    pub octets_max: usize,
    /// How long; a publication may ask for less. `None`: without end.
    pub ttl: Option<Duration>,
}

impl Default for RetainedLimits {
    fn default() -> RetainedLimits {
        RetainedLimits { events_max: 10_000, octets_max: 64 << 20, ttl: None }
    }
}

/// Where a publication was sent when it was published: the subscriptions that it matched, with their shards.
pub type SentTo = SmallVec<[(SubscriptionId, ShardSet); 1]>;

/// One retained event.
#[derive(Clone, Debug)]
pub struct RetainedEvent {
    /// What was published.
    pub publication: Arc<Publication>,
    /// The shard of the publisher.
    pub source: ShardId,
    /// Where it was sent.
    pub sent_to: SentTo,
}

/// Who asks for retained events, and for which.
#[derive(Clone, Copy, Debug)]
pub struct RetainedQuery<'a> {
    /// How the pattern matches.
    pub policy: MatchPolicy,
    /// The topic or pattern.
    pub pattern: &'a str,
    /// The session.
    pub identity: &'a Identity,
    /// What it has announced.
    pub features: ClientFeatures,
}

/// The retained events of one realm. Times are nanoseconds of one clock.
#[derive(Debug)]
pub struct RetainedStore {
    limits: RetainedLimits,
    /// By topic, oldest first.
    topics: BTreeMap<Arc<str>, Vec<Entry>>,
    /// The topic of each entry, by the entry's number.
    by_age: BTreeMap<u64, Arc<str>>,
    /// When entries expire, with their numbers.
    by_expiry: BTreeSet<(u64, u64)>,
    octets: usize,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    /// Higher is newer.
    number: u64,
    expires: Option<u64>,
    octets: usize,
    event: RetainedEvent,
}

impl RetainedStore {
    /// Nothing retained.
    pub fn new(limits: RetainedLimits) -> RetainedStore {
        RetainedStore {
            limits,
            topics: BTreeMap::new(),
            by_age: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            octets: 0,
            last: 0,
        }
    }

    /// Retains an event in the place of those that it supersedes. Gives how many events had to go (this one, perhaps)
    /// because of the bounds.
    pub fn put(&mut self, now: u64, event: RetainedEvent) -> usize {
        self.expire(now);
        let topic: Arc<str> = event.publication.topic.as_ref().into();
        self.supersede(&topic, &event);
        let octets = ENTRY_BYTES
            + event.publication.octets()
            + event.sent_to.len() * size_of::<(SubscriptionId, ShardSet)>();
        if octets > self.limits.octets_max || self.limits.events_max == 0 {
            return 1;
        }
        let mut evicted = 0;
        while self.octets + octets > self.limits.octets_max || self.by_age.len() >= self.limits.events_max {
            self.evict_oldest();
            evicted += 1;
        }
        if self.topics.get(&topic).is_some_and(|entries| entries.len() >= PER_TOPIC_MAX) {
            self.remove(&topic, 0);
            evicted += 1;
        }
        let asked = event.publication.terms.as_ref().and_then(|terms| terms.retain?.ttl);
        let ttl = asked.into_iter().chain(self.limits.ttl).min();
        let expires = ttl.map(|ttl| now.saturating_add(u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX)));
        self.last += 1;
        let number = self.last;
        self.octets += octets;
        self.by_age.insert(number, topic.clone());
        self.by_expiry.extend(expires.map(|at| (at, number)));
        self.topics.entry(topic).or_default().push(Entry { number, expires, octets, event });
        evicted
    }

    /// The events that a new subscription gets, the oldest first; of each topic the newest that the session may see.
    /// If they are more than `octets_max` together the oldest are left out; how many is told.
    pub fn find(
        &mut self,
        now: u64,
        query: RetainedQuery<'_>,
        octets_max: usize,
    ) -> (Vec<&RetainedEvent>, usize) {
        self.expire(now);
        let mut found: Vec<&Entry> = Vec::new();
        match query.policy {
            MatchPolicy::Exact => {
                found.extend(self.topics.get(query.pattern).and_then(|all| query.pick(all)))
            }
            MatchPolicy::Prefix | MatchPolicy::Wildcard => {
                let fixed = match query.policy {
                    MatchPolicy::Prefix => query.pattern,
                    _ => before_wildcard(query.pattern),
                };
                let from = (Bound::Included(fixed), Bound::Unbounded);
                let topics =
                    self.topics.range::<str, _>(from).take_while(|(topic, _)| topic.starts_with(fixed));
                let matching = topics.filter(|(topic, _)| query.policy.matches(query.pattern, topic));
                found.extend(matching.filter_map(|(_, all)| query.pick(all)));
            }
        }
        found.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.number));
        let mut octets = 0;
        let fitting = found.iter().take_while(|entry| {
            octets += entry.octets;
            octets <= octets_max
        });
        // One event is sent however long it is.
        let fitting = fitting.count().max(1).min(found.len());
        let omitted = found.len() - fitting;
        (found[..fitting].iter().rev().map(|entry| &entry.event).collect(), omitted)
    }

    /// Events and octets held.
    pub fn len(&self) -> (usize, usize) {
        (self.by_age.len(), self.octets)
    }

    /// Whether nothing is retained.
    pub fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }

    fn supersede(&mut self, topic: &Arc<str>, new: &RetainedEvent) {
        let Some(entries) = self.topics.get(topic) else { return };
        let goes = |entry: &Entry| {
            let (Some(terms), Some(old)) = (&new.publication.terms, &entry.event.publication.terms) else {
                return true;
            };
            // Whoever could see the old one must see the new one: a publisher that is left out cannot.
            let reaches_as_many = terms.excluded.is_none() || terms.excluded == old.excluded;
            terms.is_for_everybody() || (terms.audience == old.audience && reaches_as_many)
        };
        let going: Vec<usize> = (0..entries.len()).rev().filter(|n| goes(&entries[*n])).collect();
        for n in going {
            self.remove(topic, n);
        }
    }

    fn evict_oldest(&mut self) {
        if let Some((number, topic)) = self.by_age.first_key_value() {
            let (number, topic) = (*number, topic.clone());
            self.remove_number(&topic, number);
        }
    }

    fn expire(&mut self, now: u64) {
        while let Some(&(at, number)) = self.by_expiry.first()
            && at <= now
        {
            let topic = self.by_age[&number].clone();
            self.remove_number(&topic, number);
        }
    }

    fn remove_number(&mut self, topic: &Arc<str>, number: u64) {
        let entries = &self.topics[topic];
        let position = entries.iter().position(|entry| entry.number == number);
        self.remove(topic, position.expect("invariant: every number is an entry of its topic"));
    }

    fn remove(&mut self, topic: &Arc<str>, position: usize) {
        let Some(entries) = self.topics.get_mut(topic) else { return };
        let entry = entries.remove(position);
        if entries.is_empty() {
            self.topics.remove(topic);
        }
        self.octets -= entry.octets;
        self.by_age.remove(&entry.number);
        if let Some(at) = entry.expires {
            self.by_expiry.remove(&(at, entry.number));
        }
    }
}

impl RetainedQuery<'_> {
    fn pick<'e>(&self, entries: &'e [Entry]) -> Option<&'e Entry> {
        entries.iter().rev().find(|entry| {
            let terms = entry.event.publication.terms.as_ref();
            terms.is_none_or(|terms| terms.admits(self.identity, self.features))
        })
    }
}

/// What every URI that a wildcard pattern matches begins with.
fn before_wildcard(pattern: &str) -> &str {
    let mut end = 0;
    for component in pattern.split('.') {
        if component.is_empty() {
            return &pattern[..end];
        }
        end += component.len() + 1;
    }
    pattern
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use wampline_wire::{Dict, List, Payload, PublicationId, SessionId, Value};

    use super::*;
    use crate::key::RealmId;
    use crate::publication::PublishOptions;

    const LIMITS: RetainedLimits =
        RetainedLimits { events_max: 100, octets_max: 1 << 20, ttl: Some(Duration::from_nanos(1000)) };

    fn event(id: u64, topic: &str, options: &[(&str, Value<'_>)]) -> RetainedEvent {
        let (mut options, read) = PublishOptions::read(&Dict::pairs(options));
        read.unwrap();
        options.terms_mut().retain.get_or_insert_default();
        let publication = Publication {
            realm: RealmId(0),
            id: PublicationId::new(id).unwrap(),
            topic: topic.into(),
            payload: Payload::NONE.to_buf(),
            terms: options.terms.map(|terms| Arc::new(*terms)),
        };
        RetainedEvent { publication: Arc::new(publication), source: ShardId(0), sent_to: SentTo::new() }
    }

    fn restricted(id: u64, topic: &str, role: &str) -> RetainedEvent {
        let list = [Value::Str(role.into())];
        event(id, topic, &[("eligible_authrole", Value::List(List::items(&list)))])
    }

    fn find_as(
        store: &mut RetainedStore,
        role: &str,
        policy: MatchPolicy,
        pattern: &str,
        now: u64,
    ) -> Vec<u64> {
        let identity = Identity {
            session: SessionId::new(1).unwrap(),
            authid: "somebody".into(),
            authrole: role.into(),
            authmethod: "anonymous",
            authprovider: "static",
        };
        let query =
            RetainedQuery { policy, pattern, identity: &identity, features: ClientFeatures::default() };
        let (found, omitted) = store.find(now, query, usize::MAX);
        assert_eq!(omitted, 0);
        found.iter().map(|event| event.publication.id.get()).collect()
    }

    fn find(store: &mut RetainedStore, policy: MatchPolicy, pattern: &str) -> Vec<u64> {
        find_as(store, "guest", policy, pattern, 0)
    }

    #[test]
    fn the_newest_event_of_every_matching_topic_in_the_order_of_publication() {
        use MatchPolicy::{Exact, Prefix, Wildcard};
        let mut store = RetainedStore::new(LIMITS);
        for (id, topic) in
            [(1, "a.b.c"), (2, "a.b.c"), (3, "a.x.c"), (4, "a"), (5, "b.b.c"), (6, "a.b"), (7, "a.b.c")]
        {
            assert_eq!(store.put(0, event(id, topic, &[])), 0);
        }
        assert_eq!(find(&mut store, Exact, "a.b.c"), [7]);
        assert_eq!(find(&mut store, Exact, "a.c"), [0; 0]);
        assert_eq!(find(&mut store, Prefix, "a.b"), [6, 7]);
        assert_eq!(find(&mut store, Prefix, ""), [3, 4, 5, 6, 7]);
        assert_eq!(find(&mut store, Wildcard, "a..c"), [3, 7]);
        assert_eq!(find(&mut store, Wildcard, "..c"), [3, 5, 7]);
        assert_eq!(find(&mut store, Wildcard, "a.b.c"), [7]);
    }

    #[test]
    fn the_newest_that_the_session_may_see() {
        let mut store = RetainedStore::new(LIMITS);
        for event in [event(1, "t", &[]), restricted(2, "t", "admin"), restricted(3, "t", "boss")] {
            store.put(0, event);
        }
        let mut as_role = |role: &str| find_as(&mut store, role, MatchPolicy::Exact, "t", 0);
        assert_eq!((as_role("guest"), as_role("admin"), as_role("boss")), (vec![1], vec![2], vec![3]));
        // The same audience again: the older one goes. One for everybody: all older ones go.
        store.put(0, restricted(4, "t", "admin"));
        assert_eq!(store.len().0, 3);
        store.put(0, event(5, "t", &[]));
        assert_eq!(store.len().0, 1);
        assert_eq!(find_as(&mut store, "admin", MatchPolicy::Exact, "t", 0), [5]);
    }

    /// Publisher exclusion: the publisher of the newer event goes on seeing the older one.
    #[test]
    fn an_event_that_its_publisher_may_not_see_takes_no_place_from_it() {
        let excluding = |id, session| {
            let mut event = restricted(id, "t", "guest");
            let publication = Arc::get_mut(&mut event.publication).unwrap();
            let terms = Arc::get_mut(publication.terms.as_mut().unwrap()).unwrap();
            terms.excluded = SessionId::new(session);
            event
        };
        let mut store = RetainedStore::new(LIMITS);
        store.put(0, restricted(1, "t", "guest"));
        // `find` asks as session 1.
        store.put(0, excluding(2, 1));
        assert_eq!(find(&mut store, MatchPolicy::Exact, "t"), [1]);
        store.put(0, excluding(3, 1));
        assert_eq!((find(&mut store, MatchPolicy::Exact, "t"), store.len().0), (vec![1], 2));
        store.put(0, excluding(4, 2));
        assert_eq!((find(&mut store, MatchPolicy::Exact, "t"), store.len().0), (vec![4], 3));
        store.put(0, restricted(5, "t", "guest"));
        assert_eq!((find(&mut store, MatchPolicy::Exact, "t"), store.len().0), (vec![5], 1));
    }

    #[test]
    fn bounds_are_kept() {
        let mut store = RetainedStore::new(RetainedLimits { events_max: 2, ..LIMITS });
        assert_eq!(store.put(0, event(1, "a", &[])), 0);
        assert_eq!(store.put(0, event(2, "b", &[])), 0);
        assert_eq!(store.put(0, event(3, "c", &[])), 1);
        assert_eq!(find(&mut store, MatchPolicy::Prefix, ""), [2, 3]);
        let one = store.len().1 / 2;
        let mut store = RetainedStore::new(RetainedLimits { octets_max: 2 * one, ..LIMITS });
        assert_eq!((1..=3).map(|id| store.put(0, event(id, &id.to_string(), &[]))).sum::<usize>(), 1);
        assert!(store.len() == (2, 2 * one) && !store.is_empty());
        // One that is too long takes the place of what it supersedes, and is not kept.
        let long = "x".repeat(2 * one);
        assert_eq!(store.put(0, event(4, "3", &[("rkey", Value::Str(long.into()))])), 1);
        assert_eq!(find(&mut store, MatchPolicy::Prefix, ""), [2]);
        let mut store = RetainedStore::new(LIMITS);
        for n in 0..=PER_TOPIC_MAX as u64 {
            store.put(0, restricted(n + 1, "t", &n.to_string()));
        }
        assert_eq!(store.len().0, PER_TOPIC_MAX);
    }

    #[test]
    fn an_answer_is_bounded() {
        let mut store = RetainedStore::new(LIMITS);
        (1..=4).for_each(|id| assert_eq!(store.put(0, event(id, &id.to_string(), &[])), 0));
        let identity = Identity {
            session: SessionId::new(1).unwrap(),
            authid: "somebody".into(),
            authrole: "guest".into(),
            authmethod: "anonymous",
            authprovider: "static",
        };
        let features = ClientFeatures::default();
        let query = RetainedQuery { policy: MatchPolicy::Prefix, pattern: "", identity: &identity, features };
        let half = store.len().1 / 2;
        let ids = |events: Vec<&RetainedEvent>| -> Vec<u64> {
            events.iter().map(|event| event.publication.id.get()).collect()
        };
        let (found, omitted) = store.find(0, query, half);
        assert_eq!((ids(found), omitted), (vec![3, 4], 2));
        let (found, omitted) = store.find(0, query, 1);
        assert_eq!((ids(found), omitted), (vec![4], 3));
        let nothing = RetainedQuery { pattern: "x", ..query };
        assert_eq!(store.find(0, nothing, 1).1, 0);
    }

    #[test]
    fn events_live_no_longer_than_they_may() {
        let mut store = RetainedStore::new(LIMITS);
        store.put(0, event(1, "a", &[("retain", Value::Bool(true)), ("retain_ttl", Value::Uint(60))]));
        store.put(500, event(2, "b", &[]));
        let mut at = |now| find_as(&mut store, "guest", MatchPolicy::Prefix, "", now);
        assert_eq!((at(999), at(1000), at(1500)), (vec![1, 2], vec![2], vec![]));
        assert!(store.is_empty() && store.len() == (0, 0));
        let mut store = RetainedStore::new(RetainedLimits { ttl: None, ..LIMITS });
        store.put(0, event(1, "a", &[("retain", Value::Bool(true)), ("retain_ttl", Value::Uint(1))]));
        store.put(0, event(2, "b", &[]));
        let mut at = |now| find_as(&mut store, "guest", MatchPolicy::Prefix, "", now);
        assert_eq!((at(999_999_999), at(1_000_000_000)), (vec![1, 2], vec![2]));
    }
}
