//! Integers beyond 64 bits between their decimal and their binary form. Quadratic, so bounded.

use crate::EncodeError;

/// The most decimal digits that are written: with more, an integer may not be finite as binary64, and
/// readers that have no other type for it fail.
const DIGITS_MAX: usize = 308;

/// What a limb of a decimal number counts up to: 10^9.
const DECIMAL_BASE: u64 = 1_000_000_000;
const DECIMAL_BASE_DIGITS: usize = 9;

/// The magnitude, most significant octet first, if 64 bits hold it.
pub(crate) fn fitting(magnitude: &[u8]) -> Option<u64> {
    let significant = without_zeros(magnitude);
    if significant.len() > 8 {
        return None;
    }
    Some(significant.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
}

/// Appends the integer of this magnitude, most significant octet first, or -1 minus it, in decimal.
pub(crate) fn write_decimal(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) -> Result<(), EncodeError> {
    const TOO_LONG: EncodeError = EncodeError("JSON integers are kept below 10^308");
    let magnitude = without_zeros(magnitude);
    // 308 digits take 128 octets.
    if magnitude.len() > 128 {
        return Err(TOO_LONG);
    }
    // Limbs of 9 digits, least significant first.
    let mut limbs = vec![0u64];
    for octet in magnitude {
        multiply_add(&mut limbs, 256, u64::from(*octet), DECIMAL_BASE);
    }
    if negative {
        multiply_add(&mut limbs, 1, 1, DECIMAL_BASE);
    }
    let mut digits = String::new();
    for (position, limb) in limbs.iter().rev().enumerate() {
        if position == 0 {
            digits.push_str(&limb.to_string());
        } else {
            digits.push_str(&format!("{limb:0width$}", width = DECIMAL_BASE_DIGITS));
        }
    }
    if digits.len() > DIGITS_MAX {
        return Err(TOO_LONG);
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(digits.as_bytes());
    Ok(())
}

/// The integer of a decimal literal: whether it is negative, and its magnitude, most significant octet
/// first; that of a negative one is less by one, as CBOR has it. The literal is digits after an optional
/// minus, and not negative zero.
pub(crate) fn from_decimal(literal: &[u8]) -> (bool, Vec<u8>) {
    const BASE: u64 = 1 << 32;
    let (negative, digits) = match literal.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, literal),
    };
    let mut limbs = vec![0u64];
    for digit in digits {
        multiply_add(&mut limbs, 10, u64::from(digit - b'0'), BASE);
    }
    if negative {
        for limb in &mut limbs {
            let borrows = *limb == 0;
            *limb = if borrows { BASE - 1 } else { *limb - 1 };
            if !borrows {
                break;
            }
        }
    }
    let octets: Vec<u8> = limbs.iter().rev().flat_map(|limb| (*limb as u32).to_be_bytes()).collect();
    (negative, without_zeros(&octets).to_vec())
}

/// `limbs = limbs * factor + addend`, least significant limb first, each below `base`.
fn multiply_add(limbs: &mut Vec<u64>, factor: u64, addend: u64, base: u64) {
    let mut carry = addend;
    for limb in limbs.iter_mut() {
        let product = *limb * factor + carry;
        *limb = product % base;
        carry = product / base;
    }
    if carry > 0 {
        limbs.push(carry);
    }
}

fn without_zeros(magnitude: &[u8]) -> &[u8] {
    let zeros = magnitude.iter().take_while(|octet| **octet == 0).count();
    &magnitude[zeros..]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn decimal(negative: bool, magnitude: &[u8]) -> String {
        let mut out = Vec::new();
        write_decimal(&mut out, negative, magnitude).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_128_bits_hold_is_written_and_read_as_the_standard_library_does() {
        let edges = [
            0,
            1,
            9,
            10,
            999_999_999,
            1_000_000_000,
            u128::from(u32::MAX),
            1 << 32,
            u128::from(u64::MAX),
            1 << 64,
            10u128.pow(18),
            10u128.pow(27),
            10u128.pow(27) - 1,
            u128::MAX - 1,
        ];
        for value in edges.into_iter().step_by(if cfg!(miri) { 5 } else { 1 }) {
            assert_eq!(decimal(false, &value.to_be_bytes()), value.to_string());
            assert_eq!(decimal(true, &value.to_be_bytes()), format!("-{}", value + 1));
            let (negative, magnitude) = from_decimal(value.to_string().as_bytes());
            assert!(!negative);
            assert_eq!(magnitude, without_zeros(&value.to_be_bytes()));
            let (negative, magnitude) = from_decimal(format!("-{}", value + 1).as_bytes());
            assert!(negative);
            assert_eq!(magnitude, without_zeros(&value.to_be_bytes()));
        }
    }

    #[test]
    fn longer_ones_return_to_what_they_were() {
        // The longest are too much for Miri.
        let lengths: &[usize] = if cfg!(miri) { &[1, 40] } else { &[1, 40, 100, 307, 308] };
        for &digits in lengths {
            let literal: String = (0..digits).map(|n| char::from(b'1' + (n % 9) as u8)).collect();
            for literal in [literal.clone(), format!("-{literal}")] {
                let (negative, magnitude) = from_decimal(literal.as_bytes());
                assert_eq!(decimal(negative, &magnitude), literal);
            }
        }
        let mut out = Vec::new();
        let (_, magnitude) = from_decimal("1".repeat(309).as_bytes());
        assert!(write_decimal(&mut out, false, &magnitude).is_err());
    }

    #[test]
    fn what_fits_64_bits_is_recognised() {
        assert_eq!(fitting(&[]), Some(0));
        assert_eq!(fitting(&[0; 20]), Some(0));
        assert_eq!(fitting(&[0, 1, 0]), Some(256));
        assert_eq!(fitting(&[255; 8]), Some(u64::MAX));
        assert_eq!(fitting(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
