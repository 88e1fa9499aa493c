//! The first octets of a MessagePack value: its type and its number or length.

use crate::{ParseError, ParseErrorKind};

/// What begins at a position. Lengths are as declared; nothing says that so much follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    Nil,
    Bool(bool),
    Uint(u64),
    /// Negative.
    Int(i64),
    F32(f32),
    F64(f64),
    Str(usize),
    Bin(usize),
    List(u32),
    Dict(u32),
    Ext {
        kind: i8,
        length: usize,
    },
}

/// Extension type of a timestamp.
const TIMESTAMP: i8 = -1;
/// The extension type and octet that stand for JavaScript's undefined.
const UNDEFINED: i8 = 0;
/// Extension types that the decoder of deployed JavaScript clients (msgpackr) does not take as opaque:
/// they define record structures that outlive the message, or take the values that follow as their own.
const STATEFUL: [i8; 7] =
    [b'b' as i8, b'e' as i8, b'i' as i8, b'p' as i8, b'r' as i8, b's' as i8, b'x' as i8];

/// Reads the head at `at`, which moves past it.
#[inline(always)] // What was read is then matched on, at once and without memory between.
pub(super) fn read(octets: &[u8], at: &mut usize) -> Result<Head, ParseError> {
    let Some(&marker) = octets.get(*at) else {
        return Err(ParseError::new(*at, ParseErrorKind::Truncated));
    };
    let start = *at;
    *at += 1;
    Ok(match marker {
        0x00..=0x7f => Head::Uint(u64::from(marker)),
        0x80..=0x8f => Head::Dict(u32::from(marker & 0x0f)),
        0x90..=0x9f => Head::List(u32::from(marker & 0x0f)),
        0xa0..=0xbf => Head::Str(usize::from(marker & 0x1f)),
        0xc0 => Head::Nil,
        0xc1 => return Err(ParseError::new(start, ParseErrorKind::Syntax("reserved octet 0xc1"))),
        0xc2 => Head::Bool(false),
        0xc3 => Head::Bool(true),
        0xc4 => Head::Bin(usize::from(u8::from_be_bytes(take(octets, at)?))),
        0xc5 => Head::Bin(usize::from(u16::from_be_bytes(take(octets, at)?))),
        0xc6 => Head::Bin(u32::from_be_bytes(take(octets, at)?) as usize),
        0xc7 => extension(usize::from(u8::from_be_bytes(take(octets, at)?)), octets, at)?,
        0xc8 => extension(usize::from(u16::from_be_bytes(take(octets, at)?)), octets, at)?,
        0xc9 => extension(u32::from_be_bytes(take(octets, at)?) as usize, octets, at)?,
        0xca => Head::F32(f32::from_be_bytes(take(octets, at)?)),
        0xcb => Head::F64(f64::from_be_bytes(take(octets, at)?)),
        0xcc => Head::Uint(u64::from(u8::from_be_bytes(take(octets, at)?))),
        0xcd => Head::Uint(u64::from(u16::from_be_bytes(take(octets, at)?))),
        0xce => Head::Uint(u64::from(u32::from_be_bytes(take(octets, at)?))),
        0xcf => Head::Uint(u64::from_be_bytes(take(octets, at)?)),
        0xd0 => signed(i64::from(i8::from_be_bytes(take(octets, at)?))),
        0xd1 => signed(i64::from(i16::from_be_bytes(take(octets, at)?))),
        0xd2 => signed(i64::from(i32::from_be_bytes(take(octets, at)?))),
        0xd3 => signed(i64::from_be_bytes(take(octets, at)?)),
        0xd4..=0xd8 => extension(1 << (marker - 0xd4), octets, at)?,
        0xd9 => Head::Str(usize::from(u8::from_be_bytes(take(octets, at)?))),
        0xda => Head::Str(usize::from(u16::from_be_bytes(take(octets, at)?))),
        0xdb => Head::Str(u32::from_be_bytes(take(octets, at)?) as usize),
        0xdc => Head::List(u32::from(u16::from_be_bytes(take(octets, at)?))),
        0xdd => Head::List(u32::from_be_bytes(take(octets, at)?)),
        0xde => Head::Dict(u32::from(u16::from_be_bytes(take(octets, at)?))),
        0xdf => Head::Dict(u32::from_be_bytes(take(octets, at)?)),
        0xe0..=0xff => Head::Int(i64::from(marker as i8)),
    })
}

/// The `length` octets at `at`, which moves past them.
#[inline]
pub(super) fn content<'a>(octets: &'a [u8], at: &mut usize, length: usize) -> Result<&'a [u8], ParseError> {
    match octets.get(*at..).and_then(|rest| rest.get(..length)) {
        Some(content) => {
            *at += length;
            Ok(content)
        }
        None => Err(ParseError::new(octets.len(), ParseErrorKind::Truncated)),
    }
}

/// Whether the extension type is how JavaScript encoders write undefined.
pub(super) fn is_undefined(kind: i8, content: &[u8]) -> bool {
    kind == UNDEFINED && content == [0]
}

/// Whether an extension type means something to an application alone.
pub(super) fn is_of_an_application(kind: i8, content: &[u8]) -> bool {
    kind != TIMESTAMP && !is_undefined(kind, content)
}

/// Whether an extension type may go to clients that read MessagePack.
pub(super) fn is_safe_extension(kind: i8, content: &[u8]) -> bool {
    if kind != TIMESTAMP {
        return !STATEFUL.contains(&kind);
    }
    let nanoseconds = match *content {
        [_, _, _, _] => 0,
        [a, b, c, d, _, _, _, _] => u32::from_be_bytes([a, b, c, d]) >> 2,
        [a, b, c, d, _, _, _, _, _, _, _, _] => u32::from_be_bytes([a, b, c, d]),
        _ => return false,
    };
    nanoseconds < 1_000_000_000
}

#[inline]
fn signed(value: i64) -> Head {
    u64::try_from(value).map_or(Head::Int(value), Head::Uint)
}

#[inline]
fn extension(length: usize, octets: &[u8], at: &mut usize) -> Result<Head, ParseError> {
    let kind = i8::from_be_bytes(take(octets, at)?);
    Ok(Head::Ext { kind, length })
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
