//! JSON strings: finding their end, checking and resolving their escapes.

use super::{read, scan::Scanner, special::find_special};
use crate::{ParseError, ParseErrorKind};

/// Where the content of a string lies, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether the content has escapes.
    pub(super) escaped: bool,
}

/// Passes over the string whose opening quote is at the position.
#[inline]
pub(super) fn scan(scanner: &mut Scanner<'_>) -> Result<Span, ParseError> {
    let start = scanner.at + 1;
    let special = find_special(scanner.octets, start);
    let (end, escaped) = match scanner.octets.get(special) {
        Some(b'"') => (special, false),
        _ => (content_end(scanner.octets, special)?, true),
    };
    if escaped && !is_sound(&scanner.octets[start..end]) {
        return Err(ParseError::new(start, NOT_BASE64));
    }
    scanner.at = end + 1;
    Ok(Span { start, end, escaped })
}

/// The position after the string whose opening quote is at `at`; `None` if [`error`] knows why not.
#[inline]
pub(super) fn end(octets: &[u8], at: usize) -> Option<usize> {
    let special = find_special(octets, at + 1);
    match octets.get(special) {
        Some(b'"') => Some(special + 1),
        _ => {
            let end = content_end(octets, special).ok()?;
            is_sound(&octets[at + 1..end]).then_some(end + 1)
        }
    }
}

/// What is wrong with the string whose opening quote is at `at`.
#[cold]
pub(super) fn error(octets: &[u8], at: usize) -> ParseError {
    match content_end(octets, at + 1) {
        Err(error) => error,
        Ok(end) if !is_sound(&octets[at + 1..end]) => ParseError::new(at + 1, NOT_BASE64),
        Ok(end) => ParseError::new(end, ParseErrorKind::Syntax("malformed string")),
    }
}

/// Readers take what begins with U+0000 for octets in base64 ("Binary support in JSON"), and some fail where it is not.
const NOT_BASE64: ParseErrorKind =
    ParseErrorKind::Syntax("a string that begins with U+0000 is not base64 after it");

/// Whether string content with escapes either does not begin with U+0000 or goes on in base64.
fn is_sound(content: &[u8]) -> bool {
    !content.starts_with(b"\\u0000")
        || std::str::from_utf8(content).is_ok_and(|content| read::binary(&unescape(content)).is_some())
}

/// The closing quote, looked for from `at`, which is inside the string.
fn content_end(octets: &[u8], mut at: usize) -> Result<usize, ParseError> {
    loop {
        at = find_special(octets, at);
        match octets.get(at) {
            Some(b'"') => return Ok(at),
            Some(b'\\') => at = escape_end(octets, at)?,
            Some(_) => {
                return Err(ParseError::new(at, ParseErrorKind::Syntax("control character in a string")));
            }
            None => return Err(ParseError::new(octets.len(), ParseErrorKind::Truncated)),
        }
    }
}

/// The octet after the escape that begins at `at`.
fn escape_end(octets: &[u8], at: usize) -> Result<usize, ParseError> {
    match octets.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(octets, at + 2)? {
            0xD800..=0xDBFF => low_surrogate_end(octets, at),
            0xDC00..=0xDFFF => Err(ParseError::new(at, ParseErrorKind::Utf8)),
            _ => Ok(at + 6),
        },
        Some(_) => Err(ParseError::new(at + 1, ParseErrorKind::Syntax("unknown escape in a string"))),
        None => Err(ParseError::new(octets.len(), ParseErrorKind::Truncated)),
    }
}

/// The octet after the pair of surrogates of which the high one is escaped at `at`.
fn low_surrogate_end(octets: &[u8], at: usize) -> Result<usize, ParseError> {
    let lone = ParseError::new(at, ParseErrorKind::Utf8);
    for (offset, expected) in [(6, b'\\'), (7, b'u')] {
        match octets.get(at + offset) {
            Some(octet) if *octet == expected => {}
            Some(_) => return Err(lone),
            None => return Err(ParseError::new(octets.len(), ParseErrorKind::Truncated)),
        }
    }
    match hex4(octets, at + 8)? {
        0xDC00..=0xDFFF => Ok(at + 12),
        _ => Err(lone),
    }
}

/// Four hexadecimal digits as a UTF-16 code unit.
fn hex4(octets: &[u8], at: usize) -> Result<u32, ParseError> {
    let mut unit = 0;
    for at in at..at + 4 {
        let Some(&octet) = octets.get(at) else {
            return Err(ParseError::new(octets.len(), ParseErrorKind::Truncated));
        };
        let Some(digit) = (octet as char).to_digit(16) else {
            return Err(ParseError::new(at, ParseErrorKind::Syntax("four hexadecimal digits are expected")));
        };
        unit = unit << 4 | digit;
    }
    Ok(unit)
}

/// Resolves the escapes of string content that was accepted.
pub(super) fn unescape(content: &str) -> String {
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (character, length) = resolve(&rest.as_bytes()[at..]);
        text.push(character);
        rest = rest.get(at + length..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// The character that the escape at the start of `octets` stands for, and the escape's length.
fn resolve(octets: &[u8]) -> (char, usize) {
    let character = match octets.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let high = hex4(octets, 2).unwrap_or_default();
            if !(0xD800..=0xDBFF).contains(&high) {
                return (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
            }
            let low = hex4(octets, 8).unwrap_or_default();
            let scalar = 0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF);
            return (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
        }
        Some(&octet) => octet as char,
        None => '\\',
    };
    (character, 2)
}
