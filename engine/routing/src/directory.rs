//! The directory of a realm: the one writer of its sessions, subscriptions and registrations, on the home shard.
//!
//! Also answers the meta procedures, which ask about them, and takes note of the meta events, which tell of them, in the order
//! in which things change here.

mod registrations;
mod service;
mod sessions;
mod tables;

mod subscription;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet, RandomState};
use wampline_wire::{PayloadBuf, PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};

use crate::call::CallRef;
use crate::identity::Identity;
use crate::key::{RealmId, SessionRef, ShardId};
use crate::meta::{
    Arrival, Created, DESCRIPTIONS_BYTES_MAX, Farewell, Log, MetaApi, MetaEvent, MetaTopic, Owned,
    Reflection, SessionSet, Transport, UnixNanos,
};
use crate::pattern::{PatternError, PatternTable, UriHasher};
use crate::registration::{Callee, RegistrationInfo};
use crate::replica::Delta;
use crate::uri::MatchPolicy;
use crate::visibility::{DeltaNumber, Visibility};
use subscription::{Presence, Subscription, new_subscription};

/// What a session may own. Bounds are inclusive.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryLimits {
    /// Sessions of the realm.
    pub sessions_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_per_session_max: usize,
    /// Registrations of one session.
    pub registrations_per_session_max: usize,
}

/// Why a session may not join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinRefusal {
    /// Another session has this id: draw another.
    IdTaken,
    /// The realm has as many sessions as it may.
    Full,
}

/// Why a request to subscribe, unsubscribe, register or unregister fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The session has no such subscription.
    NoSuchSubscription,
    /// The session has no such registration.
    NoSuchRegistration,
    /// The procedure is registered already, for one callee, or by this session.
    ProcedureAlreadyExists,
    /// The procedure is registered for sharing with another policy.
    DifferentInvocationPolicy,
    /// The session owns as many as it may.
    LimitExceeded,
    /// The pattern is one that matching cannot bear.
    Pattern(PatternError),
}

/// What the directory answers to the shard of the session that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a join.
    Joined(Result<(), JoinRefusal>),
    /// Everything that the session owned has been released.
    Left,
    /// To SUBSCRIBE.
    Subscribed(RequestId, Result<SubscriptionId, Refusal>),
    /// To UNSUBSCRIBE.
    Unsubscribed(RequestId, Result<SubscriptionId, Refusal>),
    /// To REGISTER.
    Registered(RequestId, Result<Granted, Refusal>),
    /// To UNREGISTER.
    Unregistered(RequestId, Result<RegistrationId, Refusal>),
    /// To a PUBLISH whose publication is kept: it is.
    Published(RequestId, PublicationId),
    /// To the shard of a session that has asked for retained events: every shard has dealt with what came before. The
    /// number is the one that the home shard knows the question by.
    Retained(u64),
    /// To the shard of a session that has called [`crate::authorization::PURGE_PROCEDURE`]: every shard has forgotten.
    Forgotten(CallRef),
    /// Behind the answer to a join, SUBSCRIBE or REGISTER: that one has been queued, say so with this number.
    Confirm(Owned, u64),
    /// The session is to be ended.
    Kill(Arc<Farewell>),
    /// To nothing that was asked: the session has lost a subscription, for this reason.
    SubscriptionRevoked(SubscriptionId, Option<Box<str>>),
    /// To nothing that was asked: the session has lost a registration, for this reason.
    RegistrationRevoked(RegistrationId, Option<Box<str>>),
}

/// A SUBSCRIBE.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeRequest<'a> {
    /// Its id.
    pub request: RequestId,
    /// How the topic matches.
    pub policy: MatchPolicy,
    /// The topic or pattern.
    pub topic: &'a str,
    /// The node key, if the session is to be a node of the subscription's ring.
    pub nkey: Option<&'a str>,
}

/// A registration as its callee's shard needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Which.
    pub registration: RegistrationId,
    /// How many invocations the callee takes at a time.
    pub concurrency: Option<NonZeroU32>,
}

