//! What leaves the core: messages into outboxes, outputs and closes to the driver.

use std::sync::Arc;

use wampline_wire::{EncodeError, Message};

use crate::connection::{Link, NEVER, Parked};
use crate::counters::add;
use crate::output::{Chunk, Output};
use crate::shard::Shard;
use crate::{Action, ConnKey, Now};

/// Octets of a WebSocket close frame, at most.
const CLOSE_FRAME_BYTES: usize = 127;

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// Longer than the peer accepts.
    TooLong,
    /// The peer's serializer cannot express it, or the peer is known not to read it.
    Inexpressible,
    /// The connection is ending, or has been cut because of this message.
    Gone,
}

/// Why a connection is closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// More waits for it than may.
    OutboxFull,
    /// It took nothing for too long.
    Stalled,
    /// It did not answer a ping.
    Silent,
    /// It did not answer GOODBYE, or did not take its last messages, in time.
    Unresponsive,
    /// TLS could not be set up.
    NoTls,
}

impl Shard {
    /// Queues a message for a connection.
    pub(crate) fn post(&mut self, slot: u32, message: &Message<'_>, estimate: usize) -> Result<(), Unsent> {
        let connection = &self.connections[slot];
        let form = connection.form;
        if message.payload().has_extensions() && !connection.reads_extensions {
            return Err(Unsent::Inexpressible);
        }
        let (framing, serializer) = (form.framing(), form.serializer());
        if let Some(rest) = message.payload().shared(serializer) {
            return self.queue(slot, estimate, Some(rest), |buffer| {
                framing.frame_before(serializer, buffer, estimate, rest.len(), |out| {
                    message.encode_before_payload(serializer, out)
                })
            });
        }
        self.queue(slot, estimate, None, |buffer| {
            framing.frame(serializer, buffer, estimate, |out| message.encode(serializer, out))
        })
    }

    /// Queues what `write` appends, and the `rest` behind it: one framed message. `write` gives the length of the message itself.
    pub(crate) fn queue(
        &mut self,
        slot: u32,
        estimate: usize,
        rest: Option<&Arc<Vec<u8>>>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize, EncodeError>,
    ) -> Result<(), Unsent> {
        let limit = self.shared.config.limits.outbox_bytes_max;
        let connection = &mut self.connections[slot];
        if connection.is_ending() {
            return Err(Unsent::Gone);
        }
        if !connection.outbox.admits(estimate, limit) {
            self.cut(slot, Cut::OutboxFull);
            return Err(Unsent::Gone);
        }
        let peer_bytes_max = connection.peer_bytes_max;
        connection.outbox.write(
            estimate,
            rest,
            |buffer| {
                let before = buffer.len();
                match write(buffer) {
                    Ok(length) if length > peer_bytes_max => {
                        buffer.truncate(before);
                        Err(Unsent::TooLong)
                    }
                    Ok(_) => Ok(()),
                    Err(_) => Err(Unsent::Inexpressible),
                }
            },
            &mut self.spare,
        )?;
        if connection.outbox.is_half_full(limit) && !connection.parked.has(Parked::OUTBOX) {
            self.park(slot, Parked::OUTBOX);
            add(&self.counters().parked, 1);
        }
        self.mark_dirty(slot);
        Ok(())
    }

    /// Ends the session of a connection and closes the connection at once, whatever is queued.
    pub(crate) fn cut(&mut self, slot: u32, why: Cut) {
        if let Some(session) = self.connections[slot].session {
            self.tell_of_cut(session, why);
        }
        let session = self.connections[slot].session.map(|session| self.sessions[session].id().get());
        self.leave_connection(slot);
        let connection = &mut self.connections[slot];
        if connection.link == Link::Cut {
            return;
        }
        let (peer, queued) = (&connection.peer, connection.outbox.len());
        match why {
            Cut::OutboxFull | Cut::Stalled => {
                tracing::warn!(%peer, session, queued, ?why, "slow consumer cut off")
            }
            Cut::Silent | Cut::Unresponsive | Cut::NoTls => {
                tracing::info!(%peer, session, queued, ?why, "connection cut off");
            }
        }
        connection.link = Link::Cut;
        connection.outbox.clear();
        self.mark_dirty(slot);
        let counters = self.counters();
        match why {
            Cut::OutboxFull => add(&counters.cut_outbox_full, 1),
            Cut::Stalled => add(&counters.cut_stalled, 1),
            Cut::Silent => add(&counters.cut_silent, 1),
            Cut::Unresponsive => add(&counters.cut_unresponsive, 1),
            Cut::NoTls => add(&counters.transport_faults, 1),
        }
    }

