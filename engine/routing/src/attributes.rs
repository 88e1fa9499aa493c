//! What a message says about a payload that the router does not look into (advanced profile, "Payload Passthru
//! Mode", and its predecessor as autobahn deployed it, payload transparency).
//!
//! The attributes travel from the options of CALL, YIELD, PUBLISH and the details of ERROR to the details of what
//! follows from them, unchanged.

use std::borrow::Cow;

use smallvec::SmallVec;
use wampline_wire::{Dict, Value};

/// The names, in the order in which they are written.
const NAMES: [&str; 7] =
    ["ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid", "enc_algo", "enc_key", "enc_serializer"];
/// How many of the names belong to passthru mode; the others belong to payload transparency.
const PASSTHRU: usize = 4;

/// The attributes of one payload. Empty for an ordinary one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayloadAttributes<'a>(SmallVec<[(&'static str, Cow<'a, str>); 2]>);

impl<'a> PayloadAttributes<'a> {
    /// Reads them from options or details. Passthru mode is in use if `ppt_scheme` is a non-empty string, payload
    /// transparency if `enc_algo` is; the other attributes count only with these, and only as strings.
    pub fn from_dict(dict: &Dict<'a>) -> PayloadAttributes<'a> {
        let mut found: [Option<Cow<'a, str>>; NAMES.len()] = Default::default();
        for (key, value) in dict.iter() {
            if let Some(n) = position(&key)
                && let Value::Str(text) = value
            {
                found[n] = Some(text);
            }
        }
        let in_use =
            |n: usize, found: &[Option<Cow<'_, str>>]| found[n].as_ref().is_some_and(|text| !text.is_empty());
        let (passthru, transparency) = (in_use(0, &found), in_use(PASSTHRU, &found));
        let entries = found.into_iter().enumerate().filter_map(|(n, text)| {
            let counts = if n < PASSTHRU { passthru } else { transparency };
            text.filter(|_| counts).map(|text| (NAMES[n], text))
        });
        PayloadAttributes(entries.collect())
    }

    /// Whether the payload is an ordinary one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether passthru mode is in use.
    pub fn is_passthru(&self) -> bool {
        self.0.first().is_some_and(|(name, _)| *name == NAMES[0])
    }

    /// Whether payload transparency is in use.
    pub fn is_transparent(&self) -> bool {
        self.0.iter().any(|(name, _)| *name == NAMES[PASSTHRU])
    }

    /// As entries of a dict.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, Value<'_>)> {
        self.0.iter().map(|(name, text)| (*name, Value::Str(Cow::Borrowed(&**text))))
    }

    /// Octets held, about.
    pub fn octets(&self) -> usize {
        self.0.iter().map(|(_, text)| text.len()).sum()
    }

    /// The same, on its own feet.
    pub fn into_owned(self) -> PayloadAttributes<'static> {
        PayloadAttributes(
            self.0.into_iter().map(|(name, text)| (name, Cow::Owned(text.into_owned()))).collect(),
        )
    }
}

/// Whether options or details can say anything about the payload: a cheap look before [`PayloadAttributes::from_dict`].
pub fn is_attribute(key: &str) -> bool {
    position(key).is_some()
}

fn position(key: &str) -> Option<usize> {
    if !(key.starts_with("ppt_") || key.starts_with("enc_")) {
        return None;
    }
    NAMES.iter().position(|name| *name == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Str(Cow::Borrowed(text))
    }

    #[test]
    fn passthru_needs_a_scheme() {
        let pairs = [("ppt_cipher", text("aes256gcm")), ("ppt_serializer", text("cbor"))];
        assert!(PayloadAttributes::from_dict(&Dict::pairs(&pairs)).is_empty());
        let pairs = [("ppt_cipher", text("aes256gcm")), ("ppt_scheme", text(""))];
        assert!(PayloadAttributes::from_dict(&Dict::pairs(&pairs)).is_empty());
        let pairs = [("ppt_cipher", text("aes256gcm")), ("x", text("y")), ("ppt_scheme", text("wamp"))];
        let attributes = PayloadAttributes::from_dict(&Dict::pairs(&pairs));
        assert!(attributes.is_passthru() && !attributes.is_transparent());
        let entries: Vec<_> =
            attributes.entries().map(|(name, value)| (name, value.as_str().map(str::to_owned))).collect();
        assert_eq!(
            entries,
            [("ppt_scheme", Some("wamp".to_owned())), ("ppt_cipher", Some("aes256gcm".to_owned()))]
        );
        assert_eq!(attributes.into_owned().entries().count(), 2);
    }

    #[test]
    fn transparency_is_told_from_passthru() {
        let pairs = [("enc_algo", text("cryptobox")), ("enc_key", Value::Null), ("ppt_keyid", text("k"))];
        let attributes = PayloadAttributes::from_dict(&Dict::pairs(&pairs));
        assert!(attributes.is_transparent() && !attributes.is_passthru());
        assert_eq!(attributes.entries().count(), 1);
    }
}
