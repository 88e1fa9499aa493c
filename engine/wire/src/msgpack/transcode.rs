//! From validated MessagePack to what another writer writes (or to MessagePack without undefined), in one pass over the octets.

use super::head::{self, Head};
use crate::{
    EncodeError, Serializer,
    nesting::{Frame, FrameKind, Frames},
    writer::Writer,
};

/// Octets that validation would have refused: none that a message holds.
const INVALID: EncodeError = EncodeError("malformed MessagePack");

/// Appends the value that `octets` are.
pub(crate) fn transcode<W: Writer>(octets: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut at = 0;
    let mut open = Frames::new();
    let mut frame = Frame::WRAPPER;
    loop {
        while frame.is_done() {
            match frame.kind {
                FrameKind::List => W::end_list(out),
                FrameKind::Dict => W::end_dict(out),
                FrameKind::Wrapper => return Ok(()),
            }
            frame = open.pop().ok_or(INVALID)?;
        }
        let step = frame.take();
        if !step.first && (step.key || frame.kind == FrameKind::List) {
            W::separator(out);
        }
        if step.key {
            let Head::Str(length) = head::read(octets, &mut at)? else { return Err(INVALID) };
            W::key(out, head::content(octets, &mut at, length)?)?;
            continue;
        }
        let start = at;
        let inner = match head::read(octets, &mut at)? {
            Head::List(count) => {
                W::begin_list(out, count as usize)?;
                Frame::list(u64::from(count))
            }
            Head::Dict(count) => {
                W::begin_dict(out, count as usize)?;
                Frame::dict(u64::from(count))
            }
            scalar => {
                write_scalar::<W>(scalar, octets, start, &mut at, out)?;
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
    start: usize,
    at: &mut usize,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match scalar {
        Head::Nil => W::null(out),
        Head::Bool(value) => W::bool(out, value),
        Head::Uint(value) => W::uint(out, value),
        Head::Int(value) => W::int(out, value),
        Head::F32(value) => W::f32(out, value)?,
        Head::F64(value) => W::f64(out, value)?,
        Head::Str(length) => W::string(out, head::content(octets, at, length)?)?,
        Head::Bin(length) => W::bytes(out, head::content(octets, at, length)?)?,
        Head::Ext { kind, length } => {
            if head::is_undefined(kind, head::content(octets, at, length)?) {
                W::null(out);
            } else if W::SERIALIZER == Serializer::MsgPack {
                out.extend_from_slice(octets.get(start..*at).ok_or(INVALID)?);
            } else {
                return Err(EncodeError("extension types exist in MessagePack only"));
            }
        }
        Head::List(_) | Head::Dict(_) => return Err(INVALID),
    }
    Ok(())
}
