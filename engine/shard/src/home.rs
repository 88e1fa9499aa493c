//! The home shard's part: the directories of the realms that live here, and the changes they make.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wampline_routing::authorization::Roles;
use wampline_routing::meta::{MetaEvent, UnixNanos};
use wampline_routing::uri::MatchPolicy;
use wampline_routing::{
    Answer, Directory, DirectoryLimits, PayloadAttributes, RealmId, SessionRef, ShardId, SubscribeRequest,
    Visibility,
};
use wampline_wire::{Payload, SessionId, SubscriptionId};

use crate::Now;
use crate::frame::{Frame, HomeRequest, Reply, ReplyOutcome};
use crate::keep::Kept;
use crate::meta::Dues;
use crate::shard::{Shard, Shared};

/// Subscriptions and registrations of departed sessions that are released in one turn.
const RELEASE_PER_TURN: usize = 512;

/// Subscriptions and registrations that are released as soon as a session has left.
const RELEASE_AT_ONCE: usize = 64;

/// The directories of the realms whose home this shard is.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) visibility: Visibility,
    /// What is kept of publications.
    pub(crate) kept: Kept,
    /// What sessions may do, by realm.
    pub(crate) roles: Vec<Arc<Roles>>,
    directories: BTreeMap<RealmId, Directory>,
    /// Realms with departed sessions that still own something.
    releasing: Vec<RealmId>,
    /// Realms in which something has happened since events were last taken.
    eventful: BTreeSet<RealmId>,
    pub(crate) dues: Dues,
}

impl Home {
    pub(crate) fn new(id: ShardId, shared: &Shared, hasher: &ahash::RandomState) -> Home {
        let mut home = Home {
            visibility: Visibility::new(id, shared.shards),
            kept: Kept::default(),
            roles: Vec::new(),
            directories: BTreeMap::new(),
            releasing: Vec::new(),
            eventful: BTreeSet::new(),
            dues: Dues::default(),
        };
        for n in 0..shared.realms.len() {
            home.open(id, RealmId(n as u16), shared, hasher, UnixNanos::default());
        }
        home
    }

    /// A realm is there: makes its directory if it lives here, with the subscriptions that have a history, which are there before
    /// anybody subscribes.
    pub(crate) fn open(
        &mut self,
        id: ShardId,
        realm: RealmId,
        shared: &Shared,
        hasher: &ahash::RandomState,
        now: UnixNanos,
    ) {
        let settings = shared.realm(realm);
        self.roles.push(settings.roles.clone());
        if shared.home(realm) != id {
            return;
        }
        let limits = DirectoryLimits {
            sessions_max: settings.limits.sessions_max,
            subscriptions_per_session_max: settings.limits.subscriptions_per_session_max,
            registrations_per_session_max: settings.limits.registrations_per_session_max,
        };
        let mut directory = Directory::new(realm, limits, hasher).with_meta(settings.meta);
        directory.set_time(now);
        for rule in settings.history.rules() {
            let pinned = directory.pin(rule.policy, &rule.uri);
            // (What the rules hold a table has taken, and an empty directory takes no less.)
            self.kept.open_history(realm, pinned.expect("invariant: the rules are admitted"), rule);
        }
        self.directories.insert(realm, directory);
    }

    pub(crate) fn is_releasing(&self) -> bool {
        !self.releasing.is_empty()
    }

    pub(crate) fn residue(&self) -> Vec<String> {
        let mut residue: Vec<String> = self
            .directories
            .iter()
            .filter(|(_, directory)| !directory.is_empty())
            .map(|(realm, directory)| format!("directory {realm:?}: {:?}", directory.len()))
            .collect();
        if self.visibility.is_waiting() {
            residue.push("answers that wait for a change to be visible".into());
        }
        if self.dues.len() > 0 {
            residue.push(format!("answers to meta calls: {}", self.dues.len()));
        }
        residue.extend(self.kept.residue());
        residue
    }

    /// How a subscription matches, and its topic or pattern.
    pub(crate) fn topic_of(
        &self,
        realm: RealmId,
        subscription: SubscriptionId,
    ) -> Option<(MatchPolicy, Arc<str>)> {
        let (policy, topic) = self.directories.get(&realm)?.topic_of(subscription)?;
        Some((policy, topic.clone()))
    }

