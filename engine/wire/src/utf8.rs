//! UTF-8: the check of octets from outside, and text out of octets that were checked before.

use crate::{ParseError, ParseErrorKind};

/// Up to this length, text that is only ASCII is recognised eight octets at a time.
const SHORT: usize = 64;

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Checks octets that nobody needs as text. `offset` is where they begin in the message.
#[inline]
pub(crate) fn validate(octets: &[u8], offset: usize) -> Result<(), ParseError> {
    if octets.len() <= SHORT && is_ascii(octets) {
        return Ok(());
    }
    check(octets, offset).map(drop)
}

/// The octets as text. `offset` is where they begin in the message.
#[inline]
pub(crate) fn check(octets: &[u8], offset: usize) -> Result<&str, ParseError> {
    match simdutf8::basic::from_utf8(octets) {
        Ok(text) => Ok(text),
        Err(_) => Err(invalid(octets, offset)),
    }
}

#[inline]
fn is_ascii(octets: &[u8]) -> bool {
    let mut any = 0;
    let mut rest = octets;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        any |= u64::from_le_bytes(*word);
        rest = after;
    }
    if let (Some(last), true) = (octets.last_chunk::<8>(), !rest.is_empty()) {
        return (any | u64::from_le_bytes(*last)) & HIGH_BITS == 0;
    }
    rest.iter().fold(any, |any, octet| any | u64::from(*octet)) & HIGH_BITS == 0
}

#[cold]
fn invalid(octets: &[u8], offset: usize) -> ParseError {
    let valid = simdutf8::compat::from_utf8(octets).map_or_else(|error| error.valid_up_to(), str::len);
    ParseError::new(offset + valid, ParseErrorKind::Utf8)
}

/// The text in octets that were accepted before; empty, never a panic, if they were not.
#[inline]
pub(crate) fn checked(octets: &[u8]) -> &str {
    check(octets, 0).unwrap_or_default()
}
