//! A cookie of ours: what tells a browser that comes back from one that comes for the first time (RFC 6265).
//!
//! Its value means nothing by itself. What it stands for, and whether it is still good, is for whoever keeps that; this module
//! finds it in a request and writes it into the answer.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http;

/// Octets of randomness in a value: nobody guesses 256 bits.
pub const COOKIE_BYTES: usize = 32;

/// A value that is longer than this is not ours.
const VALUE_BYTES_MAX: usize = 128;

/// A cookie that a listener gives to browsers. It is always `HttpOnly` (no script of a page reads it), and for the path `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieOptions {
    name: String,
    max_age: Duration,
    same_site: SameSite,
    is_secure: bool,
}

/// With which requests a browser sends a cookie along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Of pages of the same site alone.
    #[default]
    Strict,
    /// As `Strict` for a WebSocket; also when a link from elsewhere leads to a page of the site.
    Lax,
    /// Of any page. Takes TLS.
    None,
}

/// Why there can be no such cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieError {
    /// The name is empty or has characters that names of cookies do not have.
    Name,
    /// Browsers take a cookie with the prefix `__Host-` or `__Secure-` over TLS alone.
    PrefixWithoutTls,
    /// Browsers take `SameSite=None` over TLS alone.
    NoneWithoutTls,
    /// It would be gone at once.
    MaxAge,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CookieError::Name => {
                "expected a name of letters, digits and \"-_.!#$%&'*+^`|~\", at most 64 of them"
            }
            CookieError::PrefixWithoutTls => {
                "names that begin with __Host- or __Secure- take a listener with TLS"
            }
            CookieError::NoneWithoutTls => "same_site = \"none\" takes a listener with TLS",
            CookieError::MaxAge => "expected a life of one second or more",
        })
    }
}

impl std::error::Error for CookieError {}

/// A connection's cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Its value.
    pub value: Box<str>,
    /// The browser has it from the answer to this very request; otherwise it brought it.
    pub is_fresh: bool,
}

impl fmt::Debug for Cookie {
    /// Without the value, which is as good as a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie").field("is_fresh", &self.is_fresh).finish_non_exhaustive()
    }
}

impl Cookie {
    /// A new one, made of random octets.
    pub(super) fn fresh(random: [u8; COOKIE_BYTES]) -> Cookie {
        Cookie { value: URL_SAFE_NO_PAD.encode(random).into(), is_fresh: true }
    }
}

