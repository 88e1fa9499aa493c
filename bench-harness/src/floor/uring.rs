//! The forwarder over io_uring, set up as the router's: multishot accept and receive into provided buffers, one submission per
//! destination and turn, one system call per turn.
//!
//! Invariant: what a send in flight reads from is owned by `Flying` or by the turn's common buffer, which is counted; it is
//! neither changed nor freed before the completion. The provided buffers are never freed.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use socket2::Socket;

use super::{Hub, WAITING_BYTES_MAX};

/// Submissions per system call; a turn with more makes more calls.
const SUBMISSIONS: u32 = 2048;
const COMPLETIONS: u32 = 16_384;
/// Receive buffers, a power of two.
const BUFFERS: u16 = 256;
/// Octets of each.
const BUFFER_BYTES: usize = 32 << 10;
const GROUP: u16 = 0;
/// An entry of the buffer ring.
const ENTRY_BYTES: usize = size_of::<BufRingEntry>();

/// What a completion belongs to, in the upper half of its user data; the lower half is the peer's key.
const ACCEPT: u64 = 0 << 32;
const RECEIVE: u64 = 1 << 32;
const SEND: u64 = 2 << 32;

/// What the kernel is sending to a peer.
#[derive(Debug, Default)]
struct Sending {
    flying: Flying,
    /// The receive has ended: the peer is removed once nothing is being sent.
    has_ended: bool,
}

#[derive(Debug, Default)]
enum Flying {
    #[default]
    Nothing,
    Own(Vec<u8>),
    Shared(Rc<Vec<u8>>),
}

impl Flying {
    fn octets(&self) -> &[u8] {
        match self {
            Flying::Nothing => &[],
            Flying::Own(octets) => octets,
            Flying::Shared(octets) => octets,
        }
    }
}

struct Loop {
    uring: IoUring,
    hub: Hub<Sending>,
    buffers: Buffers,
    backlog: VecDeque<squeue::Entry>,
    /// Emptied buffers to use again.
    spare: Vec<Vec<u8>>,
}

/// Forwards until an error of the listener or of the ring.
///
/// # Errors
/// That error; also that the kernel has no such ring.
pub fn run(listener: &Socket) -> io::Result<()> {
    let uring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(COMPLETIONS)
        .build(SUBMISSIONS)?;
    let buffers = Buffers::register(&uring)?;
    let turn = Loop { uring, hub: Hub::new(), buffers, backlog: VecDeque::new(), spare: Vec::new() };
    // Never freed: after an error the kernel may still use what operations in flight name, and the process is about to end.
    let mut turn = ManuallyDrop::new(turn);
    turn.accept(listener.as_raw_fd());
    loop {
        match turn.uring.submit_and_wait(1) {
            Err(error) if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => {
                return Err(error);
            }
            _ => {}
        }
        turn.refill();
        loop {
            let Some(entry) = turn.uring.completion().next() else { break };
            turn.completed(&entry, listener.as_raw_fd())?;
        }
        turn.broadcast();
        turn.flush();
        turn.buffers.publish();
    }
}

impl Loop {
    fn completed(&mut self, entry: &cqueue::Entry, listener: RawFd) -> io::Result<()> {
        let more = cqueue::more(entry.flags());
        let key = entry.user_data() as u32 as usize;
        let taken = usize::try_from(entry.result()).map_err(|_| -entry.result());
        match entry.user_data() & !u64::from(u32::MAX) {
            ACCEPT => {
                let fd = taken.map_err(io::Error::from_raw_os_error)?;
                // SAFETY: a successful accept returns a descriptor that nothing else owns yet.
                let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
                let key = self.hub.insert(socket, Sending::default());
                self.receive(key);
                if !more {
                    self.accept(listener);
                }
            }
            RECEIVE => self.received(key, taken, cqueue::buffer_select(entry.flags()), more),
            _ => self.sent(key, taken),
        }
        Ok(())
    }

    fn received(&mut self, key: usize, taken: Result<usize, i32>, buffer: Option<u16>, more: bool) {
        let mut is_good = matches!(taken, Ok(1..) | Err(libc::ENOBUFS | libc::EINTR | libc::EAGAIN));
        if let Some(buffer) = buffer {
            let octets = self.buffers.octets(buffer, taken.unwrap_or(0));
            is_good &= self.hub.received(key, octets).is_ok();
            self.buffers.give_back(buffer);
        }
        if is_good && !more {
            self.receive(key);
        } else if !is_good {
            self.end(key, more);
        }
    }

    /// A send has ended. Short sends occur only where the socket broke: the kernel was told to send all.
    fn sent(&mut self, key: usize, taken: Result<usize, i32>) {
        let Some(peer) = self.hub.peers.get_mut(key) else { return };
        let flying = std::mem::take(&mut peer.state.flying);
        let is_all = taken == Ok(flying.octets().len());
        if let Flying::Own(mut octets) = flying
            && self.spare.len() < 1024
        {
            octets.clear();
            self.spare.push(octets);
        }
        if peer.state.has_ended {
            self.hub.peers.remove(key);
        } else if !is_all {
            // The receive ends for the same reason.
            peer.out.clear();
        } else if !peer.out.is_empty() {
            self.hub.mark_dirty(key);
        }
    }

