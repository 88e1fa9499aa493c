//! Padding made of numbers, and of dicts in lists; and whether what came is equal to it.
//!
//! A router may write a dict's entries in another order and an integral float as an integer, so those count as equal.

use std::borrow::Cow;

use wampline_wire::{Dict, List, Value};

/// Room for a stamp and then integers and floats, all together about `bytes` octets in MessagePack.
pub(super) fn numbers(bytes: usize) -> Vec<Value<'static>> {
    let padding = bytes.saturating_sub(STAMP_OCTETS) / NUMBER_OCTETS;
    let number = |index: usize| match index as i64 {
        index if index % 3 == 0 => Value::Float(index as f64 + 0.5),
        index if index % 3 == 1 => Value::Int(-1_000 - index),
        index => Value::Uint(index.unsigned_abs() * 1_000_003),
    };
    (0..super::STAMP_NUMBERS).map(|_| Value::Uint(0)).chain((0..padding).map(number)).collect()
}

/// Items that are about `bytes` octets in MessagePack, together with digits and keywords.
pub(super) fn nested(bytes: usize) -> Vec<Value<'static>> {
    vec![Value::Dict(Dict::pairs(ITEM)); bytes.saturating_sub(NESTED_OCTETS) / ITEM_OCTETS]
}

/// The keyword arguments of nested payloads.
pub(super) const KEYWORDS: &[(&str, Value<'static>)] =
    &[("kind", text("loadgen")), ("trace", Value::Dict(Dict::pairs(TRACE)))];

/// Whether two lists have equal values in the same order.
pub(super) fn are_equal_lists<'a, 'b>(
    mut came: impl Iterator<Item = Value<'a>>,
    mut expected: impl Iterator<Item = Value<'b>>,
) -> bool {
    loop {
        match (came.next(), expected.next()) {
            (None, None) => return true,
            (Some(came), Some(expected)) if are_equal(&came, &expected) => {}
            _ => return false,
        }
    }
}

/// Whether two dicts have equal entries, in whatever order.
pub(super) fn are_equal_dicts(came: Dict<'_>, expected: Dict<'_>) -> bool {
    let mut rest: Vec<_> = expected.iter().collect();
    for (key, value) in came.iter() {
        let Some(at) = rest.iter().position(|(expected, _)| *expected == key) else { return false };
        if !are_equal(&value, &rest.swap_remove(at).1) {
            return false;
        }
    }
    rest.is_empty()
}

fn are_equal(came: &Value<'_>, expected: &Value<'_>) -> bool {
    match (came, expected) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(came), Value::Bool(expected)) => came == expected,
        (Value::Str(came), Value::Str(expected)) => came == expected,
        (Value::Bytes(came), Value::Bytes(expected)) => came == expected,
        (Value::List(came), Value::List(expected)) => are_equal_lists(came.iter(), expected.iter()),
        (Value::Dict(came), Value::Dict(expected)) => are_equal_dicts(*came, *expected),
        _ => match (number(came), number(expected)) {
            (Some(came), Some(expected)) => came == expected,
            _ => false,
        },
    }
}

/// All integers here are below 2^53.
fn number(value: &Value<'_>) -> Option<f64> {
    match *value {
        Value::Uint(value) => Some(value as f64),
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        _ => None,
    }
}

const fn text(text: &'static str) -> Value<'static> {
    Value::Str(Cow::Borrowed(text))
}

const TAGS: &[Value<'static>] = &[text("red"), text("gr\u{fc}n"), Value::Uint(70_000), Value::Null];
const PLACE: &[(&str, Value<'static>)] =
    &[("lat", Value::Float(48.137)), ("lon", Value::Float(-11.576)), ("exact", Value::Bool(true))];
const ITEM: &[(&str, Value<'static>)] = &[
    ("name", text("sensor \"7\"")),
    ("value", Value::Int(-40_000)),
    ("tags", Value::List(List::items(TAGS))),
    ("place", Value::Dict(Dict::pairs(PLACE))),
    ("none", Value::Null),
];
const TRACE: &[(&str, Value<'static>)] = &[("depth", Value::Uint(1)), ("sampled", Value::Bool(false))];

/// Of an item in MessagePack.
const ITEM_OCTETS: usize = 108;
/// Of digits, list header and keywords in MessagePack.
const NESTED_OCTETS: usize = 75;
/// Of three numbers in MessagePack.
const STAMP_OCTETS: usize = 24;
/// Of a padding number in MessagePack, on average.
const NUMBER_OCTETS: usize = 6;
