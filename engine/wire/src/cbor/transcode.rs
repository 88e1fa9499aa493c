//! From validated CBOR to what a writer writes, in one pass over the octets; a second pass counts where
//! the sender did not and the writer must.
//!
//! Tags: integers of tag 2 and 3 become integers where they fit; date texts (0), URIs (32), times (1) and
//! self-described values (55799) become their content, octet arrays (64, 68) octets. Other tags exist in
//! CBOR only.

use std::collections::VecDeque;

use super::{
    head::{self, Head},
    tag::{self, Content},
    write,
};
use crate::{
    EncodeError, Serializer,
    nesting::{Frame, FrameKind, Frames},
    writer::Writer,
};

/// Octets that validation would have refused: none that a message holds.
const INVALID: EncodeError = EncodeError("malformed CBOR");

/// Appends the value that `octets` are.
pub(crate) fn transcode<W: Writer>(octets: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut at = 0;
    let mut counts = Counts::default();
    let mut open = Frames::new();
    let mut frame = Frame::WRAPPER;
    loop {
        while frame.is_done() || (frame.may_break() && take_break(octets, &mut at)) {
            match frame.kind {
                FrameKind::List => W::end_list(out),
                FrameKind::Dict => W::end_dict(out),
                FrameKind::Wrapper => {}
            }
            match open.pop() {
                Some(outer) => frame = outer,
                None => return Ok(()),
            }
        }
        let step = frame.take();
        if !step.first && (step.key || frame.kind == FrameKind::List) {
            W::separator(out);
        }
        let start = at;
        let head = head::read(octets, &mut at)?;
        if step.key {
            let Head::Text(length) = head else { return Err(INVALID) };
            W::key(out, &head::string(octets, &mut at, length)?)?;
            continue;
        }
        let inner = match head {
            Head::List(Some(count)) => {
                W::begin_list(out, usize::try_from(count).map_err(|_| INVALID)?)?;
                Frame::list(count)
            }
            Head::Dict(Some(count)) => {
                W::begin_dict(out, usize::try_from(count).map_err(|_| INVALID)?)?;
                Frame::dict(count)
            }
            Head::List(None) => {
                W::begin_list(out, counts.next::<W>(octets, start)?)?;
                Frame::until_break(FrameKind::List)
            }
            Head::Dict(None) => {
                W::begin_dict(out, counts.next::<W>(octets, start)?)?;
                Frame::until_break(FrameKind::Dict)
            }
            Head::Tag(number) => match tagged::<W>(number, octets, start, &mut at, out)? {
                true => continue,
                false => Frame::WRAPPER,
            },
            scalar => {
                write_scalar::<W>(scalar, octets, &mut at, out)?;
                continue;
            }
        };
        open.push(frame);
        frame = inner;
    }
}

#[inline]
fn write_scalar<W: Writer>(
    scalar: Head,
    octets: &[u8],
    at: &mut usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match scalar {
        Head::Uint(value) => W::uint(out, value),
        Head::Negative(n) => match i64::try_from(n) {
            Ok(n) => W::int(out, -1 - n),
            Err(_) => W::bignum(out, true, &n.to_be_bytes())?,
        },
        Head::Bool(value) => W::bool(out, value),
        Head::Null | Head::Undefined => W::null(out),
        Head::F32(value) => W::f32(out, value)?,
        Head::F64(value) => W::f64(out, value)?,
        Head::Text(length) => W::string(out, &head::string(octets, at, length)?)?,
        Head::Bytes(length) => W::bytes(out, &head::string(octets, at, length)?)?,
        _ => return Err(INVALID),
    }
    Ok(())
}

