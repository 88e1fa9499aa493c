//! JSON numbers: their grammar, their bounds, their values.

use super::scan::Scanner;
use crate::{ParseError, ParseErrorKind};

/// The longest number literal, in octets: more than any binary64 or 1,024-bit integer needs, and few
/// enough that a reader whose conversion is quadratic is not hurt.
const NUMBER_OCTETS_MAX: usize = 1024;

/// The most digits that an integer may have without a look at its value: 10^308 is finite as binary64.
const DIGITS_FINITE: usize = 308;

/// The most digits that always fit 64 bits.
const DIGITS_UINT: usize = 19;

/// A number literal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Uint(u64),
    /// Negative.
    Int(i64),
    Float(f64),
    /// An integer beyond 64 bits.
    Huge,
}

/// The position after the number at `at`; `None` if [`error`] knows why not.
///
/// A literal is refused if it is not finite as binary64: readers that have no other type for it fail on it.
#[inline]
pub(super) fn end(octets: &[u8], at: usize) -> Option<usize> {
    let first = at + usize::from(octet(octets, at) == b'-');
    let point = after_digits(octets, first);
    let mut end = point;
    if octet(octets, point) == b'.' {
        end = after_digits(octets, point + 1);
    }
    let has_digits = point > first && end != point + 1;
    let is_canonical = octet(octets, first) != b'0' || point - first == 1;
    if has_digits && is_canonical && end - at <= DIGITS_FINITE && !matches!(octet(octets, end), b'e' | b'E') {
        return Some(end);
    }
    scan(octets, at).ok().map(|(end, _)| end)
}

/// What is wrong with the number at `at`.
#[cold]
pub(super) fn error(octets: &[u8], at: usize) -> ParseError {
    match scan(octets, at) {
        Err(error) => error,
        Ok(_) => ParseError::new(at, ParseErrorKind::Number),
    }
}

/// The value of the number at the position, which is passed.
#[inline]
pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<Number, ParseError> {
    let start = scanner.at;
    // Most are ids.
    let (mut end, mut value) = (start, 0u64);
    while let digit @ b'0'..=b'9' = octet(scanner.octets, end) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        end += 1;
    }
    let is_plain = !matches!(octet(scanner.octets, end), b'.' | b'e' | b'E');
    let leads_with_zero = octet(scanner.octets, start) == b'0';
    if is_plain && (1..=DIGITS_UINT).contains(&(end - start)) && (!leads_with_zero || end - start == 1) {
        scanner.at = end;
        return Ok(Number::Uint(value));
    }
    read_any(scanner)
}

fn read_any(scanner: &mut Scanner<'_>) -> Result<Number, ParseError> {
    let (end, integer) = scan(scanner.octets, scanner.at)?;
    let literal = &scanner.octets[scanner.at..end];
    scanner.at = end;
    if !integer {
        return Ok(Number::Float(float(literal).unwrap_or_default()));
    }
    Ok(match literal.strip_prefix(b"-") {
        None => uint(literal).map_or(Number::Huge, Number::Uint),
        // There is no negative zero among integers.
        Some(b"0") => Number::Uint(0),
        Some(magnitude) => match uint(magnitude).map(|m| 0i64.checked_sub_unsigned(m)) {
            Some(Some(value)) => Number::Int(value),
            _ => Number::Huge,
        },
    })
}

/// The position after the number at `at`, and whether it has neither a fraction nor an exponent.
fn scan(octets: &[u8], at: usize) -> Result<(usize, bool), ParseError> {
    let first = at + usize::from(octet(octets, at) == b'-');
    let mut end = some_digits(octets, first)?;
    let digits = end - first;
    if digits > 1 && octets[first] == b'0' {
        return Err(ParseError::new(at, ParseErrorKind::Number));
    }
    let mut integer = true;
    let mut check_value = digits > DIGITS_FINITE;
    if octet(octets, end) == b'.' {
        integer = false;
        end = some_digits(octets, end + 1)?;
    }
    if matches!(octet(octets, end), b'e' | b'E') {
        integer = false;
        check_value = true;
        end += 1;
        if matches!(octet(octets, end), b'+' | b'-') {
            end += 1;
        }
        end = some_digits(octets, end)?;
    }
    let is_long = end - at > NUMBER_OCTETS_MAX;
    if is_long || (check_value && !float(&octets[at..end]).is_some_and(f64::is_finite)) {
        return Err(ParseError::new(at, ParseErrorKind::Number));
    }
    Ok((end, integer))
}

#[inline]
fn octet(octets: &[u8], at: usize) -> u8 {
    octets.get(at).copied().unwrap_or(0)
}

#[inline]
fn after_digits(octets: &[u8], mut at: usize) -> usize {
    while octet(octets, at).is_ascii_digit() {
        at += 1;
    }
    at
}

/// The position after the digits at `at`, of which there must be one.
fn some_digits(octets: &[u8], at: usize) -> Result<usize, ParseError> {
    let end = after_digits(octets, at);
    if end > at {
        return Ok(end);
    }
    let kind = if at >= octets.len() { ParseErrorKind::Truncated } else { ParseErrorKind::Number };
    Err(ParseError::new(at, kind))
}

fn uint(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

fn float(literal: &[u8]) -> Option<f64> {
    std::str::from_utf8(literal).ok()?.parse().ok()
}
