//! A value tree, and its forms in libraries that are not ours: what octets are, by another judgement.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // Each test takes what it needs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
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

pub fn tree_to_json(tree: &Tree) -> Json {
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
