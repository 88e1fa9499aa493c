//! Octets as hexadecimal text.

/// The octets in lower-case digits.
pub(crate) fn encode(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        text.push(char::from(DIGITS[usize::from(octet >> 4)]));
        text.push(char::from(DIGITS[usize::from(octet & 15)]));
    }
    text
}

/// The octets that digits of either case stand for, if there are exactly `N`.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(text.chunks_exact(2)) {
        *octet = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(octets)
}

/// The octets that digits of either case stand for, if there are at most `max`.
pub(crate) fn decode_up_to(text: &str, max: usize) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(2) || text.len() > 2 * max {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let octets = [0, 1, 0x7f, 0x80, 0xff];
        assert_eq!(encode(&octets), "00017f80ff");
        assert_eq!(decode("00017F80fF"), Some(octets));
        assert_eq!(decode_up_to("00017F80fF", 5), Some(octets.to_vec()));
        for wrong in ["", "0", "00017f80f", "00017f80fg", "00017f80ff00", "+0017f80ff", "é0017f80f"] {
            assert_eq!(decode::<5>(wrong), None, "{wrong}");
        }
        assert_eq!(decode_up_to("0001", 1), None);
        assert_eq!(decode_up_to("0x01", 8), None);
    }
}
