//! What the home shard keeps of publications: the newest ones to be retained, for sessions that subscribe later, and the
//! history of the subscriptions that have one.
//!
//! Publications come from every shard, in the order of each. A subscriber's question is answered when every shard has applied
//! a change that was sent after the question came, and so has sent on what it published before (see `holding.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use wampline_routing::feature::ClientFeatures;
use wampline_routing::history::{
    self, HistoryEvent, HistoryQuery, HistoryReader, HistoryRule, HistoryStore, MemoryHistory,
};
use wampline_routing::uri::MatchPolicy;
use wampline_routing::{
    Answer, Delta, Identity, RealmId, RetainedEvent, RetainedQuery, RetainedStore, SessionRef, ShardId,
};
use wampline_wire::{PayloadBuf, Serializer, SessionId, SubscriptionId};

use crate::Now;
use crate::counters::add;
use crate::frame::{Frame, Keep, Snapshot, SnapshotEvent};
use crate::home::Home;
use crate::shard::{Shard, Shared};

/// What is kept of the realms whose home this shard is.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    retained: BTreeMap<RealmId, RetainedStore>,
    /// Questions for retained events that wait for all shards.
    questions: BTreeMap<u64, Question>,
    last_question: u64,
    /// The histories of all of them.
    histories: BTreeMap<RealmId, History>,
}

/// The history of a realm.
#[derive(Debug)]
struct History {
    /// By the position of the rule.
    subscriptions: Vec<SubscriptionId>,
    store: Box<dyn HistoryStore>,
}

/// A session has subscribed and wants retained events.
#[derive(Debug)]
struct Question {
    realm: RealmId,
    subscription: SubscriptionId,
    /// The name that the session's shard has given to the question.
    name: u64,
    identity: Arc<Identity>,
    features: ClientFeatures,
}

impl Kept {
    /// The next rule of a realm gives this subscription a history.
    pub(crate) fn open_history(&mut self, realm: RealmId, subscription: SubscriptionId, rule: &HistoryRule) {
        let history = self.histories.entry(realm).or_insert_with(|| History {
            subscriptions: Vec::new(),
            store: Box::new(MemoryHistory::default()),
        });
        history.subscriptions.push(subscription);
        history.store.open(subscription, rule);
    }

    pub(crate) fn residue(&self) -> Option<String> {
        (!self.questions.is_empty()).then(|| "questions for retained events".into())
    }
}

impl Home {
    /// See [`Shard::get_events`].
    pub(crate) fn get_events(
        &self,
        realm: RealmId,
        subscription: SubscriptionId,
        query: &HistoryQuery,
        reader: HistoryReader<'_>,
        serializer: Serializer,
    ) -> Option<PayloadBuf> {
        let (policy, _) = self.topic_of(realm, subscription)?;
        let events = self.kept.histories.get(&realm)?.store.query(subscription, query, reader)?;
        Some(history::answer(serializer, subscription, policy != MatchPolicy::Exact, &events))
    }

    /// A publication to be kept.
    pub(crate) fn keep(&mut self, now: Now, from: ShardId, keep: Keep, shared: &Shared, own: ShardId) {
        let Keep { publication, sent_to, acknowledge } = keep;
        let (realm, id) = (publication.realm, publication.id);
        if let Some(history) = self.kept.histories.get_mut(&realm) {
            let rules = &shared.realm(realm).history;
            for position in rules.matching(&publication.topic) {
                let event =
                    HistoryEvent { publication: publication.clone(), unix_nanos: shared.wall_time(now).0 };
                history.store.append(history.subscriptions[position], event);
            }
        }
        if publication.terms.as_ref().is_some_and(|terms| terms.retain.is_some()) {
            let limits = shared.realm(realm).retained;
            let store = self.kept.retained.entry(realm).or_insert_with(|| RetainedStore::new(limits));
            let event = RetainedEvent { publication, source: from, sent_to };
            add(&shared.counters[own.index()].retained_evicted, store.put(now.0, event) as u64);
        }
        if let Some((to, request)) = acknowledge {
            self.visibility.answer(0, to, Answer::Published(request, id));
        }
    }

