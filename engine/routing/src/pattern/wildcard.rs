//! Wildcard patterns, grouped by shape.
//!
//! Owns the patterns of policy `wildcard` and finds all that match a URI, in the order of precedence.
//!
//! A pattern's *shape* is its number of components and which of them are literal. Only patterns with as many
//! components as the URI can match, and of one shape at most one can: the one whose literal components are those
//! of the URI. So every shape costs one look-up in a hash table, whose key is the sum of the hashes of the literal
//! components, whatever number of patterns has that shape.
//!
//! Why not a tree of components: where patterns share literals with a URI and part from it at the end, a tree is
//! entered through both the literal and the wildcard at every level, 2^n nodes for n components and as many cache
//! misses, without a single match. Shapes could be as many, but they can be counted, and so bounded:
//! [`SHAPES_MAX`] per number of components bounds the work for any URI, and refuses nothing that has up to eight
//! components, however many patterns others have stored.
//!
//! Precedence ("compare the portions before each wildcard from left to right", the longer portion first): of two
//! patterns that match the same URI the first difference is a position where one is literal and the other is not,
//! and there the portion of the former is longer. That is the descending order of the masks of literal components
//! read with the first component as the most significant; equal masks mean equal patterns.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use smallvec::SmallVec;

use super::hash::UriHasher;
use super::{COMPONENTS_MAX, PatternError, SHAPES_MAX, shrink_if_sparse};
use crate::uri::MatchPolicy;

/// See the module.
#[derive(Debug)]
pub(super) struct WildcardTable<T> {
    patterns: HashTable<Entry<T>>,
    /// The shapes of patterns with n components at n - 1; no empty group at the end.
    groups: Vec<Vec<Shape>>,
}

#[derive(Debug)]
struct Entry<T> {
    /// See [`Key::hash`].
    hash: u64,
    literal: u64,
    uri: Box<str>,
    value: T,
}

/// What patterns with one number of components and one mask of literal components share.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Bit 0 for the first component, 1 for the second and so on: set where the component is literal.
    literal: u64,
    /// Where the sum of hashes starts; tells shapes apart.
    salt: u64,
    /// How many patterns have this shape; never 0.
    patterns: usize,
}

/// A pattern taken apart.
struct Key {
    components: usize,
    literal: u64,
    salt: u64,
    /// The sum of the salt and the hashes of the literal components.
    hash: u64,
}

/// The patterns that match one URI, by precedence.
#[derive(Debug)]
pub(super) struct WildcardMatches<'a, 'u, T> {
    table: &'a WildcardTable<T>,
    uri: &'u str,
    shapes: std::slice::Iter<'a, Shape>,
    sums: Sums,
}

/// The sums of the hashes of a URI's components over every subset of four neighbours, so that the sum for a shape
/// takes one addition for four components: for the n-th four at the index that four bits of a mask make.
#[derive(Debug)]
struct Sums(SmallVec<[[u64; 16]; 2]>);

