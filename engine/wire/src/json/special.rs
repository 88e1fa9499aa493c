//! The search that strings spend their time in: the first octet that is not plain content.

use super::block::special_in_block;

/// The first octet at or after `at` that is a quote, a backslash or a control character, or the end.
#[inline]
pub(super) fn find_special(octets: &[u8], mut at: usize) -> usize {
    while let Some(block) = octets.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let special = special_in_block(block);
        if special != 0 {
            return at + special.trailing_zeros() as usize;
        }
        at += 16;
    }
    if let Some(word) = octets.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let special = special_in_word(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while octets.get(at).is_some_and(|octet| !is_special(*octet)) {
        at += 1;
    }
    at
}

#[inline]
pub(super) fn is_special(octet: u8) -> bool {
    octet < 0x20 || octet == b'"' || octet == b'\\'
}

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// The special octets of a word, as their high bits: a subtraction borrows into the high bit of each octet
/// that is too small. Only the lowest such bit is exact.
#[inline]
fn special_in_word(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    ((quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word))
        & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(octets: &[u8], at: usize) -> usize {
        (at..octets.len()).find(|i| is_special(octets[*i])).unwrap_or(octets.len())
    }

    #[test]
    fn every_octet_at_every_place_is_judged_as_the_naive_search_judges_it() {
        // Miri is a thousand times slower, and sees what it is there for in any of them.
        let (lengths, step): (&[usize], usize) =
            if cfg!(miri) { (&[1, 17, 33], 51) } else { (&[1, 7, 8, 9, 15, 16, 17, 24, 31, 33, 50], 1) };
        for &length in lengths {
            for place in 0..length {
                for octet in (0..=255).step_by(step) {
                    let mut octets = vec![b'x'; length];
                    octets[place] = octet;
                    for at in [0, 1, place] {
                        assert_eq!(find_special(&octets, at), naive(&octets, at), "{octets:?} from {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_of_several_is_found() {
        // Octets whose subtraction borrows from their neighbours.
        let hard = [0x00, 0x1f, 0x20, 0x21, b'"', b'#', b'[', b'\\', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff];
        let hard = if cfg!(miri) { &hard[..5] } else { &hard[..] };
        for &a in hard {
            for &b in hard {
                for &c in hard {
                    let octets = [b'x', a, b, c, b'x', c, b, a, b'x'];
                    assert_eq!(find_special(&octets, 0), naive(&octets, 0), "{octets:?}");
                }
            }
        }
    }
}