impl CookieOptions {
    /// A cookie of this name, which browsers keep for so long (in whole seconds). `is_secure`: the listener has TLS, and browsers
    /// send it over TLS alone.
    ///
    /// # Errors
    /// Browsers would not take it.
    pub fn new(
        name: &str,
        max_age: Duration,
        same_site: SameSite,
        is_secure: bool,
    ) -> Result<CookieOptions, CookieError> {
        let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&octet);
        let has_prefix =
            |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if !(1..=64).contains(&name.len()) || !name.bytes().all(is_token) {
            return Err(CookieError::Name);
        }
        if !is_secure && (has_prefix("__Host-") || has_prefix("__Secure-")) {
            return Err(CookieError::PrefixWithoutTls);
        }
        if !is_secure && same_site == SameSite::None {
            return Err(CookieError::NoneWithoutTls);
        }
        if max_age.as_secs() == 0 {
            return Err(CookieError::MaxAge);
        }
        Ok(CookieOptions { name: name.into(), max_age, same_site, is_secure })
    }

    /// Whether a browser sends it with the requests of every page.
    pub fn is_for_every_site(&self) -> bool {
        self.same_site == SameSite::None
    }
    /// How long a browser keeps it.
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The one that a request brings, if it could be ours; the first, if there are several of that name.
    pub(super) fn find(&self, headers: &[httparse::Header<'_>]) -> Option<Box<str>> {
        let pairs = http::values(headers, "Cookie").flat_map(|value| value.split(|&octet| octet == b';'));
        let (_, value) = pairs
            .filter_map(|pair| {
                let at = pair.iter().position(|&octet| octet == b'=')?;
                Some((pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()))
            })
            .find(|(name, _)| *name == self.name.as_bytes())?;
        let is_ours = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        if value.is_empty() || value.len() > VALUE_BYTES_MAX || !value.iter().all(is_ours) {
            return None;
        }
        std::str::from_utf8(value).ok().map(Box::from)
    }

    /// Appends the header that sets it, from CRLF to the end of its value.
    pub(super) fn write(&self, value: &str, out: &mut Vec<u8>) {
        let CookieOptions { name, max_age, .. } = self;
        let same_site = match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        let secure = if self.is_secure { "; Secure" } else { "" };
        let header = format!(
            "\r\nSet-Cookie: {name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite={same_site}{secure}",
            max_age.as_secs()
        );
        out.extend_from_slice(header.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn found(headers: &[&[u8]]) -> Option<Box<str>> {
        let headers: Vec<_> =
            headers.iter().map(|value| httparse::Header { name: "cookie", value }).collect();
        CookieOptions::new("sid", DAY, SameSite::Strict, false).unwrap().find(&headers)
    }

    #[test]
    fn found_by_its_name() {
        for headers in [
            &[&b"sid=Ab_-9"[..]][..],
            &[b"a=b; sid=Ab_-9; c=d"],
            &[b"a=b;sid = Ab_-9 ;"],
            &[b"SID=x; Sid=y; xsid=z; sid=Ab_-9; sid=second"],
            &[b"a=b", b"flag; ;=; sid=Ab_-9"],
        ] {
            assert_eq!(found(headers).as_deref(), Some("Ab_-9"), "{headers:?}");
        }
    }

    #[test]
    fn what_is_not_ours_is_not_there() {
        let long = format!("sid={}", "a".repeat(129));
        for header in [&b""[..], b"sid", b"sid=", b"sid=\"Ab\"", b"sid=a b", b"sid=\xFF", long.as_bytes()] {
            assert_eq!(found(&[header]), None, "{}", String::from_utf8_lossy(header));
        }
        assert_eq!(found(&[]), None);
        assert!(found(&[&long.as_bytes()[..132]]).is_some());
    }

    #[test]
    fn written_as_browsers_want_it() {
        for (same_site, is_secure, end) in [
            (SameSite::Strict, false, "SameSite=Strict"),
            (SameSite::Lax, true, "SameSite=Lax; Secure"),
            (SameSite::None, true, "SameSite=None; Secure"),
        ] {
            let mut out = Vec::new();
            CookieOptions::new("sid", DAY, same_site, is_secure).unwrap().write("x", &mut out);
            let expected = format!("\r\nSet-Cookie: sid=x; Path=/; Max-Age=86400; HttpOnly; {end}");
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let fresh = Cookie::fresh([0xFB; COOKIE_BYTES]);
        assert_eq!((&*fresh.value, fresh.is_fresh), ("-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s", true));
        assert!(!format!("{fresh:?}").contains("_v7"), "never logged");
    }

    #[test]
    fn cookies_that_browsers_would_not_take() {
        let made =
            |name: &str, same_site, is_secure| CookieOptions::new(name, DAY, same_site, is_secure).err();
        for name in ["", "a b", "a=b", "a;b", "\u{e9}", "a\r\nX: y", &"a".repeat(65)] {
            assert_eq!(made(name, SameSite::Strict, true), Some(CookieError::Name), "{name:?}");
        }
        assert_eq!(made("__host-a", SameSite::Strict, false), Some(CookieError::PrefixWithoutTls));
        assert_eq!(made("__Secure-a", SameSite::Strict, false), Some(CookieError::PrefixWithoutTls));
        assert_eq!(made("__Host-a", SameSite::Strict, true), None);
        assert_eq!(made("a", SameSite::None, false), Some(CookieError::NoneWithoutTls));
        let short = CookieOptions::new("a", Duration::from_millis(999), SameSite::Lax, true);
        assert_eq!(short.err(), Some(CookieError::MaxAge));
    }
}
