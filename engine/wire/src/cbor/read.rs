//! Lazy reading of validated CBOR: the values of a list, the entries of a dict.

use std::borrow::Cow;

use super::{
    head::{self, Head},
    scan::Scanner,
};
use crate::{
    Dict, List, Serializer, Value,
    dict::{DictRepr, ListRepr},
    utf8,
};

/// The values of a list that begins the octets.
#[derive(Clone, Debug)]
pub(crate) struct CborItems<'a> {
    octets: &'a [u8],
    at: usize,
    /// Values or entries to come; `None` if a break ends them.
    left: Option<u64>,
}

/// The entries of a dict that begins the octets.
#[derive(Clone, Debug)]
pub(crate) struct CborEntries<'a>(CborItems<'a>);

impl<'a> CborItems<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        let mut at = 0;
        let left = match head::read(octets, &mut at) {
            Ok(Head::List(count) | Head::Dict(count)) => count,
            _ => Some(0),
        };
        CborItems { octets, at, left }
    }

    fn enter(&mut self) -> Option<()> {
        match &mut self.left {
            Some(left) => *left = left.checked_sub(1)?,
            None if self.octets.get(self.at) == Some(&0xff) => return None,
            None => {}
        }
        Some(())
    }
}

impl<'a> Iterator for CborItems<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        self.enter()?;
        value(self.octets, &mut self.at)
    }
}

impl<'a> CborEntries<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        CborEntries(CborItems::new(octets))
    }
}

impl<'a> Iterator for CborEntries<'a> {
    type Item = (Cow<'a, [u8]>, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.enter()?;
        let CborItems { octets, at, .. } = &mut self.0;
        let Head::Text(length) = head::read(octets, at).ok()? else { return None };
        let key = head::string(octets, at, length).ok()?;
        Some((key, value(octets, at)?))
    }
}

/// Whether the list or dict that begins the octets has nothing in it.
pub(crate) fn is_empty(octets: &[u8]) -> bool {
    CborItems::new(octets).enter().is_none()
}

/// The octets or the text that begin here.
pub(crate) fn opaque(octets: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut at = 0;
    match head::read(octets, &mut at).ok()? {
        Head::Bytes(length) | Head::Text(length) => head::string(octets, &mut at, length).ok(),
        _ => None,
    }
}

/// The text of a string that was validated.
pub(crate) fn text(octets: Cow<'_, [u8]>) -> Cow<'_, str> {
    match octets {
        Cow::Borrowed(octets) => Cow::Borrowed(utf8::checked(octets)),
        Cow::Owned(octets) => Cow::Owned(String::from_utf8(octets).unwrap_or_default()),
    }
}

/// The value at `at`, which moves past it; `None` for what was never validated.
fn value<'a>(octets: &'a [u8], at: &mut usize) -> Option<Value<'a>> {
    let start = *at;
    Some(match head::read(octets, at).ok()? {
        Head::Uint(value) => Value::Uint(value),
        Head::Negative(n) => match i64::try_from(n) {
            Ok(n) => Value::Int(-1 - n),
            Err(_) => Value::Other(Serializer::Cbor, octets.get(start..*at)?),
        },
        Head::Bool(value) => Value::Bool(value),
        Head::Null | Head::Undefined => Value::Null,
        Head::F32(value) => Value::Float(f64::from(value)),
        Head::F64(value) => Value::Float(value),
        Head::Text(length) => Value::Str(text(head::string(octets, at, length).ok()?)),
        Head::Bytes(length) => Value::Bytes(head::string(octets, at, length).ok()?),
        head @ (Head::List(_) | Head::Dict(_) | Head::Tag(_)) => {
            let mut scanner = Scanner::new(octets, start);
            scanner.skip_value(0).ok()?;
            *at = scanner.at;
            let raw = octets.get(start..*at)?;
            match head {
                Head::List(_) => Value::List(List(ListRepr::Raw(Serializer::Cbor, raw))),
                Head::Dict(_) => Value::Dict(Dict(DictRepr::Raw(Serializer::Cbor, raw))),
                _ => Value::Other(Serializer::Cbor, raw),
            }
        }
        Head::Simple(_) | Head::Break => return None,
    })
}
