//! Options, details and the values in them, read lazily from validated octets or built in place.

use std::borrow::Cow;

use crate::{
    ID_MAX, Serializer,
    cbor::{self, CborEntries, CborItems},
    json::{self, JsonEntries, JsonItems},
    msgpack::{self, MsgPackEntries, MsgPackItems},
    utf8,
};

/// A value in a [`Dict`] or [`List`].
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// JSON `null`, MessagePack nil, CBOR null and undefined, MessagePack extension 0 with one octet 0.
    Null,
    /// A boolean.
    Bool(bool),
    /// A non-negative integer.
    Uint(u64),
    /// A negative integer.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// A string.
    Str(Cow<'a, str>),
    /// Octets (in JSON a string that begins with U+0000, see "Binary support in JSON").
    Bytes(Cow<'a, [u8]>),
    /// A list.
    List(List<'a>),
    /// A dict.
    Dict(Dict<'a>),
    /// Something else that only the sender's serializer knows: a tag, an extension type, an integer beyond 64 bits.
    Other(Serializer, &'a [u8]),
}

/// A list: borrowed from a message, or from values built by us.
#[derive(Clone, Copy, Debug)]
pub struct List<'a>(pub(crate) ListRepr<'a>);

#[derive(Clone, Copy, Debug)]
pub(crate) enum ListRepr<'a> {
    Raw(Serializer, &'a [u8]),
    Items(&'a [Value<'a>]),
}

/// A dict with string keys: borrowed from a message, or from pairs built by us.
#[derive(Clone, Copy, Debug)]
pub struct Dict<'a>(pub(crate) DictRepr<'a>);

#[derive(Clone, Copy, Debug)]
pub(crate) enum DictRepr<'a> {
    Raw(Serializer, &'a [u8]),
    Pairs(&'a [(&'a str, Value<'a>)]),
}

impl<'a> Value<'a> {
    /// The value as an identifier-like integer: a non-negative integer, or a float64 that is integral and at most
    /// 2^53 (JavaScript encoders write integers above 2^32 so).
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::Uint(value) => Some(value),
            Value::Int(value) => u64::try_from(value).ok(),
            Value::Float(value) if value.fract() == 0.0 && (0.0..=ID_MAX as f64).contains(&value) => {
                Some(value as u64)
            }
            _ => None,
        }
    }
    /// The value if it is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }
    /// The value if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }
    /// The value if it is a dict.
    pub fn as_dict(&self) -> Option<Dict<'a>> {
        match *self {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    }
    /// The value if it is a list.
    pub fn as_list(&self) -> Option<List<'a>> {
        match *self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

impl<'a> List<'a> {
    /// The list of these values, in this order.
    pub const fn items(items: &'a [Value<'a>]) -> List<'a> {
        List(ListRepr::Items(items))
    }
    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        match self.0 {
            ListRepr::Items(items) => items.is_empty(),
            ListRepr::Raw(serializer, octets) => is_empty(serializer, octets),
        }
    }
    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        match self.0 {
            ListRepr::Items(items) => Items::Built(items.iter()),
            ListRepr::Raw(Serializer::Json, octets) => Items::Json(JsonItems::new(octets)),
            ListRepr::Raw(Serializer::MsgPack, octets) => Items::MsgPack(MsgPackItems::new(octets)),
            ListRepr::Raw(Serializer::Cbor, octets) => Items::Cbor(CborItems::new(octets)),
        }
    }
}

impl<'a> Dict<'a> {
    /// The dict without entries.
    pub const EMPTY: Dict<'static> = Dict(DictRepr::Pairs(&[]));

    /// The dict of these entries, written in this order; keys must be distinct.
    pub const fn pairs(pairs: &'a [(&'a str, Value<'a>)]) -> Dict<'a> {
        Dict(DictRepr::Pairs(pairs))
    }
    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        match self.0 {
            DictRepr::Pairs(pairs) => pairs.is_empty(),
            DictRepr::Raw(serializer, octets) => is_empty(serializer, octets),
        }
    }
    /// The entries in order. Of equal keys all are given; [`Dict::get`] takes the last.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> + use<'a> {
        match self.0 {
            DictRepr::Pairs(pairs) => Entries::Built(pairs.iter()),
            DictRepr::Raw(Serializer::Json, octets) => Entries::Json(JsonEntries::new(octets)),
            DictRepr::Raw(Serializer::MsgPack, octets) => Entries::MsgPack(MsgPackEntries::new(octets)),
            DictRepr::Raw(Serializer::Cbor, octets) => Entries::Cbor(CborEntries::new(octets)),
        }
    }
    /// The value at `key`; null and undefined count as absent. Takes time in proportion to the dict: to look for
    /// several keys, iterate.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let found = match self.0 {
            DictRepr::Pairs(pairs) => pairs.iter().rfind(|(k, _)| *k == key).map(|(_, value)| value.clone()),
            DictRepr::Raw(Serializer::Json, octets) => {
                JsonEntries::new(octets).filter(|(k, _)| k.is(key)).last().map(|(_, value)| value)
            }
            DictRepr::Raw(Serializer::MsgPack, octets) => MsgPackEntries::new(octets)
                .filter(|(k, _)| *k == key.as_bytes())
                .last()
                .map(|(_, value)| value),
            DictRepr::Raw(Serializer::Cbor, octets) => CborEntries::new(octets)
                .filter(|(k, _)| **k == *key.as_bytes())
                .last()
                .map(|(_, value)| value),
        };
        found.filter(|value| !matches!(value, Value::Null))
    }
}

enum Items<'a> {
    Built(std::slice::Iter<'a, Value<'a>>),
    Json(JsonItems<'a>),
    MsgPack(MsgPackItems<'a>),
    Cbor(CborItems<'a>),
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        match self {
            Items::Built(items) => items.next().cloned(),
            Items::Json(items) => items.next(),
            Items::MsgPack(items) => items.next(),
            Items::Cbor(items) => items.next(),
        }
    }
}

enum Entries<'a> {
    Built(std::slice::Iter<'a, (&'a str, Value<'a>)>),
    Json(JsonEntries<'a>),
    MsgPack(MsgPackEntries<'a>),
    Cbor(CborEntries<'a>),
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Entries::Built(pairs) => pairs.next().map(|(key, value)| (Cow::Borrowed(*key), value.clone())),
            Entries::Json(entries) => entries.next().map(|(key, value)| (key.text(), value)),
            Entries::MsgPack(entries) => {
                entries.next().map(|(key, value)| (Cow::Borrowed(utf8::checked(key)), value))
            }
            Entries::Cbor(entries) => entries.next().map(|(key, value)| (cbor::text(key), value)),
        }
    }
}

/// Whether the list or dict that the octets are has nothing in it.
fn is_empty(serializer: Serializer, octets: &[u8]) -> bool {
    match serializer {
        Serializer::Json => json::is_empty(octets),
        Serializer::MsgPack => msgpack::is_empty(octets),
        Serializer::Cbor => cbor::is_empty(octets),
    }
}
