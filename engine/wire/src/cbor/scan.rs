//! The validating skipper: walks CBOR without decoding, allocating or recursing.

use super::{
    head::{self, Head},
    tag::Content,
};
use crate::{
    DEPTH_MAX, ParseError, ParseErrorKind,
    nesting::{Frame, FrameKind, Frames},
    utf8,
};

/// A position in CBOR.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    pub(super) octets: &'a [u8],
    pub(super) at: usize,
    /// Whether nothing has been passed that is valid and that a deployed JavaScript decoder yet refuses: strings
    /// in chunks, times in integers of eight octets.
    pub(super) verbatim: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(octets: &'a [u8], at: usize) -> Scanner<'a> {
        Scanner { octets, at, verbatim: true }
    }

    /// Passes over the value at the position, which `depth` lists, dicts and tags contain, and validates it.
    pub(super) fn skip_value(&mut self, depth: usize) -> Result<(), ParseError> {
        let mut open = Frames::new();
        let mut frame = Frame::WRAPPER;
        loop {
            while frame.is_done() || (frame.may_break() && self.take_break()) {
                match open.pop() {
                    Some(outer) => frame = outer,
                    None => return Ok(()),
                }
            }
            if frame.take().key {
                self.key()?;
                continue;
            }
            let start = self.at;
            match self.octets.get(start) {
                // Small integers, booleans, null and undefined.
                Some(0x00..=0x17 | 0x20..=0x37 | 0xf4..=0xf7) => {
                    self.at = start + 1;
                    continue;
                }
                // Text of up to 23 octets.
                Some(initial @ 0x60..=0x77) => {
                    self.at = start + 1;
                    self.text(Some(u64::from(initial - 0x60)))?;
                    continue;
                }
                _ => {}
            }
            if let Some(inner) = self.value()? {
                // The wrapper in `open` that stands for the whole is no level of its own.
                if depth + open.len() >= DEPTH_MAX {
                    return Err(ParseError::new(start, ParseErrorKind::Depth));
                }
                open.push(frame);
                frame = inner;
            }
        }
    }

    /// Passes over a value without content of its own, or over the head of one that has, which is returned.
    fn value(&mut self) -> Result<Option<Frame>, ParseError> {
        let start = self.at;
        match head::read(self.octets, &mut self.at)? {
            Head::Text(length) => self.text(length)?,
            Head::Bytes(Some(length)) => {
                head::content(self.octets, &mut self.at, length)?;
            }
            Head::Bytes(None) => self.chunks(false)?,
            Head::List(Some(count)) => {
                self.fits(count, 1)?;
                return Ok(Some(Frame::list(count)));
            }
            Head::Dict(Some(count)) => {
                self.fits(count, 2)?;
                return Ok(Some(Frame::dict(count)));
            }
            Head::List(None) => return Ok(Some(Frame::until_break(FrameKind::List))),
            Head::Dict(None) => return Ok(Some(Frame::until_break(FrameKind::Dict))),
            Head::Tag(tag) => match Content::of(tag) {
                Content::Any => return Ok(Some(Frame::WRAPPER)),
                Content::Refused => return Err(ParseError::new(start, ParseErrorKind::Extension)),
                content => {
                    self.verbatim &= content.is_verbatim(self.octets.get(self.at));
                    content.check(self.octets, &mut self.at)?;
                }
            },
            // Deployed decoders fail on simple values that they have no meaning for.
            Head::Simple(_) => return Err(ParseError::new(start, ParseErrorKind::Extension)),
            Head::Break => {
                return Err(ParseError::new(
                    start,
                    ParseErrorKind::Syntax("break where a value is expected"),
                ));
            }
            Head::Uint(_) | Head::Negative(_) | Head::Bool(_) | Head::Null | Head::Undefined => {}
            Head::F32(_) | Head::F64(_) => {}
        }
        Ok(None)
    }

    /// Passes over a key.
    #[inline]
    fn key(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        if let Some(initial @ 0x60..=0x77) = self.octets.get(start) {
            self.at = start + 1;
            return self.text(Some(u64::from(initial - 0x60)));
        }
        match head::read(self.octets, &mut self.at)? {
            Head::Text(length) => self.text(length),
            Head::Break => {
                Err(ParseError::new(start, ParseErrorKind::Syntax("break where a value is expected")))
            }
            _ => Err(ParseError::new(start, ParseErrorKind::Key)),
        }
    }

    #[inline]
    pub(super) fn text(&mut self, length: Option<u64>) -> Result<(), ParseError> {
        let Some(length) = length else {
            return self.chunks(true);
        };
        let offset = self.at;
        utf8::validate(head::content(self.octets, &mut self.at, length)?, offset)
    }

    /// Passes over the chunks of a string up to and with the break.
    #[cold]
    fn chunks(&mut self, text: bool) -> Result<(), ParseError> {
        self.verbatim = false;
        loop {
            let start = self.at;
            match head::read(self.octets, &mut self.at)? {
                Head::Break => return Ok(()),
                Head::Text(Some(length)) if text => self.text(Some(length))?,
                Head::Bytes(Some(length)) if !text => {
                    head::content(self.octets, &mut self.at, length)?;
                }
                _ => {
                    let kind =
                        ParseErrorKind::Syntax("a chunk of the same type and a definite length is expected");
                    return Err(ParseError::new(start, kind));
                }
            }
        }
    }

    #[inline]
    pub(super) fn take_break(&mut self) -> bool {
        let found = self.octets.get(self.at) == Some(&0xff);
        self.at += usize::from(found);
        found
    }

    /// Refuses a list or dict that claims more values than there are octets left.
    #[inline]
    fn fits(&self, count: u64, values: u64) -> Result<(), ParseError> {
        if count > (self.octets.len() - self.at) as u64 / values {
            return Err(ParseError::new(self.octets.len(), ParseErrorKind::Truncated));
        }
        Ok(())
    }
}