    /// The peer is to be forgotten, when the kernel does not use what belongs to it any more.
    fn end(&mut self, key: usize, is_receiving: bool) {
        let peer = &mut self.hub.peers[key];
        // Errors: it is closed already.
        let _ = peer.socket.shutdown(std::net::Shutdown::Both);
        if is_receiving {
            return;
        }
        peer.state.has_ended = true;
        peer.out.clear();
        let is_sending = !matches!(peer.state.flying, Flying::Nothing);
        self.hub.detach(key);
        if !is_sending {
            self.hub.peers.remove(key);
        }
    }

    /// Sends this turn's publications to every subscriber from one buffer; only who is still being sent to gets a copy.
    fn broadcast(&mut self) {
        if self.hub.broadcast.is_empty() {
            return;
        }
        let shared = Rc::new(std::mem::take(&mut self.hub.broadcast));
        for n in 0..self.hub.subscribers.len() {
            let key = self.hub.subscribers[n];
            let peer = &mut self.hub.peers[key];
            if peer.out.is_empty() && matches!(peer.state.flying, Flying::Nothing) {
                self.send(key, Flying::Shared(shared.clone()));
            } else {
                peer.out.extend_from_slice(&shared);
                self.hub.mark_dirty(key);
            }
        }
    }

    fn flush(&mut self) {
        for n in 0..self.hub.dirty.len() {
            let key = self.hub.dirty[n];
            let Some(peer) = self.hub.peers.get_mut(key) else { continue };
            peer.is_dirty = false;
            if peer.out.len() > WAITING_BYTES_MAX {
                self.end(key, true);
            } else if !peer.out.is_empty() && matches!(peer.state.flying, Flying::Nothing) {
                let octets = std::mem::replace(&mut peer.out, self.spare.pop().unwrap_or_default());
                self.send(key, Flying::Own(octets));
            }
        }
        self.hub.dirty.clear();
    }

    fn send(&mut self, key: usize, flying: Flying) {
        let peer = &mut self.hub.peers[key];
        let octets = flying.octets();
        let (start, length) = (octets.as_ptr(), octets.len() as u32);
        peer.state.flying = flying;
        let fd = Fd(peer.socket.as_raw_fd());
        let entry = opcode::Send::new(fd, start, length).flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL);
        self.push(entry.build().user_data(SEND | key as u64));
    }

    fn accept(&mut self, listener: RawFd) {
        let entry = opcode::AcceptMulti::new(Fd(listener)).flags(libc::SOCK_CLOEXEC).build();
        self.push(entry.user_data(ACCEPT));
    }

    fn receive(&mut self, key: usize) {
        let entry = opcode::RecvMulti::new(Fd(self.hub.peers[key].socket.as_raw_fd()), GROUP).build();
        self.push(entry.user_data(RECEIVE | key as u64));
    }

    fn push(&mut self, entry: squeue::Entry) {
        if !self.backlog.is_empty() || !self.try_push(&entry) {
            // Errors come again with the turn's own call.
            let _ = self.uring.submit();
            self.backlog.push_back(entry);
            self.refill();
        }
    }

    fn refill(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            if !self.try_push(&entry) {
                self.backlog.push_front(entry);
                break;
            }
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: see the module's invariant: octets stay in `flying` until the completion, whose peer is not removed before.
        unsafe { self.uring.submission().push(entry) }.is_ok()
    }
}

/// The provided buffers. One belongs to the kernel, or to the completion that is being dealt with.
struct Buffers {
    /// Room for the entries, page-aligned from `aligned` on.
    entries: Vec<u8>,
    aligned: usize,
    memory: Vec<u8>,
    tail: u16,
}

/// What the kernel demands of the address of a buffer ring.
const PAGE_BYTES: usize = 4096;

impl Buffers {
    fn register(uring: &IoUring) -> io::Result<Buffers> {
        let entries = vec![0u8; usize::from(BUFFERS) * ENTRY_BYTES + PAGE_BYTES];
        let aligned = entries.as_ptr().align_offset(PAGE_BYTES);
        let memory = vec![0u8; usize::from(BUFFERS) * BUFFER_BYTES];
        let mut buffers = Buffers { entries, aligned, memory, tail: 0 };
        let address = buffers.ring() as u64;
        // SAFETY: page-aligned memory for exactly BUFFERS entries that is never freed, as is all of `Loop`.
        unsafe { uring.submitter().register_buf_ring_with_flags(address, BUFFERS, GROUP, 0)? };
        for buffer in 0..BUFFERS {
            buffers.give_back(buffer);
        }
        buffers.publish();
        Ok(buffers)
    }

    fn ring(&mut self) -> *mut BufRingEntry {
        self.entries[self.aligned..].as_mut_ptr().cast()
    }

    fn octets(&self, buffer: u16, length: usize) -> &[u8] {
        &self.memory[usize::from(buffer) * BUFFER_BYTES..][..length]
    }

    fn give_back(&mut self, buffer: u16) {
        let start = usize::from(buffer) * BUFFER_BYTES;
        let address = self.memory[start..].as_mut_ptr() as u64;
        let index = usize::from(self.tail % BUFFERS);
        // SAFETY: the index is within the ring, and the kernel does not read this entry before the tail is published.
        let entry = unsafe { &mut *self.ring().add(index) };
        entry.set_addr(address);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Makes what was given back visible to the kernel.
    fn publish(&mut self) {
        let ring = self.ring();
        // SAFETY: `ring` points to the first entry of the registered ring, zeroed at allocation.
        let tail = unsafe { BufRingEntry::tail(ring) };
        // SAFETY: an aligned u16 inside `entries` that is accessed as an atomic only.
        unsafe { AtomicU16::from_ptr(tail.cast_mut()) }.store(self.tail, Ordering::Release);
    }
}
