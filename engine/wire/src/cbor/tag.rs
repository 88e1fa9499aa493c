//! What each CBOR tag demands of its content, so that no decoder that interprets it fails.
//!
//! Refused are tags that change how a decoder reads what follows (shared references, string tables,
//! record definitions, packed values) and tags whose content decoders check in ways of their own (decimal
//! fractions, regular expressions, addresses, sets, calendar dates). Tags that nobody interprets pass.

use super::head::{self, Head};
use crate::{ParseError, ParseErrorKind};

/// What a tag's content must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Any value.
    Any,
    /// A date and time as RFC 3339 has it.
    DateTime,
    /// Seconds since 1970 as a number.
    Epoch,
    /// The magnitude of an integer, in octets.
    Bignum,
    /// Text.
    Text,
    /// Octets, their number a multiple of this one.
    Octets { multiple: u64 },
    /// 16 octets.
    Uuid,
    /// The tag is refused.
    Refused,
}

/// Tag of a date and time in text.
pub(super) const DATE_TIME: u64 = 0;
/// Tag of a time in seconds.
pub(super) const EPOCH: u64 = 1;
/// Tag of an integer of any size that is not negative.
pub(super) const BIGNUM: u64 = 2;
/// Tag of an integer of any size that is negative: -1 - n.
pub(super) const BIGNUM_NEGATIVE: u64 = 3;
/// Tag of a URI.
pub(super) const URI: u64 = 32;
/// Tag of octets that are an array of them.
pub(super) const UINT8_ARRAY: u64 = 64;
/// The same, clamped in arithmetic.
pub(super) const UINT8_CLAMPED_ARRAY: u64 = 68;
/// Tag that says "this is CBOR" and nothing else.
pub(super) const SELF_DESCRIBED: u64 = 55799;

/// The longest magnitude of a tagged integer, in octets: as much as a JSON number may have digits for,
/// and few enough for decoders whose conversion is quadratic.
const BIGNUM_OCTETS_MAX: usize = 1024;

/// The seconds that fit the years 1 to 9999, a day spared at each end.
const EPOCH_RANGE: std::ops::RangeInclusive<f64> = -62_135_510_400.0..=253_402_214_400.0;

impl Content {
    pub(super) fn of(tag: u64) -> Content {
        match tag {
            DATE_TIME => Content::DateTime,
            EPOCH => Content::Epoch,
            BIGNUM | BIGNUM_NEGATIVE => Content::Bignum,
            // Embedded CBOR is not looked into.
            24 => Content::Octets { multiple: 1 },
            URI => Content::Text,
            37 => Content::Uuid,
            // RFC 8746: bits 4 to 0 are float, signed, little endian and the width.
            64..=87 if tag != 76 => {
                let float = tag >> 4 & 1;
                Content::Octets { multiple: 1 << ((tag & 3) + float) }
            }
            _ if is_refused(tag) => Content::Refused,
            _ => Content::Any,
        }
    }

    /// Whether content that was accepted is in a form that every decoder reads. A time in an integer of eight
    /// octets is not: a deployed JavaScript decoder reads those as another type, and fails.
    pub(super) fn is_verbatim(self, initial: Option<&u8>) -> bool {
        self != Content::Epoch || !matches!(initial, Some(0x1b | 0x3b))
    }

    /// Passes over the content of a tag other than [`Content::Any`], which begins at `at`.
    pub(super) fn check(self, octets: &[u8], at: &mut usize) -> Result<(), ParseError> {
        let start = *at;
        let good = match (self, head::read(octets, at)?) {
            (Content::DateTime, Head::Text(Some(length))) => is_date_time(head::content(octets, at, length)?),
            (Content::Text, Head::Text(Some(length))) => {
                let offset = *at;
                crate::utf8::check(head::content(octets, at, length)?, offset)?;
                true
            }
            (Content::Epoch, Head::Uint(seconds)) => EPOCH_RANGE.contains(&(seconds as f64)),
            (Content::Epoch, Head::Negative(n)) => EPOCH_RANGE.contains(&(-1.0 - n as f64)),
            (Content::Epoch, Head::F32(seconds)) => EPOCH_RANGE.contains(&f64::from(seconds)),
            (Content::Epoch, Head::F64(seconds)) => EPOCH_RANGE.contains(&seconds),
            (Content::Bignum, Head::Bytes(Some(length))) => {
                if head::content(octets, at, length)?.len() > BIGNUM_OCTETS_MAX {
                    return Err(ParseError::new(start, ParseErrorKind::Number));
                }
                true
            }
            (Content::Octets { multiple }, Head::Bytes(Some(length))) => {
                head::content(octets, at, length)?;
                length % multiple == 0
            }
            (Content::Uuid, Head::Bytes(Some(length))) => {
                head::content(octets, at, length)?;
                length == 16
            }
            _ => false,
        };
        if good { Ok(()) } else { Err(ParseError::new(start, ParseErrorKind::Extension)) }
    }
}

fn is_refused(tag: u64) -> bool {
    matches!(tag,
        // Reserved by RFC 8746.
        76
        // Decimal fractions, rationals, big floats, complex numbers.
        | 4 | 5 | 30 | 43000
        // String tables, shared values and indirection.
        | 25 | 28 | 29 | 256
        // Objects of a class, regular expressions, MIME.
        | 27 | 35 | 36
        // Addresses, networks.
        | 52 | 54 | 260 | 261
        // Sets, maps with keys of any type, calendar dates.
        | 258 | 259 | 100 | 1004
        // Packed values, and what one deployed decoder reads as string bundles, records and shared data.
        | 6 | 14 | 15 | 51 | 105 | 216..=223 | 225..=255
        | 27_647..=28_671 | 28_704..=32_767 | 57_337..=57_599
        | 1_811_940_352..=2_147_483_647 | 0x5368_7264
    )
}

/// Whether the text is a date and time of RFC 3339, upper case, in the years 1 to 9999, without the leap
/// seconds that some decoders refuse.
fn is_date_time(text: &[u8]) -> bool {
    fields(text).is_some_and(|(year, month, day, time_is_good)| {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 31,
        };
        year >= 1 && (1..=12).contains(&month) && (1..=days).contains(&day) && time_is_good
    })
}

/// Year, month, day, and whether the time and its zone are good.
fn fields(text: &[u8]) -> Option<(u32, u32, u32, bool)> {
    let (date, rest) = text.split_at_checked(19)?;
    let separators = [date[4], date[7], date[10], date[13], date[16]] == *b"--T::";
    let in_day = digits(&date[11..13])? < 24 && digits(&date[14..16])? < 60 && digits(&date[17..])? < 60;
    let zone = match rest.strip_prefix(b".") {
        None => rest,
        Some(rest) => {
            let length = rest.iter().take_while(|o| o.is_ascii_digit()).count();
            if !(1..=9).contains(&length) {
                return None;
            }
            &rest[length..]
        }
    };
    let zone_is_good = match zone {
        b"Z" => true,
        [b'+' | b'-', hours @ .., b':', tens, ones] if hours.len() == 2 => {
            digits(hours)? < 24 && digits(&[*tens, *ones])? < 60
        }
        _ => false,
    };
    let good = separators && in_day && zone_is_good;
    Some((digits(&date[..4])?, digits(&date[5..7])?, digits(&date[8..10])?, good))
}

fn digits(octets: &[u8]) -> Option<u32> {
    octets.iter().try_fold(0, |value, o| o.is_ascii_digit().then(|| value * 10 + u32::from(o - b'0')))
}
