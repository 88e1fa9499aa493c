//! What the integration tests share: a value tree, and its forms in libraries that are not ours.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // Each test takes what it needs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use serde_json::Value as Json;
use wampline_wire::{Dict, List, Serializer, Value};

/// A value of any type that all serializers share.
#[derive(Clone, Debug)]
pub enum Tree {
    Null,
    Bool(bool),
    Uint(u64),
    /// Negative.
    Int(i64),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Dict(Vec<(String, Tree)>),
}

/// Equal to the last bit of each float, and in the order of each dict.
impl PartialEq for Tree {
    fn eq(&self, other: &Tree) -> bool {
        match (self, other) {
            (Tree::Null, Tree::Null) => true,
            (Tree::Bool(a), Tree::Bool(b)) => a == b,
            (Tree::Uint(a), Tree::Uint(b)) => a == b,
            (Tree::Int(a), Tree::Int(b)) => a == b,
            (Tree::Float(a), Tree::Float(b)) => a.to_bits() == b.to_bits(),
            (Tree::Str(a), Tree::Str(b)) => a == b,
            (Tree::Bytes(a), Tree::Bytes(b)) => a == b,
            (Tree::List(a), Tree::List(b)) => a == b,
            (Tree::Dict(a), Tree::Dict(b)) => a == b,
            _ => false,
        }
    }
}

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

/// The tree in a serializer, written by a library that is not ours.
pub fn encode(tree: &Tree, serializer: Serializer) -> Vec<u8> {
    match serializer {
        Serializer::Json => serde_json::to_vec(&tree_to_json(tree)).unwrap(),
        Serializer::MsgPack => {
            let mut octets = Vec::new();
            rmpv::encode::write_value(&mut octets, &tree_to_rmpv(tree)).unwrap();
            octets
        }
        Serializer::Cbor => {
            let mut encoder = minicbor::Encoder::new(Vec::new());
            tree_to_cbor(tree, &mut encoder);
            encoder.into_writer()
        }
    }
}

/// The tree that octets are, read by a library that is not ours; `None` if it refuses them or not all are read.
pub fn decode(octets: &[u8], serializer: Serializer) -> Option<Tree> {
    match serializer {
        Serializer::Json => {
            let mut deserializer = serde_json::Deserializer::from_slice(octets);
            deserializer.disable_recursion_limit();
            let json: Json = serde::Deserialize::deserialize(&mut deserializer).ok()?;
            deserializer.end().ok()?;
            Some(json_to_tree(json))
        }
        Serializer::MsgPack => {
            let mut rest = octets;
            let value = rmpv::decode::read_value(&mut rest).ok()?;
            if !rest.is_empty() {
                return None;
            }
            rmpv_to_tree(value)
        }
        Serializer::Cbor => {
            let mut decoder = minicbor::Decoder::new(octets);
            let tree = cbor_to_tree(&mut decoder)?;
            (decoder.position() == octets.len()).then_some(tree)
        }
    }
}

fn tree_to_json(tree: &Tree) -> Json {
    match tree {
        Tree::Null => Json::Null,
        Tree::Bool(value) => Json::from(*value),
        Tree::Uint(value) => Json::from(*value),
        Tree::Int(value) => Json::from(*value),
        Tree::Float(value) => Json::from(*value),
        Tree::Str(text) => Json::from(text.as_str()),
        Tree::Bytes(octets) => Json::from(format!("\0{}", BASE64.encode(octets))),
        Tree::List(items) => items.iter().map(tree_to_json).collect(),
        Tree::Dict(entries) => {
            Json::Object(entries.iter().map(|(k, v)| (k.clone(), tree_to_json(v))).collect())
        }
    }
}

