//! What each payload carries so that its receiver can tell whether it is the right one, and how old.
//!
//! A payload holds sender, sequence and time of sending, and a fixed pattern up to about the wanted length, all of
//! which the receiver compares. As text it is one string: sender (6 hexadecimal digits), sequence (12), time in
//! nanoseconds (14), padding. As octets it is the same with padding of every value; as numbers it is a list that
//! begins with the three; nested, the digits are followed by a list of dicts and by keyword arguments.

mod digits;
mod shapes;

use std::borrow::Cow;

use wampline_wire::{Dict, List, Payload, PayloadBuf, Serializer, Value};

use crate::options::{PayloadArguments, Shape};
use digits::Digits;

pub(crate) use digits::STAMP_BYTES;

/// Who sent a payload, as its how manieth, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Index of the caller or publisher, below 2^24.
    pub(crate) sender: u32,
    /// Counts from 0 for each sender, below 2^48.
    pub(crate) sequence: u64,
    /// [`crate::clock::Clock`] when it was due, below 2^53 (a hundred days).
    pub(crate) sent_at: u64,
}

/// A payload that is stamped over and over.
#[derive(Debug)]
pub(crate) enum Template {
    Text(String),
    Binary(Vec<u8>),
    /// Stamp and padding.
    Numbers(Vec<Value<'static>>),
    /// The padding.
    Nested(Vec<Value<'static>>),
}

impl Template {
    /// A template for payloads of this shape and length.
    pub(crate) fn new(arguments: PayloadArguments) -> Template {
        let bytes = arguments.payload.max(STAMP_BYTES);
        match arguments.payload_shape {
            Shape::Text => {
                let padding = PATTERN.chars().cycle().take(bytes - STAMP_BYTES);
                Template::Text("0".repeat(STAMP_BYTES).chars().chain(padding).collect())
            }
            Shape::Binary => {
                let padding = (0..=u8::MAX).rev().cycle().take(bytes - STAMP_BYTES);
                Template::Binary(std::iter::repeat_n(b'0', STAMP_BYTES).chain(padding).collect())
            }
            Shape::Numbers => Template::Numbers(shapes::numbers(bytes)),
            Shape::Nested => Template::Nested(shapes::nested(bytes)),
        }
    }

    /// The arguments of a message with this stamp.
    pub(crate) fn stamped(&mut self, serializer: Serializer, stamp: Stamp) -> PayloadBuf {
        let digits = Digits::of(stamp);
        let payload = match self {
            Template::Text(text) => {
                text.replace_range(..STAMP_BYTES, digits.as_str());
                PayloadBuf::from_values(serializer, &[Value::Str(Cow::Borrowed(text))], &[])
            }
            Template::Binary(octets) => {
                octets[..STAMP_BYTES].copy_from_slice(digits.as_str().as_bytes());
                PayloadBuf::from_values(serializer, &[Value::Bytes(Cow::Borrowed(octets))], &[])
            }
            Template::Numbers(numbers) => {
                let stamp = [u64::from(stamp.sender), stamp.sequence, stamp.sent_at];
                for (number, stamp) in numbers.iter_mut().zip(stamp) {
                    *number = Value::Uint(stamp);
                }
                PayloadBuf::from_values(serializer, &[Value::List(List::items(numbers))], &[])
            }
            Template::Nested(items) => PayloadBuf::from_values(
                serializer,
                &[Value::Str(Cow::Borrowed(digits.as_str())), Value::List(List::items(items))],
                shapes::KEYWORDS,
            ),
        };
        payload.expect("every serializer expresses these values")
    }

    /// Reads the stamp of a payload; `None` if the payload is not one that this template has made.
    pub(crate) fn read(&self, payload: &Payload<'_>) -> Option<Stamp> {
        let mut values = payload.args().as_ref().map(List::iter)?;
        let first = values.next()?;
        if !matches!(self, Template::Nested(_)) && (values.next().is_some() || payload.kwargs().is_some()) {
            return None;
        }
        match (self, first) {
            (Template::Text(text), Value::Str(came)) => read_octets(came.as_bytes(), text.as_bytes()),
            (Template::Binary(octets), Value::Bytes(came)) => read_octets(&came, octets),
            (Template::Numbers(numbers), Value::List(came)) => {
                let mut came = came.iter();
                let mut next = || came.next()?.as_u64();
                let (sender, sequence, sent_at) = (next()?, next()?, next()?);
                let stamp = Stamp { sender: u32::try_from(sender).ok()?, sequence, sent_at };
                let padding = numbers.iter().skip(STAMP_NUMBERS).cloned();
                shapes::are_equal_lists(came, padding).then_some(stamp)
            }
            (Template::Nested(items), Value::Str(digits)) => {
                let list = values.next().as_ref().and_then(Value::as_list)?;
                let is_intact = values.next().is_none()
                    && shapes::are_equal_lists(list.iter(), items.iter().cloned())
                    && shapes::are_equal_dicts(payload.kwargs()?, Dict::pairs(shapes::KEYWORDS));
                Digits::read(digits.as_bytes()).filter(|_| is_intact)
            }
            _ => None,
        }
    }
}

/// Sender, sequence and time.
const STAMP_NUMBERS: usize = 3;

/// Neither digits nor octets that JSON escapes.
const PATTERN: &str = "wampline-loadgen.";

fn read_octets(came: &[u8], template: &[u8]) -> Option<Stamp> {
    if came.len() != template.len() || came[STAMP_BYTES..] != template[STAMP_BYTES..] {
        return None;
    }
    Digits::read(&came[..STAMP_BYTES])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::ValueEnum;

    use super::*;

    const STAMP: Stamp =
        Stamp { sender: 0xab_cdef, sequence: 0x1234_5678_9abc, sent_at: 0x15_6677_8899_aabb };

    fn template(payload_shape: Shape, payload: usize) -> Template {
        Template::new(PayloadArguments { payload, payload_shape })
    }

    #[test]
    fn a_stamp_survives_every_serializer_and_transcoding() {
        for &shape in Shape::value_variants() {
            for bytes in [STAMP_BYTES, 64, 1000, 16 * 1024] {
                let mut template = template(shape, bytes);
                for serializer in Serializer::ALL {
                    let payload = template.stamped(serializer, STAMP);
                    for other in Serializer::ALL {
                        let came = payload.transcode(other).unwrap();
                        let read = template.read(&came.as_payload());
                        assert_eq!(read, Some(STAMP), "{shape:?} {bytes} {serializer:?} {other:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn payloads_have_about_the_wanted_length() {
        for &shape in Shape::value_variants() {
            for bytes in [1000, 16 * 1024] {
                let length = template(shape, bytes).stamped(Serializer::MsgPack, STAMP).len();
                assert!((bytes * 4 / 5..bytes * 5 / 4).contains(&length), "{shape:?}: {length} of {bytes}");
            }
        }
        assert_eq!(template(Shape::Text, 100).stamped(Serializer::Json, STAMP).len(), 100 + 4);
    }

    #[test]
    fn every_altered_octet_is_seen() {
        for &shape in Shape::value_variants() {
            let mut template = template(shape, 300);
            let message = |payload: Payload<'_>| {
                let mut octets = Vec::new();
                let options = Dict::EMPTY;
                let request = wampline_wire::RequestId::new(1).unwrap();
                let yielded = wampline_wire::Message::Yield { request, options, payload };
                yielded.encode(Serializer::Json, &mut octets).unwrap();
                octets
            };
            let payload = template.stamped(Serializer::Json, STAMP);
            let good = message(payload.as_payload());
            let start = message(Payload::NONE).len();
            for at in start..good.len() {
                let mut bad = good.clone();
                bad[at] = if bad[at] == b'3' { b'4' } else { b'3' };
                let Ok(wampline_wire::Message::Yield { payload, .. }) =
                    wampline_wire::Message::parse(Serializer::Json, &bad)
                else {
                    continue;
                };
                let text = String::from_utf8_lossy(&bad);
                assert_ne!(template.read(&payload), Some(STAMP), "{shape:?} {text}");
            }
        }
    }

    #[test]
    fn other_shapes_are_not_a_stamp() {
        for &shape in Shape::value_variants() {
            let mut own = template(shape, 200);
            for &other in Shape::value_variants() {
                let foreign = template(other, if other == shape { 400 } else { 200 });
                for serializer in Serializer::ALL {
                    let payload = own.stamped(serializer, STAMP);
                    assert_eq!(foreign.read(&payload.as_payload()), None, "{shape:?} {other:?}");
                    assert_eq!(foreign.read(&Payload::NONE), None);
                }
            }
        }
    }

    #[test]
    fn more_arguments_are_not_a_stamp() {
        let template = template(Shape::Text, 40);
        let Template::Text(text) = &template else { panic!() };
        let text = || Value::Str(Cow::Borrowed(text.as_str()));
        for serializer in Serializer::ALL {
            let good = PayloadBuf::from_values(serializer, &[text()], &[]).unwrap();
            assert!(template.read(&good.as_payload()).is_some());
            let two = PayloadBuf::from_values(serializer, &[text(), text()], &[]).unwrap();
            assert_eq!(template.read(&two.as_payload()), None);
            let keywords = PayloadBuf::from_values(serializer, &[text()], &[("k", Value::Null)]).unwrap();
            assert_eq!(template.read(&keywords.as_payload()), None);
        }
    }
}