/// One realm's sessions, subscriptions and registrations. Ids of subscriptions and registrations count from 1
/// and are never used again.
#[derive(Debug)]
pub struct Directory {
    realm: RealmId,
    limits: DirectoryLimits,
    hasher: RandomState,
    sessions: AHashMap<SessionId, Session>,
    topics: PatternTable<SubscriptionId>,
    subscriptions: AHashMap<SubscriptionId, Subscription>,
    procedures: PatternTable<RegistrationId>,
    registrations: AHashMap<RegistrationId, Registration>,
    last_subscription: u64,
    last_registration: u64,
    /// How many subscriptions stay although they have no members.
    pinned: usize,
    /// Sessions that have left and still own something.
    leaving: VecDeque<Leaving>,
    /// Wall time.
    now: UnixNanos,
    log: Log,
    reflection: Reflection,
    /// Sessions by `authrole`.
    roles: AHashMap<Arc<str>, SessionSet>,
    /// Killed sessions that have been released.
    killed: Vec<SessionId>,
}

#[derive(Debug)]
struct Session {
    at: SessionRef,
    identity: Arc<Identity>,
    transport: Transport,
    /// What few sessions have.
    extra: Option<Box<Extra>>,
    subscriptions: AHashSet<SubscriptionId>,
    registrations: AHashSet<RegistrationId>,
    /// The newest change that an answer to this session waits for: answers go out in the order of the requests.
    last_need: DeltaNumber,
}

/// What few sessions have.
#[derive(Debug, Default)]
struct Extra {
    /// Details that were added, each with its value as the one argument of a payload.
    details: Vec<(Box<str>, PayloadBuf)>,
    /// Somebody waits for its end.
    is_killed: bool,
    /// What it has lost and has not given up itself: a request to do so that crosses the revocation succeeds.
    revoked_subscriptions: Revoked,
    revoked_registrations: Revoked,
}

/// A session that has left, and what it still owns. (Taken out of its tables once: to take entries out of a hash table one
/// by one from its front is quadratic.)
#[derive(Debug)]
struct Leaving {
    at: SessionRef,
    identity: Arc<Identity>,
    is_killed: bool,
    subscriptions: std::collections::hash_set::IntoIter<SubscriptionId>,
    registrations: std::collections::hash_set::IntoIter<RegistrationId>,
}

impl From<Session> for Leaving {
    fn from(session: Session) -> Leaving {
        let Session { at, identity, extra, subscriptions, registrations, .. } = session;
        let is_killed = extra.is_some_and(|extra| extra.is_killed);
        let (subscriptions, registrations) = (subscriptions.into_iter(), registrations.into_iter());
        Leaving { at, identity, is_killed, subscriptions, registrations }
    }
}

#[derive(Debug)]
struct Registration {
    info: Arc<RegistrationInfo>,
    /// In the order of registration.
    callees: Vec<Callee>,
    created: UnixNanos,
}

/// Ids of what a session has lost, oldest first.
#[derive(Debug, Default)]
struct Revoked(VecDeque<u64>);

impl Revoked {
    /// How many are remembered.
    const MAX: usize = 1024;

    fn push(&mut self, id: u64) {
        if self.0.len() >= Revoked::MAX {
            self.0.pop_front();
        }
        self.0.push_back(id);
    }

    /// Forgets an id. Returns whether it was known.
    fn remove(&mut self, id: u64) -> bool {
        let position = self.0.iter().position(|known| *known == id);
        position.is_some_and(|position| self.0.remove(position).is_some())
    }
}

