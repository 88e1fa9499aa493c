//! TLS as a pure machine: both sides against each other, their octets split at random.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use wampline_transports::tls::{
    ClientTls, ConfigError, ServerTls, TlsFault, TlsProgress, Trust, Versions, client_config, server_config,
};

/// A certificate for `localhost` that is its own root, and its key, in PEM.
fn certificate() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    MADE.get_or_init(another_certificate)
}

fn another_certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn server(versions: Versions) -> Arc<ServerConfig> {
    let (certificate, key) = certificate();
    server_config(certificate.as_bytes(), key.as_bytes(), versions).unwrap()
}

/// A server's configuration and whether its connections have a value to bind to, which another machine provides.
#[derive(Clone)]
struct Served {
    config: Arc<ServerConfig>,
    binds: bool,
}

impl Served {
    fn tls(&self) -> ServerTls {
        let make = if self.binds { ServerTls::with_exporter } else { ServerTls::new };
        make(self.config.clone()).unwrap()
    }
}

/// On both machines.
fn served(config: Arc<ServerConfig>) -> [Served; 2] {
    [false, true].map(|binds| Served { config: config.clone(), binds })
}

/// With each version, on both machines.
fn every_server() -> impl Iterator<Item = Served> {
    [tls12_server(), server(Versions::Tls13)].into_iter().flat_map(served)
}

fn client(trust: Trust<'_>) -> Arc<ClientConfig> {
    client_config(trust, Versions::Tls12AndTls13).unwrap()
}

fn trusting() -> Arc<ClientConfig> {
    client(Trust::Roots(certificate().0.as_bytes()))
}

/// A server that speaks TLS 1.2 alone, which the configuration of a router cannot say.
fn tls12_server() -> Arc<ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let (certificate, key) = certificate();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        );
    Arc::new(config.unwrap())
}

/// Both sides and what is under way between them.
struct Pair {
    client: ClientTls,
    server: ServerTls,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    /// What the server has decrypted.
    at_server: Vec<u8>,
    /// What the client has decrypted.
    at_client: Vec<u8>,
    splits: Splits,
}

/// Lengths of pieces, used over and over.
struct Splits {
    lengths: Vec<usize>,
    next: usize,
}

impl Splits {
    fn take<'a>(&mut self, octets: &mut &'a [u8]) -> &'a [u8] {
        let length = self.lengths[self.next % self.lengths.len()].clamp(1, octets.len());
        self.next += 1;
        let (front, rest) = octets.split_at(length);
        *octets = rest;
        front
    }
}

impl Pair {
    fn new(server: Served, client: Arc<ClientConfig>, lengths: Vec<usize>) -> Pair {
        let mut to_server = Vec::new();
        let name = ServerName::try_from("localhost").unwrap();
        Pair {
            client: ClientTls::new(client, name, &mut to_server).unwrap(),
            server: server.tls(),
            to_server,
            to_client: Vec::new(),
            at_server: Vec::new(),
            at_client: Vec::new(),
            splits: Splits { lengths, next: 0 },
        }
    }

    /// Carries octets to and fro until nothing is under way.
    fn settle(&mut self) -> Result<(), TlsFault> {
        while !self.to_server.is_empty() || !self.to_client.is_empty() {
            let octets = std::mem::take(&mut self.to_server);
            let mut rest = &octets[..];
            while !rest.is_empty() {
                let piece = self.splits.take(&mut rest);
                self.server.receive(piece, &mut self.at_server, &mut self.to_client)?;
            }
            let octets = std::mem::take(&mut self.to_client);
            let mut rest = &octets[..];
            while !rest.is_empty() {
                let piece = self.splits.take(&mut rest);
                self.client.receive(piece, &mut self.at_client, &mut self.to_server)?;
            }
        }
        Ok(())
    }

    fn open(server: Served, client: Arc<ClientConfig>, lengths: Vec<usize>) -> Pair {
        let mut pair = Pair::new(server, client, lengths);
        assert_eq!(pair.server.progress(), TlsProgress::Handshaking);
        pair.settle().unwrap();
        assert_eq!((pair.server.progress(), pair.client.progress()), (TlsProgress::Open, TlsProgress::Open));
        assert_eq!((pair.server.heap_bytes(), pair.client.heap_bytes()), (0, 0), "idle and open");
        pair
    }

