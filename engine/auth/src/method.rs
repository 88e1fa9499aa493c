//! The authentication methods, by their names in `HELLO.Details.authmethods`.

/// How a session may prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Method {
    /// `anonymous`: nobody in particular.
    Anonymous,
    /// `ticket`: a secret that is sent ("Ticket-based Authentication").
    Ticket,
    /// `wampcra`: a keyed hash of a challenge ("Challenge Response Authentication").
    WampCra,
    /// `wamp-scram`: as the specification has it ("Salted Challenge Response Authentication").
    WampScram,
    /// `scram`: the dialect of autobahn and Crossbar.
    Scram,
    /// `cryptosign`: an ed25519 signature of a challenge ("Cryptosign-based Authentication").
    Cryptosign,
    /// `tls`: the certificate that the client showed to TLS.
    Tls,
    /// `cookie`: the cookie of a browser that another method admitted before.
    Cookie,
    /// `jwt`: a signed token of an issuer that the realm trusts.
    Jwt,
}

impl Method {
    /// Every method, in the order of their discriminants.
    pub const ALL: [Method; 9] = [
        Method::Anonymous,
        Method::Ticket,
        Method::WampCra,
        Method::WampScram,
        Method::Scram,
        Method::Cryptosign,
        Method::Tls,
        Method::Cookie,
        Method::Jwt,
    ];

    /// The name in `authmethods`, in CHALLENGE, in WELCOME and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Anonymous => "anonymous",
            Method::Ticket => "ticket",
            Method::WampCra => "wampcra",
            Method::WampScram => "wamp-scram",
            Method::Scram => "scram",
            Method::Cryptosign => "cryptosign",
            Method::Tls => "tls",
            Method::Cookie => "cookie",
            Method::Jwt => "jwt",
        }
    }

    /// The method of this name.
    pub fn from_name(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for (position, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, position);
            assert_eq!(Method::from_name(method.name()), Some(method));
        }
        assert_eq!(Method::from_name("Ticket"), None);
        assert_eq!(Method::from_name(""), None);
    }
}