fn json_to_tree(json: Json) -> Tree {
    match json {
        Json::Null => Tree::Null,
        Json::Bool(value) => Tree::Bool(value),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Tree::Uint(value),
            (None, Some(value)) => Tree::Int(value),
            (None, None) => Tree::Float(number.as_f64().unwrap()),
        },
        Json::String(text) => match text.strip_prefix('\0').map(|base64| BASE64.decode(base64)) {
            Some(Ok(octets)) => Tree::Bytes(octets),
            _ => Tree::Str(text),
        },
        Json::Array(items) => Tree::List(items.into_iter().map(json_to_tree).collect()),
        Json::Object(entries) => Tree::Dict(entries.into_iter().map(|(k, v)| (k, json_to_tree(v))).collect()),
    }
}

fn tree_to_rmpv(tree: &Tree) -> rmpv::Value {
    match tree {
        Tree::Null => rmpv::Value::Nil,
        Tree::Bool(value) => rmpv::Value::from(*value),
        Tree::Uint(value) => rmpv::Value::from(*value),
        Tree::Int(value) => rmpv::Value::from(*value),
        Tree::Float(value) => rmpv::Value::F64(*value),
        Tree::Str(text) => rmpv::Value::from(text.as_str()),
        Tree::Bytes(octets) => rmpv::Value::Binary(octets.clone()),
        Tree::List(items) => rmpv::Value::Array(items.iter().map(tree_to_rmpv).collect()),
        Tree::Dict(entries) => rmpv::Value::Map(
            entries.iter().map(|(k, v)| (rmpv::Value::from(k.as_str()), tree_to_rmpv(v))).collect(),
        ),
    }
}

fn rmpv_to_tree(value: rmpv::Value) -> Option<Tree> {
    Some(match value {
        rmpv::Value::Nil => Tree::Null,
        rmpv::Value::Boolean(value) => Tree::Bool(value),
        rmpv::Value::Integer(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Tree::Uint(value),
            (None, value) => Tree::Int(value?),
        },
        rmpv::Value::F32(value) => Tree::Float(f64::from(value)),
        rmpv::Value::F64(value) => Tree::Float(value),
        rmpv::Value::String(text) => Tree::Str(text.into_str()?),
        rmpv::Value::Binary(octets) => Tree::Bytes(octets),
        rmpv::Value::Array(items) => Tree::List(items.into_iter().map(rmpv_to_tree).collect::<Option<_>>()?),
        rmpv::Value::Map(entries) => {
            let entry = |(key, value): (rmpv::Value, _)| match key {
                rmpv::Value::String(key) => Some((key.into_str()?, rmpv_to_tree(value)?)),
                _ => None,
            };
            Tree::Dict(entries.into_iter().map(entry).collect::<Option<_>>()?)
        }
        // An extension: what it says is nothing for a tree.
        rmpv::Value::Ext(..) => Tree::Null,
    })
}

fn tree_to_cbor(tree: &Tree, encoder: &mut minicbor::Encoder<Vec<u8>>) {
    match tree {
        Tree::Null => drop(encoder.null().unwrap()),
        Tree::Bool(value) => drop(encoder.bool(*value).unwrap()),
        Tree::Uint(value) => drop(encoder.u64(*value).unwrap()),
        Tree::Int(value) => drop(encoder.i64(*value).unwrap()),
        Tree::Float(value) => drop(encoder.f64(*value).unwrap()),
        Tree::Str(text) => drop(encoder.str(text).unwrap()),
        Tree::Bytes(octets) => drop(encoder.bytes(octets).unwrap()),
        Tree::List(items) => {
            encoder.array(items.len() as u64).unwrap();
            items.iter().for_each(|item| tree_to_cbor(item, encoder));
        }
        Tree::Dict(entries) => {
            encoder.map(entries.len() as u64).unwrap();
            for (key, value) in entries {
                encoder.str(key).unwrap();
                tree_to_cbor(value, encoder);
            }
        }
    }
}

