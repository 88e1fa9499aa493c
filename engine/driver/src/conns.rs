//! The sockets of one shard.
//!
//! Invariants: a slot is freed, and its socket closed, only when no operation of it is outstanding, so a completion
//! always finds the connection that started it; a core's key leads here until the core closes it and never after.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use slab::Slab;
use wampline_shard::ConnKey;

use crate::token::Token;

/// One socket and what is under way on it.
#[derive(Debug)]
pub(crate) struct Conn<L> {
    pub(crate) socket: OwnedFd,
    pub(crate) key: ConnKey,
    /// Index of its listener.
    pub(crate) listener: u16,
    pub(crate) generation: u32,
    pub(crate) stage: Stage,
    /// A receive is outstanding.
    pub(crate) receiving: bool,
    /// Its cancellation was asked for.
    pub(crate) stopping: bool,
    /// A send is outstanding.
    pub(crate) sending: bool,
    /// Cancellations that are outstanding.
    pub(crate) cancelling: u32,
    /// The core wants to receive.
    pub(crate) wants_octets: bool,
    /// Nothing more can be received.
    pub(crate) read_ended: bool,
    /// Nothing can be sent either.
    pub(crate) broken: bool,
    /// What the port keeps of it.
    pub(crate) link: L,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The core knows it.
    Open,
    /// The core has closed it. The rest of a send goes out, then our end of the stream, and what the peer still sends is
    /// discarded, so that the kernel has no reason to reset the connection and destroy what the peer has not read.
    Lingering,
    /// Everything is cancelled; the socket closes with the last completion.
    Ending,
}

impl<L: Default> Conn<L> {
    /// A new connection, open and idle.
    pub(crate) fn new(socket: OwnedFd, key: ConnKey, listener: u16) -> Conn<L> {
        Conn {
            socket,
            key,
            listener,
            generation: 0,
            stage: Stage::Open,
            receiving: false,
            stopping: false,
            sending: false,
            cancelling: 0,
            wants_octets: true,
            read_ended: false,
            broken: false,
            link: L::default(),
        }
    }

    /// The descriptor.
    pub(crate) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether no completion can come any more.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.receiving && !self.sending && self.cancelling == 0
    }

    /// Whether a receive is to be started.
    pub(crate) fn should_receive(&self) -> bool {
        self.wants_octets && !self.receiving && !self.read_ended && self.stage != Stage::Ending
    }
}

/// All sockets of a shard.
#[derive(Debug)]
pub(crate) struct Conns<L> {
    slots: Slab<Conn<L>>,
    /// By the core's slot: our slot plus one, or 0.
    by_core_slot: Vec<u32>,
    /// Keys whose slot the core has given to a newcomer before we have seen the close, with our slot. Nearly always
    /// empty, never longer than what one turn closes.
    displaced: Vec<(ConnKey, u32)>,
    generation: u32,
}

impl<L> Default for Conns<L> {
    fn default() -> Conns<L> {
        Conns { slots: Slab::new(), by_core_slot: Vec::new(), displaced: Vec::new(), generation: 0 }
    }
}

impl<L: Default> Conns<L> {
    /// Adds a connection.
    pub(crate) fn insert(&mut self, mut conn: Conn<L>) -> Token {
        self.generation = (self.generation + 1) & Token::GENERATION_MASK;
        conn.generation = self.generation;
        let core_slot = conn.key.slot as usize;
        let token = Token { slot: self.slots.vacant_key() as u32, generation: self.generation };
        if self.by_core_slot.len() <= core_slot {
            self.by_core_slot.resize(core_slot + 1, 0);
        }
        let before = std::mem::replace(&mut self.by_core_slot[core_slot], token.slot + 1);
        if let Some(slot) = before.checked_sub(1) {
            self.displaced.push((self.slots[slot as usize].key, slot));
        }
        self.slots.insert(conn);
        token
    }

    /// The connection of a completion.
    pub(crate) fn get(&mut self, token: Token) -> &mut Conn<L> {
        let conn = self.slots.get_mut(token.slot as usize);
        let conn = conn.expect("invariant: a slot outlives its completions");
        debug_assert_eq!(conn.generation, token.generation, "a slot is reused only after its completions");
        conn
    }

    /// The connection of a token that may be outdated.
    pub(crate) fn find(&mut self, token: Token) -> Option<&mut Conn<L>> {
        self.slots.get_mut(token.slot as usize).filter(|conn| conn.generation == token.generation)
    }

    /// The connection that the core means.
    pub(crate) fn by_key(&mut self, key: ConnKey) -> Option<(Token, &mut Conn<L>)> {
        let current = self.by_core_slot.get(key.slot as usize).and_then(|slot| slot.checked_sub(1));
        let is_current = current.is_some_and(|slot| self.slots[slot as usize].key == key);
        let slot = if is_current {
            current?
        } else {
            self.displaced.iter().find(|(displaced, _)| *displaced == key)?.1
        };
        let conn = &mut self.slots[slot as usize];
        Some((Token { slot, generation: conn.generation }, conn))
    }

    /// The core's key is dead from here on.
    pub(crate) fn forget_key(&mut self, key: ConnKey) {
        let Some((token, _)) = self.by_key(key) else { return };
        let current = &mut self.by_core_slot[key.slot as usize];
        if *current == token.slot + 1 {
            *current = 0;
        } else {
            self.displaced.retain(|(displaced, _)| *displaced != key);
        }
    }

    /// Removes a quiet connection.
    pub(crate) fn remove(&mut self, token: Token) -> Conn<L> {
        debug_assert!(self.get(token).is_quiet());
        self.slots.remove(token.slot as usize)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Every connection's token.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        self.slots
            .iter()
            .map(|(slot, conn)| Token { slot: slot as u32, generation: conn.generation })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn conn(slot: u32, guard: u32) -> Conn<()> {
        let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
        Conn::new(socket.into(), ConnKey { slot, guard }, 0)
    }

    #[test]
    fn a_key_leads_to_its_connection_even_if_the_core_has_reused_the_slot() {
        let mut conns = Conns::default();
        let tokens: Vec<Token> = (1..=3).map(|guard| conns.insert(conn(5, guard))).collect();
        for (guard, token) in (1..=3).zip(&tokens) {
            assert_eq!(conns.by_key(ConnKey { slot: 5, guard }).unwrap().0, *token);
        }
        for guard in [2, 3, 1] {
            conns.forget_key(ConnKey { slot: 5, guard });
            assert!(conns.by_key(ConnKey { slot: 5, guard }).is_none());
        }
        assert!(conns.by_key(ConnKey { slot: 5, guard: 4 }).is_none());
        assert!(conns.by_key(ConnKey { slot: 99, guard: 1 }).is_none());
        assert!(conns.displaced.is_empty());
        for token in tokens {
            conns.remove(token);
            assert!(conns.find(token).is_none());
        }
    }
}