    /// A session asks for the retained events of a subscription that has just begun.
    pub(crate) fn ask_retained(
        &mut self,
        realm: RealmId,
        from: SessionRef,
        (subscription, name): (SubscriptionId, u64),
        (identity, features): (Arc<Identity>, ClientFeatures),
    ) {
        self.kept.last_question += 1;
        let number = self.kept.last_question;
        self.kept.questions.insert(number, Question { realm, subscription, name, identity, features });
        let need = self.visibility.change(Delta::Nothing { realm });
        self.visibility.answer(need, from, Answer::Retained(number));
    }

    fn snapshot(
        &mut self,
        now: Now,
        to: SessionRef,
        number: u64,
        octets_max: usize,
    ) -> Option<(Snapshot, usize)> {
        let question = self.kept.questions.remove(&number)?;
        let subscription = question.subscription;
        let mut snapshot =
            Snapshot { subscription, question: question.name, names_topic: false, events: Vec::new() };
        // The session may have unsubscribed meanwhile.
        let Some((policy, topic)) = self.topic_of(question.realm, subscription) else {
            return Some((snapshot, 0));
        };
        snapshot.names_topic = policy != MatchPolicy::Exact;
        let Some(store) = self.kept.retained.get_mut(&question.realm) else { return Some((snapshot, 0)) };
        let (identity, features) = (&*question.identity, question.features);
        let query = RetainedQuery { policy, pattern: &topic, identity, features };
        let (found, omitted) = store.find(now.0, query, octets_max);
        let is_sent = |event: &RetainedEvent| {
            let mut sent = event.sent_to.iter();
            sent.any(|(sent_to, shards)| *sent_to == subscription && shards.contains(to.shard))
        };
        snapshot.events.extend(found.into_iter().map(|event| SnapshotEvent {
            publication: event.publication.clone(),
            live: is_sent(event).then_some((event.source, number_of(event))),
        }));
        Some((snapshot, omitted))
    }
}

impl Shard {
    /// Takes a subscription from a session ("Subscription Revocation"), as administration may want it. This must be the
    /// home shard of the realm. A client that announced the feature is told, with the reason; the others hear nothing.
    /// Gives whether the session had the subscription.
    pub fn revoke_subscription(
        &mut self,
        now: Now,
        realm: RealmId,
        subscription: SubscriptionId,
        session: SessionId,
        reason: Option<&str>,
    ) -> bool {
        self.now = now;
        self.home.revoke(realm, subscription, session, reason)
    }

    /// What `wamp.subscription.get_events` gives ("Event History"): the events of a subscription that a session with this
    /// identity may see, as the arguments of a RESULT. This must be the home shard of the realm. `None` if there is no
    /// such subscription, or it has no history.
    pub fn get_events(
        &self,
        realm: RealmId,
        subscription: SubscriptionId,
        query: &HistoryQuery,
        reader: HistoryReader<'_>,
        serializer: Serializer,
    ) -> Option<PayloadBuf> {
        self.home.get_events(realm, subscription, query, reader, serializer)
    }

    /// All shards have dealt with what came before a question for retained events: it is answered.
    pub(crate) fn send_snapshot(&mut self, to: SessionRef, number: u64) {
        let octets_max = self.shared.config.limits.outbox_bytes_max / 2;
        let Some((snapshot, omitted)) = self.home.snapshot(self.now, to, number, octets_max) else { return };
        if omitted > 0 {
            add(&self.counters().retained_omitted, omitted as u64);
            tracing::warn!(omitted, "retained events left out: they are more than a session may have queued");
        }
        if to.shard == self.id {
            self.retained(to, snapshot);
        } else {
            self.send(to.shard, Frame::Snapshot { to, snapshot: Box::new(snapshot) }, None);
        }
    }
}

fn number_of(event: &RetainedEvent) -> u64 {
    event.publication.terms.as_ref().and_then(|terms| terms.retain).map_or(0, |retain| retain.number)
}
