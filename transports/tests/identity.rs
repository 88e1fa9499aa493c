//! Who the peer of a TLS connection is: its certificate, and what both sides can bind to.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion};
use wampline_transports::tls::{
    ClientCertificate, ClientCertificates, ConfigError, ServerTls, TlsFault, TlsProgress, client_verifier,
};

static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
static TLS13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
static TLS12: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS12];

/// An authority and what it has signed: PEM of the certificate, PEM of the key.
struct House {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl House {
    fn new(name: &str) -> House {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        House { authority: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn pem(&self) -> String {
        self.authority.pem()
    }

    fn signs(&self, params: &CertificateParams) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.der().clone(), PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap())
    }

    fn server(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        self.signs(&CertificateParams::new(["localhost".to_owned()]).unwrap())
    }

    fn alice(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.subject_alt_names = vec![
            SanType::Rfc822Name("alice@example.com".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
        ];
        self.signs(&params)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn server(
    house: &House,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<(&str, ClientCertificates)>,
) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some((authorities, which)) => {
            builder.with_client_cert_verifier(client_verifier(authorities.as_bytes(), which).unwrap())
        }
    };
    let (certificate, key) = house.server();
    builder.with_single_cert(vec![certificate], key).unwrap()
}

fn client(
    house: &House,
    versions: &[&'static SupportedProtocolVersion],
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(house.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
    }
}

/// The handshake of a connection, and what the client says to the server after it.
fn handshake(server: &mut ServerTls, client: ClientConfig) -> Result<ClientConnection, TlsFault> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut plain = Vec::new();
    for _ in 0..10 {
        let mut there = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut there).unwrap();
        }
        let mut back = Vec::new();
        let result = server.receive(&there, &mut plain, &mut back);
        let mut back = &back[..];
        while !back.is_empty() {
            client.read_tls(&mut back).unwrap();
            if let Err(error) = client.process_new_packets() {
                return Err(result.err().unwrap_or(TlsFault(error.to_string())));
            }
        }
        result?;
    }
    assert!(client.reader().read(&mut [0]).is_err(), "nothing was said");
    assert_eq!(server.progress(), TlsProgress::Open);
    Ok(client)
}

/// Both machines of a server.
fn machines(config: ServerConfig) -> [ServerTls; 2] {
    let config = Arc::new(config);
    [ServerTls::new(config.clone()).unwrap(), ServerTls::with_exporter(config).unwrap()]
}

