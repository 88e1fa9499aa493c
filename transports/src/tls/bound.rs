//! TLS on the server's side with channel binding (RFC 9266): what both peers can derive from the keys of this very connection and
//! nobody in between can.
//!
//! rustls hands out keying material (`export_keying_material`) from connections with buffers of their
//! own only, not from those without, which `machine` walks. So listeners that offer binding run on this machine and pay
//! for it: 5.3 KB more per idle connection (measured; 4 KiB of it is the buffer of rustls), and octets are copied once more on the way
//! in and out. Considered and left: deriving the value from what `rustls::KeyLog` is told, which would have the secrets of every
//! connection pass through a trait made for debugging, and repeat the key schedule here, for TLS 1.3 alone.

use std::io::{BufRead, Write};
use std::sync::Arc;

use rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use super::life::Life;
use super::machine::fault;
use super::{TlsFault, TlsProgress};

/// RFC 9266, section 2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// As [`super::machine::Machine`], over a connection that has buffers.
pub(super) struct Bound {
    connection: ServerConnection,
    /// Whether TLS 1.2 is spoken with peers alone that mix the whole handshake into the keys (RFC 7627): without that, two
    /// connections can have the same keys, and their keying material binds to nothing.
    is_tls12_unique: bool,
    life: Life,
}

impl Bound {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Bound, TlsFault> {
        let is_tls12_unique = config.require_ems;
        let mut connection = ServerConnection::new(config).map_err(fault)?;
        // Everything is taken out at once.
        connection.set_buffer_limit(None);
        Ok(Bound { connection, is_tls12_unique, life: Life::new() })
    }

    pub(super) fn connection(&self) -> &ServerConnection {
        &self.connection
    }

    pub(super) fn progress(&self) -> TlsProgress {
        self.life.progress()
    }

    /// `None` before the handshake is over, and where the keys are not those of this connection alone.
    pub(super) fn exporter(&self) -> Option<[u8; 32]> {
        if self.connection.is_handshaking() || self.life.has_failed() {
            return None;
        }
        match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => {}
            Some(ProtocolVersion::TLSv1_2) if self.is_tls12_unique => {}
            _ => return None,
        }
        // The context is there and empty; in TLS 1.2 that differs from none (RFC 5705, section 4).
        self.connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(&[])).ok()
    }

    pub(super) fn receive(
        &mut self,
        input: &[u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<TlsProgress, TlsFault> {
        if !self.life.may_receive()? {
            return Ok(TlsProgress::Closed);
        }
        let result = self.walk(input, plain);
        self.put(out);
        if let Err(fault) = result {
            self.life.failed(&fault);
            return Err(fault);
        }
        Ok(self.life.progress())
    }

    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.life.check_open()?;
        self.connection.writer().write_all(plain).map_err(|error| TlsFault(error.to_string()))?;
        self.put(out);
        Ok(())
    }

    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        // Without a handshake there is nobody to say goodbye to.
        if self.life.check_open().is_err() {
            return;
        }
        self.connection.send_close_notify();
        self.put(out);
        self.life.closed();
    }

    /// Feeds the input, which rustls takes some KiB at a time, and collects what comes out of it.
    fn walk(&mut self, mut input: &[u8], plain: &mut Vec<u8>) -> Result<(), TlsFault> {
        loop {
            let taken = match input.is_empty() {
                true => 0,
                false => self.connection.read_tls(&mut input).map_err(|error| TlsFault(error.to_string()))?,
            };
            let processed = self.connection.process_new_packets();
            // What came before a fault counts.
            self.collect(plain);
            let state = processed.map_err(fault)?;
            if state.peer_has_closed() {
                self.life.peer_closed();
            } else if !self.connection.is_handshaking() {
                self.life.handshake_done();
            }
            if taken == 0 || input.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes the decrypted octets out.
    fn collect(&mut self, plain: &mut Vec<u8>) {
        let mut reader = self.connection.reader();
        // An error says that there is nothing now.
        while let Ok(octets) = reader.fill_buf()
            && !octets.is_empty()
        {
            let length = octets.len();
            plain.extend_from_slice(octets);
            reader.consume(length);
        }
    }

    /// Appends what must be sent.
    fn put(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // Writing to memory does not fail; no progress would mean that there was nothing.
            if !self.connection.write_tls(out).is_ok_and(|written| written > 0) {
                return;
            }
        }
    }
}
