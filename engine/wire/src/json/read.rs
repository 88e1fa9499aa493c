//! Lazy reading of validated JSON: the values of a list, the entries of a dict.

use std::borrow::Cow;

use base64::Engine as _;

use super::{
    number::{self, Number},
    scan::Scanner,
    string::{self, Span},
};
use crate::{
    Dict, List, Serializer, Value,
    dict::{DictRepr, ListRepr},
    utf8,
};

/// The values of a list that begins the octets.
#[derive(Clone, Debug)]
pub(crate) struct JsonItems<'a>(Scanner<'a>);

/// The entries of a dict that begins the octets, keys undecoded.
#[derive(Clone, Debug)]
pub(crate) struct JsonEntries<'a>(Scanner<'a>);

/// A key of a dict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonKey<'a> {
    content: &'a [u8],
    escaped: bool,
}

impl<'a> JsonItems<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        JsonItems(Scanner::new(octets, 0))
    }
}

impl<'a> Iterator for JsonItems<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        enter_next(&mut self.0).then(|| value(&mut self.0))
    }
}

impl<'a> JsonEntries<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        JsonEntries(Scanner::new(octets, 0))
    }
}

impl<'a> Iterator for JsonEntries<'a> {
    type Item = (JsonKey<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if !enter_next(&mut self.0) {
            return None;
        }
        let Span { start, end, escaped } = self.0.key().ok()?;
        let key = JsonKey { content: self.0.octets.get(start..end)?, escaped };
        self.0.skip_space();
        Some((key, value(&mut self.0)))
    }
}

impl<'a> JsonKey<'a> {
    pub(crate) fn is(&self, key: &str) -> bool {
        if self.escaped { self.text() == key } else { self.content == key.as_bytes() }
    }

    pub(crate) fn text(&self) -> Cow<'a, str> {
        text(self.content, self.escaped)
    }
}

/// Whether the list or dict that begins the octets has nothing in it.
pub(crate) fn is_empty(octets: &[u8]) -> bool {
    !enter_next(&mut Scanner::new(octets, 0))
}

/// The octets or the text that the string stands for.
pub(crate) fn opaque(octets: &[u8]) -> Option<Cow<'_, [u8]>> {
    match value(&mut Scanner::new(octets, 0)) {
        Value::Bytes(bytes) => Some(bytes),
        Value::Str(Cow::Borrowed(text)) => Some(Cow::Borrowed(text.as_bytes())),
        Value::Str(Cow::Owned(text)) => Some(Cow::Owned(text.into_bytes())),
        _ => None,
    }
}

/// Moves to the next value or key of a list or dict; false at its end. The position is at the start of
/// the list or dict, or after a value in it.
fn enter_next(scanner: &mut Scanner<'_>) -> bool {
    scanner.skip_space();
    if matches!(scanner.peek(), b'[' | b'{' | b',') {
        scanner.at += 1;
        scanner.skip_space();
    }
    !matches!(scanner.peek(), b']' | b'}' | 0)
}

/// The value at the position, which is passed.
fn value<'a>(scanner: &mut Scanner<'a>) -> Value<'a> {
    let start = scanner.at;
    match scanner.peek() {
        b'"' => match string::scan(scanner) {
            Ok(span) => string_value(&scanner.octets[span.start..span.end], span.escaped),
            Err(_) => end(scanner),
        },
        b'-' | b'0'..=b'9' => match number::read(scanner) {
            Ok(Number::Uint(value)) => Value::Uint(value),
            Ok(Number::Int(value)) => Value::Int(value),
            Ok(Number::Float(value)) => Value::Float(value),
            Ok(Number::Huge) => Value::Other(Serializer::Json, &scanner.octets[start..scanner.at]),
            Err(_) => end(scanner),
        },
        first => {
            if scanner.skip_value(0).is_err() {
                return end(scanner);
            }
            let octets = &scanner.octets[start..scanner.at];
            match first {
                b'[' => Value::List(List(ListRepr::Raw(Serializer::Json, octets))),
                b'{' => Value::Dict(Dict(DictRepr::Raw(Serializer::Json, octets))),
                b't' => Value::Bool(true),
                b'f' => Value::Bool(false),
                _ => Value::Null,
            }
        }
    }
}

/// What octets that were never validated would read as: nothing more.
#[cold]
fn end<'a>(scanner: &mut Scanner<'a>) -> Value<'a> {
    scanner.at = scanner.octets.len();
    Value::Null
}

/// A string's value: octets if it is U+0000 and base64, else text.
pub(super) fn string_value(content: &[u8], escaped: bool) -> Value<'_> {
    let text = text(content, escaped);
    match binary(&text) {
        Some(octets) => Value::Bytes(Cow::Owned(octets)),
        None => Value::Str(text),
    }
}

/// The octets that a string of U+0000 and base64 (RFC 4648, standard alphabet, padded) stands for.
#[inline]
pub(super) fn binary(text: &str) -> Option<Vec<u8>> {
    let base64 = text.strip_prefix('\0')?;
    base64::engine::general_purpose::STANDARD.decode(base64).ok()
}

pub(super) fn text(content: &[u8], escaped: bool) -> Cow<'_, str> {
    let content = utf8::checked(content);
    if escaped { Cow::Owned(string::unescape(content)) } else { Cow::Borrowed(content) }
}
