//! Where the router is and how it is spoken to: what `--url` says.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use wampline_transports::client::Transport;

use crate::options::Common;
use crate::tls;

/// A router's address with everything that is needed to open a connection to it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The URL as it was given, for messages.
    pub(crate) url: String,
    pub(crate) address: Address,
    pub(crate) transport: Transport,
    /// Present for wss and rss.
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// It is no router but a bare forwarder ([`crate::forwarder`]).
    pub(crate) is_floor: bool,
}

/// Where a socket connects to.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Target {
    /// Reads the URL, resolves its host name and loads what TLS needs.
    pub(crate) fn new(common: &Common) -> Result<Target, String> {
        let url = Url::parse(&common.url).map_err(|problem| format!("--url {}: {problem}", common.url))?;
        let transport = match &url.websocket {
            Some(path) => Transport::WebSocket { host: url.host_header(), path: path.clone() },
            None => Transport::RawSocket { length: RAWSOCKET_LENGTH_MAX },
        };
        let tls = if url.secure {
            let name = ServerName::try_from(url.host_name().to_owned())
                .map_err(|_| format!("--url {}: not a host name that a certificate can have", common.url))?;
            Some((tls::config(common.insecure, common.ca.as_deref())?, name))
        } else {
            None
        };
        let address = match url.place {
            Place::Tcp { host, port } => Address::Tcp(resolve(&host, port)?),
            Place::Unix(path) => Address::Unix(path),
        };
        Ok(Target { url: common.url.clone(), address, transport, tls, is_floor: url.is_floor })
    }
}

/// Whether a URL, if it is one, is that of a bare forwarder.
pub(crate) fn is_floor(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.is_floor)
}

/// What is wrong with the options that say where the router is and what is trusted, if anything is.
pub(crate) fn check(common: &Common) -> Result<(), String> {
    let url = Url::parse(&common.url).map_err(|problem| format!("--url {}: {problem}", common.url))?;
    if url.secure {
        tls::config(common.insecure, common.ca.as_deref())?;
    }
    Ok(())
}

/// The URL with another host and port.
pub(crate) fn with_address(url: &str, address: &str) -> Result<String, String> {
    let (scheme, rest) =
        url.split_once("://").ok_or_else(|| format!("{url} has no host that {address} could replace"))?;
    let path = rest.find('/').map_or("", |slash| &rest[slash..]);
    let changed = format!("{scheme}://{address}{path}");
    match Url::parse(&changed).map_err(|problem| format!("--address {address}: {problem}"))?.place {
        Place::Tcp { .. } => Ok(changed),
        Place::Unix(_) => Err(format!("{url} has no host that {address} could replace")),
    }
}

/// 2^24 octets.
const RAWSOCKET_LENGTH_MAX: u8 = 15;

/// The WebSocket path when the URL has none.
const DEFAULT_PATH: &str = "/ws";

#[derive(Debug, PartialEq, Eq)]
struct Url {
    place: Place,
    secure: bool,
    /// The request path of a WebSocket; `None` for RawSocket.
    websocket: Option<String>,
    is_floor: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// The host without brackets.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

impl Url {
    fn parse(text: &str) -> Result<Url, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Url::unix(path, None);
        }
        if let Some(path) = text.strip_prefix("ws+unix:") {
            return Url::unix(path, Some(DEFAULT_PATH.to_owned()));
        }
        if let Some(path) = text.strip_prefix("floor+unix:") {
            return Ok(Url { is_floor: true, ..Url::unix(path, None)? });
        }
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        let (websocket, secure, default_port) = match scheme {
            "ws" => (true, false, Some(80)),
            "wss" => (true, true, Some(443)),
            "rs" | "floor" => (false, false, None),
            "rss" => (false, true, None),
            _ => return Err(EXPECTED.to_owned()),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => (&rest[..slash], Some(&rest[slash..])),
            None => (rest, None),
        };
        if !websocket && path.is_some_and(|path| path != "/") {
            return Err("this URL has no path".to_owned());
        }
        let (host, port) = split_authority(authority, default_port)?;
        let websocket = websocket.then(|| path.unwrap_or(DEFAULT_PATH).to_owned());
        Ok(Url { place: Place::Tcp { host, port }, secure, websocket, is_floor: scheme == "floor" })
    }

    fn unix(path: &str, websocket: Option<String>) -> Result<Url, String> {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err("a path is expected after unix:".to_owned());
        }
        Ok(Url { place: Place::Unix(PathBuf::from(path)), secure: false, websocket, is_floor: false })
    }

    fn host_name(&self) -> &str {
        match &self.place {
            Place::Tcp { host, .. } => host,
            Place::Unix(_) => "localhost",
        }
    }

    fn host_header(&self) -> String {
        match &self.place {
            Place::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Place::Tcp { host, port } => format!("{host}:{port}"),
            Place::Unix(_) => "localhost".to_owned(),
        }
    }
}

