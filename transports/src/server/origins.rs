//! Which web pages may connect (RFC 6455, section 10.2): a browser says truthfully in `Origin` which page a WebSocket
//! belongs to, and lets any page ask.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Which web pages may connect (RFC 6455, section 10.2). Requests without `Origin` are not from a web page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// The page's host is the host asked for (`Host`, ports aside), or a loopback name or address.
    SameHostOrLoopback,
    /// As above, and these: `https://example.com`, `https://*.example.com`, `null`. A star stands for one or more
    /// labels; a port is part of an origin and must agree.
    Also(Vec<String>),
    /// Every page.
    Any,
}

impl Origins {
    /// Whether a page of this origin may connect to this host.
    pub(crate) fn admit(&self, origin: &str, host: &str) -> bool {
        match self {
            Origins::Any => true,
            Origins::SameHostOrLoopback => is_same_host_or_loopback(origin, host),
            Origins::Also(more) => {
                is_same_host_or_loopback(origin, host) || more.iter().any(|entry| matches(entry, origin))
            }
        }
    }
}

fn is_same_host_or_loopback(origin: &str, host: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let page = host_of(authority);
    !page.is_empty() && (page.eq_ignore_ascii_case(host_of(host)) || is_loopback(page))
}

/// The host of `host:port` or `[host]:port`.
fn host_of(authority: &str) -> &str {
    let end = match authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => end + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    &authority[..end]
}

fn is_loopback(host: &str) -> bool {
    let is_name = |name: &str| {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        name == "localhost" || name.ends_with(".localhost")
    };
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse().is_ok_and(|address: Ipv6Addr| address.to_canonical().is_loopback()),
        None => host.parse().map_or_else(|_| is_name(host), |address: Ipv4Addr| address.is_loopback()),
    }
}

/// Whether an origin is the one that an entry of the configuration names.
fn matches(entry: &str, origin: &str) -> bool {
    let Some((scheme, suffix)) = entry.split_once("://*.") else {
        return entry.eq_ignore_ascii_case(origin);
    };
    let Some((page_scheme, page)) = origin.split_once("://") else { return false };
    let Some(split) = page.len().checked_sub(suffix.len()).filter(|&at| page.is_char_boundary(at)) else {
        return false;
    };
    let (labels, page_suffix) = page.split_at(split);
    page_scheme.eq_ignore_ascii_case(scheme)
        && page_suffix.eq_ignore_ascii_case(suffix)
        && labels.len() > 1
        && labels.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::Origins;

    fn check(origins: &Origins, host: &str, admitted: &[&str], refused: &[&str]) {
        for origin in admitted {
            assert!(origins.admit(origin, host), "{origin} should be admitted to {host}");
        }
        for origin in refused {
            assert!(!origins.admit(origin, host), "{origin} should be refused at {host}");
        }
    }

    #[test]
    fn same_host_or_loopback() {
        check(
            &Origins::SameHostOrLoopback,
            "example.com:8080",
            &[
                "http://example.com",
                "https://Example.COM:8443",
                "http://localhost:3000",
                "http://app.localhost",
                "http://127.0.0.1:5173",
                "http://127.8.8.8",
                "http://[::1]:3000",
                "http://[::ffff:127.0.0.1]",
            ],
            &[
                "https://evil.example",
                "https://sub.example.com",
                "https://example.com.evil.example",
                "https://evilexample.com",
                "http://localhost.evil.example",
                "http://notlocalhost",
                "http://127.0.0.1.evil.example",
                "http://[::2]",
                "null",
                "file://",
                "",
                "example.com",
            ],
        );
        check(
            &Origins::SameHostOrLoopback,
            "[2001:db8::1]:80",
            &["http://[2001:db8::1]"],
            &["http://[2001:db8::2]"],
        );
        check(&Origins::SameHostOrLoopback, "", &[], &["http://", "http://a", "http://[", "http://:80"]);
    }

    #[test]
    fn also_these() {
        let also = |entries: &[&str]| Origins::Also(entries.iter().map(ToString::to_string).collect());
        check(
            &also(&["https://example.com", "https://*.example.org", "http://dev.example:3000"]),
            "router.example",
            &[
                "https://example.com",
                "https://router.example",
                "http://localhost",
                "https://a.example.org",
                "https://a.b.Example.org",
                "http://dev.example:3000",
            ],
            &[
                "http://example.com",
                "https://example.com:8443",
                "https://example.org",
                "https://.example.org",
                "https://evilexample.org",
                "http://a.example.org",
                "https://a.example.org:8443",
                "http://dev.example",
                "null",
            ],
        );
        check(&also(&["null"]), "router.example", &["null"], &["https://é.example.org", "file://"]);
        check(&also(&["https://*.é.example"]), "h", &["https://a.é.example"], &["https://a€.example"]);
    }

    #[test]
    fn any() {
        check(&Origins::Any, "router.example", &["https://evil.example", "null", ""], &[]);
    }
}
