//! What authentication is told of a connection, by what the transports know of it.

use std::io::Write;

use wampline_auth::{AlternativeName, ClientCertificate, Method, RealmAuthentication, Transport};
use wampline_transports::tls;

use crate::Peer;
use crate::connection::Connection;

/// Octets of a peer's address as text, at most; what is longer is cut.
const ADDRESS_BYTES_MAX: usize = 96;

/// What of a connection is put together for authentication.
pub(crate) struct Facts {
    address: [u8; ADDRESS_BYTES_MAX],
    address_len: usize,
    exporter: Option<[u8; 32]>,
    certificate: Option<ClientCertificate>,
}

impl Facts {
    /// The facts that a realm may want. What is derived anew from TLS each time is left out where nobody can prove anything.
    pub(crate) fn of(connection: &Connection, realm: &RealmAuthentication) -> Facts {
        let mut address = [0; ADDRESS_BYTES_MAX];
        let mut rest = &mut address[..];
        // An error says that it did not fit.
        let _ = write!(rest, "{}", connection.peer);
        let address_len = ADDRESS_BYTES_MAX - rest.len();
        let mut facts = Facts { address, address_len, exporter: None, certificate: None };
        if let Some(tls) = &connection.tls
            && realm.methods().any(|method| method != Method::Anonymous)
        {
            facts.exporter = tls.machine.exporter();
            facts.certificate = tls.machine.client_certificate().map(certificate);
        }
        facts
    }

    pub(crate) fn transport<'a>(&'a self, connection: &'a Connection) -> Transport<'a> {
        let cookie = |is_fresh: bool| {
            let cookie = connection.cookie.as_ref().filter(|cookie| cookie.is_fresh == is_fresh);
            cookie.map(|cookie| &*cookie.value)
        };
        Transport {
            peer: match &connection.peer {
                Peer::Tcp(address) => Some(address.ip()),
                Peer::Unix => None,
            },
            address: std::str::from_utf8(&self.address[..self.address_len]).unwrap_or_default(),
            kind: connection.kind(),
            serializer: connection.form.serializer().name(),
            is_tls: connection.tls.is_some(),
            exporter: self.exporter,
            certificate: self.certificate.as_ref(),
            cookie: cookie(false),
            issued_cookie: cookie(true),
        }
    }
}

fn certificate(certificate: tls::ClientCertificate) -> ClientCertificate {
    let tls::ClientCertificate { sha256, subject, common_names, dns_names, emails, uris, addresses } =
        certificate;
    let texts = |texts: Vec<String>| texts.into_iter().map(String::into_boxed_str);
    let names = texts(dns_names).map(AlternativeName::Dns);
    let names = names.chain(texts(emails).map(AlternativeName::Email));
    let names = names.chain(texts(uris).map(AlternativeName::Uri));
    let names = names.chain(addresses.into_iter().map(AlternativeName::Ip));
    ClientCertificate {
        sha256,
        subject: subject.into(),
        common_names: texts(common_names).collect(),
        alternative_names: names.collect(),
    }
}
