//! What both sides share: rustls's states walked until nothing is left to do.
//!
//! Invariant: what is held has been looked at by rustls and is the front of an unfinished record, or of a handshake
//! message in several records, which rustls has decrypted in place. rustls finds it again by its position, so it is
//! handed in with every call and never replaced.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};

use super::life::Life;
use super::{TlsFault, TlsProgress};

/// The most ciphertext held. A record has at most 5 + 2^14 + 2048 octets (RFC 5246, section 6.2.3), a handshake message
/// that rustls accepts 2^16; what is longer is a message cut into very many records, to cost memory.
const HELD_BYTES_MAX: usize = 128 * 1024;

/// The most plaintext of one record, in octets.
const RECORD_BYTES_MAX: usize = 1 << 14;

/// What a record adds to its plaintext: 5 of header, 8 of nonce and 16 of tag (TLS 1.2), or 5, 1 and 16 (TLS 1.3).
const RECORD_OVERHEAD_BYTES: usize = 29;

/// The side that rustls is on.
pub(super) trait Side {
    type Data;

    fn process<'c, 'i>(&'c mut self, held: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Whether something waits to be sent.
    fn owes_output(&self) -> bool;
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, held: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(held)
    }

    fn owes_output(&self) -> bool {
        self.wants_write()
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, held: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(held)
    }

    fn owes_output(&self) -> bool {
        self.wants_write()
    }
}

pub(super) struct Machine<S> {
    side: S,
    held: Vec<u8>,
    life: Life,
}

impl<S: Side> Machine<S> {
    pub(super) fn new(side: S) -> Machine<S> {
        Machine { side, held: Vec::new(), life: Life::new() }
    }

    pub(super) fn progress(&self) -> TlsProgress {
        self.life.progress()
    }

    pub(super) fn side(&self) -> &S {
        &self.side
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.held.capacity()
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
        self.held.extend_from_slice(input);
        let mut used = 0;
        let result = self.walk(&mut used, plain, out);
        self.forget(used);
        let result = result.and_then(|()| match self.held.len() {
            0..=HELD_BYTES_MAX => Ok(()),
            _ => Err(TlsFault("handshake message in too many records".to_owned())),
        });
        match result {
            Ok(()) => {
                if self.life.progress() == TlsProgress::Closed {
                    self.held = Vec::new();
                }
                Ok(self.life.progress())
            }
            Err(fault) => {
                self.put_alerts(out);
                self.held = Vec::new();
                self.life.failed(&fault);
                Err(fault)
            }
        }
    }

    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsFault> {
        let records = plain.len().div_ceil(RECORD_BYTES_MAX);
        let estimate = plain.len() + records * RECORD_OVERHEAD_BYTES;
        self.with_traffic(out, |traffic, out| {
            append(out, estimate, |room| traffic.encrypt(plain, room).map_err(Short::from))
        })
    }

    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        let result = self.with_traffic(out, |traffic, out| {
            append(out, RECORD_OVERHEAD_BYTES + 2, |room| {
                traffic.queue_close_notify(room).map_err(Short::from)
            })
        });
        // Without a handshake there is nobody to say goodbye to.
        if result.is_ok() {
            self.life.closed();
            self.held = Vec::new();
        }
    }

    /// Replaces the keys.
    pub(super) fn refresh_keys(&mut self, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        self.with_state(out, |traffic, _| traffic.refresh_traffic_keys().map_err(fault))?;
        // The request is written on the way to the next state in which data may flow.
        self.with_traffic(out, |_, _| Ok(()))
    }

    /// Walks through the states until more input is needed. `used` counts what is no longer needed of what is held.
    fn walk(&mut self, used: &mut usize, plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), TlsFault> {
        loop {
            let UnbufferedStatus { discard, state } = self.side.process(&mut self.held[*used..]);
            *used += discard;
            match state.map_err(fault)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(fault)?;
                        plain.extend_from_slice(record.payload);
                        *used += record.discard;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(out, 0, |room| data.encode(room).map_err(Short::from))?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.life.peer_closed(),
                ConnectionState::WriteTraffic(_) => {
                    self.life.handshake_done();
                    return Ok(());
                }
                ConnectionState::BlockedHandshake | ConnectionState::Closed => return Ok(()),
                _ => return Err(TlsFault("early data, which is not accepted".to_owned())),
            }
        }
    }

    fn with_traffic(
        &mut self,
        out: &mut Vec<u8>,
        act: impl FnOnce(&mut WriteTraffic<'_, S::Data>, &mut Vec<u8>) -> Result<(), TlsFault>,
    ) -> Result<(), TlsFault> {
        self.with_state(out, |mut traffic, out| act(&mut traffic, out))
    }

    /// Walks to the state in which data may be sent, and acts there.
    fn with_state(
        &mut self,
        out: &mut Vec<u8>,
        act: impl FnOnce(WriteTraffic<'_, S::Data>, &mut Vec<u8>) -> Result<(), TlsFault>,
    ) -> Result<(), TlsFault> {
        self.life.check_open()?;
        loop {
            // Nothing can come of what is held (see the invariant), so there is nothing to discard.
            match self.side.process(&mut self.held).state.map_err(fault)? {
                ConnectionState::WriteTraffic(traffic) => return act(traffic, out),
                ConnectionState::EncodeTlsData(mut data) => {
                    append(out, 0, |room| data.encode(room).map_err(Short::from))?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => return Err(TlsFault("not open".to_owned())),
            }
        }
    }

    /// Writes what rustls has to say about a fault. It must not be asked for more than it has: it would look at the
    /// faulty octets again.
    fn put_alerts(&mut self, out: &mut Vec<u8>) {
        while self.side.owes_output() {
            let Ok(ConnectionState::EncodeTlsData(mut data)) = self.side.process(&mut self.held).state else {
                return;
            };
            if append(out, 0, |room| data.encode(room).map_err(Short::from)).is_err() {
                return;
            }
        }
    }

    /// Drops the front of what is held, and the memory that is not needed for the rest.
    fn forget(&mut self, used: usize) {
        if used >= self.held.len() {
            self.held = Vec::new();
        } else if used > 0 {
            self.held = self.held[used..].to_vec();
        }
    }
}

/// What rustls says when there is not enough room.
enum Short {
    Needs(usize),
    Failed(String),
}

impl From<EncodeError> for Short {
    fn from(error: EncodeError) -> Short {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Short::Needs(required_size)
            }
            other => Short::Failed(other.to_string()),
        }
    }
}

impl From<EncryptError> for Short {
    fn from(error: EncryptError) -> Short {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Short::Needs(required_size)
            }
            other => Short::Failed(other.to_string()),
        }
    }
}

/// Lets `write` fill room at the end of `out`: as much as it needs, at first `estimate` octets.
fn append(
    out: &mut Vec<u8>,
    estimate: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Short>,
) -> Result<(), TlsFault> {
    let start = out.len();
    let mut room = estimate;
    loop {
        out.resize(start + room, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(Short::Needs(more)) if more > room => room = more,
            Err(Short::Needs(_)) => {
                out.truncate(start);
                return Err(TlsFault("no room for a record".to_owned()));
            }
            Err(Short::Failed(reason)) => {
                out.truncate(start);
                return Err(TlsFault(reason));
            }
        }
    }
}

pub(super) fn fault(error: rustls::Error) -> TlsFault {
    TlsFault(error.to_string())
}
