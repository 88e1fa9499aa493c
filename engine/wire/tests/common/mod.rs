//! What the integration tests share: a value tree with its forms in other libraries, strategies, and a judge of messages.
#![allow(dead_code, unreachable_pub, unused_imports, clippy::unwrap_used)] // Each test takes what it needs.

pub mod judge;
pub mod tree;

use proptest::prelude::*;
use serde_json::Value as Json;
use wampline_wire::{Dict, Value};

pub use judge::judge;
pub use tree::{Tree, decode, encode, from_dict, from_list, from_value, tree_to_json};

/// A `CALL` with these arguments, as lists and dicts of the tree.
pub fn call(args: Vec<Tree>, kwargs: Vec<(String, Tree)>) -> Tree {
    Tree::List(vec![
        Tree::Uint(48),
        Tree::Uint(7_814_135),
        Tree::Dict(vec![]),
        Tree::Str("com.myapp.myprocedure1".to_owned()),
        Tree::List(args),
        Tree::Dict(kwargs),
    ])
}

/// Trees of moderate size; strings with everything that needs an escape somewhere.
pub fn any_tree() -> impl Strategy<Value = Tree> {
    any_leaf().prop_recursive(4, 16, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
            any_entries(inner).prop_map(Tree::Dict),
        ]
    })
}

/// Entries with distinct keys, in the order of their keys (serde_json sorts them).
pub fn any_entries(value: impl Strategy<Value = Tree>) -> impl Strategy<Value = Vec<(String, Tree)>> {
    prop::collection::btree_map(any_text(), value, 0..4).prop_map(|map| map.into_iter().collect())
}

fn any_leaf() -> impl Strategy<Value = Tree> {
    let small =
        prop_oneof![Just(0u64), 0u64..300, 65_000u64..66_000, any::<u32>().prop_map(u64::from), any::<u64>()];
    prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        small.clone().prop_map(Tree::Uint),
        small.prop_map(|n| Tree::Int(-1 - (n >> 1) as i64)),
        prop::num::f64::NORMAL.prop_map(Tree::Float),
        prop::num::f64::SUBNORMAL.prop_map(Tree::Float),
        (-1000i32..1000).prop_map(|n| Tree::Float(f64::from(n) / 4.0)),
        any_text().prop_map(Tree::Str),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Tree::Bytes),
    ]
}

/// Text that does not begin with U+0000, which in JSON may stand for octets.
fn any_text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => prop::char::range(' ', '~'),
        1 => prop::char::range('\0', '\u{1f}'),
        1 => Just('"'),
        1 => Just('\\'),
        1 => any::<char>(),
    ];
    prop::collection::vec(character, 0..24).prop_map(|characters| {
        let text: String = characters.into_iter().collect();
        text.trim_start_matches('\0').to_owned()
    })
}

/// The value as serde_json has it; octets by the convention of "Binary support in JSON".
pub fn to_json(value: &Value<'_>) -> Json {
    tree_to_json(&from_value(value).unwrap())
}

/// The dict as serde_json has it: of equal keys the last.
pub fn dict_to_json(dict: &Dict<'_>) -> Json {
    tree_to_json(&from_dict(dict).unwrap())
}