/// Writes what a tag, whose head has been read, and its content stand for. False if only the tag is done
/// with and its content is to be written as any value.
fn tagged<W: Writer>(
    number: u64,
    octets: &[u8],
    start: usize,
    at: &mut usize,
    out: &mut Vec<u8>,
) -> Result<bool, EncodeError> {
    if W::SERIALIZER == Serializer::Cbor {
        let content = Content::of(number);
        if content == Content::Any {
            write::head(out, write::TAG, number);
            return Ok(false);
        }
        if content == Content::Epoch && !content.is_verbatim(octets.get(*at)) {
            write::head(out, write::TAG, number);
            wide_epoch::<W>(octets, at, out)?;
            return Ok(true);
        }
        content.check(octets, at)?;
        out.extend_from_slice(octets.get(start..*at).ok_or(INVALID)?);
        return Ok(true);
    }
    match number {
        tag::DATE_TIME | tag::EPOCH | tag::URI | tag::UINT8_ARRAY | tag::UINT8_CLAMPED_ARRAY => Ok(false),
        tag::SELF_DESCRIBED => Ok(false),
        tag::BIGNUM | tag::BIGNUM_NEGATIVE => {
            let Head::Bytes(length) = head::read(octets, at)? else { return Err(INVALID) };
            let magnitude = head::string(octets, at, length)?;
            W::bignum(out, number == tag::BIGNUM_NEGATIVE, &magnitude)?;
            Ok(true)
        }
        _ => Err(EncodeError("this CBOR tag has no equivalent")),
    }
}

/// Writes the seconds that an integer of eight octets counts, without such an integer. Their range is one that
/// floats express exactly.
fn wide_epoch<W: Writer>(octets: &[u8], at: &mut usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match head::read(octets, at)? {
        Head::Uint(n) if n > u64::from(u32::MAX) => W::f64(out, n as f64),
        Head::Negative(n) if n > u64::from(u32::MAX) => W::f64(out, -1.0 - n as f64),
        scalar => write_scalar::<W>(scalar, octets, at, out),
    }
}

fn take_break(octets: &[u8], at: &mut usize) -> bool {
    let found = octets.get(*at) == Some(&0xff);
    *at += usize::from(found);
    found
}

/// How many values the lists and dicts without a count hold, in the order in which they begin.
#[derive(Default)]
struct Counts(VecDeque<usize>);

impl Counts {
    /// The count of the list or dict at `start`. One pass counts it and all that it contains, so that no
    /// octet is counted twice.
    fn next<W: Writer>(&mut self, octets: &[u8], start: usize) -> Result<usize, EncodeError> {
        if W::SERIALIZER == Serializer::Json {
            return Ok(0);
        }
        if self.0.is_empty() {
            self.count(octets, start)?;
        }
        self.0.pop_front().ok_or(INVALID)
    }

    fn count(&mut self, octets: &[u8], start: usize) -> Result<(), EncodeError> {
        let mut at = start;
        // With each open frame, where its count is kept.
        let mut open = Vec::new();
        let (mut frame, mut slot) = (Frame::WRAPPER, usize::MAX);
        loop {
            while frame.is_done() || (frame.may_break() && take_break(octets, &mut at)) {
                match open.pop() {
                    Some(outer) => (frame, slot) = outer,
                    None => return Ok(()),
                }
            }
            let step = frame.take();
            if let Some(count) = self.0.get_mut(slot) {
                // An entry counts with its key.
                *count += usize::from(step.key || frame.kind == FrameKind::List);
            }
            let inner = match head::read(octets, &mut at)? {
                Head::List(Some(count)) => (Frame::list(count), usize::MAX),
                Head::Dict(Some(count)) => (Frame::dict(count), usize::MAX),
                Head::List(None) => (Frame::until_break(FrameKind::List), self.new_slot()),
                Head::Dict(None) => (Frame::until_break(FrameKind::Dict), self.new_slot()),
                Head::Tag(_) => (Frame::WRAPPER, usize::MAX),
                Head::Text(Some(length)) | Head::Bytes(Some(length)) => {
                    head::content(octets, &mut at, length)?;
                    continue;
                }
                Head::Text(None) | Head::Bytes(None) => {
                    head::skip_chunks(octets, &mut at)?;
                    continue;
                }
                _ => continue,
            };
            open.push((frame, slot));
            (frame, slot) = inner;
        }
    }

    fn new_slot(&mut self) -> usize {
        self.0.push_back(0);
        self.0.len() - 1
    }
}