    /// Takes a subscription from a session ("Subscription Revocation"). Gives whether it had it.
    pub(crate) fn revoke(
        &mut self,
        realm: RealmId,
        subscription: SubscriptionId,
        session: SessionId,
        reason: Option<&str>,
    ) -> bool {
        let Some(directory) = self.directories.get_mut(&realm) else { return false };
        directory.revoke(subscription, session, reason.map(Into::into), &mut self.visibility)
    }

    /// The directory of a realm that lives here, and where its answers go.
    pub(crate) fn directory(&mut self, realm: RealmId) -> (&mut Directory, &mut Visibility) {
        let directory = self.directories.get_mut(&realm).expect("invariant: requests go to the realm's home");
        (directory, &mut self.visibility)
    }

    /// What has happened in each realm since this was last asked. Killers whose sessions are gone have their answers due then.
    pub(crate) fn take_events(&mut self) -> Vec<(RealmId, Vec<MetaEvent>)> {
        let mut events = Vec::new();
        while let Some(realm) = self.eventful.pop_first() {
            let Some(directory) = self.directories.get_mut(&realm) else { continue };
            let new = directory.take_events();
            if !new.is_empty() {
                events.push((realm, new));
            }
            for session in directory.take_released() {
                self.dues.released(realm, session);
            }
        }
        events
    }

    fn request(
        &mut self,
        now: (Now, UnixNanos),
        realm: RealmId,
        session: SessionId,
        from: SessionRef,
        request: HomeRequest,
    ) {
        self.eventful.insert(realm);
        let (directory, out) = self.directory(realm);
        directory.set_time(now.1);
        match request {
            HomeRequest::Join(arrival) => directory.join(*arrival, from, out),
            HomeRequest::Call(call) => self.meta_call(now.0, realm, session, *call),
            HomeRequest::Forget(call, filter) => self.forget(realm, from, call, *filter),
            HomeRequest::Confirmed(owned, number) => directory.confirmed(session, owned, number),
            HomeRequest::Cut(reason) => directory.note_cut(session, reason),
            HomeRequest::Leave => {
                directory.leave(session, from, out);
                // Most sessions own little: their names are free for whatever is asked next.
                if directory.release(RELEASE_AT_ONCE, out) && !self.releasing.contains(&realm) {
                    self.releasing.push(realm);
                }
            }
            HomeRequest::Subscribe { request, policy, topic, nkey } => {
                let asked = SubscribeRequest { request, policy, topic: &topic, nkey: nkey.as_deref() };
                directory.subscribe(session, asked, out);
            }
            HomeRequest::Retained { subscription, question, identity, features } => {
                self.ask_retained(realm, from, (subscription, question), (identity, features));
            }
            HomeRequest::Unsubscribe { request, subscription } => {
                directory.unsubscribe(session, request, subscription, out);
            }
            HomeRequest::Register { request, policy, procedure, options } => {
                directory.register(session, request, policy, &procedure, options, out);
            }
            HomeRequest::Unregister { request, registration } => {
                directory.unregister(session, request, registration, out);
            }
        }
    }

    /// Releases a slice of what departed sessions own.
    /// Whether nothing has changed since changes, events, answers and replies were last sent, so that there is nothing to send.
    #[inline]
    fn is_settled(&self) -> bool {
        self.visibility.is_settled()
            && self.eventful.is_empty()
            && self.releasing.is_empty()
            && !self.dues.has_replies()
    }

    fn release(&mut self) {
        self.eventful.extend(&self.releasing);
        let (directories, out) = (&mut self.directories, &mut self.visibility);
        self.releasing.retain(|realm| {
            let directory = directories.get_mut(realm).expect("invariant: only own realms are released");
            directory.release(RELEASE_PER_TURN, out)
        });
    }
}

