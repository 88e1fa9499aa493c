//! The elements of a message in MessagePack.

use std::borrow::Cow;

use super::{
    head::{self, Head},
    scan::{self, Oddities},
};
use crate::{
    Dict, ParseError, ParseErrorKind, Serializer,
    dict::DictRepr,
    message::{AnyElement, ElementNumber, Elements},
    utf8,
};

/// A MessagePack message, entered.
pub(crate) struct MsgPackElements<'a> {
    octets: &'a [u8],
    at: usize,
    /// Elements that have not been passed.
    left: u32,
    oddities: Oddities,
}

impl<'a> Elements<'a> for MsgPackElements<'a> {
    const SERIALIZER: Serializer = Serializer::MsgPack;
    const EMPTY_LIST: &'static [u8] = &[0x90];

    #[inline]
    fn open(octets: &'a [u8]) -> Result<Self, ParseError> {
        let mut at = 0;
        match head::read(octets, &mut at)? {
            Head::List(left) if left > 0 => {
                Ok(MsgPackElements { octets, at, left, oddities: Oddities::default() })
            }
            _ => Err(ParseError::new(0, ParseErrorKind::NotAMessage)),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<bool, ParseError> {
        let more = self.left > 0;
        self.left -= u32::from(more);
        Ok(more)
    }

    #[inline]
    fn offset(&self) -> usize {
        self.at
    }

    #[inline]
    fn number(&mut self) -> Result<Option<ElementNumber>, ParseError> {
        let mut at = self.at;
        let number = match head::read(self.octets, &mut at)? {
            Head::Uint(value) => ElementNumber::Uint(value),
            Head::Int(_) => ElementNumber::OutOfRange,
            Head::F64(value) => ElementNumber::Float(value),
            Head::F32(value) => ElementNumber::Float(f64::from(value)),
            _ => return Ok(None),
        };
        self.at = at;
        Ok(Some(number))
    }

    #[inline]
    fn string(&mut self) -> Result<Option<Cow<'a, str>>, ParseError> {
        let mut at = self.at;
        let Head::Str(length) = head::read(self.octets, &mut at)? else {
            return Ok(None);
        };
        let offset = at;
        let text = utf8::check(head::content(self.octets, &mut at, length)?, offset)?;
        self.at = at;
        Ok(Some(Cow::Borrowed(text)))
    }

    #[inline]
    fn dict(&mut self) -> Result<Option<Dict<'a>>, ParseError> {
        let start = self.at;
        if self.octets.get(start) == Some(&0x80) {
            self.at += 1;
            return Ok(Some(Dict::EMPTY));
        }
        Ok(match self.any()? {
            AnyElement::Dict(octets) => Some(Dict(DictRepr::Raw(Serializer::MsgPack, octets))),
            AnyElement::Null => Some(Dict::EMPTY),
            _ => {
                self.at = start;
                None
            }
        })
    }

    #[inline]
    fn any(&mut self) -> Result<AnyElement<'a>, ParseError> {
        let start = self.at;
        let mut at = start;
        let head = head::read(self.octets, &mut at)?;
        scan::skip_value(self.octets, &mut self.at, 1, &mut self.oddities)?;
        let octets = &self.octets[start..self.at];
        Ok(match head {
            Head::Nil => AnyElement::Null,
            Head::Ext { kind, .. } if head::is_undefined(kind, &self.octets[at..self.at]) => AnyElement::Null,
            Head::List(_) => AnyElement::List(octets),
            Head::Dict(_) => AnyElement::Dict(octets),
            Head::Str(_) | Head::Bin(_) => AnyElement::Text(octets),
            _ => AnyElement::Other,
        })
    }

    #[inline]
    fn is_verbatim(&self) -> bool {
        !self.oddities.undefined
    }

    #[inline]
    fn has_extensions(&self) -> bool {
        self.oddities.extension
    }

    #[inline]
    fn close(self) -> Result<(), ParseError> {
        if self.at < self.octets.len() {
            return Err(ParseError::new(self.at, ParseErrorKind::Trailing));
        }
        Ok(())
    }
}