impl<T> WildcardTable<T> {
    pub(super) fn new() -> WildcardTable<T> {
        WildcardTable { patterns: HashTable::new(), groups: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.patterns.len()
    }

    pub(super) fn get(&self, hasher: &UriHasher, uri: &str) -> Option<&T> {
        let key = Key::new(hasher, uri).ok()?;
        self.patterns.find(key.hash, |entry| *entry.uri == *uri).map(|entry| &entry.value)
    }

    pub(super) fn get_mut(&mut self, hasher: &UriHasher, uri: &str) -> Option<&mut T> {
        let key = Key::new(hasher, uri).ok()?;
        self.patterns.find_mut(key.hash, |entry| *entry.uri == *uri).map(|entry| &mut entry.value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.patterns.iter().map(|entry| (&*entry.uri, &entry.value))
    }

    pub(super) fn matches<'a, 'u>(&'a self, hasher: &UriHasher, uri: &'u str) -> WildcardMatches<'a, 'u, T> {
        let components = components_of(uri);
        let shapes = self.groups.get(components - 1).map_or(&[][..], Vec::as_slice);
        let sums = if shapes.is_empty() { Sums(SmallVec::new()) } else { Sums::new(hasher, uri) };
        WildcardMatches { table: self, uri, shapes: shapes.iter(), sums }
    }

    /// Whether [`WildcardTable::insert`] would succeed.
    pub(super) fn admits(&self, hasher: &UriHasher, uri: &str) -> Result<(), PatternError> {
        self.admits_key(&Key::new(hasher, uri)?)
    }

    pub(super) fn insert(
        &mut self,
        hasher: &UriHasher,
        uri: &str,
        value: T,
    ) -> Result<Option<T>, PatternError> {
        let key = Key::new(hasher, uri)?;
        self.admits_key(&key)?;
        match self.patterns.entry(key.hash, |entry| *entry.uri == *uri, |entry| entry.hash) {
            Slot::Occupied(mut slot) => Ok(Some(std::mem::replace(&mut slot.get_mut().value, value))),
            Slot::Vacant(slot) => {
                slot.insert(Entry { hash: key.hash, literal: key.literal, uri: uri.into(), value });
                self.count_shape(&key);
                Ok(None)
            }
        }
    }

    pub(super) fn remove(&mut self, hasher: &UriHasher, uri: &str) -> Option<T> {
        let key = Key::new(hasher, uri).ok()?;
        let slot = self.patterns.find_entry(key.hash, |entry| *entry.uri == *uri).ok()?;
        let (entry, _) = slot.remove();
        shrink_if_sparse(&mut self.patterns, |entry| entry.hash);
        self.discount_shape(&key);
        Some(entry.value)
    }

    /// The number of shapes: none when there are no patterns.
    #[cfg(test)]
    pub(super) fn shapes(&self) -> usize {
        self.groups.iter().map(|group| group.len().max(1)).sum()
    }

    fn admits_key(&self, key: &Key) -> Result<(), PatternError> {
        match self.groups.get(key.components - 1) {
            Some(group) if group.len() >= SHAPES_MAX && find_shape(group, key.literal).is_err() => {
                Err(PatternError::TooManyShapes { components: key.components })
            }
            _ => Ok(()),
        }
    }

    fn count_shape(&mut self, key: &Key) {
        if self.groups.len() < key.components {
            self.groups.resize_with(key.components, Vec::new);
        }
        let group = &mut self.groups[key.components - 1];
        match find_shape(group, key.literal) {
            Ok(index) => group[index].patterns += 1,
            Err(index) => group.insert(index, Shape { literal: key.literal, salt: key.salt, patterns: 1 }),
        }
    }

    fn discount_shape(&mut self, key: &Key) {
        let group = &mut self.groups[key.components - 1];
        let index =
            find_shape(group, key.literal).expect("invariant: every stored pattern's shape is counted");
        group[index].patterns -= 1;
        if group[index].patterns > 0 {
            return;
        }
        group.remove(index);
        if group.is_empty() {
            *group = Vec::new();
            while self.groups.last().is_some_and(Vec::is_empty) {
                self.groups.pop();
            }
            self.groups.shrink_to_fit();
        }
    }
}

impl Key {
    fn new(hasher: &UriHasher, uri: &str) -> Result<Key, PatternError> {
        let components = components_of(uri);
        if components > COMPONENTS_MAX {
            return Err(PatternError::TooManyComponents { components });
        }
        let (mut literal, mut sum) = (0u64, 0u64);
        for (position, component) in uri.as_bytes().split(|&octet| octet == b'.').enumerate() {
            if !component.is_empty() {
                literal |= 1 << position;
                sum = sum.wrapping_add(hasher.component(position, component));
            }
        }
        // A position that no component has, so that the salt is no component's hash.
        let salt = hasher.component(COMPONENTS_MAX + components, &literal.to_le_bytes());
        Ok(Key { components, literal, salt, hash: sum.wrapping_add(salt) })
    }
}

impl Sums {
    fn new(hasher: &UriHasher, uri: &str) -> Sums {
        let mut fours: SmallVec<[[u64; 16]; 2]> = SmallVec::new();
        for (position, component) in uri.as_bytes().split(|&octet| octet == b'.').enumerate() {
            if position % 4 == 0 {
                fours.push([0; 16]);
            }
            let hash = hasher.component(position, component);
            // Each subset of the components before gets a twin with this one.
            let (without, with) = fours[position / 4].split_at_mut(1 << (position % 4));
            for (with, without) in with.iter_mut().zip(without) {
                *with = without.wrapping_add(hash);
            }
        }
        Sums(fours)
    }

    /// The hash that a pattern of this shape has if it matches the URI.
    fn hash(&self, shape: &Shape) -> u64 {
        let (mut sum, mut left) = (shape.salt, shape.literal);
        for four in &self.0 {
            sum = sum.wrapping_add(four[(left & 15) as usize]);
            left >>= 4;
        }
        sum
    }
}

impl<'a, T> Iterator for WildcardMatches<'a, '_, T> {
    type Item = (&'a str, &'a T);

    fn next(&mut self) -> Option<(&'a str, &'a T)> {
        for shape in self.shapes.by_ref() {
            let hash = self.sums.hash(shape);
            let found = self.table.patterns.find(hash, |entry| {
                entry.hash == hash
                    && entry.literal == shape.literal
                    && MatchPolicy::Wildcard.matches(&entry.uri, self.uri)
            });
            if let Some(entry) = found {
                return Some((&entry.uri, &entry.value));
            }
        }
        None
    }
}

/// Where the shape with this mask is, or belongs, by precedence.
fn find_shape(group: &[Shape], literal: u64) -> Result<usize, usize> {
    group.binary_search_by(|shape| literal.reverse_bits().cmp(&shape.literal.reverse_bits()))
}

fn components_of(uri: &str) -> usize {
    1 + uri.bytes().filter(|&octet| octet == b'.').count()
}
