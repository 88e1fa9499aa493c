//! The directory of a realm: the one writer of its sessions, subscriptions and registrations, on the home shard.

mod subscription;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ahash::{AHashMap, AHashSet, RandomState};
use wampline_wire::{PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};

use crate::key::{RealmId, SessionRef, ShardId};
use crate::options::{InvocationPolicy, RegisterOptions};
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
    /// Unasked: a subscription has been revoked, perhaps for this reason.
    Revoked(SubscriptionId, Option<Arc<str>>),
    /// To nothing that was asked: the session has lost a registration.
    RegistrationRevoked(RegistrationId, &'static str),
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
}

#[derive(Debug)]
struct Session {
    at: SessionRef,
    subscriptions: AHashSet<SubscriptionId>,
    registrations: AHashSet<RegistrationId>,
    /// Subscriptions that were revoked and that an UNSUBSCRIBE on its way may still name, oldest first.
    revoked_subscriptions: VecDeque<SubscriptionId>,
    /// Registrations that it has lost and has not given up itself: an UNREGISTER that crosses the revocation succeeds.
    revoked: VecDeque<RegistrationId>,
    /// The newest change that an answer to this session waits for: answers go out in the order of the requests.
    last_need: DeltaNumber,
}

/// A session that has left, and what it still owns. (Taken out of its tables once: to take entries out of a hash table one
/// by one from its front is quadratic.)
#[derive(Debug)]
struct Leaving {
    id: SessionId,
    at: SessionRef,
    subscriptions: std::collections::hash_set::IntoIter<SubscriptionId>,
    registrations: std::collections::hash_set::IntoIter<RegistrationId>,
}

impl Leaving {
    fn new(id: SessionId, session: Session) -> Leaving {
        let Session { at, subscriptions, registrations, .. } = session;
        Leaving { id, at, subscriptions: subscriptions.into_iter(), registrations: registrations.into_iter() }
    }
}

#[derive(Debug)]
struct Registration {
    info: Arc<RegistrationInfo>,
    /// In the order of registration.
    callees: Vec<Callee>,
}

