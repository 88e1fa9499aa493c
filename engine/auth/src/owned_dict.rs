//! A dict that owns its octets.

use wampline_wire::{Dict, EncodeError, PayloadBuf, Serializer, Value};

/// A dict that outlives the message it comes from: the extra of CHALLENGE and of WELCOME. One block of octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedDict(PayloadBuf);

impl OwnedDict {
    /// The dict of these entries; keys must be distinct.
    ///
    /// # Errors
    /// If a value comes from a serializer's own extension that nothing else can express.
    pub fn new(pairs: &[(&str, Value<'_>)]) -> Result<OwnedDict, EncodeError> {
        // CBOR has an expression for more values than the other serializers.
        PayloadBuf::from_values(Serializer::Cbor, &[], pairs).map(OwnedDict)
    }
    /// A copy of `dict`. Of equal keys the last counts.
    ///
    /// # Errors
    /// As [`OwnedDict::new`].
    pub fn copy(dict: &Dict<'_>) -> Result<OwnedDict, EncodeError> {
        let entries: Vec<_> = dict.iter().collect();
        let mut pairs: Vec<(&str, Value<'_>)> = Vec::with_capacity(entries.len());
        let mut seen = std::collections::HashSet::with_capacity(entries.len());
        for (key, value) in entries.iter().rev() {
            if seen.insert(&**key) {
                pairs.push((key, value.clone()));
            }
        }
        pairs.reverse();
        OwnedDict::new(&pairs)
    }
    /// The dict of our own texts, numbers and booleans.
    pub(crate) fn of(pairs: &[(&str, Value<'_>)]) -> OwnedDict {
        OwnedDict::new(pairs).expect("invariant: nothing in it is inexpressible")
    }
    /// The dict with one entry more, in the place of one of the same key.
    pub(crate) fn with(&self, key: &str, value: Value<'_>) -> OwnedDict {
        let entries: Vec<_> = self.as_dict().iter().filter(|(present, _)| present != key).collect();
        let mut pairs: Vec<(&str, Value<'_>)> =
            entries.iter().map(|(key, value)| (&**key, value.clone())).collect();
        pairs.push((key, value));
        OwnedDict::of(&pairs)
    }
    /// The dict without entries.
    pub fn empty() -> OwnedDict {
        OwnedDict::of(&[])
    }
    /// The dict, to be read or written into a message.
    pub fn as_dict(&self) -> Dict<'_> {
        self.0.as_payload().kwargs().unwrap_or(Dict::EMPTY)
    }
    /// Octets held.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let inner = [("b", Value::Uint(1)), ("c", Value::Str("x".into()))];
        let dict =
            OwnedDict::new(&[("a", Value::Dict(Dict::pairs(&inner))), ("d", Value::Bool(true))]).unwrap();
        let read = dict.as_dict();
        assert_eq!(read.get("d").and_then(|value| value.as_bool()), Some(true));
        let inner = read.get("a").and_then(|value| value.as_dict()).unwrap();
        assert_eq!(inner.get("c").unwrap().as_str(), Some("x"));
        let copy = OwnedDict::copy(&read).unwrap();
        assert_eq!(copy, dict);
        assert!(OwnedDict::empty().as_dict().is_empty());
        let more = dict.with("d", Value::Uint(2)).with("e", Value::Null);
        assert_eq!(more.as_dict().get("d").unwrap().as_u64(), Some(2));
        assert_eq!(more.as_dict().iter().count(), 3);
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let twice = [("a", Value::Uint(1)), ("b", Value::Uint(2)), ("a", Value::Uint(3))];
        let copy = OwnedDict::copy(&Dict::pairs(&twice)).unwrap();
        let keys: Vec<String> = copy.as_dict().iter().map(|(key, _)| key.into_owned()).collect();
        assert_eq!(keys, ["b", "a"]);
        assert_eq!(copy.as_dict().get("a").unwrap().as_u64(), Some(3));
    }
}
