//! Which subscriptions or registrations match a URI (advanced profile, "Pattern-based Subscription" and
//! "Pattern-based Registrations").
//!
//! Owns [`PatternTable`]: one table for the patterns of all three policies, the same URI with another policy being
//! another pattern. It finds all patterns that match a URI, in one order for both uses: a publication goes to all
//! of them, a call to the first one that takes it.
//!
//! Invariants: cost of every operation grows with the length of the URI and with the number of patterns that match
//! it, never with the number of patterns that do not; memory grows with the patterns stored; an empty table holds
//! no memory. The order of matches depends on the patterns alone, not on hashes or on the order of insertion.
//!
//! Does not check URIs: that is [`crate::uri`]'s part. Any string can be stored and looked up.

mod hash;
mod prefix;
mod wildcard;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin;

use std::fmt;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

pub use hash::{UriHash, UriHasher};
use prefix::{PrefixTree, Prefixes};
use wildcard::{WildcardMatches, WildcardTable};

use crate::uri::MatchPolicy;

/// The most components of a wildcard pattern; longer URIs are matched by the other policies only. A mask of
/// components fits into one register.
pub const COMPONENTS_MAX: usize = 64;

/// The most shapes of wildcard patterns (which components are wildcards) with the same number of components.
///
/// Matching a URI tries every shape of its number of components, some seven nanoseconds each: this bounds it to
/// about two microseconds, four for a URI of 64 components. Patterns of up to eight components have no more shapes
/// than this and are never refused.
pub const SHAPES_MAX: usize = 256;

/// Patterns and what belongs to each: a subscription, a registration.
#[derive(Debug)]
pub struct PatternTable<T> {
    hasher: UriHasher,
    exact: HashTable<Exact<T>>,
    prefix: PrefixTree<T>,
    wildcard: WildcardTable<T>,
}

#[derive(Debug)]
struct Exact<T> {
    hash: u64,
    uri: Box<str>,
    value: T,
}

/// Why a wildcard pattern cannot be stored. Other patterns always can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It has more than [`COMPONENTS_MAX`] components.
    TooManyComponents {
        /// How many it has.
        components: usize,
    },
    /// The patterns with as many components have [`SHAPES_MAX`] shapes already, and this one would add another.
    TooManyShapes {
        /// How many components it has.
        components: usize,
    },
}

/// The patterns that match one URI, best first; made by [`PatternTable::matches`]. Nothing is looked up before it
/// is asked for.
#[derive(Debug)]
pub struct Matches<'a, 'u, T> {
    table: &'a PatternTable<T>,
    uri: &'u str,
    stage: Stage<'a, 'u, T>,
}

#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "lives on the stack for one match; a box would allocate per message"
)]
enum Stage<'a, 'u, T> {
    Exact(UriHash),
    Prefix(Prefixes<'a, T>),
    Wildcard(WildcardMatches<'a, 'u, T>),
    End,
}

impl<T> PatternTable<T> {
    /// An empty table with a hasher of its own.
    pub fn new() -> PatternTable<T> {
        PatternTable::with_hasher(UriHasher::new())
    }

    /// An empty table that takes the hashes of this hasher.
    pub fn with_hasher(hasher: UriHasher) -> PatternTable<T> {
        let (prefix, wildcard) = (PrefixTree::new(), WildcardTable::new());
        PatternTable { hasher, exact: HashTable::new(), prefix, wildcard }
    }

