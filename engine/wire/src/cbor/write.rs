//! CBOR, definite lengths, each head in its smallest form. Floats keep their width.

use super::tag;
use crate::{EncodeError, Serializer, bignum, writer::Writer};

/// Writes CBOR.
pub(crate) struct CborWriter;

/// Appends the head of a data item: the major type in the upper three bits of `major`, and the argument.
#[inline]
pub(super) fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    match argument {
        0..=23 => out.push(major | argument as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, argument as u8]),
        0x100..=0xffff => {
            let [a, b] = (argument as u16).to_be_bytes();
            out.extend_from_slice(&[major | 25, a, b]);
        }
        0x1_0000..=0xffff_ffff => {
            let [a, b, c, d] = (argument as u32).to_be_bytes();
            out.extend_from_slice(&[major | 26, a, b, c, d]);
        }
        _ => {
            let [a, b, c, d, e, f, g, h] = argument.to_be_bytes();
            out.extend_from_slice(&[major | 27, a, b, c, d, e, f, g, h]);
        }
    }
}

const UINT: u8 = 0 << 5;
const NEGATIVE: u8 = 1 << 5;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const LIST: u8 = 4 << 5;
const DICT: u8 = 5 << 5;
pub(super) const TAG: u8 = 6 << 5;

impl Writer for CborWriter {
    const SERIALIZER: Serializer = Serializer::Cbor;

    #[inline]
    fn begin_message(out: &mut Vec<u8>, count: usize, code: u16) {
        head(out, LIST, count as u64);
        head(out, UINT, u64::from(code));
    }
    #[inline]
    fn begin_list(out: &mut Vec<u8>, count: usize) -> Result<(), EncodeError> {
        head(out, LIST, count as u64);
        Ok(())
    }
    #[inline]
    fn end_list(_out: &mut Vec<u8>) {}
    #[inline]
    fn begin_dict(out: &mut Vec<u8>, count: usize) -> Result<(), EncodeError> {
        head(out, DICT, count as u64);
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
        out.push(0xf6);
    }
    #[inline]
    fn bool(out: &mut Vec<u8>, value: bool) {
        out.push(0xf4 | u8::from(value));
    }
    #[inline]
    fn uint(out: &mut Vec<u8>, value: u64) {
        head(out, UINT, value);
    }
    #[inline]
    fn int(out: &mut Vec<u8>, value: i64) {
        if value < 0 { head(out, NEGATIVE, !value as u64) } else { head(out, UINT, value as u64) }
    }
    fn bignum(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) -> Result<(), EncodeError> {
        if let Some(magnitude) = bignum::fitting(magnitude) {
            head(out, if negative { NEGATIVE } else { UINT }, magnitude);
            return Ok(());
        }
        head(out, TAG, if negative { tag::BIGNUM_NEGATIVE } else { tag::BIGNUM });
        Self::bytes(out, magnitude)
    }
    fn f32(out: &mut Vec<u8>, value: f32) -> Result<(), EncodeError> {
        let [a, b, c, d] = value.to_be_bytes();
        out.extend_from_slice(&[0xfa, a, b, c, d]);
        Ok(())
    }
    fn f64(out: &mut Vec<u8>, value: f64) -> Result<(), EncodeError> {
        let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
        out.extend_from_slice(&[0xfb, a, b, c, d, e, f, g, h]);
        Ok(())
    }
    #[inline]
    fn string(out: &mut Vec<u8>, text: &[u8]) -> Result<(), EncodeError> {
        head(out, TEXT, text.len() as u64);
        out.extend_from_slice(text);
        Ok(())
    }
    fn bytes(out: &mut Vec<u8>, octets: &[u8]) -> Result<(), EncodeError> {
        head(out, BYTES, octets.len() as u64);
        out.extend_from_slice(octets);
        Ok(())
    }
}
