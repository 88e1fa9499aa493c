//! What has happened in a realm and is to be published, in the order in which it happened.
//!
//! Nothing is taken note of unless somebody subscribes to it: a bit per topic says so, kept up to date as subscriptions that
//! match a meta topic come and go.
//!
//! A session has joined, subscribed or registered, as far as others are told, when the answer has been queued on its shard:
//! the shard confirms that, if it is asked to, and only then the event is taken note of. If the session loses what it has
//! got before that, the event comes first all the same, so that ends follow beginnings.

use ahash::{AHashMap, RandomState};
use wampline_wire::{RegistrationId, SessionId, SubscriptionId};

use crate::meta::{MetaEvent, MetaTopic};
use crate::pattern::PatternTable;
use crate::uri::{MatchPolicy, is_reserved};

/// What an event of a beginning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owned {
    /// The session itself.
    Session,
    /// A subscription of the session.
    Subscription(SubscriptionId),
    /// A registration of the session.
    Registration(RegistrationId),
}

#[derive(Debug)]
pub(crate) struct Log {
    is_on: bool,
    /// The topics that somebody subscribes to, as bits.
    watched: u16,
    events: Vec<MetaEvent>,
    /// Beginnings that have not been confirmed, with the number of the confirmation that is due.
    unconfirmed: AHashMap<(SessionId, Owned), u64>,
    last_confirmation: u64,
}

impl Log {
    pub(crate) fn new(is_on: bool, hasher: &RandomState) -> Log {
        Log {
            is_on,
            watched: 0,
            events: Vec::new(),
            unconfirmed: AHashMap::with_hasher(hasher.clone()),
            last_confirmation: 0,
        }
    }

    pub(crate) fn watches(&self, topic: MetaTopic) -> bool {
        self.watched & topic.bit() != 0
    }

    /// A subscription has been created.
    pub(crate) fn pattern_added(&mut self, policy: MatchPolicy, pattern: &str) {
        if self.is_on {
            self.watched |= topics_of(policy, pattern);
        }
    }

    /// A subscription has been deleted; `left` are those that are left.
    pub(crate) fn pattern_removed<T>(&mut self, policy: MatchPolicy, pattern: &str, left: &PatternTable<T>) {
        let concerned = topics_of(policy, pattern) & self.watched;
        for topic in MetaTopic::ALL.into_iter().filter(|topic| concerned & topic.bit() != 0) {
            if left.best_match(topic.uri()).is_none() {
                self.watched &= !topic.bit();
            }
        }
    }

    /// Takes note of an event, if somebody wants to know.
    pub(crate) fn note(&mut self, topic: MetaTopic, event: impl FnOnce() -> MetaEvent) {
        if self.watches(topic) {
            self.events.push(event());
        }
    }

    /// Something has begun. Gives the number that its confirmation must carry, if it is to be confirmed.
    pub(crate) fn begin(&mut self, session: SessionId, owned: Owned) -> Option<u64> {
        self.watches(owned.topic()).then(|| {
            self.last_confirmation += 1;
            self.unconfirmed.insert((session, owned), self.last_confirmation);
            self.last_confirmation
        })
    }

    /// A confirmation has come. Returns whether it is the one that is due.
    pub(crate) fn confirm(&mut self, session: SessionId, owned: Owned, number: u64) -> bool {
        let is_due = self.unconfirmed.get(&(session, owned)) == Some(&number);
        is_due && self.unconfirmed.remove(&(session, owned)).is_some()
    }

    /// Something ends. Returns whether its beginning has not been confirmed.
    pub(crate) fn end(&mut self, session: SessionId, owned: Owned) -> bool {
        !self.unconfirmed.is_empty() && self.unconfirmed.remove(&(session, owned)).is_some()
    }

    pub(crate) fn take(&mut self) -> Vec<MetaEvent> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.unconfirmed.is_empty()
    }
}

impl Owned {
    const fn topic(self) -> MetaTopic {
        match self {
            Owned::Session => MetaTopic::SessionOnJoin,
            Owned::Subscription(_) => MetaTopic::SubscriptionOnSubscribe,
            Owned::Registration(_) => MetaTopic::RegistrationOnRegister,
        }
    }
}

/// The meta topics that a pattern matches, as bits.
fn topics_of(policy: MatchPolicy, pattern: &str) -> u16 {
    let may_match = match policy {
        MatchPolicy::Exact => is_reserved(pattern),
        MatchPolicy::Prefix => is_reserved(pattern) || "wamp.".starts_with(pattern),
        MatchPolicy::Wildcard => is_reserved(pattern) || pattern.starts_with('.') || pattern.is_empty(),
    };
    if !may_match {
        return 0;
    }
    let matching = MetaTopic::ALL.into_iter().filter(|topic| policy.matches(pattern, topic.uri()));
    matching.fold(0, |bits, topic| bits | topic.bit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_topic_is_watched_while_a_subscription_matches_it() {
        let mut log = Log::new(true, &RandomState::with_seed(1));
        let mut table = PatternTable::new();
        let patterns = [
            (MatchPolicy::Exact, "wamp.session.on_join", 1),
            (MatchPolicy::Prefix, "wamp.session.", 3),
            (MatchPolicy::Prefix, "wam", 13),
            (MatchPolicy::Prefix, "", 13),
            (MatchPolicy::Wildcard, "..on_create", 2),
            (MatchPolicy::Wildcard, "wamp..", 13),
            (MatchPolicy::Exact, "com.topic", 0),
            (MatchPolicy::Prefix, "wampum", 0),
            (MatchPolicy::Wildcard, ".", 0),
        ];
        for (policy, pattern, count) in patterns {
            table.insert(policy, pattern, ()).unwrap();
            log.pattern_added(policy, pattern);
            assert_eq!(log.watched.count_ones(), count, "{pattern}");
            table.remove(policy, pattern);
            log.pattern_removed(policy, pattern, &table);
            assert_eq!(log.watched, 0, "{pattern}");
        }
        for (policy, pattern, _) in patterns {
            table.insert(policy, pattern, ()).unwrap();
            log.pattern_added(policy, pattern);
        }
        for (policy, pattern, _) in patterns {
            table.remove(policy, pattern);
            log.pattern_removed(policy, pattern, &table);
            for topic in MetaTopic::ALL {
                assert_eq!(log.watches(topic), table.best_match(topic.uri()).is_some(), "{pattern}");
            }
        }
    }

    #[test]
    fn a_confirmation_counts_once_and_only_for_its_own_beginning() {
        let mut log = Log::new(true, &RandomState::with_seed(1));
        let session = SessionId::new(1).unwrap();
        assert_eq!(log.begin(session, Owned::Session), None);
        log.pattern_added(MatchPolicy::Exact, "wamp.session.on_join");
        let first = log.begin(session, Owned::Session).unwrap();
        assert!(log.end(session, Owned::Session) && !log.end(session, Owned::Session));
        let second = log.begin(session, Owned::Session).unwrap();
        assert!(!log.confirm(session, Owned::Session, first));
        assert!(log.confirm(session, Owned::Session, second));
        assert!(!log.confirm(session, Owned::Session, second) && log.is_empty());
    }
}