    /// The hasher of this table, for hashes to be used with [`PatternTable::matches_hashed`] and for other tables.
    pub fn hasher(&self) -> &UriHasher {
        &self.hasher
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.prefix.len() + self.wildcard.len()
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What belongs to this very pattern; nothing is matched.
    pub fn get(&self, policy: MatchPolicy, uri: &str) -> Option<&T> {
        match policy {
            MatchPolicy::Exact => self.get_exact(self.hasher.hash(uri), uri),
            MatchPolicy::Prefix => self.prefix.get(uri),
            MatchPolicy::Wildcard => self.wildcard.get(&self.hasher, uri),
        }
    }

    /// What belongs to this very pattern; nothing is matched.
    pub fn get_mut(&mut self, policy: MatchPolicy, uri: &str) -> Option<&mut T> {
        match policy {
            MatchPolicy::Exact => {
                let UriHash(hash) = self.hasher.hash(uri);
                self.exact.find_mut(hash, |entry| *entry.uri == *uri).map(|entry| &mut entry.value)
            }
            MatchPolicy::Prefix => self.prefix.get_mut(uri),
            MatchPolicy::Wildcard => self.wildcard.get_mut(&self.hasher, uri),
        }
    }

    /// Whether [`PatternTable::insert`] would store this pattern, so that it can be refused before anything changes.
    pub fn admits(&self, policy: MatchPolicy, uri: &str) -> Result<(), PatternError> {
        match policy {
            MatchPolicy::Exact | MatchPolicy::Prefix => Ok(()),
            MatchPolicy::Wildcard => self.wildcard.admits(&self.hasher, uri),
        }
    }

    /// Stores what belongs to a pattern and gives back what belonged to it before.
    ///
    /// # Errors
    /// Only for [`MatchPolicy::Wildcard`]; the table is unchanged then. Tables that go through the same insertions
    /// and removals refuse the same patterns.
    pub fn insert(&mut self, policy: MatchPolicy, uri: &str, value: T) -> Result<Option<T>, PatternError> {
        match policy {
            MatchPolicy::Exact => Ok(self.insert_exact(uri, value)),
            MatchPolicy::Prefix => Ok(self.prefix.insert(uri, value)),
            MatchPolicy::Wildcard => self.wildcard.insert(&self.hasher, uri, value),
        }
    }

    /// Removes a pattern and gives back what belonged to it.
    pub fn remove(&mut self, policy: MatchPolicy, uri: &str) -> Option<T> {
        match policy {
            MatchPolicy::Exact => self.remove_exact(uri),
            MatchPolicy::Prefix => self.prefix.remove(uri),
            MatchPolicy::Wildcard => self.wildcard.remove(&self.hasher, uri),
        }
    }

    /// All patterns with what belongs to them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (MatchPolicy, &str, &T)> {
        let exact = self.exact.iter().map(|entry| (MatchPolicy::Exact, &*entry.uri, &entry.value));
        let prefix = self.prefix.iter().map(|(uri, value)| (MatchPolicy::Prefix, uri, value));
        let wildcard = self.wildcard.iter().map(|(uri, value)| (MatchPolicy::Wildcard, uri, value));
        exact.chain(prefix).chain(wildcard)
    }

    /// The URIs of the exact patterns, in no particular order.
    pub fn exact_uris(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(|entry| &*entry.uri)
    }

    /// The patterns that match a URI, in the order in which a call prefers them: the exact one, then prefixes, then
    /// wildcards.
    ///
    /// Prefixes come longest first. (The specification ranks them by matched components; of two prefixes of one
    /// URI the longer never has fewer.) Wildcards are ranked by the number of components before the first wildcard,
    /// then between the first and the second, and so on, more components first.
    pub fn matches<'a, 'u>(&'a self, uri: &'u str) -> Matches<'a, 'u, T> {
        self.matches_hashed(self.hasher.hash(uri), uri)
    }

    /// As [`PatternTable::matches`], for a URI whose hash is known; it must come from this table's hasher or a clone.
    pub fn matches_hashed<'a, 'u>(&'a self, hash: UriHash, uri: &'u str) -> Matches<'a, 'u, T> {
        Matches { table: self, uri, stage: Stage::Exact(hash) }
    }

    /// The first of [`PatternTable::matches`]: where a call goes.
    pub fn best_match(&self, uri: &str) -> Option<(MatchPolicy, &T)> {
        self.matches(uri).next().map(|(policy, _, value)| (policy, value))
    }

    /// Calls `f` for every pattern that matches a URI, in the order of [`PatternTable::matches`].
    pub fn for_each_match(&self, uri: &str, f: impl FnMut(MatchPolicy, &T)) {
        self.for_each_match_hashed(self.hasher.hash(uri), uri, f);
    }

    /// As [`PatternTable::for_each_match`], for a URI whose hash is known.
    pub fn for_each_match_hashed(&self, hash: UriHash, uri: &str, mut f: impl FnMut(MatchPolicy, &T)) {
        if let Some(value) = self.get_exact(hash, uri) {
            f(MatchPolicy::Exact, value);
        }
        if self.prefix.len() > 0 {
            self.prefix.prefixes_of(uri).for_each(|(_, value)| f(MatchPolicy::Prefix, value));
        }
        if self.wildcard.len() > 0 {
            self.wildcard.matches(&self.hasher, uri).for_each(|(_, value)| f(MatchPolicy::Wildcard, value));
        }
    }

