//! The validating scanner: walks JSON text without decoding it, allocating or recursing.

use super::{number, string};
use crate::{DEPTH_MAX, ParseError, ParseErrorKind};

/// A position in JSON text that is known to be UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    pub(super) octets: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(octets: &'a [u8], at: usize) -> Scanner<'a> {
        Scanner { octets, at }
    }

    /// The octet at the position; 0, which JSON allows nowhere, at the end.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        octet(self.octets, self.at)
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        self.at = after_space(self.octets, self.at);
    }

    /// The error for an octet that `what` does not describe.
    #[cold]
    pub(super) fn unexpected(&self, what: &'static str) -> ParseError {
        unexpected(self.octets, self.at, what)
    }

    /// Passes over the value at the position, which `depth` lists and dicts contain.
    pub(super) fn skip_value(&mut self, depth: usize) -> Result<(), ParseError> {
        let octets = self.octets;
        let mut at = self.at;
        // The lists and dicts that are open, innermost lowest, one bit each: set for a dict.
        let (mut dicts, mut open) = (0u128, 0);
        'value: loop {
            at = match octet(octets, at) {
                b'"' => match string::end(octets, at) {
                    Some(end) => end,
                    None => return Err(string::error(octets, at)),
                },
                b'-' | b'0'..=b'9' => match number::end(octets, at) {
                    Some(end) => end,
                    None => return Err(number::error(octets, at)),
                },
                first @ (b'{' | b'[') => {
                    if depth + open >= DEPTH_MAX {
                        return Err(ParseError::new(at, ParseErrorKind::Depth));
                    }
                    let inside = after_space(octets, at + 1);
                    // In ASCII each closing bracket is two after its opening one.
                    if octet(octets, inside) != first + 2 {
                        dicts = dicts << 1 | u128::from(first == b'{');
                        open += 1;
                        at = if first == b'{' { after_key(octets, inside)? } else { inside };
                        continue 'value;
                    }
                    inside + 1
                }
                _ => after_literal(octets, at)?,
            };
            // After a value: closes, then a comma and the key of what follows.
            loop {
                if open == 0 {
                    self.at = at;
                    return Ok(());
                }
                at = after_space(octets, at);
                let dict = dicts & 1 == 1;
                match octet(octets, at) {
                    b',' => {
                        at = after_space(octets, at + 1);
                        if dict {
                            at = after_key(octets, at)?;
                        }
                        continue 'value;
                    }
                    b'}' if dict => {}
                    b']' if !dict => {}
                    _ => {
                        return Err(unexpected(
                            octets,
                            at,
                            "a comma or the end of the list or dict is expected",
                        ));
                    }
                }
                at += 1;
                dicts >>= 1;
                open -= 1;
            }
        }
    }

    /// Passes over a key and its colon; the span of the key.
    #[inline]
    pub(super) fn key(&mut self) -> Result<string::Span, ParseError> {
        let span = string::scan(self)?;
        self.skip_space();
        self.at += 1;
        Ok(span)
    }
}

/// The octet at a position; 0 at the end.
#[inline]
fn octet(octets: &[u8], at: usize) -> u8 {
    octets.get(at).copied().unwrap_or(0)
}

#[inline]
fn after_space(octets: &[u8], mut at: usize) -> usize {
    // Compact text has none: one comparison decides.
    while octet(octets, at) <= b' ' && matches!(octet(octets, at), b' ' | b'\n' | b'\t' | b'\r') {
        at += 1;
    }
    at
}

/// The position after a key, its colon and the space that follows.
#[inline(always)] // The error is large, and would go through memory.
fn after_key(octets: &[u8], at: usize) -> Result<usize, ParseError> {
    match try_after_key(octets, at) {
        Some(value) => Ok(value),
        None => Err(key_error(octets, at)),
    }
}

#[inline]
fn try_after_key(octets: &[u8], at: usize) -> Option<usize> {
    if octet(octets, at) != b'"' {
        return None;
    }
    let colon = after_space(octets, string::end(octets, at)?);
    (octet(octets, colon) == b':').then(|| after_space(octets, colon + 1))
}

#[cold]
fn key_error(octets: &[u8], at: usize) -> ParseError {
    match octet(octets, at) {
        b'"' => match string::end(octets, at) {
            None => string::error(octets, at),
            Some(end) => unexpected(octets, after_space(octets, end), "a colon is expected"),
        },
        b'-' | b'0'..=b'9' | b'{' | b'[' | b't' | b'f' | b'n' => ParseError::new(at, ParseErrorKind::Key),
        _ => unexpected(octets, at, "a key is expected"),
    }
}

/// The position after `true`, `false` or `null`.
#[inline]
pub(super) fn after_literal(octets: &[u8], at: usize) -> Result<usize, ParseError> {
    let rest = octets.get(at..).unwrap_or_default();
    if rest.starts_with(b"true") || rest.starts_with(b"null") {
        return Ok(at + 4);
    }
    if rest.starts_with(b"false") {
        return Ok(at + 5);
    }
    Err(literal_error(octets, at))
}

/// Points at the first octet that is in no literal.
#[cold]
fn literal_error(octets: &[u8], at: usize) -> ParseError {
    let rest = octets.get(at..).unwrap_or_default();
    let same = [b"true".as_slice(), b"false", b"null"]
        .map(|literal| rest.iter().zip(literal).take_while(|(a, b)| a == b).count())
        .into_iter()
        .max();
    unexpected(octets, at + same.unwrap_or(0), "a JSON value is expected")
}

#[cold]
fn unexpected(octets: &[u8], at: usize, what: &'static str) -> ParseError {
    let truncated = at >= octets.len();
    let kind = if truncated { ParseErrorKind::Truncated } else { ParseErrorKind::Syntax(what) };
    ParseError::new(at, kind)
}