    /// Ends the session of a connection, if it has one, and closes the connection once what is queued has been flushed, behind a
    /// WebSocket close frame where `code` is given.
    pub(crate) fn close_link(&mut self, slot: u32, code: Option<u16>) {
        self.leave_connection(slot);
        let close_by = self.now.after(self.shared.config.limits.close_timeout);
        let connection = &mut self.connections[slot];
        if connection.is_ending() {
            return;
        }
        connection.link = Link::Closing;
        connection.close_code = code;
        connection.held = None;
        connection.stash = Vec::new();
        connection.deadlines.hello = NEVER;
        connection.deadlines.ping = NEVER;
        connection.deadlines.pong = NEVER;
        connection.deadlines.close = close_by;
        self.arm(slot);
        self.mark_dirty(slot);
    }

    /// The next thing to do, until `None`.
    #[inline]
    pub fn action(&mut self, now: Now) -> Option<Action> {
        self.now = now;
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            let key = self.dirty.pop_front()?;
            if self.is_live(key) {
                self.connections[key.slot].is_dirty = false;
                if let Some(action) = self.next_step(key) {
                    return Some(action);
                }
            }
        }
    }

    fn next_step(&mut self, key: ConnKey) -> Option<Action> {
        let connection = &mut self.connections[key.slot];
        if connection.link == Link::Cut {
            self.forget(key.slot);
            return Some(Action::Close { key, abort: true });
        }
        if connection.outbox.in_flight() > 0 {
            return None;
        }
        if connection.link == Link::Closing
            && let Some(code) = connection.close_code.take()
            && let Some(server) = connection.server.as_mut()
        {
            let written = connection.outbox.write(
                CLOSE_FRAME_BYTES,
                None,
                |buffer| {
                    server.close(code, "", buffer);
                    Ok::<(), ()>(())
                },
                &mut self.spare,
            );
            debug_assert_eq!(written, Ok(()));
        }
        let output = self.take_output(key.slot);
        if !output.is_empty() {
            let connection = &mut self.connections[key.slot];
            connection.outbox.set_in_flight(output.len());
            let stall = self.now.after(self.shared.config.limits.write_stall_timeout);
            connection.deadlines.stall = stall;
            if stall < connection.deadlines.armed {
                self.arm(key.slot);
            }
            return Some(Action::Send(key, output));
        }
        if self.connections[key.slot].link == Link::Closing {
            self.forget(key.slot);
            return Some(Action::Close { key, abort: false });
        }
        None
    }

    fn take_output(&mut self, slot: u32) -> Output {
        let connection = &mut self.connections[slot];
        let Some(tls) = connection.tls.as_mut() else {
            return connection.outbox.take();
        };
        let mut sealed = std::mem::take(&mut tls.raw);
        let mut is_broken = false;
        let mut plain = Output::default();
        if tls.machine.progress() == wampline_transports::tls::TlsProgress::Open {
            plain = connection.outbox.take();
            for slice in plain.slices() {
                if tls.machine.seal(slice, &mut sealed).is_err() {
                    is_broken = true;
                    break;
                }
            }
            connection.outbox.set_in_flight(0);
        } else if connection.link == Link::Closing {
            connection.outbox.clear();
        }
        if connection.link == Link::Closing && !connection.outbox.has_queued() && !tls.is_closed {
            tls.is_closed = true;
            tls.machine.close(&mut sealed);
        }
        self.recycle(plain);
        let mut output = Output::default();
        if !sealed.is_empty() {
            output.push(Chunk::Own(sealed));
        }
        if is_broken {
            self.close_link(slot, None);
        }
        output
    }

    /// The driver closes the socket: the slot is free.
    fn forget(&mut self, slot: u32) {
        debug_assert!(
            self.connections[slot].session.is_none(),
            "a session leaves before its connection is forgotten"
        );
        if let Some(connection) = self.connections.remove(slot) {
            let listener = connection.listener.0 as usize;
            self.shared.listener_connections[listener].fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
        crate::counters::set(&self.counters().connections, self.connections.len());
    }
}