    /// What belongs to the exact pattern of a URI whose hash is known.
    pub fn get_exact(&self, hash: UriHash, uri: &str) -> Option<&T> {
        self.find_exact(hash, uri).map(|entry| &entry.value)
    }

    fn find_exact(&self, UriHash(hash): UriHash, uri: &str) -> Option<&Exact<T>> {
        self.exact.find(hash, |entry| *entry.uri == *uri)
    }

    fn insert_exact(&mut self, uri: &str, value: T) -> Option<T> {
        let UriHash(hash) = self.hasher.hash(uri);
        match self.exact.entry(hash, |entry| *entry.uri == *uri, |entry| entry.hash) {
            Slot::Occupied(mut slot) => Some(std::mem::replace(&mut slot.get_mut().value, value)),
            Slot::Vacant(slot) => {
                slot.insert(Exact { hash, uri: uri.into(), value });
                None
            }
        }
    }

    fn remove_exact(&mut self, uri: &str) -> Option<T> {
        let UriHash(hash) = self.hasher.hash(uri);
        let (entry, _) = self.exact.find_entry(hash, |entry| *entry.uri == *uri).ok()?.remove();
        shrink_if_sparse(&mut self.exact, |entry| entry.hash);
        Some(entry.value)
    }
}

impl<T> Default for PatternTable<T> {
    fn default() -> PatternTable<T> {
        PatternTable::new()
    }
}

impl<'a, T> Iterator for Matches<'a, '_, T> {
    type Item = (MatchPolicy, &'a str, &'a T);

    /// The next match: its policy, the pattern itself and what belongs to it.
    fn next(&mut self) -> Option<(MatchPolicy, &'a str, &'a T)> {
        loop {
            match &mut self.stage {
                Stage::Exact(hash) => {
                    let found = self.table.find_exact(*hash, self.uri);
                    self.stage = self.after_exact();
                    if let Some(entry) = found {
                        return Some((MatchPolicy::Exact, &entry.uri, &entry.value));
                    }
                }
                Stage::Prefix(prefixes) => match prefixes.next() {
                    Some((pattern, value)) => return Some((MatchPolicy::Prefix, pattern, value)),
                    None => self.stage = self.after_prefix(),
                },
                Stage::Wildcard(matches) => match matches.next() {
                    Some((pattern, value)) => return Some((MatchPolicy::Wildcard, pattern, value)),
                    None => self.stage = Stage::End,
                },
                Stage::End => return None,
            }
        }
    }
}

impl<'a, 'u, T> Matches<'a, 'u, T> {
    fn after_exact(&self) -> Stage<'a, 'u, T> {
        match self.table.prefix.len() {
            0 => self.after_prefix(),
            _ => Stage::Prefix(self.table.prefix.prefixes_of(self.uri)),
        }
    }

    fn after_prefix(&self) -> Stage<'a, 'u, T> {
        match self.table.wildcard.len() {
            0 => Stage::End,
            _ => Stage::Wildcard(self.table.wildcard.matches(&self.table.hasher, self.uri)),
        }
    }
}

impl<T> std::iter::FusedIterator for Matches<'_, '_, T> {}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternError::TooManyComponents { components } => {
                write!(f, "a wildcard pattern has at most {COMPONENTS_MAX} components, this one {components}")
            }
            PatternError::TooManyShapes { components } => write!(
                f,
                "the wildcard patterns with {components} components have {SHAPES_MAX} different arrangements of \
                 wildcards, which is the bound, and this pattern would add another"
            ),
        }
    }
}

impl std::error::Error for PatternError {}

/// Gives memory back when removals have left a table mostly empty. A table is rebuilt at half full at the most, so
/// that the cost is spread over as many removals as entries remain.
fn shrink_if_sparse<E>(table: &mut HashTable<E>, hash: impl Fn(&E) -> u64) {
    if table.len() * 8 <= table.capacity() {
        table.shrink_to(table.len() * 2, hash);
    }
}
