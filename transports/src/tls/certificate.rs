//! What a client certificate says of its owner.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};

/// The attribute type `commonName` (X.520).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A client certificate, as far as it names its owner. The TLS handshake has verified that it leads to one of the listener's
/// authorities, was valid at the time, and belongs to the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of the certificate's DER, which is what `openssl x509 -fingerprint -sha256` shows.
    pub sha256: [u8; 32],
    /// The subject as text (RFC 4514): the most specific attribute first, `CN=alice,O=Example`, short names in capitals. Empty if
    /// the certificate has none.
    pub subject: String,
    /// The subject's common names (attribute CN), in the order of the certificate.
    pub common_names: Vec<String>,
    /// Subject alternative names: DNS names, as written.
    pub dns_names: Vec<String>,
    /// Subject alternative names: mail addresses (RFC 822), as written.
    pub emails: Vec<String>,
    /// Subject alternative names: URIs, as written.
    pub uris: Vec<String>,
    /// Subject alternative names: IP addresses.
    pub addresses: Vec<IpAddr>,
}

impl ClientCertificate {
    /// Reads a certificate in DER. What cannot be read names nobody: a certificate, or an extension, that is not to the letter of
    /// RFC 5280 leaves the names out, and the fingerprint stands.
    pub fn read(der: &[u8]) -> ClientCertificate {
        let mut read = ClientCertificate::default();
        read.sha256.copy_from_slice(digest(&SHA256, der).as_ref());
        let Ok(certificate) = Certificate::from_der(der) else { return read };
        let certificate = certificate.tbs_certificate();
        read.subject = certificate.subject().to_string();
        let common_names = certificate.subject().iter().filter(|attribute| attribute.oid == COMMON_NAME);
        let common_names =
            common_names.filter_map(|attribute| DirectoryString::try_from(&attribute.value).ok());
        read.common_names = common_names.map(|name| name.value().into_owned()).collect();
        if let Ok(Some((_, names))) = certificate.get_extension::<SubjectAltName>() {
            names.0.iter().for_each(|name| read.add(name));
        }
        read
    }

    fn add(&mut self, name: &GeneralName) {
        match name {
            GeneralName::DnsName(name) => self.dns_names.push(name.to_string()),
            GeneralName::Rfc822Name(address) => self.emails.push(address.to_string()),
            GeneralName::UniformResourceIdentifier(uri) => self.uris.push(uri.to_string()),
            GeneralName::IpAddress(octets) => self.addresses.extend(address(octets.as_bytes())),
            _ => {}
        }
    }
}

/// Four octets or sixteen (RFC 5280, section 4.2.1.6).
fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}
