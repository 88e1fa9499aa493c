//! Rules inside of patterns: whether a rule and a pattern have URIs in common, and which of the rules that deny something lie
//! inside of a pattern and go before the rule that governs it.

use std::sync::Arc;

use crate::uri::MatchPolicy;

/// The rules of a role that deny one action.
#[derive(Debug, Default)]
pub(super) struct Denials {
    /// Sorted, by the order of [`MatchPolicy::ALL`].
    patterns: [Vec<Arc<str>>; 3],
}

/// The rule that decides about a pattern as a whole: a prefix or a wildcard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Governing<'a> {
    pub(super) policy: MatchPolicy,
    pub(super) uri: &'a str,
}

impl Denials {
    pub(super) fn add(&mut self, policy: MatchPolicy, uri: Arc<str>) {
        let patterns = &mut self.patterns[policy as usize];
        let at = patterns.partition_point(|known| **known < *uri);
        patterns.insert(at, uri);
    }

    /// A rule that denies some of what the pattern matches, and goes before the one that governs it.
    pub(super) fn inside(
        &self,
        policy: MatchPolicy,
        pattern: &str,
        governing: Option<Governing<'_>>,
    ) -> Option<(MatchPolicy, &str)> {
        let head = literal_head(policy, pattern);
        // A prefix rule that is not longer than the head matches all of the pattern: it governs, or one before it does.
        for rule in [MatchPolicy::Exact, MatchPolicy::Prefix] {
            let mut below = self.beginning_with(rule, head);
            if let Some(found) = below.find(|uri| meet(rule, uri, policy, pattern)) {
                return Some((rule, found));
            }
        }
        if governing.is_some_and(|governing| governing.policy != MatchPolicy::Wildcard) {
            return None; // No wildcard goes before it.
        }
        let goes_before = |uri: &str| governing.is_none_or(|governing| precedes(uri, governing.uri));
        let wildcards = &self.patterns[MatchPolicy::Wildcard as usize];
        let mut wildcards = wildcards.iter().map(|uri| &**uri);
        let found =
            wildcards.find(|uri| meet(MatchPolicy::Wildcard, uri, policy, pattern) && goes_before(uri))?;
        Some((MatchPolicy::Wildcard, found))
    }

    fn beginning_with(&self, policy: MatchPolicy, head: &str) -> impl Iterator<Item = &str> {
        let patterns = &self.patterns[policy as usize];
        let from = patterns.partition_point(|uri| **uri < *head);
        patterns[from..].iter().map(|uri| &**uri).take_while(move |uri| uri.starts_with(head))
    }
}

/// What every URI begins with that the pattern matches.
fn literal_head(policy: MatchPolicy, pattern: &str) -> &str {
    match policy {
        MatchPolicy::Exact | MatchPolicy::Prefix => pattern,
        MatchPolicy::Wildcard => {
            let mut components = pattern.split('.');
            let literal: usize =
                components.by_ref().take_while(|component| !component.is_empty()).map(|c| c.len() + 1).sum();
            &pattern[..literal.min(pattern.len())]
        }
    }
}

/// Whether some URI is matched by both. A prefix may end in the middle of a component.
pub(super) fn meet(a: MatchPolicy, of_a: &str, b: MatchPolicy, of_b: &str) -> bool {
    use MatchPolicy::{Exact, Prefix, Wildcard};
    match (a, b) {
        (Exact, b) => b.matches(of_b, of_a),
        (a, Exact) => a.matches(of_a, of_b),
        (Prefix, Prefix) => of_a.starts_with(of_b) || of_b.starts_with(of_a),
        (Prefix, Wildcard) => begins_within(of_a, of_b),
        (Wildcard, Prefix) => begins_within(of_b, of_a),
        (Wildcard, Wildcard) => {
            let (mut a, mut b) = (of_a.split('.'), of_b.split('.'));
            loop {
                match (a.next(), b.next()) {
                    (None, None) => return true,
                    (Some(a), Some(b)) if a.is_empty() || b.is_empty() || a == b => {}
                    _ => return false,
                }
            }
        }
    }
}

/// Whether some URI that a wildcard pattern matches begins with `prefix`.
fn begins_within(prefix: &str, wildcard: &str) -> bool {
    let mut components = wildcard.split('.');
    let mut of_prefix = prefix.split('.').peekable();
    while let Some(part) = of_prefix.next() {
        let Some(component) = components.next() else { return false };
        let is_last = of_prefix.peek().is_none();
        let fits = component.is_empty() || component == part || (is_last && component.starts_with(part));
        if !fits {
            return false;
        }
    }
    true
}

/// Of two wildcard patterns with URIs in common: whether the first goes before the second. (They have as many components. The first
/// difference is where one of them is literal and the other is not, and there the portion of the former is longer.)
fn precedes(a: &str, b: &str) -> bool {
    let differs = |(a, b): &(&str, &str)| a.is_empty() != b.is_empty();
    a.split('.').zip(b.split('.')).find(differs).is_some_and(|(a, _)| !a.is_empty())
}
