//! A stamp as text of fixed length.

use super::Stamp;

/// Octets of sender, sequence and time.
pub(crate) const STAMP_BYTES: usize = SENDER_DIGITS + SEQUENCE_DIGITS + TIME_DIGITS;

const SENDER_DIGITS: usize = 6;
const SEQUENCE_DIGITS: usize = 12;
const TIME_DIGITS: usize = 14;

/// Hexadecimal digits of sender, sequence and time.
#[derive(Debug)]
pub(super) struct Digits([u8; STAMP_BYTES]);

impl Digits {
    pub(super) fn of(stamp: Stamp) -> Digits {
        let mut digits = [0; STAMP_BYTES];
        let (sender, rest) = digits.split_at_mut(SENDER_DIGITS);
        let (sequence, time) = rest.split_at_mut(SEQUENCE_DIGITS);
        write_hex(sender, u64::from(stamp.sender));
        write_hex(sequence, stamp.sequence);
        write_hex(time, stamp.sent_at);
        Digits(digits)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }

    /// The stamp, if these are the digits of one.
    pub(super) fn read(digits: &[u8]) -> Option<Stamp> {
        if digits.len() != STAMP_BYTES {
            return None;
        }
        let (sender, rest) = digits.split_at(SENDER_DIGITS);
        let (sequence, time) = rest.split_at(SEQUENCE_DIGITS);
        Some(Stamp {
            sender: u32::try_from(read_hex(sender)?).ok()?,
            sequence: read_hex(sequence)?,
            sent_at: read_hex(time)?,
        })
    }
}

fn write_hex(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn digits_are_read_back() {
        let stamp = Stamp { sender: 1, sequence: 0xffff_ffff_ffff, sent_at: 0xff_ffff_ffff_ffff };
        let digits = Digits::of(stamp);
        assert_eq!(digits.as_str(), format!("000001{}{}", "f".repeat(12), "f".repeat(14)));
        assert_eq!(Digits::read(digits.as_str().as_bytes()), Some(stamp));
    }

    #[test]
    fn anything_else_is_not_a_stamp() {
        for bad in
            ["", "0", &"0".repeat(STAMP_BYTES - 1), &"0".repeat(STAMP_BYTES + 1), &"g".repeat(STAMP_BYTES)]
        {
            assert_eq!(Digits::read(bad.as_bytes()), None, "{bad}");
        }
    }
}
