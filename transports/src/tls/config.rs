//! Configurations of rustls, made from PEM octets.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

/// Which versions of TLS are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Versions {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12AndTls13,
    /// TLS 1.3 only.
    Tls13,
}

impl Versions {
    fn supported(self) -> &'static [&'static SupportedProtocolVersion] {
        static NEWEST_FIRST: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Versions::Tls12AndTls13 => &NEWEST_FIRST,
            Versions::Tls13 => &NEWEST_FIRST[..1],
        }
    }
}

/// Whom a client trusts.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Servers whose certificate leads to one of these, in PEM.
    Roots(&'a [u8]),
    /// Every server. For load tests against one's own router: whoever sits in between is not noticed.
    Anything,
}

/// Whether clients are to show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They may: one that does not lead to an authority ends the handshake, none at all does not.
    Optional,
    /// They must.
    Required,
}

/// Why a configuration could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The certificates are not PEM: why.
    CertificatePem(String),
    /// There is no certificate in the PEM.
    NoCertificate,
    /// The key is not PEM: why.
    KeyPem(String),
    /// There is no private key in the PEM that could be used.
    NoKey,
    /// The private key is encrypted.
    EncryptedKey,
    /// The private key is not that of the first certificate.
    KeyOfAnotherCertificate,
    /// Certificate or key was refused: why.
    Refused(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::CertificatePem(why) => write!(f, "the certificates are not valid PEM: {why}"),
            ConfigError::NoCertificate => {
                f.write_str("no certificate: expected PEM with `-----BEGIN CERTIFICATE-----`")
            }
            ConfigError::KeyPem(why) => write!(f, "the private key is not valid PEM: {why}"),
            ConfigError::NoKey => f.write_str(
                "no private key: expected PEM with `-----BEGIN PRIVATE KEY-----` (PKCS #8), \
                 `-----BEGIN EC PRIVATE KEY-----` (SEC1) or `-----BEGIN RSA PRIVATE KEY-----` (PKCS #1)",
            ),
            ConfigError::EncryptedKey => {
                f.write_str("the private key is encrypted: decrypt it, for example with `openssl pkey`")
            }
            ConfigError::KeyOfAnotherCertificate => f.write_str(
                "the private key does not belong to the first certificate; the server's own certificate comes \
                 first, then those that lead to the root",
            ),
            ConfigError::Refused(why) => write!(f, "certificate or private key cannot be used: {why}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A server with this certificate chain (its own certificate first) and private key, both in PEM. Clients
/// are not asked for certificates.
pub fn server_config(
    certificates: &[u8],
    key: &[u8],
    versions: Versions,
) -> Result<Arc<ServerConfig>, ConfigError> {
    let chain = parse_certificates(certificates)?;
    let key = parse_key(key)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions.supported())
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            Error::InconsistentKeys(_) => ConfigError::KeyOfAnotherCertificate,
            other => refused(other),
        })?;
    Ok(Arc::new(config))
}

/// What checks client certificates: they must lead to one of these authorities, in PEM, and be valid at the time. Their revocation
/// is not looked at.
pub fn client_verifier(
    authorities: &[u8],
    which: ClientCertificates,
) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
    let roots = Arc::new(parse_roots(authorities)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let builder = match which {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required => builder,
    };
    builder.build().map_err(|error| ConfigError::Refused(error.to_string()))
}

/// A client that trusts these and has no certificate of its own.
pub fn client_config(trust: Trust<'_>, versions: Versions) -> Result<Arc<ClientConfig>, ConfigError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions.supported())
        .map_err(refused)?;
    let config = match trust {
        Trust::Roots(pem) => builder.with_root_certificates(parse_roots(pem)?),
        Trust::Anything => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer { provider }))
        }
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::aws_lc_rs::default_provider())
}

fn refused(error: Error) -> ConfigError {
    ConfigError::Refused(error.to_string())
}

fn parse_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ConfigError::CertificatePem(error.to_string()))?;
    if certificates.is_empty() { Err(ConfigError::NoCertificate) } else { Ok(certificates) }
}

fn parse_roots(pem: &[u8]) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in parse_certificates(pem)? {
        roots.add(certificate).map_err(refused)?;
    }
    Ok(roots)
}

fn parse_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, ConfigError> {
    let has = |text: &[u8]| pem.windows(text.len()).any(|window| window == text);
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound if has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
            ConfigError::EncryptedKey
        }
        pem::Error::NoItemsFound => ConfigError::NoKey,
        other => ConfigError::KeyPem(other.to_string()),
    })
}

/// Accepts every certificate. Signatures of the handshake are checked all the same, so that it costs what it costs.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