const EXPECTED: &str =
    "expected ws://, wss://, rs://, rss:// or floor://HOST:PORT, unix:PATH, ws+unix:PATH or floor+unix:PATH";

fn split_authority(authority: &str, default_port: Option<u16>) -> Result<(String, u16), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a closing ] is missing")?;
            (host, rest.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| format!("{port:?} is not a port"))?,
        None => default_port.ok_or("the port is missing")?,
    };
    Ok((host.to_owned(), port))
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let mut addresses =
        (host, port).to_socket_addrs().map_err(|error| format!("cannot resolve {host}: {error}"))?;
    addresses.next().ok_or_else(|| format!("{host} has no address"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn every_scheme() {
        let check = |text, place, secure, websocket: Option<&str>, is_floor| {
            let websocket = websocket.map(str::to_owned);
            assert_eq!(Url::parse(text), Ok(Url { place, secure, websocket, is_floor }), "{text}");
        };
        check("rs://127.0.0.1:8080", tcp("127.0.0.1", 8080), false, None, false);
        check("rss://[::1]:8443/", tcp("::1", 8443), true, None, false);
        check("ws://host", tcp("host", 80), false, Some("/ws"), false);
        check("wss://host/a/b?c=d", tcp("host", 443), true, Some("/a/b?c=d"), false);
        check("unix:/tmp/x", Place::Unix("/tmp/x".into()), false, None, false);
        check("unix:///tmp/x", Place::Unix("/tmp/x".into()), false, None, false);
        check("ws+unix:///tmp/x", Place::Unix("/tmp/x".into()), false, Some("/ws"), false);
        check("floor://127.0.0.1:9", tcp("127.0.0.1", 9), false, None, true);
        check("floor+unix:/tmp/x", Place::Unix("/tmp/x".into()), false, None, true);
    }

    #[test]
    fn addresses_are_replaced() {
        assert_eq!(with_address("ws://h:1/ws", "[::1]:2"), Ok("ws://[::1]:2/ws".to_owned()));
        assert_eq!(with_address("rs://h:1", "i:2"), Ok("rs://i:2".to_owned()));
        assert!(with_address("unix:/x", "i:2").is_err());
        assert!(with_address("unix:///x", "i:2").is_err());
        assert!(with_address("rs://h:1", "nonsense").is_err());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let problem = |text| Url::parse(text).unwrap_err();
        assert!(problem("http://x:1").contains("expected ws://"));
        assert!(problem("127.0.0.1:8080").contains("expected ws://"));
        assert_eq!(problem("rs://127.0.0.1"), "the port is missing");
        assert_eq!(problem("rs://:80"), "the host is missing");
        assert_eq!(problem("rs://h:80/ws"), "this URL has no path");
        assert_eq!(problem("ws://[::1"), "a closing ] is missing");
        assert!(problem("ws://h:99999").contains("is not a port"));
        assert!(problem("unix:").contains("a path is expected"));
    }

    #[test]
    fn the_host_header_names_host_and_port() {
        assert_eq!(Url::parse("ws://h:8080/ws").unwrap().host_header(), "h:8080");
        assert_eq!(Url::parse("ws://[::1]:8080/ws").unwrap().host_header(), "[::1]:8080");
        assert_eq!(Url::parse("ws+unix:/x").unwrap().host_header(), "localhost");
    }
}
