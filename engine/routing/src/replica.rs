//! What every shard knows of a realm, so that a plain PUBLISH or CALL is matched where it arrives.

use std::sync::Arc;

use ahash::AHashMap;
use smallvec::SmallVec;
use wampline_wire::{SessionId, SubscriptionId};

use crate::authorization::PurgeFilter;
use crate::key::{RealmId, ShardId, ShardSet};
use crate::pattern::{PatternTable, UriHash, UriHasher};
use crate::registration::{Callee, Procedure, RegistrationInfo};
use crate::ring::Ring;
use crate::uri::MatchPolicy;

/// One change of a realm's directory, as the home shard tells it to all shards, numbered and in order.
#[derive(Clone, Debug)]
pub enum Delta {
    /// A shard now has (or no longer has) members of a subscription.
    Subscription {
        /// The realm.
        realm: RealmId,
        /// Which subscription.
        subscription: SubscriptionId,
        /// How its topic matches.
        policy: MatchPolicy,
        /// Its topic or pattern.
        topic: Arc<str>,
        /// The shard concerned.
        shard: ShardId,
        /// Whether it has members now.
        present: bool,
    },
    /// A session now serves (or no longer serves) a registration.
    Callee {
        /// The realm.
        realm: RealmId,
        /// Which registration.
        registration: Arc<RegistrationInfo>,
        /// The session concerned.
        callee: Callee,
        /// Whether it serves now.
        present: bool,
    },
    /// A member of a subscription is now a node of its ring (or no longer).
    Node {
        /// The realm.
        realm: RealmId,
        /// Which subscription.
        subscription: SubscriptionId,
        /// The member.
        session: SessionId,
        /// Its node key; `None`: it is no node.
        nkey: Option<Arc<str>>,
    },
    /// What authorizers have answered is to be forgotten, as far as the filter names it.
    Forget {
        /// The realm.
        realm: RealmId,
        /// What.
        filter: Arc<PurgeFilter>,
    },
    /// Nothing changes; whoever has applied this has dealt with all that came before it.
    Nothing {
        /// The realm.
        realm: RealmId,
    },
}

impl Delta {
    /// The realm that changes.
    pub fn realm(&self) -> RealmId {
        match self {
            Delta::Subscription { realm, .. }
            | Delta::Callee { realm, .. }
            | Delta::Node { realm, .. }
            | Delta::Forget { realm, .. }
            | Delta::Nothing { realm } => *realm,
        }
    }
}

/// A subscription as publishing needs it.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// Its id.
    pub subscription: SubscriptionId,
    /// The shards that have members of it.
    pub shards: ShardSet,
}

/// The replica goes through the states of the directory.
const ADMITTED: &str = "invariant: the directory has admitted the pattern";

/// One shard's copy of a realm's subscriptions and registrations.
#[derive(Debug)]
pub struct Replica {
    topics: PatternTable<Topic>,
    procedures: PatternTable<Procedure>,
    /// The rings of subscriptions that have nodes.
    rings: AHashMap<SubscriptionId, Ring>,
    hasher: ahash::RandomState,
    /// The newest registration that has been heard of, 0 before the first.
    newest: u64,
}

impl Replica {
    /// Knows nothing.
    pub fn new(hasher: &ahash::RandomState) -> Replica {
        let table = UriHasher::with_seed(hasher.hash_one("replica"));
        Replica {
            topics: PatternTable::with_hasher(table.clone()),
            procedures: PatternTable::with_hasher(table),
            rings: AHashMap::with_hasher(hasher.clone()),
            hasher: hasher.clone(),
            newest: 0,
        }
    }

