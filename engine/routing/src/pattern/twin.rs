//! A naive twin of the pattern tables, for tests.
#![allow(clippy::unwrap_used)]

use std::cmp::Reverse;

use super::MatchPolicy::{self, Exact, Prefix, Wildcard};

/// A list of patterns, searched from end to end and sorted by the words of the specification.
#[derive(Default)]
pub(crate) struct Twin(pub(crate) Vec<(MatchPolicy, String, u32)>);

impl Twin {
    pub(crate) fn insert(&mut self, policy: MatchPolicy, uri: &str, value: u32) -> Option<u32> {
        let previous = self.remove(policy, uri);
        self.0.push((policy, uri.to_owned(), value));
        previous
    }

    pub(crate) fn remove(&mut self, policy: MatchPolicy, uri: &str) -> Option<u32> {
        let index = self.0.iter().position(|(p, u, _)| *p == policy && u == uri)?;
        Some(self.0.remove(index).2)
    }

    pub(crate) fn get(&self, policy: MatchPolicy, uri: &str) -> Option<u32> {
        self.0.iter().find(|(p, u, _)| *p == policy && u == uri).map(|&(_, _, value)| value)
    }

    pub(crate) fn matches(&self, uri: &str) -> Vec<(MatchPolicy, String, u32)> {
        let mut found: Vec<_> = self
            .0
            .iter()
            .filter(|(policy, pattern, _)| twin_matches(*policy, pattern, uri))
            .cloned()
            .collect();
        found.sort_by_key(|(policy, pattern, _)| {
            let components = pattern.split('.').count();
            let portions = portions(pattern).into_iter().map(Reverse).collect::<Vec<_>>();
            match policy {
                Exact => (0, Reverse(0), Reverse(0), vec![]),
                Prefix => (1, Reverse(components), Reverse(pattern.len()), vec![]),
                Wildcard => (2, Reverse(0), Reverse(0), portions),
            }
        });
        found
    }
}

pub(crate) fn twin_matches(policy: MatchPolicy, pattern: &str, uri: &str) -> bool {
    match policy {
        Exact => pattern == uri,
        Prefix => uri.as_bytes().starts_with(pattern.as_bytes()),
        Wildcard => {
            let (pattern, uri): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), uri.split('.').collect());
            pattern.len() == uri.len() && pattern.iter().zip(uri).all(|(p, u)| p.is_empty() || *p == u)
        }
    }
}

/// How many components there are before each wildcard, counted from the wildcard before, and after the last one.
fn portions(pattern: &str) -> Vec<usize> {
    let mut portions = vec![0];
    for component in pattern.split('.') {
        match component {
            "" => portions.push(0),
            _ => *portions.last_mut().unwrap() += 1,
        }
    }
    portions
}
