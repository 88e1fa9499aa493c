//! Where sessions may come from: lists of networks for a realm, for a method of authentication and for a role.
//!
//! A realm's list decides before anything else is looked at, a method's list whether the realm has that method for this client
//! at all, a role's list whether a session that has proved who it is may have the role from where it is. Who is turned away by
//! the first or the last is told what a wrong password is told; a method that is closed to a client looks like one that the
//! realm does not have.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::Peer;

/// The networks, and perhaps the Unix domain sockets, that are on a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    networks: Vec<IpNet>,
    unix: bool,
}

/// Which sources a realm admits. What has no list admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceRules {
    realm: Option<Sources>,
    methods: BTreeMap<Box<str>, Sources>,
    roles: BTreeMap<Box<str>, Sources>,
}

/// Why a source cannot be put on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceError {
    /// Neither an address, nor a network in CIDR notation, nor `unix`.
    NotASource(Box<str>),
    /// The address has bits beyond the prefix: which network is meant is open.
    BitsBeyondPrefix {
        /// What was given.
        given: Box<str>,
        /// The network without them.
        network: Box<str>,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::NotASource(given) => {
                write!(f, "{given:?} is neither an address, nor a network such as 10.0.0.0/8, nor \"unix\"")
            }
            SourceError::BitsBeyondPrefix { given, network } => {
                write!(f, "{given} has bits beyond its prefix: is {network} meant?")
            }
        }
    }
}

impl std::error::Error for SourceError {}

impl Sources {
    /// A list of addresses, networks in CIDR notation, and `unix` for all Unix domain sockets. An empty list admits nobody.
    ///
    /// # Errors
    /// The first that is not one of those.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Sources, SourceError> {
        let mut sources = Sources::default();
        for text in texts {
            if text == UNIX {
                sources.unix = true;
                continue;
            }
            let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            let network = network.map_err(|_| SourceError::NotASource(text.into()))?;
            if network.addr() != network.network() {
                let network = network.trunc().to_string().into();
                return Err(SourceError::BitsBeyondPrefix { given: text.into(), network });
            }
            sources.networks.push(network);
        }
        Ok(sources)
    }

    /// Whether a peer is on the list. An IPv4 address in IPv6's clothes counts as what it is.
    pub(crate) fn admits(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Unix => self.unix,
            Peer::Tcp(address) => {
                let address = address.ip().to_canonical();
                self.networks.iter().any(|network| network.contains(&address))
            }
        }
    }
}

/// What a Unix domain socket is called in a list.
const UNIX: &str = "unix";

impl SourceRules {
    /// All sessions of the realm come from these.
    #[must_use]
    pub fn with_realm(mut self, sources: Sources) -> SourceRules {
        self.realm = Some(sources);
        self
    }

    /// The method (`anonymous`, `ticket`, ...) is there for these alone.
    #[must_use]
    pub fn with_method(mut self, method: &str, sources: Sources) -> SourceRules {
        self.methods.insert(method.into(), sources);
        self
    }

    /// Sessions have the role only if they come from these.
    #[must_use]
    pub fn with_role(mut self, role: &str, sources: Sources) -> SourceRules {
        self.roles.insert(role.into(), sources);
        self
    }

    pub(crate) fn admits(&self, peer: &Peer) -> bool {
        self.realm.as_ref().is_none_or(|sources| sources.admits(peer))
    }

    pub(crate) fn admits_method(&self, method: &str, peer: &Peer) -> bool {
        self.methods.get(method).is_none_or(|sources| sources.admits(peer))
    }

    pub(crate) fn admits_role(&self, role: &str, peer: &Peer) -> bool {
        self.roles.get(role).is_none_or(|sources| sources.admits(peer))
    }

    /// Whether every method is there for everybody.
    pub(crate) fn are_methods_free(&self) -> bool {
        self.methods.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn peer(text: &str) -> Peer {
        match text {
            "unix" => Peer::Unix,
            address => Peer::Tcp((address.parse::<IpAddr>().unwrap(), 4711).into()),
        }
    }

    #[test]
    fn a_list_admits_what_is_on_it() {
        for (list, peers) in [
            (
                &["10.0.0.0/8"][..],
                &["10.0.0.1 yes", "10.255.255.255 yes", "11.0.0.0 no", "unix no", "::1 no"][..],
            ),
            (&["192.0.2.7"], &["192.0.2.7 yes", "192.0.2.6 no", "::ffff:192.0.2.7 yes"]),
            (
                &["2001:db8::/32", "unix"],
                &["2001:db8:1::5 yes", "2001:db9::1 no", "unix yes", "127.0.0.1 no"],
            ),
            (&["0.0.0.0/0"], &["8.8.8.8 yes", "::1 no", "::ffff:8.8.8.8 yes"]),
            (&["::1"], &["::1 yes", "::2 no"]),
            (&[], &["127.0.0.1 no", "unix no"]),
        ] {
            let sources = Sources::new(list.iter().copied()).unwrap();
            for line in peers {
                let (name, expected) = line.split_once(' ').unwrap();
                assert_eq!(sources.admits(&peer(name)), expected == "yes", "{list:?}: {line}");
            }
        }
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0/8", "::/129", "Unix", "10.0.0.1:80", "1.2.3.4/"]
        {
            assert_eq!(Sources::new([text]), Err(SourceError::NotASource(text.into())));
        }
        let error = Sources::new(["10.1.2.3/8"]).unwrap_err();
        assert_eq!(error.to_string(), "10.1.2.3/8 has bits beyond its prefix: is 10.0.0.0/8 meant?");
    }

    #[test]
    fn what_has_no_list_admits_all() {
        let here = Sources::new(["127.0.0.0/8"]).unwrap();
        let rules = SourceRules::default().with_method("ticket", here.clone()).with_role("admin", here);
        let (near, far) = (peer("127.0.0.1"), peer("192.0.2.1"));
        assert!(
            rules.admits(&far) && rules.admits_method("anonymous", &far) && rules.admits_role("guest", &far)
        );
        assert!(rules.admits_method("ticket", &near) && rules.admits_role("admin", &near));
        assert!(!rules.admits_method("ticket", &far) && !rules.admits_role("admin", &far));
        let rules = SourceRules::default().with_realm(Sources::new(["unix"]).unwrap());
        assert!(rules.admits(&Peer::Unix) && !rules.admits(&near));
    }
}
