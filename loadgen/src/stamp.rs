//! What each payload carries so that its receiver can tell whether it is the right one, and how old.
//!
//! The payload is one string: sender (6 hexadecimal digits), sequence (12) and time of sending in
//! nanoseconds (14), then padding of a fixed pattern up to the wanted length. It is written once per thread and
//! then stamped in place.

use std::borrow::Cow;

use wampline_wire::{List, Payload, PayloadBuf, Serializer, Value};

/// Octets of sender, sequence and time.
pub(crate) const STAMP_BYTES: usize = SENDER_DIGITS + SEQUENCE_DIGITS + TIME_DIGITS;

const SENDER_DIGITS: usize = 6;
const SEQUENCE_DIGITS: usize = 12;
const TIME_DIGITS: usize = 14;

/// Who sent a payload, as its how manieth, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Index of the caller or publisher, below 2^24.
    pub(crate) sender: u32,
    /// Counts from 0 for each sender, below 2^48.
    pub(crate) sequence: u64,
    /// [`crate::clock::Clock`] at the time of sending, below 2^56 (two years).
    pub(crate) sent_at: u64,
}

/// A payload of fixed length that is stamped over and over.
#[derive(Debug)]
pub(crate) struct Template {
    text: String,
}

impl Template {
    /// A template of `bytes` octets, at least [`STAMP_BYTES`].
    pub(crate) fn new(bytes: usize) -> Template {
        let padding = bytes.saturating_sub(STAMP_BYTES);
        let text = "0".repeat(STAMP_BYTES).chars().chain(PATTERN.chars().cycle().take(padding)).collect();
        Template { text }
    }

    /// The arguments of a message with this stamp.
    pub(crate) fn stamped(&mut self, serializer: Serializer, stamp: Stamp) -> PayloadBuf {
        let mut digits = [0; STAMP_BYTES];
        let (sender, rest) = digits.split_at_mut(SENDER_DIGITS);
        let (sequence, time) = rest.split_at_mut(SEQUENCE_DIGITS);
        write_hex(sender, u64::from(stamp.sender));
        write_hex(sequence, stamp.sequence);
        write_hex(time, stamp.sent_at);
        let digits = std::str::from_utf8(&digits).expect("hexadecimal digits are ASCII");
        self.text.replace_range(..STAMP_BYTES, digits);
        PayloadBuf::from_values(serializer, &[Value::Str(Cow::Borrowed(&self.text))], &[])
            .expect("every serializer expresses a string")
    }

    /// Reads the stamp of a payload; `None` if the payload is not one that this template has made.
    pub(crate) fn read(&self, payload: &Payload<'_>) -> Option<Stamp> {
        let mut values = payload.args().as_ref().map(List::iter)?;
        let (Some(Value::Str(text)), None) = (values.next(), values.next()) else { return None };
        if payload.kwargs().is_some() {
            return None;
        }
        self.read_text(&text)
    }

    fn read_text(&self, text: &str) -> Option<Stamp> {
        let octets = text.as_bytes();
        if octets.len() != self.text.len() || octets[STAMP_BYTES..] != self.text.as_bytes()[STAMP_BYTES..] {
            return None;
        }
        let (sender, rest) = octets[..STAMP_BYTES].split_at(SENDER_DIGITS);
        let (sequence, time) = rest.split_at(SEQUENCE_DIGITS);
        Some(Stamp {
            sender: u32::try_from(read_hex(sender)?).ok()?,
            sequence: read_hex(sequence)?,
            sent_at: read_hex(time)?,
        })
    }
}

/// Neither digits nor octets that JSON escapes.
const PATTERN: &str = "wampline-loadgen.";

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

    const STAMP: Stamp =
        Stamp { sender: 0xab_cdef, sequence: 0x1234_5678_9abc, sent_at: 0x55_6677_8899_aabb };

    #[test]
    fn a_stamp_survives_every_serializer() {
        for serializer in Serializer::ALL {
            for bytes in [STAMP_BYTES, 64, 16 * 1024] {
                let mut template = Template::new(bytes);
                let payload = template.stamped(serializer, STAMP);
                assert_eq!(template.read(&payload.as_payload()), Some(STAMP), "{serializer:?} {bytes}");
            }
        }
    }

    #[test]
    fn the_text_has_the_wanted_length() {
        assert_eq!(Template::new(100).text.len(), 100);
        assert_eq!(Template::new(STAMP_BYTES).text.len(), STAMP_BYTES);
    }

    #[test]
    fn anything_else_is_not_a_stamp() {
        let template = Template::new(40);
        let good = template.text.clone();
        assert!(template.read_text(&good).is_some());
        assert_eq!(template.read_text(&good[..39]), None, "too short");
        assert_eq!(template.read_text(&format!("{good}w")), None, "too long");
        assert_eq!(template.read_text(&good.replace("wamp", "wAmp")), None, "padding altered");
        assert_eq!(template.read_text(&good.replacen('0', "g", 1)), None, "not a digit");
    }

    #[test]
    fn other_shapes_are_not_a_stamp() {
        let template = Template::new(40);
        let text = || Value::Str(Cow::Borrowed(template.text.as_str()));
        for serializer in Serializer::ALL {
            let two = PayloadBuf::from_values(serializer, &[text(), text()], &[]).unwrap();
            assert_eq!(template.read(&two.as_payload()), None);
            let keywords = PayloadBuf::from_values(serializer, &[text()], &[("k", Value::Null)]).unwrap();
            assert_eq!(template.read(&keywords.as_payload()), None);
            let number = PayloadBuf::from_values(serializer, &[Value::Uint(1)], &[]).unwrap();
            assert_eq!(template.read(&number.as_payload()), None);
            assert_eq!(template.read(&Payload::NONE), None);
        }
    }
}
