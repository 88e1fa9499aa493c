//! TLS records: any octets to a server, and both sides against each other with somebody between them who changes octets.
//!
//! The first octet chooses: octets for the server as they are, or changes. A change names the record stream, a place and an octet.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use wampline_transports::tls::{
    ClientTls, ServerTls, TlsFault, TlsProgress, Trust, Versions, client_config, server_config,
};

use super::input::Input;

/// What a side may hold at the most: the bound of the machine, and as much again for a vector that grows.
const HELD_BYTES_MAX: usize = 2 * 128 * 1024 + (64 << 10);

/// What the client says and the server answers.
const SAID: &[u8] = b"[48,1,{},\"com.example.add\",[2,3]]";
const ANSWERED: &[u8] = b"[50,1,{},[5]]";

pub(super) fn run(octets: &[u8]) {
    let mut input = Input::new(octets);
    let kind = input.octet();
    let size = 1 + 4 * input.below(256);
    if kind.is_multiple_of(2) {
        strange_octets(input.rest(), size);
    } else {
        interference(&mut input, size);
    }
}

fn strange_octets(octets: &[u8], size: usize) {
    let mut server = ServerTls::new(configs().0.clone()).expect("a server");
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    for piece in octets.chunks(size) {
        let result = server.receive(piece, &mut plain, &mut out);
        assert!(plain.is_empty(), "nobody without a key can make plaintext");
        assert!(server.heap_bytes() <= HELD_BYTES_MAX);
        if let Err(fault) = result {
            assert_eq!(server.receive(piece, &mut plain, &mut out), Err(fault), "a fault stays");
            assert_eq!((server.progress(), server.heap_bytes()), (TlsProgress::Closed, 0));
            return;
        }
    }
    assert_ne!(server.progress(), TlsProgress::Open);
}

/// Two sides and what is between them.
struct Pair {
    server: ServerTls,
    client: ClientTls,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    at_server: Vec<u8>,
    at_client: Vec<u8>,
}

fn interference(input: &mut Input<'_>, size: usize) {
    let (server, client) = configs();
    let mut to_server = Vec::new();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut pair = Pair {
        server: ServerTls::new(server.clone()).expect("a server"),
        client: ClientTls::new(client.clone(), name, &mut to_server).expect("a client"),
        to_server,
        to_client: Vec::new(),
        at_server: Vec::new(),
        at_client: Vec::new(),
    };
    let is_changed = !input.is_empty();
    for round in 0..8 {
        change(input, &mut pair.to_server);
        let from_client = pair.carry_to_server(size);
        change(input, &mut pair.to_client);
        let from_server = pair.carry_to_client(size);
        if from_client.and(from_server).is_err() {
            break;
        }
        if round == 3 && pair.client.progress() == TlsProgress::Open {
            pair.client.seal(SAID, &mut pair.to_server).expect("open");
        }
        if round == 5 && pair.server.progress() == TlsProgress::Open && !pair.at_server.is_empty() {
            pair.server.seal(ANSWERED, &mut pair.to_client).expect("open");
        }
        assert!(SAID.starts_with(&pair.at_server), "only what was said arrives");
        assert!(ANSWERED.starts_with(&pair.at_client), "only what was answered arrives");
    }
    assert!(
        is_changed || (&pair.at_server[..], &pair.at_client[..]) == (SAID, ANSWERED),
        "without changes all arrives"
    );
    pair.client.close(&mut pair.to_server);
    pair.server.close(&mut pair.to_client);
}

/// Changes what is under way: octets replaced, removed, repeated.
fn change(input: &mut Input<'_>, under_way: &mut Vec<u8>) {
    for _ in 0..input.below(4) {
        let place = usize::from(u16::from_be_bytes([input.octet(), input.octet()]));
        let how = input.octet();
        if under_way.is_empty() {
            return;
        }
        let place = place % under_way.len();
        match how % 4 {
            0 => under_way.truncate(place),
            1 => {
                let repeated = under_way[place..].to_vec();
                under_way.extend_from_slice(&repeated);
            }
            2 => drop(under_way.remove(place)),
            _ => under_way[place] = input.octet(),
        }
    }
}

impl Pair {
    fn carry_to_server(&mut self, size: usize) -> Result<(), TlsFault> {
        for piece in std::mem::take(&mut self.to_server).chunks(size) {
            self.server.receive(piece, &mut self.at_server, &mut self.to_client)?;
            assert!(self.server.heap_bytes() <= HELD_BYTES_MAX);
        }
        Ok(())
    }

    fn carry_to_client(&mut self, size: usize) -> Result<(), TlsFault> {
        for piece in std::mem::take(&mut self.to_client).chunks(size) {
            self.client.receive(piece, &mut self.at_client, &mut self.to_server)?;
            assert!(self.client.heap_bytes() <= HELD_BYTES_MAX);
        }
        Ok(())
    }
}

fn configs() -> &'static (Arc<ServerConfig>, Arc<ClientConfig>) {
    static MADE: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let server = server_config(certificate.as_bytes(), key.as_bytes(), Versions::default());
        let client = client_config(Trust::Roots(certificate.as_bytes()), Versions::default());
        (server.expect("a server's configuration"), client.expect("a client's configuration"))
    })
}
