//! TLS as a pure machine: rustls without buffers of its own.
//!
//! Owns the ciphertext that does not make a whole record (or handshake message) yet, and nothing else: an idle
//! connection holds no buffer here. Certificates and keys come as PEM octets, never from files. TLS 1.2 and 1.3; no early
//! data, which could be replayed.
//!
//! Where a listener offers channel binding, its connections have buffers after all; `bound` says why.

mod bound;
mod certificate;
mod config;
mod life;
mod machine;

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;

use self::bound::Bound;
pub use self::certificate::ClientCertificate;
pub use self::config::{
    ClientCertificates, ConfigError, Trust, Versions, client_config, client_verifier, server_config,
};
use self::machine::Machine;

/// One connection's TLS on the server's side.
pub struct ServerTls {
    machine: ServerMachine,
}

#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and a connection boxes its TLS"
)]
enum ServerMachine {
    Plain(Machine<UnbufferedServerConnection>),
    Bound(Box<Bound>),
}

/// One connection's TLS on the client's side.
pub struct ClientTls {
    machine: Machine<UnbufferedClientConnection>,
}

/// Why a TLS connection ended. An alert for the peer, if one is due, has been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault(pub String);

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsFault {}

/// What became of received octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsProgress {
    /// The handshake goes on.
    Handshaking,
    /// Application data can flow.
    Open,
    /// The peer has sent close_notify, or this side has, or the connection has failed: nothing more is received.
    Closed,
}

impl ServerTls {
    /// A connection that has received nothing.
    pub fn new(config: Arc<rustls::ServerConfig>) -> Result<ServerTls, TlsFault> {
        let conn = UnbufferedServerConnection::new(config).map_err(machine::fault)?;
        Ok(ServerTls { machine: ServerMachine::Plain(Machine::new(conn)) })
    }

    /// The same, with a value to bind to: [`ServerTls::exporter`]. It costs 5.3 KB more while it is idle. Over TLS 1.2 there is
    /// a value only if the configuration requires the extended master secret (`ServerConfig::require_ems`).
    pub fn with_exporter(config: Arc<rustls::ServerConfig>) -> Result<ServerTls, TlsFault> {
        Ok(ServerTls { machine: ServerMachine::Bound(Box::new(Bound::new(config)?)) })
    }

    /// What both ends of this connection can bind an authentication to: `tls-exporter` (RFC 9266). `None` before the
    /// handshake is over, and for a connection that was made without. Derived anew with each call, never kept.
    pub fn exporter(&self) -> Option<[u8; 32]> {
        match &self.machine {
            ServerMachine::Plain(_) => None,
            ServerMachine::Bound(bound) => bound.exporter(),
        }
    }

    /// The certificate that the client has proved to be its own; `None` if it showed none, or the handshake is not over. Read
    /// anew with each call, so that nothing but what rustls keeps is kept. On a resumed connection it is the one of the
    /// connection that was resumed.
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        let chain = match &self.machine {
            ServerMachine::Plain(machine) => proved(machine.side()),
            ServerMachine::Bound(bound) => proved(bound.connection()),
        };
        chain?.first().map(|own| ClientCertificate::read(own))
    }

    /// Takes received octets. Decrypted data is appended to `plain`, what must be sent to `out`. On a fault `plain`
    /// has what came before it; every later call gives the same fault.
    ///
    /// When the peer has closed, what is due to it may still be sealed before [`ServerTls::close`].
    pub fn receive(
        &mut self,
        input: &[u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<TlsProgress, TlsFault> {
        match &mut self.machine {
            ServerMachine::Plain(machine) => machine.receive(input, plain, out),
            ServerMachine::Bound(bound) => bound.receive(input, plain, out),
        }
    }

    /// Seals data into records of at most 2^14 octets of plaintext, appended to `out`. Fails, and leaves `out` as
    /// it was, before the handshake is over and after [`ServerTls::close`].
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        match &mut self.machine {
            ServerMachine::Plain(machine) => machine.seal(plain, out),
            ServerMachine::Bound(bound) => bound.seal(plain, out),
        }
    }

    /// Appends close_notify, once; nothing before the handshake is over. What is received from here on is dropped.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        match &mut self.machine {
            ServerMachine::Plain(machine) => machine.close(out),
            ServerMachine::Bound(bound) => bound.close(out),
        }
    }

    /// Where the connection stands.
    pub fn progress(&self) -> TlsProgress {
        match &self.machine {
            ServerMachine::Plain(machine) => machine.progress(),
            ServerMachine::Bound(bound) => bound.progress(),
        }
    }

    /// Heap octets held in our own buffers for this connection; those of rustls are its own business.
    pub fn heap_bytes(&self) -> usize {
        match &self.machine {
            ServerMachine::Plain(machine) => machine.heap_bytes(),
            ServerMachine::Bound(_) => 0,
        }
    }
}

/// The peer's certificates, once the handshake has shown that they are its own.
fn proved(state: &rustls::CommonState) -> Option<&[rustls::pki_types::CertificateDer<'static>]> {
    if state.is_handshaking() { None } else { state.peer_certificates() }
}

impl ClientTls {
    /// Begins the handshake; the ClientHello is appended to `out`.
    pub fn new(
        config: Arc<rustls::ClientConfig>,
        name: rustls::pki_types::ServerName<'static>,
        out: &mut Vec<u8>,
    ) -> Result<ClientTls, TlsFault> {
        let conn = UnbufferedClientConnection::new(config, name).map_err(machine::fault)?;
        let mut machine = Machine::new(conn);
        machine.receive(&[], &mut Vec::new(), out)?;
        Ok(ClientTls { machine })
    }

    /// As [`ServerTls::receive`].
    pub fn receive(
        &mut self,
        input: &[u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<TlsProgress, TlsFault> {
        self.machine.receive(input, plain, out)
    }

    /// As [`ServerTls::seal`].
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.machine.seal(plain, out)
    }

    /// As [`ServerTls::close`].
    pub fn close(&mut self, out: &mut Vec<u8>) {
        self.machine.close(out);
    }

    /// Arranges for the keys of this direction to be replaced (TLS 1.3, RFC 8446, section 4.6.3) and asks the peer to
    /// replace its own. Appends the request.
    pub fn refresh_keys(&mut self, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.machine.refresh_keys(out)
    }

    /// As [`ServerTls::progress`].
    pub fn progress(&self) -> TlsProgress {
        self.machine.progress()
    }

    /// As [`ServerTls::heap_bytes`].
    pub fn heap_bytes(&self) -> usize {
        self.machine.heap_bytes()
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("progress", &self.progress()).finish_non_exhaustive()
    }
}
