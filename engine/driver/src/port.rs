//! How a shard task reaches the kernel: [`Port`], which the ring of `uring` and the poll of `epoll` implement.
//!
//! Operations go in, completions come out. A ring hands both on to the kernel; a poll does what it is asked for at once
//! where the kernel lets it, says so, and reports the rest as completions, so that the task is the same for both.
//!
//! Invariant: what was started ends once, with a return value that says so or with its last completion, and until then
//! its connection stays in [`Conns`].

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::conns::{Conn, Conns};
use crate::outgoing::Outgoing;
use crate::token::Token;

/// See the module.
pub(crate) trait Port<O: Outgoing> {
    /// What is kept of each connection.
    type Link: fmt::Debug + Default;
    /// A run of received octets, to be used and given back with [`Port::consume`].
    type Chunk;

    /// Accepts on a listener until an error ends it.
    fn accept(&mut self, socket: BorrowedFd<'_>, listener: u16);
    /// Cancels that. Whether it has ended with this; otherwise its last completion follows.
    fn cancel_accept(&mut self, socket: BorrowedFd<'_>, listener: u16) -> bool;
    /// Receives until an error, the end of the stream or a shortage of buffers ends it.
    fn receive(&mut self, token: Token, conn: &mut Conn<Self::Link>);
    /// Cancels the receive of a connection. Whether it has ended with this; otherwise its last completion and
    /// [`Completion::Cancelled`] follow.
    fn cancel_receive(&mut self, token: Token, conn: &mut Conn<Self::Link>) -> bool;
    /// Sends what the kernel takes of a non-empty output. Either gives it back at once with the octets taken, not yet
    /// advanced over; or keeps it, and it comes back with [`Completion::Sent`].
    fn send(&mut self, token: Token, conn: &mut Conn<Self::Link>, output: O) -> Option<(O, usize)>;
    /// Cancels everything on a connection. Whether all of it has ended with this; otherwise the last completions and
    /// [`Completion::Cancelled`] follow.
    fn cancel_all(&mut self, token: Token, conn: &mut Conn<Self::Link>) -> bool;
    /// The next completion of this turn, if there is one.
    fn next(&mut self, conns: &mut Conns<Self::Link>) -> Option<Completion<O, Self::Chunk>>;
    /// Lets `read` use received octets in place, then takes their buffer back.
    fn consume<R>(&mut self, chunk: Self::Chunk, read: impl FnOnce(&mut [u8]) -> R) -> R;
    /// Ends a turn, before other shards are woken for it.
    fn end_turn(&mut self);
    /// Whether completions can be had without waiting.
    fn has_work(&mut self) -> bool;
}

/// What has completed.
#[derive(Debug)]
pub(crate) enum Completion<O, K> {
    /// A listener's accept gave a socket or an error; without `more` it has to be started again.
    Accepted { listener: u16, result: Result<OwnedFd, i32>, more: bool },
    /// A receive gave something; without `more` it has ended.
    Received { token: Token, received: Received<K>, more: bool },
    /// A send has ended; `result` is the number of octets that the kernel took, which have not been advanced over.
    Sent { token: Token, output: O, result: Result<usize, i32> },
    /// The cancellation of a connection's operations was carried out.
    Cancelled { token: Token },
    /// Nothing to act upon.
    Done,
}

/// What a receive gave.
#[derive(Debug)]
pub(crate) enum Received<K> {
    /// Octets.
    Octets(K),
    /// End of stream.
    End,
    /// All buffers were taken.
    NoBuffers,
    /// The receive was cancelled, or interrupted.
    Stopped,
    /// An error of the socket.
    Failed(i32),
}
