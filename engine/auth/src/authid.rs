//! The authid that a session asks for, and the random one of a session that is nobody in particular.

use crate::Env;

/// Octets of an authid, at most.
pub(crate) const AUTHID_BYTES_MAX: usize = 255;

/// What HELLO asks for: an empty authid is none.
pub(crate) fn asked(authid: Option<&str>) -> Option<&str> {
    authid.filter(|authid| !authid.is_empty())
}

/// A random authid in five groups of four hexadecimal digits: 80 bits.
pub(crate) fn random(env: &mut Env<'_>) -> Box<str> {
    let mut octets = [0; 10];
    (env.random)(&mut octets);
    let mut text = String::with_capacity(24);
    for (position, octet) in octets.into_iter().enumerate() {
        if position > 0 && position % 2 == 0 {
            text.push('-');
        }
        text.push(DIGITS[usize::from(octet >> 4)]);
        text.push(DIGITS[usize::from(octet & 15)]);
    }
    text.into_boxed_str()
}

const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
