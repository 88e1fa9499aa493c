//! UTF-8 that arrives in pieces (RFC 6455, section 8.1): refused at the first octet that cannot be part of it.

use simdutf8::compat;

/// How far a growing text has been found valid.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text {
    /// Octets of whole, valid characters at the front.
    valid: usize,
}

/// The text is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

impl Text {
    /// The text has grown. At most the 3 octets of a character not yet whole are looked at a second time.
    pub(crate) fn grown(&mut self, text: &[u8]) -> Result<(), NotUtf8> {
        match compat::from_utf8(&text[self.valid..]) {
            Ok(_) => self.valid = text.len(),
            Err(e) if e.error_len().is_none() => self.valid += e.valid_up_to(),
            Err(_) => return Err(NotUtf8),
        }
        Ok(())
    }

    /// The text is over: no character may be left unfinished.
    pub(crate) fn ended(self, text: &[u8]) -> Result<(), NotUtf8> {
        if self.valid == text.len() { Ok(()) } else { Err(NotUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many octets are taken before the text is refused, one at a time.
    fn refused_after(octets: &[u8]) -> Option<usize> {
        let mut text = Text::default();
        (1..=octets.len()).find(|&end| text.grown(&octets[..end]).is_err())
    }

    #[test]
    fn refused_at_the_first_impossible_octet() {
        for (octets, at) in [
            (&b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90\x80\x80edited"[..], 13),
            (b"abc\x80", 4),
            (b"\xC0\xAF", 1),
            (b"\xED\xA0\x80", 2),
            (b"\xE0\x80\x80", 2),
            (b"\xF0\x8F\xBF\xBF", 2),
            (b"\xF5", 1),
            (b"\xFF", 1),
            (b"\xE1\xBDa", 3),
        ] {
            assert_eq!(refused_after(octets), Some(at), "{octets:x?}");
        }
    }

    #[test]
    fn an_unfinished_character_is_refused_at_the_end_only() {
        let mut text = Text::default();
        assert_eq!(text.grown(b"a\xF0\x9F\x92"), Ok(()));
        assert_eq!(text.ended(b"a\xF0\x9F\x92"), Err(NotUtf8));
        assert_eq!(text.grown("a💩".as_bytes()), Ok(()));
        assert_eq!(text.ended("a💩".as_bytes()), Ok(()));
    }

    proptest! {
        #[test]
        fn agrees_with_std(octets in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut text = Text::default();
            let grown = (1..=octets.len()).all(|end| text.grown(&octets[..end]).is_ok());
            let valid = grown && text.ended(&octets).is_ok();
            prop_assert_eq!(valid, std::str::from_utf8(&octets).is_ok());
        }

        #[test]
        fn accepts_every_text(text in any::<String>()) {
            prop_assert_eq!(refused_after(text.as_bytes()), None);
        }
    }
}
