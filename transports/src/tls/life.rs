//! How far a TLS connection is, from the handshake to its end: what both machines ask before they do anything.
//!
//! Invariant: a connection that has failed is closed, and tells the same fault for ever.

use super::{TlsFault, TlsProgress};

/// The life of one connection.
#[derive(Debug)]
pub(super) struct Life {
    progress: TlsProgress,
    /// We have said goodbye.
    is_close_sent: bool,
    fault: Option<TlsFault>,
}

impl Life {
    /// A connection that begins.
    pub(super) fn new() -> Life {
        Life { progress: TlsProgress::Handshaking, is_close_sent: false, fault: None }
    }

    pub(super) fn progress(&self) -> TlsProgress {
        self.progress
    }

    pub(super) fn has_failed(&self) -> bool {
        self.fault.is_some()
    }

    /// Whether octets of the peer are still of interest.
    ///
    /// # Errors
    /// The fault that has ended the connection.
    pub(super) fn may_receive(&self) -> Result<bool, TlsFault> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(self.progress != TlsProgress::Closed),
        }
    }

    /// Checks that something may be sent: the peer may have said goodbye, but we have not.
    ///
    /// # Errors
    /// The fault that has ended the connection, or that it is not open.
    pub(super) fn check_open(&self) -> Result<(), TlsFault> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None if self.is_close_sent || self.progress == TlsProgress::Handshaking => {
                Err(TlsFault("not open".to_owned()))
            }
            None => Ok(()),
        }
    }

    /// The handshake is over, if it was not before.
    pub(super) fn handshake_done(&mut self) {
        if self.progress == TlsProgress::Handshaking {
            self.progress = TlsProgress::Open;
        }
    }

    /// The peer has said goodbye.
    pub(super) fn peer_closed(&mut self) {
        self.progress = TlsProgress::Closed;
    }

    /// We have said goodbye.
    pub(super) fn closed(&mut self) {
        self.is_close_sent = true;
        self.progress = TlsProgress::Closed;
    }

    /// The connection has failed.
    pub(super) fn failed(&mut self, fault: &TlsFault) {
        self.progress = TlsProgress::Closed;
        self.fault = Some(fault.clone());
    }
}