/// How many lost registrations, and how many lost subscriptions, a session is known to have had.
const REVOKED_MAX: usize = 1024;

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
        }
    }

    /// A session wants to join.
    pub fn join(&mut self, id: SessionId, at: SessionRef, out: &mut Visibility) {
        let result = if self.sessions.len() >= self.limits.sessions_max {
            Err(JoinRefusal::Full)
        } else if self.sessions.contains_key(&id) {
            Err(JoinRefusal::IdTaken)
        } else {
            let session = Session {
                at,
                subscriptions: AHashSet::with_hasher(self.hasher.clone()),
                registrations: AHashSet::with_hasher(self.hasher.clone()),
                revoked_subscriptions: VecDeque::new(),
                revoked: VecDeque::new(),
                last_need: 0,
            };
            self.sessions.insert(id, session);
            Ok(())
        };
        out.answer(0, at, Answer::Joined(result));
    }

    /// A session has left. What it owned is released by [`Directory::release`], in slices.
    pub fn leave(&mut self, id: SessionId, at: SessionRef, out: &mut Visibility) {
        if self.sessions.get(&id).is_some_and(|session| session.at == at) {
            self.leaving.extend(self.sessions.remove(&id).map(|session| Leaving::new(id, session)));
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
                self.remove_member(subscription, session.id, session.at.shard, out);
                budget -= 1;
            }
            while budget > 0
                && let Some(registration) = session.registrations.next()
            {
                self.remove_callee(registration, session.id, out);
                budget -= 1;
            }
            if session.subscriptions.len() + session.registrations.len() > 0 {
                self.leaving.push_front(session);
                return true;
            }
            // The name is free at once; shards that have not heard of it answer for themselves.
            out.answer(0, session.at, Answer::Left);
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
            new_subscription(
                &mut self.last_subscription,
                &mut self.topics,
                &mut self.subscriptions,
                policy,
                topic,
            )
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
                    topic: entry.topic.clone(),
                    shard,
                    present: true,
                });
                entry.shards.push(Presence { shard, members: 1, visible_at });
                visible_at
            }
        };
        need = need.max(entry.set_node(self.realm, subscription, id, nkey, out));
        session.subscriptions.insert(subscription);
        session.revoked_subscriptions.retain(|revoked| *revoked != subscription);
        session.answer(need, Answer::Subscribed(request, Ok(subscription)), out);
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
                policy,
                topic,
            )
        });
        let entry = self.subscriptions.get_mut(&subscription).expect("invariant: it has just been made");
        self.pinned += usize::from(!std::mem::replace(&mut entry.is_pinned, true));
        Ok(subscription)
    }

    /// How a subscription matches, and its topic or pattern.
    pub fn topic_of(&self, subscription: SubscriptionId) -> Option<(MatchPolicy, &Arc<str>)> {
        self.subscriptions.get(&subscription).map(|entry| (entry.policy, &entry.topic))
    }

    /// Takes a subscription from a session ("Subscription Revocation"). Its shard is told; an UNSUBSCRIBE that crosses this
    /// succeeds. Gives whether the session had it.
    pub fn revoke(
        &mut self,
        subscription: SubscriptionId,
        id: SessionId,
        reason: Option<&str>,
        out: &mut Visibility,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if !session.subscriptions.remove(&subscription) {
            return false;
        }
        session.revoked_subscriptions.push_back(subscription);
        if session.revoked_subscriptions.len() > REVOKED_MAX {
            session.revoked_subscriptions.pop_front();
        }
        session.answer(0, Answer::Revoked(subscription, reason.map(Into::into)), out);
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
        let was_member = session.subscriptions.remove(&subscription);
        let revoked = session.revoked_subscriptions.iter().position(|revoked| *revoked == subscription);
        let result = match revoked.and_then(|position| session.revoked_subscriptions.remove(position)) {
            // The session did not know yet that it had been revoked.
            Some(_) => Ok(subscription),
            None if was_member => Ok(subscription),
            None => Err(Refusal::NoSuchSubscription),
        };
        session.answer(0, Answer::Unsubscribed(request, result), out);
        if was_member {
            let shard = session.at.shard;
            self.remove_member(subscription, id, shard, out);
        }
    }

    /// REGISTER.
    pub fn register(
        &mut self,
        id: SessionId,
        request: RequestId,
        policy: MatchPolicy,
        procedure: &str,
        options: RegisterOptions,
        out: &mut Visibility,
    ) {
        let Some(at) = self.sessions.get(&id).map(|session| session.at) else { return };
        let known = self.procedures.get(policy, procedure).copied();
        if let Some(refusal) = self.registration_refusal(id, known, policy, procedure, options) {
            let session = self.sessions.get_mut(&id).expect("invariant: it has just been seen");
            session.answer(0, Answer::Registered(request, Err(refusal)), out);
            return;
        }
        let shared = known.filter(|_| !options.force_reregister);
        if let Some(lost) = known.filter(|_| options.force_reregister) {
            self.revoke_registration(lost, "registered by another session", out);
        }
        let registration = shared.unwrap_or_else(|| self.add_registration(policy, procedure, options.invoke));
        let entry =
            self.registrations.get_mut(&registration).expect("invariant: procedures and registrations agree");
        let callee = Callee {
            session: id,
            at,
            disclose_caller: options.disclose_caller,
            forward_timeout: options.forward_timeout,
            load: (options.invoke == InvocationPolicy::LeastPending).then(Default::default),
        };
        let need = out.change(entry.delta(self.realm, &callee, true));
        entry.callees.push(callee);
        let session = self.sessions.get_mut(&id).expect("invariant: it has just been seen");
        session.registrations.insert(registration);
        let granted = Granted { registration, concurrency: options.concurrency };
        session.answer(need, Answer::Registered(request, Ok(granted)), out);
    }

    fn registration_refusal(
        &self,
        id: SessionId,
        known: Option<RegistrationId>,
        policy: MatchPolicy,
        procedure: &str,
        options: RegisterOptions,
    ) -> Option<Refusal> {
        let session = self.sessions.get(&id)?;
        let entry = known.and_then(|known| self.registrations.get(&known));
        if let Some(entry) = entry.filter(|_| !options.force_reregister) {
            let invoke = entry.info.invoke;
            if invoke == InvocationPolicy::Single || entry.callees.iter().any(|callee| callee.session == id) {
                return Some(Refusal::ProcedureAlreadyExists);
            }
            if invoke != options.invoke {
                return Some(Refusal::DifferentInvocationPolicy);
            }
        }
        if session.registrations.len() >= self.limits.registrations_per_session_max {
            return Some(Refusal::LimitExceeded);
        }
        if known.is_some() {
            return None;
        }
        self.procedures.admits(policy, procedure).err().map(Refusal::Pattern)
    }

    fn add_registration(
        &mut self,
        policy: MatchPolicy,
        procedure: &str,
        invoke: InvocationPolicy,
    ) -> RegistrationId {
        self.last_registration += 1;
        let id =
            RegistrationId::new(self.last_registration).expect("invariant: fewer than 2^53 registrations");
        let procedure: Box<str> = procedure.into();
        self.procedures.insert(policy, &procedure, id).expect("invariant: the pattern is admitted");
        let info = RegistrationInfo { id, policy, procedure, invoke, turns: AtomicU64::new(0) };
        self.registrations.insert(id, Registration { info: Arc::new(info), callees: Vec::new() });
        id
    }

    /// Takes a registration away from all of its callees, and tells them ("Registration Revocation").
    pub fn revoke_registration(
        &mut self,
        registration: RegistrationId,
        reason: &'static str,
        out: &mut Visibility,
    ) {
        let Some(entry) = self.registrations.get(&registration) else { return };
        let callees: Vec<SessionId> = entry.callees.iter().map(|callee| callee.session).collect();
        for callee in callees {
            self.revoke_callee(registration, callee, reason, out);
        }
    }

    /// Takes a registration away from one of its callees, and tells it. Returns whether it had it.
    pub fn revoke_callee(
        &mut self,
        registration: RegistrationId,
        callee: SessionId,
        reason: &'static str,
        out: &mut Visibility,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(&callee) else { return false };
        if !session.registrations.remove(&registration) {
            return false;
        }
        if session.revoked.len() >= REVOKED_MAX {
            session.revoked.pop_front();
        }
        session.revoked.push_back(registration);
        session.answer(0, Answer::RegistrationRevoked(registration, reason), out);
        self.remove_callee(registration, callee, out);
        true
    }

    /// UNREGISTER.
    pub fn unregister(
        &mut self,
        id: SessionId,
        request: RequestId,
        registration: RegistrationId,
        out: &mut Visibility,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let had = session.registrations.remove(&registration);
        let had_lost = !had && session.forget_revoked(registration);
        let result = if had || had_lost { Ok(registration) } else { Err(Refusal::NoSuchRegistration) };
        session.answer(0, Answer::Unregistered(request, result), out);
        if had {
            self.remove_callee(registration, id, out);
        }
    }

    /// Sessions, subscriptions and registrations that exist.
    pub fn len(&self) -> (usize, usize, usize) {
        (self.sessions.len(), self.subscriptions.len(), self.registrations.len())
    }

    /// Whether nothing exists, and no session is still being released.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, self.pinned, 0) && self.leaving.is_empty()
    }

    fn remove_member(
        &mut self,
        subscription: SubscriptionId,
        id: SessionId,
        shard: ShardId,
        out: &mut Visibility,
    ) {
        let entry =
            self.subscriptions.get_mut(&subscription).expect("invariant: a member's subscription exists");
        entry.set_node(self.realm, subscription, id, None, out);
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
            policy: entry.policy,
            topic: entry.topic.clone(),
            shard,
            present: false,
        });
        if entry.shards.is_empty() && !entry.is_pinned {
            self.topics.remove(entry.policy, &entry.topic);
            self.subscriptions.remove(&subscription);
        }
    }

    fn remove_callee(&mut self, registration: RegistrationId, callee: SessionId, out: &mut Visibility) {
        let entry =
            self.registrations.get_mut(&registration).expect("invariant: a callee's registration exists");
        let position = entry.callees.iter().position(|known| known.session == callee);
        let callee = entry.callees.remove(position.expect("invariant: a callee serves its registration"));
        out.change(entry.delta(self.realm, &callee, false));
        if entry.callees.is_empty() {
            self.procedures.remove(entry.info.policy, &entry.info.procedure);
            self.registrations.remove(&registration);
        }
    }
}

impl Session {
    fn answer(&mut self, need: DeltaNumber, answer: Answer, out: &mut Visibility) {
        self.last_need = self.last_need.max(need);
        out.answer(self.last_need, self.at, answer);
    }

    fn forget_revoked(&mut self, registration: RegistrationId) -> bool {
        let position = self.revoked.iter().position(|revoked| *revoked == registration);
        position.is_some_and(|position| self.revoked.remove(position).is_some())
    }
}

impl Registration {
    fn delta(&self, realm: RealmId, callee: &Callee, present: bool) -> Delta {
        Delta::Callee { realm, registration: self.info.clone(), callee: callee.clone(), present }
    }
}

#[cfg(test)]
mod tests;
