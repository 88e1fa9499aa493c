//! The floor: a forwarder without WAMP that moves the same octets between the same sockets as a router would.
//!
//! Owns: roles of connections, the cutting of a stream into messages, where a message goes, and what waits for whom
//! within a turn. Everything that was read in one turn for one destination goes out in one send. The two loops around
//! it, [`epoll`] and [`uring`], own the sockets.
//!
//! Does not: parse a message, bound what waits beyond [`WAITING_BYTES_MAX`] (who lags behind by more is dropped).
//!
//! # Protocol
//! A client sends one octet: `P` (publisher), `S` (subscriber), `C` (caller) or `E` (callee), and gets it back. From then on
//! there are only messages with a RawSocket header: 4 octets, the last three the length. What a `P` sends goes to every `S`.
//! What caller number i (in order of connection, from 0; whoever leaves as the last frees its number) sends goes to callee
//! number i modulo the number of callees.
//! What an `E` sends goes to the caller whose number is the message's last octet. Messages without a destination are
//! dropped.

pub mod epoll;
mod sys;
pub mod uring;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use slab::Slab;
use socket2::{Domain, SockAddr, Socket, Type};

/// Who has more than this waiting for it, in octets, is dropped.
pub const WAITING_BYTES_MAX: usize = 256 << 20;

/// Octets of a message's header.
const HEADER_BYTES: usize = 4;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix domain socket at this path.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("expected unix:PATH".to_owned()),
            Some(path) => Ok(Address::Unix(PathBuf::from(path))),
            None => text.parse().map(Address::Tcp).map_err(|_| "expected IP:PORT or unix:PATH".to_owned()),
        }
    }
}

impl Address {
    /// A listening socket.
    ///
    /// # Errors
    /// Those of the system, in particular that the address is in use.
    pub fn listen(&self) -> io::Result<Socket> {
        let (domain, address) = match self {
            Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        if domain != Domain::UNIX {
            socket.set_reuse_address(true)?;
            // Inherited by every accepted socket.
            socket.set_tcp_nodelay(true)?;
        }
        socket.bind(&address)?;
        socket.listen(4096)?;
        Ok(socket)
    }
}

/// What a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Publisher,
    Subscriber,
    /// With its number.
    Caller(usize),
    Callee,
}

/// One connection.
#[derive(Debug)]
struct Peer<L> {
    socket: Socket,
    role: Option<Role>,
    /// The beginning of a message whose end has not been read.
    partial: Vec<u8>,
    /// What waits for this peer.
    out: Vec<u8>,
    is_dirty: bool,
    /// What the loop needs to know.
    state: L,
}

/// All connections and what waits for them.
#[derive(Debug)]
struct Hub<L> {
    peers: Slab<Peer<L>>,
    subscribers: Vec<usize>,
    /// By number; those that have gone leave a gap, unless nobody stands behind it.
    callers: Vec<Option<usize>>,
    callees: Vec<usize>,
    /// Peers with something new in `out`.
    dirty: Vec<usize>,
    /// What every subscriber gets at the end of the turn.
    broadcast: Vec<u8>,
}

impl<L> Hub<L> {
    fn new() -> Hub<L> {
        Hub {
            peers: Slab::new(),
            subscribers: Vec::new(),
            callers: Vec::new(),
            callees: Vec::new(),
            dirty: Vec::new(),
            broadcast: Vec::new(),
        }
    }

    fn insert(&mut self, socket: Socket, state: L) -> usize {
        let (partial, out) = (Vec::new(), Vec::new());
        self.peers.insert(Peer { socket, role: None, partial, out, is_dirty: false, state })
    }

    /// Forgets where to send to this peer. The peer itself stays until the loop removes it.
    fn detach(&mut self, key: usize) {
        self.subscribers.retain(|&subscriber| subscriber != key);
        self.callees.retain(|&callee| callee != key);
        for caller in &mut self.callers {
            caller.take_if(|caller| *caller == key);
        }
        // The next generator counts from 0 again.
        while self.callers.last() == Some(&None) {
            self.callers.pop();
        }
        self.peers[key].role = None;
    }