#[test]
fn certificates_that_clients_show() {
    let (house, other) = (House::new("house"), House::new("other"));
    for versions in [&BOTH[..], &TLS12[..]] {
        for which in [ClientCertificates::Optional, ClientCertificates::Required] {
            let config = || server(&house, versions, Some((&house.pem(), which)));
            for mut machine in machines(config()) {
                assert_eq!(machine.client_certificate(), None, "not before the handshake");
                let (certificate, key) = house.alice();
                let expected = ClientCertificate::read(&certificate);
                handshake(&mut machine, client(&house, versions, Some((certificate, key)))).unwrap();
                let shown = machine.client_certificate().unwrap();
                assert_eq!(shown, expected);
                assert_eq!(shown.subject, "CN=alice,O=Example");
                assert_eq!(shown.emails, ["alice@example.com"]);
                assert_eq!(shown.addresses, ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
            }
            for mut machine in machines(config()) {
                let fault =
                    handshake(&mut machine, client(&house, versions, Some(other.alice()))).unwrap_err();
                assert!(fault.0.contains("UnknownIssuer"), "{fault}");
                assert_eq!(machine.client_certificate(), None, "never one that was not verified");
            }
            for mut machine in machines(config()) {
                let result = handshake(&mut machine, client(&house, versions, None));
                assert_eq!(result.is_ok(), which == ClientCertificates::Optional, "{which:?}");
                assert_eq!(machine.client_certificate(), None);
            }
        }
        for mut machine in machines(server(&house, versions, None)) {
            handshake(&mut machine, client(&house, versions, Some(house.alice()))).unwrap();
            assert_eq!(machine.client_certificate(), None, "nobody asked");
        }
    }
}

#[test]
fn a_resumed_connection_has_the_certificate_of_the_first() {
    let house = House::new("house");
    for versions in [&TLS13[..], &TLS12[..]] {
        let config = server(&house, versions, Some((&house.pem(), ClientCertificates::Required)));
        let config = Arc::new(config);
        let client = client(&house, versions, Some(house.alice()));
        let mut first = ServerTls::with_exporter(config.clone()).unwrap();
        handshake(&mut first, client.clone()).unwrap();
        let mut second = ServerTls::with_exporter(config).unwrap();
        let resumed = handshake(&mut second, client).unwrap();
        assert_eq!(resumed.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
        assert_eq!(second.client_certificate().unwrap().subject, "CN=alice,O=Example");
        if versions == TLS13 {
            assert_ne!(first.exporter(), second.exporter(), "a value of its own");
        }
    }
}

#[test]
fn both_sides_derive_the_same_value() {
    let house = House::new("house");
    for versions in [&TLS13[..], &TLS12[..]] {
        let mut config = server(&house, versions, None);
        config.require_ems = true;
        let config = Arc::new(config);
        let mut values = Vec::new();
        for _ in 0..2 {
            let mut machine = ServerTls::with_exporter(config.clone()).unwrap();
            assert_eq!(machine.exporter(), None, "not before the handshake");
            let peer = handshake(&mut machine, client(&house, versions, None)).unwrap();
            let theirs =
                peer.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap();
            assert_eq!(machine.exporter(), Some(theirs));
            assert_eq!(machine.exporter(), Some(theirs), "as often as one asks");
            values.push(theirs);
        }
        assert_ne!(values[0], values[1], "each connection has its own");
    }
}

#[test]
fn nothing_to_bind_to() {
    let house = House::new("house");
    let [mut plain, _] = machines(server(&house, &TLS13, None));
    handshake(&mut plain, client(&house, &TLS13, None)).unwrap();
    assert_eq!(plain.exporter(), None, "the listener offers no binding");
    let [_, mut bound] = machines(server(&house, &TLS12, None));
    handshake(&mut bound, client(&house, &TLS12, None)).unwrap();
    assert_eq!(bound.exporter(), None, "keys that need not be those of one connection alone");
}

#[test]
fn authorities_that_cannot_be_used() {
    let refusal = |pem: &str| client_verifier(pem.as_bytes(), ClientCertificates::Required).err();
    assert_eq!(refusal(""), Some(ConfigError::NoCertificate));
    assert!(matches!(refusal("-----BEGIN CERTIFICATE-----\nA"), Some(ConfigError::CertificatePem(_))));
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(refusal(junk), Some(ConfigError::Refused(_))));
}

/// What OpenSSL says of this certificate, with `openssl x509 -fingerprint -sha256 -subject -nameopt RFC2253,utf8,-esc_msb -ext
/// subjectAltName`, but for two things that RFC 4514 leaves open: OpenSSL calls EMAIL `emailAddress`, and names the values of
/// one attribute set in reverse.
#[test]
fn a_certificate_is_read_as_openssl_reads_it() {
    let der = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let read = ClientCertificate::read(&der);
    let fingerprint: Vec<String> = read.sha256.iter().map(|octet| format!("{octet:02X}")).collect();
    assert_eq!(
        fingerprint.join(":"),
        "F2:A2:D0:46:B3:57:59:82:12:47:01:9D:E5:36:F8:97:CF:A5:BD:C3:F0:2F:A6:8D:20:B6:B9:82:72:88:8B:61"
    );
    assert_eq!(
        read.subject,
        r#"UID=a1,EMAIL=alice@example.com,OU=Küche+CN=\#alice / \"1\",O=Example\, Inc.,C=DE"#
    );
    assert_eq!(read.common_names, [r##"#alice / "1""##]);
    assert_eq!(read.dns_names, ["alice.example.com", "*.example.org"]);
    assert_eq!(read.emails, ["alice@example.com"]);
    assert_eq!(read.uris, ["urn:example:alice"]);
    let addresses: Vec<String> = read.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.7", "2001:db8::1"]);
}

#[test]
fn what_cannot_be_read_names_nobody() {
    let der = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    for cut in 0..der.len() {
        let read = ClientCertificate::read(&der[..cut]);
        assert_eq!((read.subject.as_str(), read.dns_names.len(), read.addresses.len()), ("", 0, 0));
        assert_ne!(read.sha256, [0; 32]);
    }
    for at in 0..der.len() {
        let mut changed = der.to_vec();
        changed[at] ^= 0x21;
        ClientCertificate::read(&changed);
    }
}

const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIICzDCCAnKgAwIBAgITD6g9d7cab2xW+dy7qtLIfvF6jDAKBggqhkjOPQQDAjCB
gTELMAkGA1UEBhMCREUxFjAUBgNVBAoMDUV4YW1wbGUsIEluYy4xJDANBgNVBAsM
BkvDvGNoZTATBgNVBAMMDCNhbGljZSAvICIxIjEgMB4GCSqGSIb3DQEJARYRYWxp
Y2VAZXhhbXBsZS5jb20xEjAQBgoJkiaJk/IsZAEBDAJhMTAgFw0yNjExMjExOTE1
MzdaGA8yMTI2MTAyODE5MTUzN1owgYExCzAJBgNVBAYTAkRFMRYwFAYDVQQKDA1F
eGFtcGxlLCBJbmMuMSQwDQYDVQQLDAZLw7xjaGUwEwYDVQQDDAwjYWxpY2UgLyAi
MSIxIDAeBgkqhkiG9w0BCQEWEWFsaWNlQGV4YW1wbGUuY29tMRIwEAYKCZImiZPy
LGQBAQwCYTEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARJAbwTWGBLNpNTWk+O
HQ1ztvJ5T1t2UJqo2rrgTm6H2bCJBnVzwoeNMSiromrYHLYm6X0tmrzv8NGrwxwF
hcFGo4HEMIHBMB0GA1UdDgQWBBTc/ODePhJpJdGEKXDGqlGPYwf0gzAfBgNVHSME
GDAWgBTc/ODePhJpJdGEKXDGqlGPYwf0gzAPBgNVHRMBAf8EBTADAQH/MG4GA1Ud
EQRnMGWCEWFsaWNlLmV4YW1wbGUuY29tgg0qLmV4YW1wbGUub3JngRFhbGljZUBl
eGFtcGxlLmNvbYYRdXJuOmV4YW1wbGU6YWxpY2WHBMAAAgeHECABDbgAAAAAAAAA
AAAAAAGIAyoDBDAKBggqhkjOPQQDAgNIADBFAiBXKjyO29Aq/7v6ytvfg99wSPc3
iSPLdbsk/OZgwwkQ6gIhAJ0tXS75uQ7qVLKZBUwejGPjBTH1M5C0kVkJbiSuBKpG
-----END CERTIFICATE-----
";