impl Directory {
    /// An empty realm.
    pub fn new(realm: RealmId, limits: DirectoryLimits, hasher: &RandomState) -> Directory {
        let uris = UriHasher::with_seed(hasher.hash_one("directory"));
        Directory {
            realm,
            limits,
            hasher: hasher.clone(),
            sessions: AHashMap::with_hasher(hasher.clone()),
            topics: PatternTable::with_hasher(uris.clone()),
            subscriptions: AHashMap::with_hasher(hasher.clone()),
            procedures: PatternTable::with_hasher(uris),
            registrations: AHashMap::with_hasher(hasher.clone()),
            last_subscription: 0,
            last_registration: 0,
            pinned: 0,
            leaving: VecDeque::new(),
            now: UnixNanos::default(),
            log: Log::new(true, hasher),
            reflection: Reflection::new(DESCRIPTIONS_BYTES_MAX),
            roles: AHashMap::with_hasher(hasher.clone()),
            killed: Vec::new(),
        }
    }

    /// Without [`MetaApi::Off`] events are taken note of.
    #[must_use]
    pub fn with_meta(mut self, meta: MetaApi) -> Directory {
        self.log = Log::new(meta != MetaApi::Off, &self.hasher);
        self
    }

    /// What time it is on the wall, for what is created from here on.
    pub fn set_time(&mut self, now: UnixNanos) {
        self.now = now;
    }

    /// A session wants to join.
    pub fn join(&mut self, arrival: Arrival, at: SessionRef, out: &mut Visibility) {
        let Arrival { identity, transport } = arrival;
        let id = identity.session;
        let result = if self.sessions.len() >= self.limits.sessions_max {
            Err(JoinRefusal::Full)
        } else if self.sessions.contains_key(&id) {
            Err(JoinRefusal::IdTaken)
        } else {
            let of_role = self.roles.entry(identity.authrole.clone()).or_insert_with(SessionSet::new);
            of_role.insert(id, &self.hasher);
            let session = Session {
                at,
                identity,
                transport,
                extra: None,
                subscriptions: AHashSet::with_hasher(self.hasher.clone()),
                registrations: AHashSet::with_hasher(self.hasher.clone()),
                last_need: 0,
            };
            self.sessions.insert(id, session);
            Ok(())
        };
        out.answer(0, at, Answer::Joined(result));
        if result.is_ok()
            && let Some(confirm) = self.begin(id, Owned::Session)
        {
            out.answer(0, at, confirm);
        }
    }

    /// A session has left. What it owned is released by [`Directory::release`], in slices.
    pub fn leave(&mut self, id: SessionId, at: SessionRef, out: &mut Visibility) {
        if self.sessions.get(&id).is_some_and(|session| session.at == at) {
            self.end(id, Owned::Session);
            let session = self.sessions.remove(&id).expect("invariant: it has just been looked at");
            if let Some(of_role) = self.roles.get_mut(&session.identity.authrole) {
                of_role.remove(id);
                if of_role.is_empty() {
                    self.roles.remove(&session.identity.authrole);
                }
            }
            self.leaving.push_back(session.into());
        } else {
            // It had been refused, and left before it heard of it.
            out.answer(0, at, Answer::Left);
        }
    }

    /// Releases up to `budget` subscriptions and registrations of sessions that have left. Returns whether some are left over.
    pub fn release(&mut self, mut budget: usize, out: &mut Visibility) -> bool {
        while let Some(mut session) = self.leaving.pop_front() {
            while budget > 0
                && let Some(subscription) = session.subscriptions.next()
            {
                self.remove_member(subscription, session.identity.session, session.at.shard, out);
                budget -= 1;
            }
            while budget > 0
                && let Some(registration) = session.registrations.next()
            {
                self.remove_callee(registration, session.identity.session, out);
                budget -= 1;
            }
            if session.subscriptions.len() + session.registrations.len() > 0 {
                self.leaving.push_front(session);
                return true;
            }
            // The name is free at once; shards that have not heard of it answer for themselves.
            out.answer(0, session.at, Answer::Left);
            if session.is_killed {
                self.killed.push(session.identity.session);
            }
            self.log.note(MetaTopic::SessionOnLeave, || MetaEvent::Left(session.identity));
        }
        false
    }

