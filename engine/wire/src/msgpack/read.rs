//! Lazy reading of validated MessagePack: the values of a list, the entries of a dict.

use std::borrow::Cow;

use super::{
    head::{self, Head},
    scan,
};
use crate::{
    Dict, List, Serializer, Value,
    dict::{DictRepr, ListRepr},
    utf8,
};

/// The values of a list that begins the octets.
#[derive(Clone, Debug)]
pub(crate) struct MsgPackItems<'a> {
    octets: &'a [u8],
    at: usize,
    left: u32,
}

/// The entries of a dict that begins the octets.
#[derive(Clone, Debug)]
pub(crate) struct MsgPackEntries<'a>(MsgPackItems<'a>);

impl<'a> MsgPackItems<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        let mut at = 0;
        let left = count(octets, &mut at);
        MsgPackItems { octets, at, left }
    }
}

impl<'a> Iterator for MsgPackItems<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        value(self.octets, &mut self.at)
    }
}

impl<'a> MsgPackEntries<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        MsgPackEntries(MsgPackItems::new(octets))
    }
}

impl<'a> Iterator for MsgPackEntries<'a> {
    type Item = (&'a [u8], Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let MsgPackItems { octets, at, left } = &mut self.0;
        *left = left.checked_sub(1)?;
        let Head::Str(length) = head::read(octets, at).ok()? else { return None };
        let key = head::content(octets, at, length).ok()?;
        Some((key, value(octets, at)?))
    }
}

/// Whether the list or dict that begins the octets has nothing in it.
pub(crate) fn is_empty(octets: &[u8]) -> bool {
    count(octets, &mut 0) == 0
}

/// The octets or the text that begin here.
pub(crate) fn opaque(octets: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut at = 0;
    match head::read(octets, &mut at).ok()? {
        Head::Str(length) | Head::Bin(length) => {
            head::content(octets, &mut at, length).ok().map(Cow::Borrowed)
        }
        _ => None,
    }
}

/// The count of the list or dict whose head is at `at`, which moves past it.
fn count(octets: &[u8], at: &mut usize) -> u32 {
    match head::read(octets, at) {
        Ok(Head::List(count) | Head::Dict(count)) => count,
        _ => 0,
    }
}

/// The value at `at`, which moves past it; `None` for what was never validated.
fn value<'a>(octets: &'a [u8], at: &mut usize) -> Option<Value<'a>> {
    let start = *at;
    Some(match head::read(octets, at).ok()? {
        Head::Nil => Value::Null,
        Head::Bool(value) => Value::Bool(value),
        Head::Uint(value) => Value::Uint(value),
        Head::Int(value) => Value::Int(value),
        Head::F32(value) => Value::Float(f64::from(value)),
        Head::F64(value) => Value::Float(value),
        Head::Str(length) => {
            Value::Str(Cow::Borrowed(utf8::checked(head::content(octets, at, length).ok()?)))
        }
        Head::Bin(length) => Value::Bytes(Cow::Borrowed(head::content(octets, at, length).ok()?)),
        Head::Ext { kind, length } => {
            let content = head::content(octets, at, length).ok()?;
            if head::is_undefined(kind, content) {
                Value::Null
            } else {
                Value::Other(Serializer::MsgPack, octets.get(start..*at)?)
            }
        }
        head @ (Head::List(_) | Head::Dict(_)) => {
            *at = start;
            scan::skip_value(octets, at, 0, &mut scan::Oddities::default()).ok()?;
            let raw = octets.get(start..*at)?;
            match head {
                Head::List(_) => Value::List(List(ListRepr::Raw(Serializer::MsgPack, raw))),
                _ => Value::Dict(Dict(DictRepr::Raw(Serializer::MsgPack, raw))),
            }
        }
    })
}
