//! Addresses to listen on, as the configuration and `--listen` write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use wampline_driver::Endpoint;

/// Where to listen. A host name is resolved late, by [`Address::resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port; port 0 picks a free one.
    Tcp(SocketAddr),
    /// A host name and a port.
    Name(String, u16),
    /// A Unix domain socket.
    Unix(PathBuf),
}

/// Octets of a Unix socket's path that the kernel takes: `sun_path` less its final zero.
const UNIX_PATH_MAX: usize = 107;

/// What an address looks like, for error messages.
pub(super) const ADDRESS_FORM: &str = r#""host:port", "[::1]:port" or "unix:PATH""#;

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let invalid = || format!("{text:?} is not an address, expected {ADDRESS_FORM}");
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path).map_err(|why| format!("{text:?} is not usable: {why}"));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Address::Tcp(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        if host.is_empty() || host == "*" {
            return Err(format!("{} for every interface: \"0.0.0.0:{port}\" or \"[::]:{port}\"", invalid()));
        }
        if host.contains(':') {
            return Err(format!("{}; an IPv6 address stands in brackets", invalid()));
        }
        let named = host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet));
        // What ends in a number is an IPv4 address, and this one did not parse.
        let numeric =
            host.rsplit('.').next().is_some_and(|last| last.bytes().all(|octet| octet.is_ascii_digit()));
        let number =
            Some(port).filter(|port| port.bytes().all(|octet| octet.is_ascii_digit())).map(str::parse::<u16>);
        match number {
            Some(Ok(port)) if named && !numeric => Ok(Address::Name(host.into(), port)),
            Some(Ok(_)) => Err(invalid()),
            _ => Err(format!("{}, with a port from 0 to 65535", invalid())),
        }
    }
}

fn unix(path: &str) -> Result<Address, String> {
    if path.is_empty() || path.ends_with('/') {
        return Err(r#"expected the path of a socket, as in "unix:/run/wampline.sock""#.into());
    }
    if path.contains('\0') {
        return Err("a path holds no zero octet".into());
    }
    if path.len() > UNIX_PATH_MAX {
        return Err(format!("the path has {} octets, expected at most {UNIX_PATH_MAX}", path.len()));
    }
    Ok(Address::Unix(path.into()))
}

impl Address {
    /// The same address with a relative socket path taken from `folder`.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Address {
        match self {
            Address::Unix(path) => Address::Unix(folder.join(path)),
            other => other,
        }
    }

    /// The endpoint to bind: of a name's addresses the first IPv4 address, else the first.
    ///
    /// # Errors
    /// The name has no address, or its path has grown too long.
    pub fn resolve(&self) -> Result<Endpoint, String> {
        match self {
            Address::Tcp(address) => Ok(Endpoint::Tcp(*address)),
            Address::Unix(path) => match path.as_os_str().len() {
                ..=UNIX_PATH_MAX => Ok(Endpoint::Unix(path.clone())),
                length => {
                    Err(format!("the path {path:?} has {length} octets, expected at most {UNIX_PATH_MAX}"))
                }
            },
            Address::Name(host, port) => {
                let found = (host.as_str(), *port).to_socket_addrs().map_err(|error| {
                    format!("the name {host:?} cannot be resolved ({error}), expected an IP address or a known name")
                })?;
                let addresses: Vec<SocketAddr> = found.collect();
                let chosen = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
                let chosen =
                    chosen.ok_or_else(|| format!("the name {host:?} has no address, expected one"))?;
                Ok(Endpoint::Tcp(*chosen))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Name(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An endpoint as logs show it and as `--listen` takes it.
pub fn display_endpoint(endpoint: &Endpoint) -> Address {
    match endpoint {
        Endpoint::Tcp(address) => Address::Tcp(*address),
        Endpoint::Unix(path) => Address::Unix(path.clone()),
    }
}

/// Whether both cannot be listened on at the same time: equal, or same port and one of them for every interface.
pub(super) fn collide(one: &Endpoint, other: &Endpoint) -> bool {
    match (one, other) {
        (Endpoint::Unix(one), Endpoint::Unix(other)) => one == other,
        (Endpoint::Tcp(one), Endpoint::Tcp(other)) => {
            let wild = |ip: IpAddr| ip == Ipv4Addr::UNSPECIFIED || ip == Ipv6Addr::UNSPECIFIED;
            let (a, b) = (one.ip(), other.ip());
            let same_family = a.is_ipv4() == b.is_ipv4();
            one.port() == other.port() && one.port() != 0 && (a == b || same_family && (wild(a) || wild(b)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read_and_written_back() {
        for text in [
            "127.0.0.1:8080",
            "[::1]:0",
            "localhost:65535",
            "unix:/run/w.sock",
            "unix:w.sock",
            "a-b.example:1",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_told_what_was_expected() {
        for (text, part) in [
            ("", "is not an address"),
            ("8080", "is not an address"),
            (":8080", "0.0.0.0:8080"),
            ("*:8080", "[::]:8080"),
            ("::1:8080", "in brackets"),
            ("[::1]", "in brackets"),
            ("localhost", "is not an address"),
            ("localhost:", "port from 0 to 65535"),
            ("localhost:65536", "port from 0 to 65535"),
            ("localhost:+80", "port from 0 to 65535"),
            ("127.0.0.256:80", "is not an address"),
            ("127.1:80", "is not an address"),
            ("ws://localhost:80", "in brackets"),
            ("unix:", "path of a socket"),
            ("unix:/run/", "path of a socket"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        let long = format!("unix:/{}", "x".repeat(UNIX_PATH_MAX));
        assert!(long.parse::<Address>().unwrap_err().contains("at most 107"));
    }

    #[test]
    fn names_resolve_to_ipv4_first() {
        let localhost = Address::Name("localhost".into(), 7).resolve().unwrap();
        assert!(
            matches!(localhost, Endpoint::Tcp(address) if address.ip().is_loopback() && address.port() == 7)
        );
    }

    #[test]
    fn collisions() {
        let collide = |one: &str, other: &str| {
            collide(
                &one.parse::<Address>().unwrap().resolve().unwrap(),
                &other.parse::<Address>().unwrap().resolve().unwrap(),
            )
        };
        assert!(collide("127.0.0.1:80", "127.0.0.1:80"));
        assert!(collide("0.0.0.0:80", "127.0.0.1:80"));
        assert!(collide("[::1]:80", "[::]:80"));
        assert!(collide("unix:/a", "unix:/a"));
        assert!(!collide("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!collide("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!collide("127.0.0.1:80", "[::1]:80"));
        assert!(!collide("127.0.0.1:80", "unix:/a"));
    }
}
