//! What the transport knows of its peer.

use std::net::IpAddr;

/// The facts of a connection that authentication uses. They come from the router's own transports, never from HELLO.
/// Formatting does not show cookies and channel bindings.
#[derive(Clone, Copy)]
pub struct Transport<'a> {
    /// The peer's address; `None` for a Unix domain socket.
    pub peer: Option<IpAddr>,
    /// The peer's address in words, for logs and for `transport.peer` of a dynamic authenticator's details.
    pub address: &'a str,
    /// `websocket` or `rawsocket`.
    pub kind: &'static str,
    /// The serializer's name in the configuration: `json`, `msgpack`, `cbor`.
    pub serializer: &'static str,
    /// Whether the connection is encrypted by TLS.
    pub is_tls: bool,
    /// The `tls-exporter` channel binding (RFC 9266): label `EXPORTER-Channel-Binding`, no context, 32 octets.
    pub exporter: Option<[u8; 32]>,
    /// The certificate that TLS has verified.
    pub certificate: Option<&'a ClientCertificate>,
    /// The value of the router's cookie that came with the HTTP upgrade.
    pub cookie: Option<&'a str>,
    /// The value of the cookie that the router set in its answer to the HTTP upgrade: 256 bits of randomness as text,
    /// never one that the client chose. What another method admits is remembered under it.
    pub issued_cookie: Option<&'a str>,
}

impl Transport<'static> {
    /// A connection of which nothing is known but its kind and serializer: what tests begin with.
    pub const fn plain(kind: &'static str, serializer: &'static str) -> Transport<'static> {
        Transport {
            peer: None,
            address: "",
            kind,
            serializer,
            is_tls: false,
            exporter: None,
            certificate: None,
            cookie: None,
            issued_cookie: None,
        }
    }
}

impl std::fmt::Debug for Transport<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Transport { address, kind, serializer, is_tls, certificate, .. } = self;
        write!(f, "Transport({address}, {kind}, {serializer}, tls: {is_tls}, {certificate:?})")
    }
}

/// A client certificate that TLS has verified against the listener's trust anchors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of the certificate's DER.
    pub sha256: [u8; 32],
    /// The subject in the form of RFC 4514, for example `CN=gate 7,O=Example`.
    pub subject: Box<str>,
    /// The subject's common names (attribute CN), usually one.
    pub common_names: Box<[Box<str>]>,
    /// The subject's alternative names that the router knows how to compare.
    pub alternative_names: Box<[AlternativeName]>,
}

/// One subjectAltName of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AlternativeName {
    /// A DNS name, as it stands in the certificate.
    Dns(Box<str>),
    /// A mail address (rfc822Name).
    Email(Box<str>),
    /// A URI.
    Uri(Box<str>),
    /// An IP address.
    Ip(IpAddr),
}
