//! A small generator for masking keys and nonces (RFC 6455, section 5.3). It owns no entropy: its seed comes from
//! outside. Masking protects proxies from chosen octets and is no secret, so this need not be cryptographic as
//! long as whoever chooses the payload does not choose the seed.

/// SplitMix64: every seed is good, every state is reached.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The key of the next frame.
    pub(crate) fn mask_key(&mut self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.next_u64().to_be_bytes();
        [a, b, c, d]
    }

    /// The 16 octets of a `Sec-WebSocket-Key`.
    pub(crate) fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.next_u64().to_be_bytes());
        nonce[8..].copy_from_slice(&self.next_u64().to_be_bytes());
        nonce
    }
}
