//! Durations and sizes as people write them: `500ms`, `5s`, `4MiB`.
//!
//! A number is a plain decimal integer; fractions, signs, exponents and several units in one value are refused, so that
//! a value has one reading only. What a value may range over is the business of [`super::values`].

use std::fmt::Write;
use std::time::Duration;

/// Units of time with their length in microseconds, the longest first.
const DURATION_UNITS: [(&str, u64); 5] =
    [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// Units of size in octets, the largest first.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// What a duration looks like, for error messages.
pub(super) const DURATION_FORM: &str = r#"a duration such as "5s" (units: us, ms, s, m, h)"#;

/// What a size looks like, for error messages.
pub(super) const SIZE_FORM: &str = r#"a size in octets such as 65536 or "4MiB" (units: B, KiB, MiB, GiB)"#;

/// Reads a duration: a decimal integer followed by `us`, `ms`, `s`, `m` or `h`.
///
/// # Errors
/// `None` for anything else, and for more microseconds than 64 bits hold.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATION_UNITS).map(Duration::from_micros)
}

/// Reads a size in octets: a decimal integer followed by `B`, `KiB`, `MiB` or `GiB`.
///
/// # Errors
/// `None` for anything else, and for more octets than 64 bits hold.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZE_UNITS)
}

/// Writes a duration in the longest unit that holds it without a fraction: `90s`, `5s`, `500ms`. Anything below a
/// microsecond is dropped.
pub(super) fn format_duration(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if micros == 0 { "0s".into() } else { format(micros, &DURATION_UNITS) }
}

/// Writes a size in the largest unit that holds it without a fraction: `4MiB`, `16777215` (octets have no unit).
pub(super) fn format_size(octets: u64) -> String {
    if octets < 1024 || !octets.is_multiple_of(1024) {
        octets.to_string()
    } else {
        format(octets, &SIZE_UNITS)
    }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(scale)
}

fn format(value: u64, units: &[(&str, u64)]) -> String {
    let mut text = String::new();
    if let Some((unit, scale)) = units.iter().find(|(_, scale)| value.is_multiple_of(*scale)) {
        write!(text, "{}{unit}", value / scale).expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, micros) in [
            ("0s", 0),
            ("7us", 7),
            ("500ms", 500_000),
            ("5s", 5_000_000),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
            ("18446744073709551615us", u64::MAX),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_not_a_duration() {
        for text in [
            "",
            "5",
            "s",
            " 5s",
            "5s ",
            "5 s",
            "-5s",
            "+5s",
            "1.5s",
            "5sec",
            "5S",
            "5M",
            "1m30s",
            "1e3s",
            "5µs",
            "inf",
            "0x5s",
            "٥s",
            "18446744073709551615s",
            "99999999999999999999us",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read_and_nonsense_is_not() {
        for (text, octets) in
            [("0B", 0), ("512B", 512), ("64KiB", 65536), ("4MiB", 4 << 20), ("2GiB", 2 << 30)]
        {
            assert_eq!(parse_size(text), Some(octets), "{text}");
        }
        for text in ["", "4", "MiB", "4MB", "4M", "4mib", "4 MiB", "-4MiB", "4.5MiB", "17179869184GiB"] {
            assert_eq!(parse_size(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for micros in [0, 1, 999, 1_000, 1_500, 5_000_000, 90_000_000, 3_600_000_000, 3_600_000_001] {
            let duration = Duration::from_micros(micros);
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration), "{micros}");
        }
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
        assert_eq!(format_duration(Duration::from_millis(500)), "500ms");
        assert_eq!(format_size(4 << 20), "4MiB");
        assert_eq!(format_size(1536), "1536");
        assert_eq!(format_size((1 << 24) - 1), "16777215");
    }
}
