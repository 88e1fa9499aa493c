//! A message from one serializer to another: what other libraries read at both ends is the same.
//!
//! The first octet says from which serializer to which; the rest is the message.

use std::collections::BTreeMap;

use wampline_wire::{Message, Serializer};

use super::input::Input;
use super::tree::{Tree, decode};

pub(super) fn run(octets: &[u8]) {
    let mut input = Input::new(octets);
    let pair = input.below(9);
    let (from, to) = (Serializer::ALL[pair / 3], Serializer::ALL[pair % 3]);
    let octets = input.rest();
    let Ok(message) = Message::parse(from, octets) else { return };
    let mut written = Vec::new();
    if message.encode(to, &mut written).is_err() {
        assert!(written.is_empty(), "an error leaves nothing behind");
        return;
    }
    let before = decode(octets, from).expect("another library reads what we accept");
    let after = decode(&written, to).expect("another library reads what we write");
    let (Tree::List(a), Tree::List(b)) = (normal(before.clone()), normal(after.clone())) else {
        panic!("a message that is no list");
    };
    for at in 0..a.len().max(b.len()) {
        // Options that are null become none, and so do arguments.
        let (a, b) = (a.get(at).unwrap_or(&Tree::Null), b.get(at).unwrap_or(&Tree::Null));
        assert!(alike(a, b) || is_nothing(a) && is_nothing(b), "{before:?}\nbecame {after:?}");
    }
    assert!(Message::parse(to, &written).is_ok(), "we read what we write: {written:02x?}");
}

/// An element of a message that may as well be absent.
fn is_nothing(tree: &Tree) -> bool {
    match tree {
        Tree::Null => true,
        Tree::List(items) => items.is_empty(),
        Tree::Dict(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Of equal keys the last, in the order of keys.
fn normal(tree: Tree) -> Tree {
    match tree {
        Tree::List(items) => Tree::List(items.into_iter().map(normal).collect()),
        Tree::Dict(entries) => {
            let entries: BTreeMap<String, Tree> =
                entries.into_iter().map(|(key, value)| (key, normal(value))).collect();
            Tree::Dict(entries.into_iter().collect())
        }
        other => other,
    }
}

/// Whether two trees mean the same, as far as the other libraries can tell: they have no integers beyond 64 bits, and JSON
/// has one kind of number and says octets in strings.
fn alike(before: &Tree, after: &Tree) -> bool {
    match (before, after) {
        (Tree::List(a), Tree::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Tree::Dict(a), Tree::Dict(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((j, a), (k, b))| j == k && alike(a, b))
        }
        (Tree::Float(a), Tree::Float(b)) => a == b || a.is_nan() && b.is_nan(),
        (Tree::Float(a), Tree::Uint(b)) | (Tree::Uint(b), Tree::Float(a)) => *a == *b as f64,
        (Tree::Float(a), Tree::Int(b)) | (Tree::Int(b), Tree::Float(a)) => *a == *b as f64,
        // Integers beyond 64 bits: digits in JSON, a tag and octets (or a type that minicbor does not give) in CBOR.
        (Tree::Bytes(_) | Tree::Null, Tree::Float(_)) | (Tree::Float(_), Tree::Bytes(_) | Tree::Null) => true,
        (Tree::Bytes(_), Tree::Null | Tree::Int(_) | Tree::Uint(_)) => true,
        (Tree::Null | Tree::Int(_) | Tree::Uint(_), Tree::Bytes(_)) => true,
        (Tree::Str(text), Tree::Bytes(_)) | (Tree::Bytes(_), Tree::Str(text)) => text.starts_with('\0'),
        _ => before == after,
    }
}
