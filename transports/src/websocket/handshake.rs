//! The key and its answer of the opening handshake (RFC 6455, section 4.2.2).

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use sha1::{Digest, Sha1};

/// Lenient in the one way in which random keys made by hand are wrong: bits that mean nothing may be set.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
pub(crate) fn accept(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    general_purpose::STANDARD.encode(hash.finalize())
}

/// Whether this is the base64 text of 16 octets.
pub(crate) fn is_key(key: &[u8]) -> bool {
    let mut nonce = [0; 18];
    key.len() == 24 && LENIENT.decode_slice(key, &mut nonce) == Ok(16)
}

/// The text of a nonce.
pub(crate) fn key(nonce: [u8; 16]) -> String {
    general_purpose::STANDARD.encode(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6455_section_1_3() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
    }

    #[test]
    fn only_16_octets_are_a_key() {
        for wrong in
            [&b""[..], b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZTEx", b"dGhlIHNhbXBsZSBub25j!Q=="]
        {
            assert!(!is_key(wrong), "{}", String::from_utf8_lossy(wrong));
        }
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZR=="), "bits that mean nothing");
        assert!(is_key(key([255; 16]).as_bytes()));
    }
}
