//! What a listener needs to terminate TLS: certificate chain and private key, read from PEM files and checked against
//! each other. The cryptography is aws-lc-rs through rustls.
//!
//! Does not speak TLS itself and watches no file: what was read at start stays.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use wampline_transports::tls::{ClientCertificates, client_verifier};

use crate::config::TlsVersion;

/// Why certificate and key cannot serve.
#[derive(Debug)]
pub(crate) struct TlsError {
    /// Which of them is to blame.
    pub(crate) part: Part,
    /// What was wrong and what was expected.
    pub(crate) message: String,
}

/// A part of a listener's TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The file with the chain.
    Certificate,
    /// The file with the key.
    Key,
    /// The file with the authorities of client certificates.
    Authorities,
    /// The versions.
    Versions,
}

/// A file is not read beyond this: chains have some KiB.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// The files of a listener's TLS, in PEM.
#[derive(Debug)]
pub(crate) struct Files {
    /// The server's chain.
    pub(crate) certificate: PathBuf,
    /// The private key of its first certificate.
    pub(crate) key: PathBuf,
    /// The authorities of client certificates, if clients are asked for them.
    pub(crate) clients: Option<(PathBuf, ClientCertificates)>,
}

/// Reads the files and makes the server's side of TLS of them. No protocol is negotiated (ALPN), so that RawSocket and WebSocket
/// clients are both served. With `binding`, clients that speak TLS 1.2 must mix the whole handshake into the keys (RFC 7627), so
/// that there is something to bind to; all that are not very old do.
///
/// # Errors
/// A file cannot be read or holds something else, or key and certificate do not belong together.
pub(crate) fn server_config(
    files: &Files,
    versions: &[TlsVersion],
    binding: bool,
) -> Result<Arc<ServerConfig>, TlsError> {
    let Files { certificate, key, clients } = files;
    let chain = read_chain(certificate)?;
    let private_key = read_key(key)?;
    let versions: Vec<_> = versions
        .iter()
        .map(|version| match version {
            TlsVersion::V1_2 => &rustls::version::TLS12,
            TlsVersion::V1_3 => &rustls::version::TLS13,
        })
        .collect();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&versions)
        .map_err(|error| {
            TlsError::new(Part::Versions, format!("these versions cannot be offered: {error}"))
        })?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some((authorities, which)) => {
            let text = read_file(authorities, Part::Authorities)?;
            let verifier = client_verifier(&text, *which).map_err(|error| {
                TlsError::new(Part::Authorities, format!("the authorities in {authorities:?}: {error}"))
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(chain, private_key).map_err(|error| refused(&error, certificate, key))?;
    config.require_ems = binding;
    Ok(Arc::new(config))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_file(path, Part::Certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| malformed(path, Part::Certificate, &error))?;
    if chain.is_empty() {
        return Err(TlsError::new(
            Part::Certificate,
            format!("{path:?} holds no certificate, expected PEM with \"-----BEGIN CERTIFICATE-----\""),
        ));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read_file(path, Part::Key)?;
    let holds = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::new(
            Part::Key,
            format!(
                "the key in {path:?} is encrypted, expected an unencrypted one \
                 (decrypt it: openssl pkey -in ENCRYPTED -out KEY)"
            ),
        ));
    }
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(TlsError::new(
            Part::Key,
            format!("{path:?} holds no private key, expected PEM with PKCS#8, PKCS#1 or SEC1"),
        )),
        Err(error) => Err(malformed(path, Part::Key, &error)),
    }
}

fn read_file(path: &Path, part: Part) -> Result<Vec<u8>, TlsError> {
    let fail = |why: &dyn fmt::Display| TlsError::new(part, format!("{path:?} cannot be read: {why}"));
    let file = File::open(path).map_err(|error| fail(&error))?;
    let mut octets = Vec::new();
    file.take(PEM_BYTES_MAX + 1).read_to_end(&mut octets).map_err(|error| fail(&error))?;
    if octets.len() as u64 > PEM_BYTES_MAX {
        return Err(fail(&format_args!("it is longer than {PEM_BYTES_MAX} octets, expected a PEM file")));
    }
    Ok(octets)
}

fn malformed(path: &Path, part: Part, error: &pem::Error) -> TlsError {
    TlsError::new(part, format!("{path:?} is not well-formed PEM: {error}"))
}

/// Says which file is to blame for what rustls refused.
fn refused(error: &rustls::Error, certificate: &Path, key: &Path) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::new(
            Part::Key,
            format!(
                "the key in {key:?} does not belong to the first certificate in {certificate:?}, \
                 expected the key that the certificate was made for"
            ),
        ),
        rustls::Error::InvalidCertificate(why) => TlsError::new(
            Part::Certificate,
            format!(
                "the first certificate in {certificate:?} is not usable ({why}), expected an X.509 certificate"
            ),
        ),
        other => TlsError::new(
            Part::Key,
            format!("the key in {key:?} is not usable ({other}), expected an RSA, ECDSA or Ed25519 key"),
        ),
    }
}

impl TlsError {
    fn new(part: Part, message: String) -> TlsError {
        TlsError { part, message }
    }
}
