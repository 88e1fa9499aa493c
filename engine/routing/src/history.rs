//! The history of events, on a realm's home shard (advanced profile, "Event History").
//!
//! A rule of the configuration gives one subscription (a topic or pattern with its policy) a history. The subscription exists
//! from the start, whether anybody has subscribed or not, so nothing that is published is missed. Events are kept in the order in which the
//! home shard hears of them, in memory and bounded by [`MemoryHistory`]; a durable store stands behind the same
//! [`HistoryStore`].
//!
//! Who asks gets what it could have received: lists of authids and authroles hold for the one who asks. Publications with
//! lists of session ids are not kept, because those say nothing about later sessions.

mod answer;
mod query;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use wampline_wire::SubscriptionId;

pub use answer::{ANSWER_OCTETS_MAX, answer};
pub use query::{HistoryQuery, QueryError};

use crate::pattern::{PatternError, PatternTable};
use crate::publication::Publication;
use crate::uri::MatchPolicy;

/// Octets that an event costs beside its publication, about.
const ENTRY_BYTES: usize = 64;

/// Which subscription has a history, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRule {
    /// How the topic matches.
    pub policy: MatchPolicy,
    /// The topic or pattern.
    pub uri: Box<str>,
    /// Events kept at most; the oldest go first.
    pub events_max: usize,
    /// Octets kept at most.
    pub octets_max: usize,
}

/// The rules of one realm.
#[derive(Debug, Default)]
pub struct HistoryRules {
    rules: Vec<HistoryRule>,
    table: PatternTable<usize>,
}

/// An event as it is kept.
#[derive(Clone, Debug)]
pub struct HistoryEvent {
    /// What was published.
    pub publication: Arc<Publication>,
    /// When the home shard heard of it, in nanoseconds since 1970-01-01T00:00:00Z.
    pub unix_nanos: u64,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct HistoryReader<'a> {
    /// Its authid.
    pub authid: &'a str,
    /// Its authrole.
    pub authrole: &'a str,
}

/// Where histories are kept.
pub trait HistoryStore: fmt::Debug + Send {
    /// A subscription has a history from now on.
    fn open(&mut self, subscription: SubscriptionId, rule: &HistoryRule);
    /// An event of a subscription that has one.
    fn append(&mut self, subscription: SubscriptionId, event: HistoryEvent);
    /// The events that a query asks for, in the order that it asks for; `None` if the subscription has no history.
    fn query(
        &self,
        subscription: SubscriptionId,
        query: &HistoryQuery,
        reader: HistoryReader<'_>,
    ) -> Option<Vec<HistoryEvent>>;
}

/// Histories in memory, bounded each by its rule.
#[derive(Debug, Default)]
pub struct MemoryHistory {
    logs: BTreeMap<SubscriptionId, Log>,
}

#[derive(Debug)]
struct Log {
    events_max: usize,
    octets_max: usize,
    events: VecDeque<HistoryEvent>,
    octets: usize,
}

impl HistoryRules {
    /// Adds a rule. Gives whether its subscription had none before; a second one is left out.
    ///
    /// # Errors
    /// If matching cannot bear the pattern.
    pub fn add(&mut self, rule: HistoryRule) -> Result<bool, PatternError> {
        if self.table.get(rule.policy, &rule.uri).is_some() {
            return Ok(false);
        }
        self.table.insert(rule.policy, &rule.uri, self.rules.len())?;
        self.rules.push(rule);
        Ok(true)
    }

    /// The rules, in the order in which they were added.
    pub fn rules(&self) -> &[HistoryRule] {
        &self.rules
    }

    /// Whether a publication to this topic is kept.
    pub fn covers(&self, topic: &str) -> bool {
        !self.rules.is_empty() && self.table.matches(topic).next().is_some()
    }

    /// The rules, by their positions, that keep a publication to this topic.
    pub fn matching(&self, topic: &str) -> impl Iterator<Item = usize> {
        self.table.matches(topic).map(|(_, _, position)| *position)
    }
}

impl HistoryEvent {
    /// Whether lists of session ids say who receives it: such events are not kept.
    pub fn names_sessions(&self) -> bool {
        self.publication.terms.as_ref().is_some_and(|terms| terms.audience.names_sessions())
    }

    fn octets(&self) -> usize {
        ENTRY_BYTES + self.publication.octets()
    }
}

impl HistoryStore for MemoryHistory {
    fn open(&mut self, subscription: SubscriptionId, rule: &HistoryRule) {
        let HistoryRule { events_max, octets_max, .. } = *rule;
        let log = Log { events_max, octets_max, events: VecDeque::new(), octets: 0 };
        self.logs.entry(subscription).or_insert(log);
    }

    fn append(&mut self, subscription: SubscriptionId, event: HistoryEvent) {
        if event.names_sessions() {
            return;
        }
        let Some(log) = self.logs.get_mut(&subscription) else { return };
        log.octets += event.octets();
        log.events.push_back(event);
        while log.events.len() > log.events_max || log.octets > log.octets_max {
            let Some(oldest) = log.events.pop_front() else { break };
            log.octets -= oldest.octets();
        }
    }

    fn query(
        &self,
        subscription: SubscriptionId,
        query: &HistoryQuery,
        reader: HistoryReader<'_>,
    ) -> Option<Vec<HistoryEvent>> {
        let log = self.logs.get(&subscription)?;
        Some(query.select(&log.events, reader).cloned().collect())
    }
}