    /// SUBSCRIBE. A second subscription of the same session to the same topic gives the same id.
    pub fn subscribe(&mut self, id: SessionId, asked: SubscribeRequest<'_>, out: &mut Visibility) {
        let SubscribeRequest { request, policy, topic, nkey } = asked;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let known = self.topics.get(policy, topic).copied();
        let is_member = known.is_some_and(|known| session.subscriptions.contains(&known));
        if !is_member && session.subscriptions.len() >= self.limits.subscriptions_per_session_max {
            session.answer(0, Answer::Subscribed(request, Err(Refusal::LimitExceeded)), out);
            return;
        }
        if known.is_none()
            && let Err(error) = self.topics.admits(policy, topic)
        {
            session.answer(0, Answer::Subscribed(request, Err(Refusal::Pattern(error))), out);
            return;
        }
        let subscription = known.unwrap_or_else(|| {
            let created = Created { at: self.now, uri: topic.into(), policy };
            self.log.pattern_added(policy, topic);
            let new = new_subscription(
                &mut self.last_subscription,
                &mut self.topics,
                &mut self.subscriptions,
                created.clone(),
            );
            self.log.note(MetaTopic::SubscriptionOnCreate, || MetaEvent::SubscriptionCreated {
                session: id,
                subscription: new,
                created,
            });
            new
        });
        let entry =
            self.subscriptions.get_mut(&subscription).expect("invariant: topics and subscriptions agree");
        let presence = entry.shards.iter_mut().find(|presence| presence.shard == session.at.shard);
        let mut need = match presence {
            Some(presence) => {
                presence.members += u32::from(!is_member);
                presence.visible_at
            }
            None => {
                let shard = session.at.shard;
                let visible_at = out.change(Delta::Subscription {
                    realm: self.realm,
                    subscription,
                    policy,
                    topic: entry.created.uri.clone(),
                    shard,
                    present: true,
                });
                entry.shards.push(Presence { shard, members: 1, visible_at });
                visible_at
            }
        };
        need = need.max(entry.set_node(self.realm, subscription, id, nkey, out));
        session.subscriptions.insert(subscription);
        if let Some(extra) = session.extra.as_mut() {
            extra.revoked_subscriptions.remove(subscription.get());
        }
        entry.members.insert(id, &self.hasher);
        session.answer(need, Answer::Subscribed(request, Ok(subscription)), out);
        if !is_member && let Some(confirm) = self.begin(id, Owned::Subscription(subscription)) {
            self.answer(id, confirm, out);
        }
    }

    /// Makes a subscription that stays, whether it has members or not.
    ///
    /// # Errors
    /// If matching cannot bear the pattern.
    pub fn pin(&mut self, policy: MatchPolicy, topic: &str) -> Result<SubscriptionId, PatternError> {
        self.topics.admits(policy, topic)?;
        let known = self.topics.get(policy, topic).copied();
        let subscription = known.unwrap_or_else(|| {
            new_subscription(
                &mut self.last_subscription,
                &mut self.topics,
                &mut self.subscriptions,
                Created { at: self.now, uri: topic.into(), policy },
            )
        });
        let entry = self.subscriptions.get_mut(&subscription).expect("invariant: it has just been made");
        self.pinned += usize::from(!std::mem::replace(&mut entry.is_pinned, true));
        Ok(subscription)
    }

    /// How a subscription matches, and its topic or pattern.
    pub fn topic_of(&self, subscription: SubscriptionId) -> Option<(MatchPolicy, &Arc<str>)> {
        self.subscriptions.get(&subscription).map(|entry| (entry.created.policy, &entry.created.uri))
    }

