//! MessagePack, each value in its smallest form.

use rmp::encode;

use crate::{EncodeError, Serializer, writer::Writer};

/// Writes MessagePack.
pub(crate) struct MsgPackWriter;

const TOO_LONG: EncodeError = EncodeError("MessagePack lengths are below 2^32");

/// A write into memory, which cannot fail.
#[inline]
fn written<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok(), "a vector takes every octet");
}

#[inline]
fn length(length: usize) -> Result<u32, EncodeError> {
    u32::try_from(length).map_err(|_| TOO_LONG)
}

impl Writer for MsgPackWriter {
    const SERIALIZER: Serializer = Serializer::MsgPack;

    #[inline]
    fn begin_message(out: &mut Vec<u8>, count: usize, code: u16) {
        written(encode::write_array_len(out, count as u32));
        Self::uint(out, u64::from(code));
    }
    #[inline]
    fn begin_list(out: &mut Vec<u8>, count: usize) -> Result<(), EncodeError> {
        written(encode::write_array_len(out, length(count)?));
        Ok(())
    }
    #[inline]
    fn end_list(_out: &mut Vec<u8>) {}
    #[inline]
    fn begin_dict(out: &mut Vec<u8>, count: usize) -> Result<(), EncodeError> {
        written(encode::write_map_len(out, length(count)?));
        Ok(())
    }
    #[inline]
    fn end_dict(_out: &mut Vec<u8>) {}
    #[inline]
    fn separator(_out: &mut Vec<u8>) {}
    #[inline]
    fn key(out: &mut Vec<u8>, key: &[u8]) -> Result<(), EncodeError> {
        Self::string(out, key)
    }
    #[inline]
    fn null(out: &mut Vec<u8>) {
        written(encode::write_nil(out));
    }
    #[inline]
    fn bool(out: &mut Vec<u8>, value: bool) {
        written(encode::write_bool(out, value));
    }
    #[inline]
    fn uint(out: &mut Vec<u8>, value: u64) {
        written(encode::write_uint(out, value));
    }
    #[inline]
    fn int(out: &mut Vec<u8>, value: i64) {
        written(encode::write_sint(out, value));
    }
    fn bignum(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) -> Result<(), EncodeError> {
        const BEYOND: EncodeError = EncodeError("MessagePack has no integers beyond 64 bits");
        let magnitude = crate::bignum::fitting(magnitude).ok_or(BEYOND)?;
        match (negative, i64::try_from(magnitude)) {
            (false, _) => Self::uint(out, magnitude),
            (true, Ok(magnitude)) => Self::int(out, -1 - magnitude),
            (true, Err(_)) => return Err(BEYOND),
        }
        Ok(())
    }
    fn f32(out: &mut Vec<u8>, value: f32) -> Result<(), EncodeError> {
        written(encode::write_f32(out, value));
        Ok(())
    }
    fn f64(out: &mut Vec<u8>, value: f64) -> Result<(), EncodeError> {
        written(encode::write_f64(out, value));
        Ok(())
    }
    #[inline]
    fn string(out: &mut Vec<u8>, text: &[u8]) -> Result<(), EncodeError> {
        written(encode::write_str_len(out, length(text.len())?));
        out.extend_from_slice(text);
        Ok(())
    }
    fn bytes(out: &mut Vec<u8>, octets: &[u8]) -> Result<(), EncodeError> {
        written(encode::write_bin_len(out, length(octets.len())?));
        out.extend_from_slice(octets);
        Ok(())
    }
}
