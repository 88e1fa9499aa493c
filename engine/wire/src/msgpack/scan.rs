//! The validating skipper: walks MessagePack without decoding, allocating or recursing.

use super::head::{self, Head};
use crate::{
    DEPTH_MAX, ParseError, ParseErrorKind,
    nesting::{Frame, FrameKind, Frames},
    utf8,
};

/// What not every decoder reads, as far as it has been passed over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Oddities {
    /// An undefined.
    pub(super) undefined: bool,
    /// An extension type of an application's own.
    pub(super) extension: bool,
}

/// Passes over the value at `at`, which `depth` lists and dicts contain, and validates it. Takes note of oddities.
pub(super) fn skip_value(
    octets: &[u8],
    at: &mut usize,
    depth: usize,
    oddities: &mut Oddities,
) -> Result<(), ParseError> {
    let mut position = *at;
    let mut open = Frames::new();
    let mut frame = Frame::WRAPPER;
    loop {
        while frame.is_done() {
            match open.pop() {
                Some(outer) => frame = outer,
                None => {
                    *at = position;
                    return Ok(());
                }
            }
        }
        if frame.take().key {
            position = skip_key(octets, position)?;
            continue;
        }
        let start = position;
        let marker = octets.get(position).copied().unwrap_or(RESERVED);
        position = match marker {
            // Integers of one octet, nil, booleans.
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => position + 1,
            // Strings of up to 31 octets.
            0xa0..=0xbf => skip_text(octets, position + 1, usize::from(marker & 0x1f))?,
            // Numbers of fixed width. What ends too soon is found by whatever comes next.
            0xca..=0xd3 => position + NUMBER_OCTETS[usize::from(marker - 0xca)],
            _ => {
                let mut inside = position;
                if let Some(inner) = enter(octets, &mut inside, oddities)? {
                    // The wrapper in `open` stands for no level of its own.
                    if depth + open.len() >= DEPTH_MAX {
                        return Err(ParseError::new(start, ParseErrorKind::Depth));
                    }
                    open.push(frame);
                    frame = inner;
                }
                inside
            }
        };
        if position > octets.len() {
            return Err(ParseError::new(octets.len(), ParseErrorKind::Truncated));
        }
    }
}

/// The octet that begins no value.
const RESERVED: u8 = 0xc1;

/// Octets of a number with its marker, for the markers from 0xca: floats, then integers.
const NUMBER_OCTETS: [usize; 10] = [5, 9, 2, 3, 5, 9, 2, 3, 5, 9];

/// Passes over a long string, octets or an extension, or over the head of a list or dict, which is returned.
fn enter(octets: &[u8], at: &mut usize, oddities: &mut Oddities) -> Result<Option<Frame>, ParseError> {
    let start = *at;
    let inner = match head::read(octets, at)? {
        Head::Str(length) => {
            *at = skip_text(octets, *at, length)?;
            return Ok(None);
        }
        Head::Bin(length) => {
            head::content(octets, at, length)?;
            return Ok(None);
        }
        Head::Ext { kind, length } => {
            let content = head::content(octets, at, length)?;
            if !head::is_safe_extension(kind, content) {
                return Err(ParseError::new(start, ParseErrorKind::Extension));
            }
            oddities.undefined |= head::is_undefined(kind, content);
            oddities.extension |= head::is_of_an_application(kind, content);
            return Ok(None);
        }
        Head::List(count) => Frame::list(u64::from(count)),
        Head::Dict(count) => Frame::dict(u64::from(count)),
        _ => return Ok(None),
    };
    fits(octets, *at, &inner)?;
    Ok(Some(inner))
}

/// The position after the key at `at`.
#[inline]
fn skip_key(octets: &[u8], at: usize) -> Result<usize, ParseError> {
    if let Some(marker @ 0xa0..=0xbf) = octets.get(at) {
        return skip_text(octets, at + 1, usize::from(marker & 0x1f));
    }
    let mut inside = at;
    match head::read(octets, &mut inside)? {
        Head::Str(length) => skip_text(octets, inside, length),
        _ => Err(ParseError::new(at, ParseErrorKind::Key)),
    }
}

/// The position after the `length` octets of text at `at`.
#[inline]
fn skip_text(octets: &[u8], at: usize, length: usize) -> Result<usize, ParseError> {
    let mut end = at;
    utf8::validate(head::content(octets, &mut end, length)?, at)?;
    Ok(end)
}

/// Refuses a list or dict that claims more values than there are octets left.
#[inline]
fn fits(octets: &[u8], at: usize, inner: &Frame) -> Result<(), ParseError> {
    debug_assert!(inner.kind != FrameKind::Wrapper);
    if inner.left() > (octets.len() - at) as u64 {
        return Err(ParseError::new(octets.len(), ParseErrorKind::Truncated));
    }
    Ok(())
}
