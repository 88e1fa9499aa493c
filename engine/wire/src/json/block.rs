//! Sixteen octets at once, by the vector instructions that the processor is sure to have.
//!
//! The only file of the crate with `unsafe`: calling a function that names its processor features takes it.

#![allow(unsafe_code)]

/// The octets of a block that are a quote, a backslash or a control character, as one bit each.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn special_in_block(block: &[u8; 16]) -> u32 {
    // SAFETY: SSE2 is part of every x86-64 processor, and nothing else is required of the caller.
    unsafe { special_in_block_sse2(block) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn special_in_block_sse2(block: &[u8; 16]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let whole = u128::from_le_bytes(*block);
    let octets = _mm_set_epi64x((whole >> 64) as i64, whole as i64);
    let quotes = _mm_cmpeq_epi8(octets, _mm_set1_epi8(b'"' as i8));
    let backslashes = _mm_cmpeq_epi8(octets, _mm_set1_epi8(b'\\' as i8));
    let controls = _mm_cmpeq_epi8(octets, _mm_min_epu8(octets, _mm_set1_epi8(0x1f)));
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), controls)) as u32
}

/// The octets of a block that are a quote, a backslash or a control character, as one bit each.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn special_in_block(block: &[u8; 16]) -> u32 {
    block.iter().rev().fold(0, |bits, octet| bits << 1 | u32::from(super::special::is_special(*octet)))
}
