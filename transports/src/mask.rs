//! Masking of WebSocket payload (RFC 6455, section 5.3), in place. Masking and unmasking are the same.

/// Octets handled at a time, as vectors of whatever width the processor has.
const LANE: usize = 32;

/// Applies `key` to `octets`, the first of which is octet number `phase` of the frame's payload. Returns whether all
/// of them are ASCII afterwards, which costs next to nothing here and spares most text its UTF-8 check.
#[inline]
pub(crate) fn apply(octets: &mut [u8], key: [u8; 4], phase: usize) -> bool {
    // A lane is a multiple of 4, so the phase is the same in each.
    let keys: [u8; LANE] = std::array::from_fn(|i| key[(phase + i) % 4]);
    // One sum of what was seen for each octet of a lane.
    let mut seen = [0; LANE];
    let (lanes, rest) = octets.as_chunks_mut::<LANE>();
    for lane in lanes {
        for i in 0..LANE {
            lane[i] ^= keys[i];
            seen[i] |= lane[i];
        }
    }
    // What is left over is handled by 8 octets and by 1.
    let (words, rest) = rest.as_chunks_mut::<8>();
    for word in words {
        for i in 0..8 {
            word[i] ^= keys[i];
            seen[i] |= word[i];
        }
    }
    for ((octet, key), seen) in rest.iter_mut().zip(keys).zip(&mut seen) {
        *octet ^= key;
        *seen |= *octet;
    }
    seen.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::apply;
    use proptest::prelude::*;

    /// The definition: transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4).
    fn naive(octets: &mut [u8], key: [u8; 4], phase: usize) {
        for (i, octet) in octets.iter_mut().enumerate() {
            *octet ^= key[(phase + i) % 4];
        }
    }

    proptest! {
        #[test]
        fn is_the_definition(
            octets in proptest::collection::vec(any::<u8>(), 0..300),
            key in any::<[u8; 4]>(),
            phase in 0usize..1000,
            start in 0usize..16,
        ) {
            let start = start.min(octets.len());
            let (mut fast, mut slow) = (octets.clone(), octets);
            let is_ascii = apply(&mut fast[start..], key, phase);
            naive(&mut slow[start..], key, phase);
            prop_assert_eq!(is_ascii, slow[start..].is_ascii());
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn one_octet_that_is_not_ascii_is_seen(length in 1usize..200, at in any::<prop::sample::Index>(), key in any::<[u8; 4]>()) {
            let mut octets = vec![b'a'; length];
            apply(&mut octets, key, 0);
            let masked = octets.clone();
            prop_assert!(apply(&mut octets, key, 0));
            octets = masked;
            octets[at.index(length)] ^= 0x80;
            prop_assert!(!apply(&mut octets, key, 0));
        }
    }
}