fn cbor_to_tree(decoder: &mut minicbor::Decoder<'_>) -> Option<Tree> {
    use minicbor::data::Type;
    Some(match decoder.datatype().ok()? {
        Type::Null => {
            decoder.null().ok()?;
            Tree::Null
        }
        Type::Undefined => {
            decoder.undefined().ok()?;
            Tree::Null
        }
        Type::Bool => Tree::Bool(decoder.bool().ok()?),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Tree::Uint(decoder.u64().ok()?),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => Tree::Int(decoder.i64().ok()?),
        Type::Int => {
            decoder.int().ok()?;
            Tree::Null
        }
        Type::F16 => Tree::Float(f64::from(decoder.f16().ok()?)),
        Type::F32 => Tree::Float(f64::from(decoder.f32().ok()?)),
        Type::F64 => Tree::Float(decoder.f64().ok()?),
        Type::String => Tree::Str(decoder.str().ok()?.to_owned()),
        Type::StringIndef => Tree::Str(decoder.str_iter().ok()?.collect::<Result<String, _>>().ok()?),
        Type::Bytes => Tree::Bytes(decoder.bytes().ok()?.to_vec()),
        Type::BytesIndef => {
            let chunks: Vec<&[u8]> = decoder.bytes_iter().ok()?.collect::<Result<_, _>>().ok()?;
            Tree::Bytes(chunks.concat())
        }
        Type::Array | Type::ArrayIndef => {
            let mut items = Vec::new();
            match decoder.array().ok()? {
                Some(count) => {
                    for _ in 0..count {
                        items.push(cbor_to_tree(decoder)?);
                    }
                }
                None => {
                    while decoder.datatype().ok()? != Type::Break {
                        items.push(cbor_to_tree(decoder)?);
                    }
                    decoder.skip().ok()?;
                }
            }
            Tree::List(items)
        }
        Type::Map | Type::MapIndef => {
            let mut entries = Vec::new();
            let entry = |decoder: &mut minicbor::Decoder<'_>| match cbor_to_tree(decoder)? {
                Tree::Str(key) => Some((key, cbor_to_tree(decoder)?)),
                _ => None,
            };
            match decoder.map().ok()? {
                Some(count) => {
                    for _ in 0..count {
                        entries.push(entry(decoder)?);
                    }
                }
                None => {
                    while decoder.datatype().ok()? != Type::Break {
                        entries.push(entry(decoder)?);
                    }
                    decoder.skip().ok()?;
                }
            }
            Tree::Dict(entries)
        }
        Type::Tag => {
            decoder.tag().ok()?;
            cbor_to_tree(decoder)?
        }
        Type::Simple | Type::Break | Type::Unknown(_) => return None,
    })
}

/// The tree that our lazy reader reads; `None` for what no tree can hold.
pub fn from_value(value: &Value<'_>) -> Option<Tree> {
    Some(match value {
        Value::Null => Tree::Null,
        Value::Bool(value) => Tree::Bool(*value),
        Value::Uint(value) => Tree::Uint(*value),
        Value::Int(value) => Tree::Int(*value),
        Value::Float(value) => Tree::Float(*value),
        Value::Str(text) => Tree::Str(text.clone().into_owned()),
        Value::Bytes(octets) => Tree::Bytes(octets.clone().into_owned()),
        Value::List(list) => from_list(list)?,
        Value::Dict(dict) => from_dict(dict)?,
        Value::Other(..) => return None,
    })
}

pub fn from_list(list: &List<'_>) -> Option<Tree> {
    Some(Tree::List(list.iter().map(|value| from_value(&value)).collect::<Option<_>>()?))
}

pub fn from_dict(dict: &Dict<'_>) -> Option<Tree> {
    let entry =
        |(key, value): (std::borrow::Cow<'_, str>, Value<'_>)| Some((key.into_owned(), from_value(&value)?));
    Some(Tree::Dict(dict.iter().map(entry).collect::<Option<_>>()?))
}

/// The value as serde_json has it; octets by the convention of "Binary support in JSON".
pub fn to_json(value: &Value<'_>) -> Json {
    tree_to_json(&from_value(value).unwrap())
}

/// The dict as serde_json has it: of equal keys the last.
pub fn dict_to_json(dict: &Dict<'_>) -> Json {
    tree_to_json(&from_dict(dict).unwrap())
}
