//! The elements of a message in CBOR.

use std::borrow::Cow;

use super::{
    head::{self, Head},
    scan::Scanner,
};
use crate::{
    Dict, ParseError, ParseErrorKind, Serializer,
    dict::DictRepr,
    message::{AnyElement, ElementNumber, Elements},
    utf8,
};

/// A CBOR message, entered.
pub(crate) struct CborElements<'a> {
    scanner: Scanner<'a>,
    /// Elements that have not been passed; `None` if a break ends them.
    left: Option<u64>,
}

impl<'a> Elements<'a> for CborElements<'a> {
    const SERIALIZER: Serializer = Serializer::Cbor;
    const EMPTY_LIST: &'static [u8] = &[0x80];

    #[inline]
    fn open(octets: &'a [u8]) -> Result<Self, ParseError> {
        let mut scanner = Scanner::new(octets, 0);
        let Head::List(left) = head::read(octets, &mut scanner.at)? else {
            return Err(ParseError::new(0, ParseErrorKind::NotAMessage));
        };
        let empty = left == Some(0) || (left.is_none() && octets.get(scanner.at) == Some(&0xff));
        if empty {
            return Err(ParseError::new(0, ParseErrorKind::NotAMessage));
        }
        Ok(CborElements { scanner, left })
    }

    #[inline]
    fn next(&mut self) -> Result<bool, ParseError> {
        match &mut self.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => {
                let ended = self.scanner.take_break();
                if ended {
                    self.left = Some(0);
                }
                Ok(!ended)
            }
        }
    }

    #[inline]
    fn offset(&self) -> usize {
        self.scanner.at
    }

    #[inline]
    fn number(&mut self) -> Result<Option<ElementNumber>, ParseError> {
        let mut at = self.scanner.at;
        let number = match head::read(self.scanner.octets, &mut at)? {
            Head::Uint(value) => ElementNumber::Uint(value),
            Head::Negative(_) => ElementNumber::OutOfRange,
            Head::F32(value) => ElementNumber::Float(f64::from(value)),
            Head::F64(value) => ElementNumber::Float(value),
            _ => return Ok(None),
        };
        self.scanner.at = at;
        Ok(Some(number))
    }

    #[inline]
    fn string(&mut self) -> Result<Option<Cow<'a, str>>, ParseError> {
        let octets = self.scanner.octets;
        let mut at = self.scanner.at;
        let Head::Text(length) = head::read(octets, &mut at)? else {
            return Ok(None);
        };
        self.scanner.at = at;
        if let Some(length) = length {
            let text = utf8::check(head::content(octets, &mut self.scanner.at, length)?, at)?;
            return Ok(Some(Cow::Borrowed(text)));
        }
        self.scanner.text(length)?;
        let whole = head::string(octets, &mut at, length)?;
        Ok(Some(Cow::Owned(utf8::checked(&whole).to_owned())))
    }

    #[inline]
    fn dict(&mut self) -> Result<Option<Dict<'a>>, ParseError> {
        let start = self.scanner.at;
        if self.scanner.octets.get(start) == Some(&0xa0) {
            self.scanner.at += 1;
            return Ok(Some(Dict::EMPTY));
        }
        Ok(match self.any()? {
            AnyElement::Dict(octets) => Some(Dict(DictRepr::Raw(Serializer::Cbor, octets))),
            AnyElement::Null => Some(Dict::EMPTY),
            _ => {
                self.scanner.at = start;
                None
            }
        })
    }

    #[inline]
    fn any(&mut self) -> Result<AnyElement<'a>, ParseError> {
        let start = self.scanner.at;
        let first = self.scanner.octets.get(start).copied();
        self.scanner.skip_value(1)?;
        let octets = &self.scanner.octets[start..self.scanner.at];
        Ok(match first {
            Some(0x40..=0x7f) => AnyElement::Text(octets),
            Some(0x80..=0x9f) => AnyElement::List(octets),
            Some(0xa0..=0xbf) => AnyElement::Dict(octets),
            Some(0xf6 | 0xf7) => AnyElement::Null,
            _ => AnyElement::Other,
        })
    }

    #[inline]
    fn is_verbatim(&self) -> bool {
        self.scanner.verbatim
    }

    #[inline]
    fn close(self) -> Result<(), ParseError> {
        if self.scanner.at < self.scanner.octets.len() {
            return Err(ParseError::new(self.scanner.at, ParseErrorKind::Trailing));
        }
        Ok(())
    }
}