    /// Applies a change. Changes come in the order of their numbers.
    pub fn apply(&mut self, delta: &Delta) {
        match delta {
            Delta::Subscription { subscription, policy, topic, shard, present: true, .. } => {
                match self.topics.get_mut(*policy, topic) {
                    Some(entry) => entry.shards.insert(*shard),
                    None => {
                        let mut shards = ShardSet::default();
                        shards.insert(*shard);
                        let entry = Topic { subscription: *subscription, shards };
                        self.topics.insert(*policy, topic, entry).expect(ADMITTED);
                    }
                }
            }
            Delta::Subscription { policy, topic, shard, present: false, .. } => {
                if let Some(entry) = self.topics.get_mut(*policy, topic) {
                    entry.shards.remove(*shard);
                    if entry.shards.is_empty() {
                        self.topics.remove(*policy, topic);
                    }
                }
            }
            Delta::Callee { registration, callee, present: true, .. } => {
                self.newest = self.newest.max(registration.id.get());
                let (policy, procedure) = (registration.policy, &registration.procedure);
                match self.procedures.get_mut(policy, procedure) {
                    Some(entry) if entry.info.id == registration.id => entry.callees.push(callee.clone()),
                    _ => {
                        let callees = SmallVec::from_iter([callee.clone()]);
                        let entry = Procedure { info: registration.clone(), callees };
                        self.procedures.insert(policy, procedure, entry).expect(ADMITTED);
                    }
                }
            }
            Delta::Callee { registration, callee, present: false, .. } => {
                let (policy, procedure) = (registration.policy, &registration.procedure);
                if let Some(entry) = self.procedures.get_mut(policy, procedure)
                    && entry.info.id == registration.id
                {
                    entry.callees.retain(|known| known.session != callee.session);
                    if entry.callees.is_empty() {
                        self.procedures.remove(policy, procedure);
                    }
                }
            }
            Delta::Node { subscription, session, nkey, .. } => {
                self.apply_node(*subscription, *session, nkey.as_deref())
            }
            // (Answers are kept beside the replica.)
            Delta::Forget { .. } | Delta::Nothing { .. } => {}
        }
    }

    /// The ring of a subscription, if it has one.
    pub fn ring(&self, subscription: SubscriptionId) -> Option<&Ring> {
        self.rings.get(&subscription)
    }

    /// How many subscriptions have a ring.
    pub fn rings_len(&self) -> usize {
        self.rings.len()
    }

    fn apply_node(&mut self, subscription: SubscriptionId, session: SessionId, nkey: Option<&str>) {
        match nkey {
            Some(nkey) => {
                let hasher = &self.hasher;
                let ring = self.rings.entry(subscription).or_insert_with(|| Ring::new(hasher.clone()));
                ring.insert(session, nkey);
            }
            None => {
                let Some(ring) = self.rings.get_mut(&subscription) else { return };
                ring.remove(session);
                if ring.is_empty() {
                    self.rings.remove(&subscription);
                }
            }
        }
    }

    /// The hash of a URI, as all replicas of one shard have it.
    pub fn hash(&self, uri: &str) -> UriHash {
        self.topics.hasher().hash(uri)
    }

    /// Gives every subscription that a publication to `topic`, whose hash this is, matches.
    pub fn for_each_topic(&self, hash: UriHash, topic: &str, mut found: impl FnMut(MatchPolicy, Topic)) {
        self.topics.for_each_match_hashed(hash, topic, |policy, entry| found(policy, *entry));
    }

    /// The registration that serves a call of `procedure`, by the specification's precedence.
    pub fn procedure(&self, procedure: &str) -> Option<(MatchPolicy, &Procedure)> {
        self.procedures.best_match(procedure)
    }

    /// Every registration that matches a call of `procedure`, the best first.
    pub fn procedures(&self, procedure: &str) -> impl Iterator<Item = (MatchPolicy, &Procedure)> {
        self.procedures.matches(procedure).map(|(policy, _, found)| (policy, found))
    }

    /// The newest registration that has been heard of, 0 before the first. A call that is routed again looks at older
    /// ones alone, and at those that took over from older ones.
    pub fn newest_registration(&self) -> u64 {
        self.newest
    }

    /// How many subscriptions and registrations are known.
    pub fn len(&self) -> (usize, usize) {
        (self.topics.len(), self.procedures.len())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}
