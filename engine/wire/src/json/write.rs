//! Compact JSON.

use base64::Engine as _;

use super::special::find_special;
use crate::{EncodeError, Serializer, bignum, writer::Writer};

/// Writes JSON.
pub(crate) struct JsonWriter;

impl Writer for JsonWriter {
    const SERIALIZER: Serializer = Serializer::Json;

    #[inline]
    fn begin_message(out: &mut Vec<u8>, _count: usize, code: u16) {
        out.push(b'[');
        Self::uint(out, u64::from(code));
    }
    #[inline]
    fn begin_list(out: &mut Vec<u8>, _count: usize) -> Result<(), EncodeError> {
        out.push(b'[');
        Ok(())
    }
    #[inline]
    fn end_list(out: &mut Vec<u8>) {
        out.push(b']');
    }
    #[inline]
    fn begin_dict(out: &mut Vec<u8>, _count: usize) -> Result<(), EncodeError> {
        out.push(b'{');
        Ok(())
    }
    #[inline]
    fn end_dict(out: &mut Vec<u8>) {
        out.push(b'}');
    }
    #[inline]
    fn separator(out: &mut Vec<u8>) {
        out.push(b',');
    }
    #[inline]
    fn key(out: &mut Vec<u8>, key: &[u8]) -> Result<(), EncodeError> {
        Self::string(out, key)?;
        out.push(b':');
        Ok(())
    }
    #[inline]
    fn null(out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }
    #[inline]
    fn bool(out: &mut Vec<u8>, value: bool) {
        out.extend_from_slice(if value { b"true" } else { b"false" });
    }
    #[inline]
    fn uint(out: &mut Vec<u8>, value: u64) {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    #[inline]
    fn int(out: &mut Vec<u8>, value: i64) {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    fn bignum(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) -> Result<(), EncodeError> {
        bignum::write_decimal(out, negative, magnitude)
    }
    fn f32(out: &mut Vec<u8>, value: f32) -> Result<(), EncodeError> {
        Self::f64(out, f64::from(value))
    }
    fn f64(out: &mut Vec<u8>, value: f64) -> Result<(), EncodeError> {
        if !value.is_finite() {
            return Err(EncodeError("JSON has no NaN and no infinities"));
        }
        // The shortest digits that read back as the same value, always with a fraction or an exponent.
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
        Ok(())
    }
    #[inline]
    fn string(out: &mut Vec<u8>, text: &[u8]) -> Result<(), EncodeError> {
        if text.first() == Some(&0) && base64::engine::general_purpose::STANDARD.decode(&text[1..]).is_err() {
            return Err(EncodeError("text that begins with U+0000 means octets in JSON"));
        }
        out.reserve(text.len() + 2);
        out.push(b'"');
        let mut start = 0;
        loop {
            let at = find_special(text, start);
            out.extend_from_slice(&text[start..at]);
            let Some(&special) = text.get(at) else { break };
            escape(out, special);
            start = at + 1;
        }
        out.push(b'"');
        Ok(())
    }
    fn bytes(out: &mut Vec<u8>, octets: &[u8]) -> Result<(), EncodeError> {
        const PREFIX: &[u8] = b"\"\\u0000";
        out.extend_from_slice(PREFIX);
        let start = out.len();
        let length = octets.len().div_ceil(3) * 4;
        out.resize(start + length, 0);
        let written = base64::engine::general_purpose::STANDARD
            .encode_slice(octets, &mut out[start..])
            .expect("invariant: base64 writes four octets for each three, and there is room for them");
        debug_assert_eq!(written, length);
        out.push(b'"');
        Ok(())
    }
}

#[cold]
fn escape(out: &mut Vec<u8>, special: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match special {
        b'"' | b'\\' => special,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(special >> 4)], HEX[usize::from(special & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