    /// Sends data both ways and checks that it arrives.
    fn exchange(&mut self, data: &[u8]) {
        let (server_had, client_had) = (self.at_server.len(), self.at_client.len());
        self.client.seal(data, &mut self.to_server).unwrap();
        self.server.seal(data, &mut self.to_client).unwrap();
        self.settle().unwrap();
        assert!(self.at_server[server_had..] == *data && self.at_client[client_had..] == *data);
        assert_eq!((self.server.heap_bytes(), self.client.heap_bytes()), (0, 0));
    }
}

/// The lengths of the records in a stream.
fn records(mut stream: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Some((header, rest)) = stream.split_first_chunk::<5>() {
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        lengths.push(length);
        stream = &rest[length..];
    }
    assert!(stream.is_empty());
    lengths
}

#[test]
fn octet_by_octet() {
    for config in every_server() {
        let mut pair = Pair::open(config, trusting(), vec![1]);
        pair.exchange(b"hello");
        pair.exchange(&[7; 20_000]);
    }
}

#[test]
fn records_are_bounded() {
    for config in every_server() {
        let mut pair = Pair::open(config, trusting(), vec![usize::MAX]);
        for (length, count) in [(0, 0), (1, 1), (16_384, 1), (16_385, 2), (100_000, 7)] {
            let mut out = b"before".to_vec();
            pair.server.seal(&vec![1; length], &mut out).unwrap();
            let lengths = records(&out[6..]);
            assert_eq!(lengths.len(), count);
            assert!(lengths.iter().all(|&length| length <= 16_384 + 29));
            pair.to_client = out.split_off(6);
            pair.settle().unwrap();
        }
        assert_eq!(pair.at_client.len(), 1 + 16_384 + 16_385 + 100_000);
    }
}

#[test]
fn what_is_held_is_no_more_than_the_front_of_a_record() {
    let [plain, _] = served(server(Versions::Tls13));
    let mut pair = Pair::open(plain, trusting(), vec![usize::MAX]);
    pair.client.seal(&[1; 100_000], &mut pair.to_server).unwrap();
    let whole = pair.to_server.len();
    pair.client.seal(b"next", &mut pair.to_server).unwrap();
    let rest = pair.to_server.split_off(whole + 10);
    pair.settle().unwrap();
    assert_eq!((pair.at_server.len(), pair.server.heap_bytes()), (100_000, 10));
    pair.to_server = rest;
    pair.settle().unwrap();
    assert_eq!((pair.at_server.len(), pair.server.heap_bytes()), (100_004, 0));
}

#[test]
fn close_notify_both_ways() {
    for config in every_server() {
        let mut pair = Pair::open(config, trusting(), vec![3]);
        pair.client.seal(b"last words", &mut pair.to_server).unwrap();
        pair.client.close(&mut pair.to_server);
        let once = pair.to_server.len();
        pair.client.close(&mut pair.to_server);
        assert_eq!(pair.to_server.len(), once, "close_notify is sent once");
        assert!(pair.client.seal(b"more", &mut pair.to_server).is_err());
        assert_eq!(pair.to_server.len(), once);
        pair.settle().unwrap();
        assert_eq!(pair.at_server, b"last words");
        assert_eq!(pair.server.progress(), TlsProgress::Closed);
        let mut out = Vec::new();
        pair.server.seal(b"still due", &mut out).unwrap();
        pair.server.close(&mut out);
        assert_eq!(records(&out).len(), 2);
        assert_eq!(
            pair.client.receive(&out, &mut pair.at_client, &mut pair.to_server),
            Ok(TlsProgress::Closed)
        );
        assert_eq!((pair.server.heap_bytes(), pair.client.heap_bytes()), (0, 0));
    }
}

