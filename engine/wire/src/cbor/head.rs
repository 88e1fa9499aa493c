//! The first octets of a CBOR data item: major type and argument.

use std::borrow::Cow;

use crate::{ParseError, ParseErrorKind};

/// What begins at a position. Lengths are as declared; nothing says that so much follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    Uint(u64),
    /// The integer -1 - n.
    Negative(u64),
    /// `None` for a string in chunks.
    Bytes(Option<u64>),
    Text(Option<u64>),
    /// `None` for a list or dict that a break ends.
    List(Option<u64>),
    Dict(Option<u64>),
    Tag(u64),
    Bool(bool),
    Null,
    Undefined,
    /// A simple value that no standard assigns.
    Simple(u8),
    /// A float of 16 or 32 bits.
    F32(f32),
    F64(f64),
    Break,
}

/// Additional information that announces an indefinite length.
const INDEFINITE: u8 = 31;

/// Reads the head at `at`, which moves past it.
#[inline(always)] // What was read is then matched on, at once and without memory between.
pub(super) fn read(octets: &[u8], at: &mut usize) -> Result<Head, ParseError> {
    let Some(&initial) = octets.get(*at) else {
        return Err(ParseError::new(*at, ParseErrorKind::Truncated));
    };
    let start = *at;
    *at += 1;
    let (major, info) = (initial >> 5, initial & 0x1f);
    if major == 7 {
        return simple_or_float(info, octets, at);
    }
    let argument = match info {
        0..=23 => u64::from(info),
        24 => u64::from(u8::from_be_bytes(take(octets, at)?)),
        25 => u64::from(u16::from_be_bytes(take(octets, at)?)),
        26 => u64::from(u32::from_be_bytes(take(octets, at)?)),
        27 => u64::from_be_bytes(take(octets, at)?),
        INDEFINITE if matches!(major, 2..=5) => {
            return Ok(match major {
                2 => Head::Bytes(None),
                3 => Head::Text(None),
                4 => Head::List(None),
                _ => Head::Dict(None),
            });
        }
        _ => return Err(ParseError::new(start, ParseErrorKind::Syntax("reserved additional information"))),
    };
    Ok(match major {
        0 => Head::Uint(argument),
        1 => Head::Negative(argument),
        2 => Head::Bytes(Some(argument)),
        3 => Head::Text(Some(argument)),
        4 => Head::List(Some(argument)),
        5 => Head::Dict(Some(argument)),
        _ => Head::Tag(argument),
    })
}

fn simple_or_float(info: u8, octets: &[u8], at: &mut usize) -> Result<Head, ParseError> {
    let start = *at - 1;
    Ok(match info {
        20 => Head::Bool(false),
        21 => Head::Bool(true),
        22 => Head::Null,
        23 => Head::Undefined,
        24 => match u8::from_be_bytes(take(octets, at)?) {
            0..32 => {
                let kind = ParseErrorKind::Syntax("simple value below 32 in two octets");
                return Err(ParseError::new(start, kind));
            }
            value => Head::Simple(value),
        },
        25 => Head::F32(half(u16::from_be_bytes(take(octets, at)?))),
        26 => Head::F32(f32::from_be_bytes(take(octets, at)?)),
        27 => Head::F64(f64::from_be_bytes(take(octets, at)?)),
        INDEFINITE => Head::Break,
        28..=30 => {
            return Err(ParseError::new(start, ParseErrorKind::Syntax("reserved additional information")));
        }
        value => Head::Simple(value),
    })
}

/// A float of 16 bits, exactly: put together from its bits, because powers of floats need not be exact.
fn half(bits: u16) -> f32 {
    const TWO_TO_MINUS_24: f32 = f32::from_bits((127 - 24) << 23);
    let (exponent, mantissa) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => mantissa as f32 * TWO_TO_MINUS_24,
        31 if mantissa == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => f32::from_bits((exponent + 127 - 15) << 23 | mantissa << 13),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// The `length` octets at `at`, which moves past them.
#[inline]
pub(super) fn content<'a>(octets: &'a [u8], at: &mut usize, length: u64) -> Result<&'a [u8], ParseError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    match octets.get(*at..).and_then(|rest| rest.get(..length)) {
        Some(content) => {
            *at += length;
            Ok(content)
        }
        None => Err(ParseError::new(octets.len(), ParseErrorKind::Truncated)),
    }
}

/// The octets of a string whose head, [`Head::Bytes`] or [`Head::Text`] with `length`, has been read. What
/// comes in chunks is put together.
#[inline]
pub(super) fn string<'a>(
    octets: &'a [u8],
    at: &mut usize,
    length: Option<u64>,
) -> Result<Cow<'a, [u8]>, ParseError> {
    if let Some(length) = length {
        return content(octets, at, length).map(Cow::Borrowed);
    }
    let mut whole = Vec::new();
    loop {
        match read(octets, at)? {
            Head::Bytes(Some(length)) | Head::Text(Some(length)) => {
                whole.extend_from_slice(content(octets, at, length)?);
            }
            _ => return Ok(Cow::Owned(whole)),
        }
    }
}

/// Passes over the chunks of a string up to and with the break.
pub(super) fn skip_chunks(octets: &[u8], at: &mut usize) -> Result<(), ParseError> {
    while let Head::Bytes(Some(length)) | Head::Text(Some(length)) = read(octets, at)? {
        content(octets, at, length)?;
    }
    Ok(())
}

#[inline]
fn take<const N: usize>(octets: &[u8], at: &mut usize) -> Result<[u8; N], ParseError> {
    match octets.get(*at..).and_then(|rest| rest.first_chunk::<N>()) {
        Some(chunk) => {
            *at += N;
            Ok(*chunk)
        }
        None => Err(ParseError::new(octets.len(), ParseErrorKind::Truncated)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::half;

    #[test]
    fn every_half_is_what_another_library_reads() {
        for bits in (0..=u16::MAX).step_by(if cfg!(miri) { 1021 } else { 1 }) {
            let [high, low] = bits.to_be_bytes();
            let expected = minicbor::Decoder::new(&[0xf9, high, low]).f16().unwrap();
            let found = half(bits);
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{bits:04x}"
            );
        }
    }
}