impl Shard {
    /// Deals with one frame from another shard or from this one.
    pub(crate) fn frame(&mut self, from: ShardId, frame: Frame) {
        match frame {
            Frame::Request { realm, session, from, request } => {
                let now = (self.now, self.shared.wall_time(self.now));
                self.home.request(now, realm, session, from, request);
            }
            Frame::Applied { number } => self.home.visibility.acknowledge(from, number),
            Frame::Changes { number, changes } => {
                changes.iter().for_each(|change| self.apply(change));
                self.unacknowledged[from.index()] = number;
            }
            Frame::Answer { to, answer } => self.answer(to, answer),
            Frame::Publication { publication, subscriptions } => {
                self.publication(from, &publication, &subscriptions)
            }
            Frame::Keep(keep) => {
                self.home.keep(self.now, from, *keep, &self.shared, self.id);
            }
            Frame::Snapshot { to, snapshot } => self.retained(to, *snapshot),
            Frame::Invoke(invoke) => self.invoke_from_afar(*invoke),
            Frame::Returned(invoke, why) => self.call_returned(*invoke, why),
            Frame::Reply(reply) => {
                let Reply { call, outcome, attributes, payload } = *reply;
                self.call_answered(call, outcome, &attributes, payload.as_payload());
            }
            Frame::Cancel { call, mode } => self.canceled(call, mode),
            Frame::Answered { purpose, answer } => self.question_answered(purpose, *answer),
            Frame::TimeoutForwarded { call } => self.timeout_forwarded(call),
            Frame::CalleeFree { callee, registration } => {
                if self.sessions.is_live(callee.slot, callee.guard) {
                    self.callee_free(callee.slot, registration);
                }
            }
        }
    }

    /// Works through the frames to this shard itself, and sends what the directories have changed and answered.
    #[inline]
    pub(crate) fn settle(&mut self) {
        // After a turn in which clients only publish and call there is nothing.
        if !self.inbox.is_empty() || !self.home.is_settled() {
            self.settle_changes();
        }
    }

    #[inline(never)]
    fn settle_changes(&mut self) {
        self.home.release();
        loop {
            while let Some(frame) = self.inbox.pop_front() {
                self.frame(self.id, frame);
            }
            self.spread_changes();
            self.publish_meta_events();
            let answers = self.home.visibility.take_answers();
            let is_idle = answers.is_empty();
            for (to, answer) in answers {
                if let Answer::Retained(number) = answer {
                    self.send_snapshot(to, number);
                } else if let Answer::Forgotten(call) = answer {
                    let plain = PayloadAttributes::default();
                    self.reply(call, ReplyOutcome::Result, plain, Payload::NONE, None);
                } else if to.shard == self.id {
                    self.answer(to, answer);
                } else {
                    self.send(to.shard, Frame::Answer { to, answer }, None);
                }
            }
            if !self.pay_dues() && is_idle && self.inbox.is_empty() {
                return;
            }
        }
    }

    /// Acknowledges the changes applied in this turn, once per home.
    pub(crate) fn acknowledge(&mut self) {
        for n in 0..self.unacknowledged.len() {
            let number = std::mem::take(&mut self.unacknowledged[n]);
            if number > 0 {
                self.send(ShardId(n as u16), Frame::Applied { number }, None);
            }
        }
    }

    fn spread_changes(&mut self) {
        let Some((number, changes)) = self.home.visibility.take_changes() else { return };
        changes.iter().for_each(|change| self.apply(change));
        let changes: Arc<[_]> = changes.into();
        let own = self.id.0;
        for n in (0..self.shared.shards).filter(|n| *n != own) {
            self.send(ShardId(n), Frame::Changes { number, changes: changes.clone() }, None);
        }
    }

    fn answer(&mut self, to: SessionRef, answer: Answer) {
        if !self.sessions.is_live(to.slot, to.guard) {
            return;
        }
        match answer {
            Answer::Joined(result) => self.joined(to.slot, result),
            Answer::Left => self.released(to.slot),
            Answer::Subscribed(request, result) => self.subscribed(to.slot, request, result),
            Answer::Unsubscribed(request, result) => self.unsubscribed(to.slot, request, result),
            Answer::Registered(request, result) => self.registered(to.slot, request, result),
            Answer::Unregistered(request, result) => self.unregistered(to.slot, request, result),
            Answer::Published(request, publication) => self.published(to.slot, request, publication),
            // The home shard answers these itself: with a snapshot, with a reply.
            Answer::Retained(_) | Answer::Forgotten(_) => {}
            Answer::Confirm(owned, number) => self.confirm(to.slot, owned, number),
            Answer::Kill(farewell) => self.killed(to.slot, &farewell),
            Answer::SubscriptionRevoked(subscription, reason) => {
                self.subscription_revoked(to.slot, subscription, reason.as_deref());
            }
            Answer::RegistrationRevoked(registration, reason) => {
                self.registration_revoked(to.slot, registration, reason.as_deref());
            }
        }
    }
}