    /// The one buffer that all messages of this peer go to, if there is one whatever they say.
    fn sole_destination(&mut self, key: usize) -> Option<&mut Vec<u8>> {
        match self.peers[key].role? {
            Role::Publisher => Some(&mut self.broadcast),
            Role::Caller(number) => {
                let callee = *self.callees.get(number % self.callees.len().max(1))?;
                self.mark_dirty(callee);
                Some(&mut self.peers[callee].out)
            }
            Role::Subscriber | Role::Callee => None,
        }
    }

    /// Octets were read from a peer. Fails if it names no role.
    fn received(&mut self, key: usize, octets: &[u8]) -> Result<(), ()> {
        let peer = &mut self.peers[key];
        if peer.partial.is_empty() && peer.role.is_some() {
            let end = whole_messages(octets);
            self.forward(key, &octets[..end]);
            self.peers[key].partial.extend_from_slice(&octets[end..]);
            return Ok(());
        }
        peer.partial.extend_from_slice(octets);
        self.received_behind_partial(key)
    }

    /// Octets were read from a peer and appended to its partial message. Fails if it names no role.
    fn received_behind_partial(&mut self, key: usize) -> Result<(), ()> {
        let mut octets = std::mem::take(&mut self.peers[key].partial);
        if self.peers[key].role.is_none() && !octets.is_empty() {
            self.assign(key, octets.remove(0))?;
        }
        let end = whole_messages(&octets);
        self.peers[key].partial = octets[end..].to_vec();
        octets.truncate(end);
        if let Some(destination) = self.sole_destination(key)
            && destination.is_empty()
        {
            *destination = octets;
        } else {
            self.forward(key, &octets);
        }
        Ok(())
    }

    fn assign(&mut self, key: usize, octet: u8) -> Result<(), ()> {
        let role = match octet {
            b'P' => Role::Publisher,
            b'S' => {
                self.subscribers.push(key);
                Role::Subscriber
            }
            b'C' => {
                self.callers.push(Some(key));
                Role::Caller(self.callers.len() - 1)
            }
            b'E' => {
                self.callees.push(key);
                Role::Callee
            }
            _ => return Err(()),
        };
        let peer = &mut self.peers[key];
        peer.role = Some(role);
        peer.out.push(octet);
        self.mark_dirty(key);
        Ok(())
    }

    /// Puts whole messages of a peer where they go.
    fn forward(&mut self, key: usize, messages: &[u8]) {
        if messages.is_empty() {
            return;
        }
        if let Some(destination) = self.sole_destination(key) {
            destination.extend_from_slice(messages);
        } else if self.peers[key].role == Some(Role::Callee) {
            self.answer(messages);
        }
    }

    /// Puts answers where they go; those for one caller that follow each other are copied together.
    fn answer(&mut self, messages: &[u8]) {
        let (mut start, mut at, mut caller) = (0, 0, None);
        while at < messages.len() {
            let end = at + message_bytes(&messages[at..]).unwrap_or(messages.len() - at);
            // An empty message names nobody.
            let number = (end - at > HEADER_BYTES).then(|| usize::from(messages[end - 1]));
            if number != caller {
                self.answer_one(caller, &messages[start..at]);
                (start, caller) = (at, number);
            }
            at = end;
        }
        self.answer_one(caller, &messages[start..]);
    }

    fn answer_one(&mut self, number: Option<usize>, messages: &[u8]) {
        let caller = number.and_then(|number| self.callers.get(number).copied().flatten());
        if let Some(caller) = caller
            && !messages.is_empty()
        {
            self.peers[caller].out.extend_from_slice(messages);
            self.mark_dirty(caller);
        }
    }

    fn mark_dirty(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        if !peer.is_dirty {
            peer.is_dirty = true;
            self.dirty.push(key);
        }
    }
}

/// Octets of the message at the beginning, header included; `None` if the header is not complete.
fn message_bytes(octets: &[u8]) -> Option<usize> {
    let header: [u8; HEADER_BYTES] = octets.get(..HEADER_BYTES)?.try_into().ok()?;
    Some(HEADER_BYTES + (u32::from_be_bytes(header) & 0x00ff_ffff) as usize)
}

/// Octets of all whole messages at the beginning.
fn whole_messages(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(bytes) = message_bytes(&octets[at..])
        && bytes <= octets.len() - at
    {
        at += bytes;
    }
    at
}

#[cfg(test)]
mod tests;