#[test]
fn nothing_is_received_after_close_notify() {
    for config in every_server() {
        let mut pair = Pair::open(config, trusting(), vec![usize::MAX]);
        pair.client.close(&mut pair.to_server);
        pair.to_server.extend_from_slice(b"junk that follows");
        pair.settle().unwrap();
        assert_eq!(
            pair.server.receive(b"more junk", &mut pair.at_server, &mut Vec::new()),
            Ok(TlsProgress::Closed)
        );
        assert_eq!((&pair.at_server[..], pair.server.heap_bytes()), (&b""[..], 0));
    }
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_over() {
    for config in every_server() {
        let mut pair = Pair::new(config, trusting(), vec![50]);
        let mut out = Vec::new();
        assert_eq!(pair.server.seal(b"early", &mut out), Err(TlsFault("not open".to_owned())));
        pair.server.close(&mut out);
        assert_eq!(out, b"");
        pair.settle().unwrap();
        pair.exchange(b"now");
    }
}

#[test]
fn keys_are_replaced_under_way() {
    for config in served(server(Versions::Tls13)) {
        let mut pair = Pair::open(config, trusting(), vec![17]);
        for _ in 0..5 {
            pair.client.refresh_keys(&mut pair.to_server).unwrap();
            assert_eq!(records(&pair.to_server).len(), 1);
            pair.exchange(b"under new keys");
        }
    }
}

#[test]
fn junk_is_answered_with_an_alert_at_once() {
    let junk = [&b"GET / HTTP/1.1\r\n"[..], b"\x7F\xF1\0\0\0", b"\x16\x03\x01\xFF\xFF\0", &[0; 64]];
    for (junk, server) in junk.into_iter().flat_map(|junk| every_server().map(move |server| (junk, server))) {
        let mut tls = server.tls();
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let fault = tls.receive(junk, &mut plain, &mut out).unwrap_err();
        assert_eq!((out[0], &out[3..6]), (21, &[0, 2, 2][..]), "a fatal alert: {out:x?}");
        assert_eq!((tls.progress(), tls.heap_bytes()), (TlsProgress::Closed, 0));
        let told = out.len();
        assert_eq!(tls.receive(junk, &mut plain, &mut out), Err(fault.clone()));
        assert_eq!(tls.seal(b"x", &mut out), Err(fault));
        assert_eq!((out.len(), plain.len()), (told, 0));
    }
}

#[test]
fn a_record_that_was_tampered_with() {
    for config in every_server() {
        let mut pair = Pair::open(config, trusting(), vec![usize::MAX]);
        pair.client.seal(b"good", &mut pair.to_server).unwrap();
        pair.client.seal(b"evil", &mut pair.to_server).unwrap();
        *pair.to_server.last_mut().unwrap() ^= 1;
        let fault = pair.settle().unwrap_err();
        assert!(fault.0.contains("decrypt"), "{fault}");
        assert_eq!(pair.at_server, b"good");
        assert_eq!(records(&pair.to_client).len(), 1, "the alert");
        let fault = pair.client.receive(&pair.to_client, &mut pair.at_client, &mut Vec::new()).unwrap_err();
        assert!(fault.0.contains("alert"), "{fault}");
    }
}

#[test]
fn a_stranger_is_not_trusted() {
    let stranger = another_certificate();
    for server in served(server(Versions::Tls13)) {
        let mut pair = Pair::new(server, client(Trust::Roots(stranger.0.as_bytes())), vec![99]);
        let fault = pair.settle().unwrap_err();
        assert!(fault.0.contains("certificate"), "{fault}");
        assert!(!pair.to_server.is_empty(), "the alert");
    }
    for config in every_server() {
        Pair::open(config, client(Trust::Anything), vec![99]).exchange(b"anybody");
    }
}

#[test]
fn versions() {
    let only_tls13 = client_config(Trust::Anything, Versions::Tls13).unwrap();
    for only_tls12 in served(tls12_server()) {
        assert!(Pair::new(only_tls12, only_tls13.clone(), vec![99]).settle().is_err());
    }
    for both in served(server(Versions::Tls12AndTls13)) {
        Pair::open(both, only_tls13.clone(), vec![99]).exchange(b"1.3");
    }
}

#[test]
fn a_handshake_in_very_many_records_is_bounded() {
    let [plain, binding] = served(server(Versions::Tls12AndTls13));
    assert_eq!(
        fed_in_records_of_one(plain.tls()),
        TlsFault("handshake message in too many records".to_owned())
    );
    // rustls has a bound of its own for what it collects.
    assert_eq!(fed_in_records_of_one(binding.tls()), TlsFault("message buffer full".to_owned()));
}

fn fed_in_records_of_one(mut tls: ServerTls) -> TlsFault {
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    // A ClientHello of 65,000 octets, one octet in each record.
    let message = [&[1, 0, 0xFD, 0xE8][..], &[0; 65_000]].concat();
    let result = message.iter().try_for_each(|octet| {
        let record = [22, 3, 1, 0, 1, *octet];
        let result = tls.receive(&record, &mut plain, &mut out).map(|_| ());
        assert!(tls.heap_bytes() <= 2 * 128 * 1024, "{}", tls.heap_bytes());
        result
    });
    assert_eq!(tls.heap_bytes(), 0);
    result.unwrap_err()
}

#[test]
fn configurations_that_cannot_be_made() {
    let (certificate, key) = certificate();
    let (_, other_key) = another_certificate();
    let made = |certificates: &str, key: &str| {
        server_config(certificates.as_bytes(), key.as_bytes(), Versions::Tls13).map(|_| ())
    };
    assert_eq!(made(certificate, key), Ok(()));
    assert_eq!(made("", key), Err(ConfigError::NoCertificate));
    assert_eq!(made(key, key), Err(ConfigError::NoCertificate));
    assert_eq!(made(certificate, ""), Err(ConfigError::NoKey));
    assert_eq!(made(certificate, certificate), Err(ConfigError::NoKey));
    assert_eq!(made(certificate, &other_key), Err(ConfigError::KeyOfAnotherCertificate));
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    assert_eq!(made(certificate, &encrypted), Err(ConfigError::EncryptedKey));
    let cut = &certificate[..certificate.len() / 2];
    assert!(matches!(made(cut, key), Err(ConfigError::CertificatePem(_))));
    assert!(matches!(made(certificate, &key[..key.len() / 2]), Err(ConfigError::KeyPem(_))));
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(made(empty, key), Err(ConfigError::Refused(_))));
    let roots = |pem: &str| client_config(Trust::Roots(pem.as_bytes()), Versions::Tls13).map(|_| ());
    assert_eq!(roots(""), Err(ConfigError::NoCertificate));
    assert!(matches!(roots(empty), Err(ConfigError::Refused(_))));
    for error in [ConfigError::NoCertificate, ConfigError::NoKey, ConfigError::EncryptedKey] {
        assert!(error.to_string().len() > 30, "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn splits_do_not_show(
        (tls13, binds) in any::<(bool, bool)>(),
        lengths in proptest::collection::vec(1usize..400, 1..20),
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40_000), 1..4),
    ) {
        let config = if tls13 { server(Versions::Tls12AndTls13) } else { tls12_server() };
        let mut pair = Pair::open(Served { config, binds }, trusting(), lengths);
        for message in &messages {
            pair.exchange(message);
        }
    }

    #[test]
    fn octets_that_were_changed_never_panic(
        (tls13, binds) in any::<(bool, bool)>(),
        at in any::<proptest::sample::Index>(),
        with in 1u8..,
        length in 1usize..600,
        seal_first in any::<bool>(),
    ) {
        let config = if tls13 { server(Versions::Tls12AndTls13) } else { tls12_server() };
        let config = Served { config, binds };
        let mut pair = if seal_first {
            let mut pair = Pair::open(config, trusting(), vec![length]);
            pair.client.seal(&[1; 100], &mut pair.to_server).unwrap();
            pair
        } else {
            Pair::new(config, trusting(), vec![length])
        };
        let at = at.index(pair.to_server.len());
        pair.to_server[at] ^= with;
        let settled = pair.settle();
        // What was protected cannot be changed; in a ClientHello some octets are of no consequence until both
        // sides compare what they saw, and in the head of a record the version is of none at all.
        let is_unharmed = pair.at_server == [1; 100];
        prop_assert!(!seal_first || settled.is_err() || pair.server.heap_bytes() > 0 || is_unharmed);
        prop_assert!(!pair.at_server.contains(&0));
    }
}
