//! The elements of a message in JSON.

use std::borrow::Cow;

use super::{
    number::{self, Number},
    scan::Scanner,
    string,
};
use crate::{
    Dict, ParseError, ParseErrorKind, Serializer,
    dict::DictRepr,
    message::{AnyElement, ElementNumber, Elements},
    utf8,
};

/// A JSON message, entered.
pub(crate) struct JsonElements<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    /// Whether no element has been passed.
    first: bool,
}

impl<'a> Elements<'a> for JsonElements<'a> {
    const SERIALIZER: Serializer = Serializer::Json;
    const EMPTY_LIST: &'static [u8] = b"[]";

    #[inline]
    fn open(octets: &'a [u8]) -> Result<Self, ParseError> {
        let text = utf8::check(octets, 0)?;
        let mut scanner = Scanner::new(octets, 0);
        scanner.skip_space();
        if scanner.peek() != b'[' {
            return Err(match scanner.at == octets.len() {
                true => ParseError::new(scanner.at, ParseErrorKind::Truncated),
                false => ParseError::new(scanner.at, ParseErrorKind::NotAMessage),
            });
        }
        scanner.at += 1;
        scanner.skip_space();
        if scanner.peek() == b']' {
            return Err(ParseError::new(scanner.at, ParseErrorKind::NotAMessage));
        }
        Ok(JsonElements { text, scanner, first: true })
    }

    #[inline]
    fn next(&mut self) -> Result<bool, ParseError> {
        if self.first {
            self.first = false;
            return Ok(true);
        }
        self.scanner.skip_space();
        match self.scanner.peek() {
            b',' => {
                self.scanner.at += 1;
                self.scanner.skip_space();
                Ok(true)
            }
            b']' => Ok(false),
            _ => Err(self.scanner.unexpected("a comma or the end of the list is expected")),
        }
    }

    #[inline]
    fn offset(&self) -> usize {
        self.scanner.at
    }

    #[inline]
    fn number(&mut self) -> Result<Option<ElementNumber>, ParseError> {
        if !matches!(self.scanner.peek(), b'-' | b'0'..=b'9') {
            return self.other();
        }
        Ok(Some(match number::read(&mut self.scanner)? {
            Number::Uint(value) => ElementNumber::Uint(value),
            Number::Float(value) => ElementNumber::Float(value),
            Number::Int(_) | Number::Huge => ElementNumber::OutOfRange,
        }))
    }

    #[inline]
    fn string(&mut self) -> Result<Option<Cow<'a, str>>, ParseError> {
        if self.scanner.peek() != b'"' {
            return self.other();
        }
        let span = string::scan(&mut self.scanner)?;
        // The span ends at quotes, which are boundaries of characters.
        let content = self.text.get(span.start..span.end).unwrap_or_default();
        Ok(Some(if span.escaped { Cow::Owned(string::unescape(content)) } else { Cow::Borrowed(content) }))
    }

    #[inline]
    fn dict(&mut self) -> Result<Option<Dict<'a>>, ParseError> {
        match self.scanner.peek() {
            b'{' => {
                let start = self.scanner.at;
                if self.scanner.octets.get(start + 1) == Some(&b'}') {
                    self.scanner.at += 2;
                    return Ok(Some(Dict::EMPTY));
                }
                self.scanner.skip_value(1)?;
                Ok(Some(Dict(DictRepr::Raw(Serializer::Json, &self.scanner.octets[start..self.scanner.at]))))
            }
            b'n' => {
                self.scanner.skip_value(1)?;
                Ok(Some(Dict::EMPTY))
            }
            _ => self.other(),
        }
    }

    #[inline]
    fn any(&mut self) -> Result<AnyElement<'a>, ParseError> {
        let start = self.scanner.at;
        let first = self.scanner.peek();
        self.scanner.skip_value(1)?;
        let octets = &self.scanner.octets[start..self.scanner.at];
        Ok(match first {
            b'[' => AnyElement::List(octets),
            b'{' => AnyElement::Dict(octets),
            b'"' => AnyElement::Text(octets),
            b'n' => AnyElement::Null,
            _ => AnyElement::Other,
        })
    }

    #[inline]
    fn close(mut self) -> Result<(), ParseError> {
        self.scanner.at += 1;
        self.scanner.skip_space();
        if self.scanner.at < self.scanner.octets.len() {
            return Err(ParseError::new(self.scanner.at, ParseErrorKind::Trailing));
        }
        Ok(())
    }
}

impl JsonElements<'_> {
    /// `None` if a value of another type begins here, else the error of what is no value at all.
    #[cold]
    fn other<T>(&mut self) -> Result<Option<T>, ParseError> {
        let mut value = self.scanner;
        value.skip_value(1)?;
        Ok(None)
    }
}