    /// Whether a session has a subscription.
    pub fn is_subscribed(&self, id: SessionId, subscription: SubscriptionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.subscriptions.contains(&subscription))
    }

    /// Takes a subscription from a session ("Subscription Revocation"). Its shard is told; an UNSUBSCRIBE that crosses this
    /// succeeds. Gives whether the session had it.
    pub fn revoke(
        &mut self,
        subscription: SubscriptionId,
        id: SessionId,
        reason: Option<Box<str>>,
        out: &mut Visibility,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if !session.subscriptions.remove(&subscription) {
            return false;
        }
        session.extra.get_or_insert_default().revoked_subscriptions.push(subscription.get());
        session.answer(0, Answer::SubscriptionRevoked(subscription, reason), out);
        let shard = session.at.shard;
        self.remove_member(subscription, id, shard, out);
        true
    }

    /// UNSUBSCRIBE.
    pub fn unsubscribe(
        &mut self,
        id: SessionId,
        request: RequestId,
        subscription: SubscriptionId,
        out: &mut Visibility,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let is_member = session.subscriptions.remove(&subscription);
        let result = if is_member
            || session.was_revoked(subscription.get(), |extra| &mut extra.revoked_subscriptions)
        {
            Ok(subscription)
        } else {
            Err(Refusal::NoSuchSubscription)
        };
        session.answer(0, Answer::Unsubscribed(request, result), out);
        if is_member {
            let shard = session.at.shard;
            self.remove_member(subscription, id, shard, out);
        }
    }

    /// Sessions, subscriptions and registrations that exist.
    pub fn len(&self) -> (usize, usize, usize) {
        (self.sessions.len(), self.subscriptions.len(), self.registrations.len())
    }

    /// Whether nothing exists, and no session is still being released.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, self.pinned, 0)
            && self.leaving.is_empty()
            && self.log.is_empty()
            && self.roles.is_empty()
    }

    /// Sends a further answer to a session, behind the last one.
    fn answer(&mut self, id: SessionId, answer: Answer, out: &mut Visibility) {
        let session = self.sessions.get_mut(&id).expect("invariant: it has just been answered");
        session.answer(0, answer, out);
    }

    fn remove_member(
        &mut self,
        subscription: SubscriptionId,
        session: SessionId,
        shard: ShardId,
        out: &mut Visibility,
    ) {
        self.end(session, Owned::Subscription(subscription));
        let event = || MetaEvent::Unsubscribed { session, subscription };
        self.log.note(MetaTopic::SubscriptionOnUnsubscribe, event);
        let entry =
            self.subscriptions.get_mut(&subscription).expect("invariant: a member's subscription exists");
        entry.set_node(self.realm, subscription, session, None, out);
        entry.members.remove(session);
        let position = entry.shards.iter().position(|presence| presence.shard == shard);
        let position = position.expect("invariant: a member's shard is present");
        entry.shards[position].members -= 1;
        if entry.shards[position].members > 0 {
            return;
        }
        entry.shards.swap_remove(position);
        out.change(Delta::Subscription {
            realm: self.realm,
            subscription,
            policy: entry.created.policy,
            topic: entry.created.uri.clone(),
            shard,
            present: false,
        });
        if entry.shards.is_empty() && !entry.is_pinned {
            let event = || MetaEvent::SubscriptionDeleted { session, subscription };
            self.log.note(MetaTopic::SubscriptionOnDelete, event);
            let Created { policy, uri, .. } = &entry.created;
            self.topics.remove(*policy, uri);
            self.log.pattern_removed(*policy, uri, &self.topics);
            self.subscriptions.remove(&subscription);
        }
    }
}

impl Session {
    fn answer(&mut self, need: DeltaNumber, answer: Answer, out: &mut Visibility) {
        self.last_need = self.last_need.max(need);
        out.answer(self.last_need, self.at, answer);
    }

    fn arrival(&self) -> Arrival {
        Arrival { identity: self.identity.clone(), transport: self.transport }
    }

    /// Whether what it wants to give up has been revoked before. It is told so once.
    fn was_revoked(&mut self, id: u64, of: fn(&mut Extra) -> &mut Revoked) -> bool {
        self.extra.as_deref_mut().is_some_and(|extra| of(extra).remove(id))
    }
}

#[cfg(test)]
mod tests;
