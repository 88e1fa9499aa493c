//! The forwarder over epoll, level-triggered: per turn one wait, one receive per readable socket (straight into the buffer of
//! its destination where there is one), one send per destination. Subscribers are sent to from one common buffer.

use std::io;

use socket2::Socket;

use super::sys::{self, Epoll};
use super::{HEADER_BYTES, Hub, WAITING_BYTES_MAX, message_bytes, whole_messages};

/// Octets of one receive.
const RECEIVE_BYTES: usize = 256 << 10;

/// The listener's key; those of peers are small.
const LISTENER: u64 = u64::MAX;

/// How far a peer's `out` has been sent.
#[derive(Debug, Default)]
struct Sending {
    /// Octets at the beginning of `out` that the kernel has taken.
    sent: usize,
    /// The kernel took less than it was offered, and has not told of room since.
    is_blocked: bool,
    /// Epoll tells of room.
    is_watched: bool,
}

struct Loop {
    epoll: Epoll,
    hub: Hub<Sending>,
    /// For those whose messages have several destinations.
    scratch: Vec<u8>,
    gone: Vec<usize>,
}

/// Forwards until an error of the listener or of epoll.
///
/// # Errors
/// That error.
pub fn run(listener: &Socket) -> io::Result<()> {
    let mut turn = Loop { epoll: Epoll::new()?, hub: Hub::new(), scratch: Vec::new(), gone: Vec::new() };
    listener.set_nonblocking(true)?;
    turn.epoll.add(listener, LISTENER)?;
    loop {
        let count = match turn.epoll.wait() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        for index in 0..count {
            let (key, is_readable, is_writable) = turn.epoll.event(index);
            if key == LISTENER {
                turn.accept(listener)?;
                continue;
            }
            let key = key as usize;
            if is_writable {
                turn.hub.peers[key].state.is_blocked = false;
                turn.hub.mark_dirty(key);
            }
            if is_readable && turn.receive(key).is_err() {
                turn.gone.push(key);
            }
        }
        turn.broadcast();
        turn.flush();
        turn.forget();
    }
}

impl Loop {
    fn accept(&mut self, listener: &Socket) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((socket, _)) => {
                    let key = self.hub.insert(socket, Sending::default());
                    self.epoll.add(&self.hub.peers[key].socket, key as u64)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// One receive. Fails when the peer has gone.
    fn receive(&mut self, key: usize) -> Result<(), ()> {
        let peer = &mut self.hub.peers[key];
        if peer.role.is_none() || !peer.partial.is_empty() {
            let missing = message_bytes(&peer.partial).unwrap_or(0).saturating_sub(peer.partial.len());
            let max = RECEIVE_BYTES.max(missing + HEADER_BYTES);
            is_alive(sys::receive(&peer.socket, &mut peer.partial, max))?;
            return self.hub.received_behind_partial(key);
        }
        // The destination's buffer is taken out for a moment, for it lies in the same list as the socket.
        let Some(destination) = self.hub.sole_destination(key) else {
            self.scratch.clear();
            is_alive(sys::receive(&self.hub.peers[key].socket, &mut self.scratch, RECEIVE_BYTES))?;
            return self.hub.received(key, &self.scratch);
        };
        let mut buffer = std::mem::take(destination);
        let before = buffer.len();
        let peer = &mut self.hub.peers[key];
        let received = sys::receive(&peer.socket, &mut buffer, RECEIVE_BYTES);
        let end = before + whole_messages(&buffer[before..]);
        peer.partial.extend_from_slice(&buffer[end..]);
        buffer.truncate(end);
        if let Some(destination) = self.hub.sole_destination(key) {
            *destination = buffer;
        }
        is_alive(received)
    }

    /// Sends this turn's publications to every subscriber; only what one does not take is copied.
    fn broadcast(&mut self) {
        if self.hub.broadcast.is_empty() {
            return;
        }
        for n in 0..self.hub.subscribers.len() {
            let key = self.hub.subscribers[n];
            let peer = &mut self.hub.peers[key];
            let taken =
                if peer.out.is_empty() { sys::send(&peer.socket, &self.hub.broadcast) } else { Ok(0) };
            match taken {
                Ok(taken) if taken == self.hub.broadcast.len() => {}
                Ok(taken) => {
                    peer.out.extend_from_slice(&self.hub.broadcast[taken..]);
                    self.hub.mark_dirty(key);
                }
                Err(_) => self.gone.push(key),
            }
        }
        self.hub.broadcast.clear();
    }

    fn flush(&mut self) {
        for n in 0..self.hub.dirty.len() {
            let key = self.hub.dirty[n];
            let peer = &mut self.hub.peers[key];
            peer.is_dirty = false;
            if peer.state.is_blocked || peer.out.is_empty() {
                continue;
            }
            let Ok(taken) = sys::send(&peer.socket, &peer.out[peer.state.sent..]) else {
                self.gone.push(key);
                continue;
            };
            peer.state.sent += taken;
            let is_all = peer.state.sent == peer.out.len();
            if is_all {
                peer.out.clear();
                peer.state.sent = 0;
            } else if peer.state.sent > peer.out.len() / 2 {
                peer.out.drain(..peer.state.sent);
                peer.state.sent = 0;
            }
            peer.state.is_blocked = !is_all;
            // Epoll would go on telling of room that nobody needs.
            let is_to_be_told = std::mem::replace(&mut peer.state.is_watched, !is_all) == is_all;
            let has_failed = is_to_be_told && self.epoll.watch(&peer.socket, key as u64, !is_all).is_err();
            if has_failed || peer.out.len() > WAITING_BYTES_MAX {
                self.gone.push(key);
            }
        }
        self.hub.dirty.clear();
    }

    fn forget(&mut self) {
        for key in std::mem::take(&mut self.gone) {
            if self.hub.peers.contains(key) {
                self.hub.detach(key);
                self.hub.peers.remove(key);
            }
        }
    }
}

/// Fails at the end of the stream and on errors that end it.
fn is_alive(received: io::Result<usize>) -> Result<(), ()> {
    match received {
        Ok(0) => Err(()),
        Err(error) if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Err(())
        }
        _ => Ok(()),
    }
}
