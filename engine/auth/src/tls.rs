//! Method `tls`: the certificate that TLS has verified, and whom it stands for.

use std::net::IpAddr;

use crate::admission::{Grant, check_name};
use crate::error::ConfigError;
use crate::hex;
use crate::{AlternativeName, ClientCertificate};

/// Octets of a name in a certificate, at most.
const NAME_BYTES_MAX: usize = 1024;

/// What a certificate is recognised by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateName(Part);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Sha256([u8; 32]),
    Subject(Box<str>),
    CommonName(Box<str>),
    Alternative(AlternativeName),
}

impl CertificateName {
    /// The SHA-256 fingerprint in 64 hexadecimal digits of either case, colons between the octets or not.
    ///
    /// # Errors
    /// If it is not that.
    pub fn sha256(fingerprint: &str) -> Result<CertificateName, ConfigError> {
        let digits: String = fingerprint.chars().filter(|character| *character != ':').collect();
        let expected = "64 hexadecimal digits, the SHA-256 of the certificate";
        let octets = hex::decode(&digits);
        octets
            .map(|octets| CertificateName(Part::Sha256(octets)))
            .ok_or(ConfigError::Malformed { what: "fingerprint", expected })
    }
    /// The whole subject, in the form of RFC 4514.
    ///
    /// # Errors
    /// If it is empty or longer than 1,024 octets.
    pub fn subject(subject: &str) -> Result<CertificateName, ConfigError> {
        check_name("subject", subject, NAME_BYTES_MAX)?;
        Ok(CertificateName(Part::Subject(subject.into())))
    }
    /// One of the subject's common names.
    ///
    /// # Errors
    /// If it is empty or longer than 1,024 octets.
    pub fn common_name(name: &str) -> Result<CertificateName, ConfigError> {
        check_name("common_name", name, NAME_BYTES_MAX)?;
        Ok(CertificateName(Part::CommonName(name.into())))
    }
    /// An alternative name: a DNS name, whose case does not matter.
    ///
    /// # Errors
    /// If it is empty or longer than 1,024 octets.
    pub fn dns(name: &str) -> Result<CertificateName, ConfigError> {
        check_name("dns", name, NAME_BYTES_MAX)?;
        Ok(CertificateName(Part::Alternative(comparable(&AlternativeName::Dns(name.into())))))
    }
    /// An alternative name: a mail address.
    ///
    /// # Errors
    /// If it is empty or longer than 1,024 octets.
    pub fn email(address: &str) -> Result<CertificateName, ConfigError> {
        check_name("email", address, NAME_BYTES_MAX)?;
        Ok(CertificateName(Part::Alternative(AlternativeName::Email(address.into()))))
    }
    /// An alternative name: a URI.
    ///
    /// # Errors
    /// If it is empty or longer than 1,024 octets.
    pub fn uri(uri: &str) -> Result<CertificateName, ConfigError> {
        check_name("uri", uri, NAME_BYTES_MAX)?;
        Ok(CertificateName(Part::Alternative(AlternativeName::Uri(uri.into()))))
    }
    /// An alternative name: an IP address.
    pub fn ip(address: IpAddr) -> CertificateName {
        CertificateName(Part::Alternative(AlternativeName::Ip(address)))
    }
    /// What a certificate may be recognised by, the most particular first.
    pub(crate) fn all_of(certificate: &ClientCertificate) -> impl Iterator<Item = CertificateName> + '_ {
        let common_names = certificate.common_names.iter().map(|name| Part::CommonName(name.clone()));
        let alternatives =
            certificate.alternative_names.iter().map(|name| Part::Alternative(comparable(name)));
        [Part::Sha256(certificate.sha256), Part::Subject(certificate.subject.clone())]
            .into_iter()
            .chain(alternatives)
            .chain(common_names)
            .map(CertificateName)
    }
}

impl std::fmt::Display for CertificateName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Part::Sha256(octets) => f.write_str(&hex::encode(octets)),
            Part::Subject(text) | Part::CommonName(text) => f.write_str(text),
            Part::Alternative(
                AlternativeName::Dns(text) | AlternativeName::Email(text) | AlternativeName::Uri(text),
            ) => f.write_str(text),
            Part::Alternative(AlternativeName::Ip(address)) => write!(f, "{address}"),
        }
    }
}

fn comparable(name: &AlternativeName) -> AlternativeName {
    match name {
        AlternativeName::Dns(name) => AlternativeName::Dns(name.to_ascii_lowercase().into()),
        other => other.clone(),
    }
}

/// Which part of a certificate is taken for the authid, where every certificate that the listener trusts may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateField {
    /// The common name, if there is just one.
    CommonName,
    /// The DNS name among the alternative names, if there is just one.
    Dns,
    /// The mail address among the alternative names, if there is just one.
    Email,
    /// The URI among the alternative names, if there is just one.
    Uri,
}

/// Every certificate that the listener trusts may join, by the name in one of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateMapping {
    /// The field that gives the authid.
    pub field: CertificateField,
    /// What such sessions get.
    pub grant: Grant,
}

impl CertificateMapping {
    /// The authid that the certificate gives.
    pub(crate) fn authid<'c>(&self, certificate: &'c ClientCertificate) -> Option<&'c str> {
        let mut names: Box<dyn Iterator<Item = &'c str>> = match self.field {
            CertificateField::CommonName => Box::new(certificate.common_names.iter().map(|name| &**name)),
            field => {
                Box::new(certificate.alternative_names.iter().filter_map(move |name| match (field, name) {
                    (CertificateField::Dns, AlternativeName::Dns(name))
                    | (CertificateField::Email, AlternativeName::Email(name))
                    | (CertificateField::Uri, AlternativeName::Uri(name)) => Some(&**name),
                    _ => None,
                }))
            }
        };
        let name = names.next()?;
        // Which of several would be meant?
        if names.next().is_some() || name.is_empty() || name.len() > crate::authid::AUTHID_BYTES_MAX {
            return None;
        }
        Some(name)
    }
}
