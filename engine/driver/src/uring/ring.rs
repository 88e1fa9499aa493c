//! The shard's own io_uring: typed operations in, typed completions out, and the one place where a shard waits.
//!
//! The answer to an isolated message, the first send of a turn that has seen at most one completion, is a plain call: done
//! at once, it needs no completion and no further turn to see it. All other sends of a turn, and what the kernel does not
//! take at once, go through the ring, one system call for all of them. What is asked for otherwise goes to the kernel with
//! the next call that is made anyway: the one that begins a turn, or the one that waits.
//!
//! Other shards wake this one with an eventfd that the ring polls all the time. It is never read: each write makes a
//! completion, a write before the poll began makes its first, and the counter does not overflow in 2^64 of them.
//!
//! Owns: the ring, the receive buffers, and every output that the kernel is sending from. An output enters with
//! [`Ring::send`] and leaves with its completion, so the kernel never reads freed or moved octets whatever the caller
//! does. Sockets belong to the caller, who keeps them open while an operation names them.
//!
//! Does not: know what a connection is, or retry.
#![allow(unsafe_code)]

mod buffers;

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;

use crate::conns::{Conn, Conns};
use crate::outgoing::{Outgoing, SLICES_MAX, send_now};
use crate::port::{Completion, Port, Received};
use crate::sys::EventFd;
use crate::token::{Op, Token};
use buffers::Chunk;

/// How large a ring is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingSize {
    /// Submissions per system call; a turn with more simply makes more calls.
    pub(crate) submissions: u32,
    /// Completions that wait to be handled before the kernel has to set some aside.
    pub(crate) completions: u32,
    /// Receive buffers, a power of two.
    pub(crate) buffers: u16,
    /// Octets of each.
    pub(crate) buffer_octets: usize,
}

impl Default for RingSize {
    fn default() -> RingSize {
        RingSize { submissions: 512, completions: 4096, buffers: 64, buffer_octets: 64 << 10 }
    }
}

struct Sending<O> {
    token: Token,
    output: O,
}

/// Where the kernel finds the slices of a vectored send; read by it while it takes the submission, not after.
struct Vectored {
    message: libc::msghdr,
    slices: [libc::iovec; SLICES_MAX],
}

/// See the module.
pub(crate) struct Ring<O> {
    uring: ManuallyDrop<IoUring>,
    buffers: ManuallyDrop<buffers::Buffers>,
    sends: ManuallyDrop<Slab<Sending<O>>>,
    /// Submissions that found the queue full.
    backlog: VecDeque<squeue::Entry>,
    /// Boxed, because the kernel is given their addresses while the list grows.
    #[allow(clippy::vec_box)]
    vectored: Vec<Box<Vectored>>,
    vectored_used: usize,
    /// What other shards wake this one with.
    wakes: EventFd,
    /// Whether the poll of it is started again when it ends.
    listens: bool,
    /// The kernel was asked in this turn.
    has_begun: bool,
    /// The kernel was entered for nothing: its flag that there is work to do tells nothing until the next wait. The kernel
    /// clears it before it takes the work, and work that comes in between is done and leaves it set.
    flag_is_stale: bool,
    /// Completions handed out in this turn.
    handed_out: usize,
    /// There was a send in this turn.
    has_sent: bool,
    /// Sends wait for the next call.
    has_sends: bool,
    /// Operations whose last completion has not been seen.
    in_flight: usize,
}

impl<O: Outgoing> Ring<O> {
    /// A ring for this thread, which can [listen](Ring::listen) for `wakes`.
    pub(crate) fn new(size: RingSize, wakes: &EventFd) -> io::Result<Ring<O>> {
        let uring = setup(size.submissions, size.completions)?;
        let buffers = buffers::Buffers::register(&uring, size.buffers, size.buffer_octets)?;
        Ok(Ring {
            uring: ManuallyDrop::new(uring),
            buffers: ManuallyDrop::new(buffers),
            sends: ManuallyDrop::new(Slab::new()),
            backlog: VecDeque::new(),
            vectored: Vec::new(),
            vectored_used: 0,
            wakes: wakes.try_clone()?,
            listens: false,
            has_begun: false,
            flag_is_stale: false,
            handed_out: 0,
            has_sent: false,
            has_sends: false,
            in_flight: 0,
        })
    }

    /// From the next call on each signal of the eventfd makes a completion, also one that has come already.
    pub(crate) fn listen(&mut self) {
        self.listens = true;
        let descriptor = Fd(self.wakes.fd().as_raw_fd());
        let entry = opcode::PollAdd::new(descriptor, libc::POLLIN as u32).multi(true).build();
        self.push(entry.user_data(Op::Wake.with_index(0)));
    }

    /// Ends that: the last operation of a ring without sockets.
    pub(crate) fn stop_listening(&mut self) {
        self.listens = false;
        let target = CancelBuilder::user_data(Op::Wake.with_index(0));
        self.push(opcode::AsyncCancel2::new(target).build().user_data(Op::Ignore.with_index(0)));
    }

    /// Hands everything over to the kernel and blocks until a completion is there, but no longer than `most`. One system
    /// call.
    pub(crate) fn wait(&mut self, most: Duration) {
        self.flag_is_stale = false;
        self.buffers.publish();
        let most = Timespec::from(most);
        match self.uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&most)) {
            Ok(_) => {}
            Err(error) if is_passing(&error) => return,
            Err(error) => panic!("io_uring_enter failed: {error}"),
        }
        self.after_submission();
    }

    /// Whether new completions show without a system call; otherwise only waiting finds them.
    pub(crate) fn can_be_watched(&self) -> bool {
        !self.flag_is_stale
    }

    /// Hands everything over to the kernel, if there is something.
    pub(crate) fn flush(&mut self) {
        if !self.uring.submission().is_empty() {
            self.enter();
        }
    }

    /// Operations that have not completed.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Begins a turn: hands over what was asked for since, and lets the kernel finish what it had put off unless there are
    /// completions to handle already.
    fn begin(&mut self) {
        self.has_begun = true;
        if self.uring.completion().is_empty() || !self.uring.submission().is_empty() {
            self.enter();
            self.flag_is_stale = self.uring.completion().is_empty() && self.kernel_has_work();
        }
    }

    /// One system call, or none if there is nothing to do: hands everything over to the kernel and lets it finish what it had
    /// put off.
    fn enter(&mut self) {
        self.buffers.publish();
        if self.uring.submission().is_empty() && !self.kernel_has_work() {
            return;
        }
        loop {
            match self.uring.submit() {
                Ok(_) => {}
                // The completion queue is full, or the call was interrupted: the rest goes with the next turn.
                Err(error) if is_passing(&error) => return,
                Err(error) => panic!("io_uring_enter failed: {error}"),
            }
            if self.backlog.is_empty() {
                break;
            }
            self.refill();
        }
        self.after_submission();
    }

    fn after_submission(&mut self) {
        self.refill();
        if self.uring.submission().is_empty() {
            self.vectored_used = 0;
        }
    }

    /// The submission that sends the output at `index`, all of it or its first 64 slices.
    fn describe_send(&mut self, socket: RawFd, index: usize) -> squeue::Entry {
        let mut slices = self.sends[index].output.slices().filter(|slice| !slice.is_empty());
        let first = slices.next().unwrap_or_default();
        let Some(second) = slices.next() else {
            let len = u32::try_from(first.len()).unwrap_or(1 << 30);
            return opcode::Send::new(Fd(socket), first.as_ptr(), len).flags(libc::MSG_NOSIGNAL).build();
        };
        if self.vectored_used == self.vectored.len() {
            self.vectored.push(Box::new(Vectored::empty()));
        }
        let vectored = &mut self.vectored[self.vectored_used];
        self.vectored_used += 1;
        let message = vectored.fill([first, second].into_iter().chain(slices));
        opcode::SendMsg::new(Fd(socket), message).flags(libc::MSG_NOSIGNAL as u32).build()
    }

    fn kernel_has_work(&mut self) -> bool {
        let queue = self.uring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    fn received(&mut self, taken: Result<usize, i32>, buffer: Option<u16>) -> Received<Chunk> {
        // Some kernels hand over a buffer with the end of the stream or an error: it goes straight back.
        let chunk = buffer.map(|buffer| self.buffers.chunk(buffer, taken.unwrap_or(0)));
        match (taken, chunk) {
            (Ok(1..), Some(chunk)) => return Received::Octets(chunk),
            (_, Some(chunk)) => self.buffers.consume(chunk, |_| ()),
            (_, None) => {}
        }
        match taken {
            Ok(_) => Received::End,
            Err(libc::ENOBUFS) => Received::NoBuffers,
            Err(libc::ECANCELED | libc::EINTR | libc::EAGAIN) => Received::Stopped,
            Err(error) => Received::Failed(error),
        }
    }

    fn push(&mut self, entry: squeue::Entry) {
        self.in_flight += 1;
        if !self.backlog.is_empty() || !self.try_push(&entry) {
            self.backlog.push_back(entry);
            if self.backlog.len() == 1 {
                self.enter();
            }
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
        // SAFETY: what the entry points to outlives the operation: outputs stay in `sends` until their completion, the
        // headers in `vectored` until the kernel has taken the submission (IORING_FEAT_SUBMIT_STABLE,
        // required by the probe), receive buffers as long as the ring.
        unsafe { self.uring.submission().push(entry) }.is_ok()
    }
}

impl<O: Outgoing> Port<O> for Ring<O> {
    type Link = ();
    type Chunk = Chunk;

    fn accept(&mut self, socket: BorrowedFd<'_>, listener: u16) {
        let entry = opcode::AcceptMulti::new(Fd(socket.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build();
        self.push(entry.user_data(Op::Accept.with_index(u32::from(listener))));
    }

    fn cancel_accept(&mut self, socket: BorrowedFd<'_>, _listener: u16) -> bool {
        let target = CancelBuilder::fd(Fd(socket.as_raw_fd())).all();
        self.push(opcode::AsyncCancel2::new(target).build().user_data(Op::Ignore.with_index(0)));
        false
    }

    fn receive(&mut self, token: Token, conn: &mut Conn<()>) {
        let entry = opcode::RecvMulti::new(Fd(conn.fd()), buffers::GROUP).build();
        self.push(entry.user_data(Op::Receive.with_token(token)));
    }

    fn cancel_receive(&mut self, token: Token, _conn: &mut Conn<()>) -> bool {
        let target = CancelBuilder::user_data(Op::Receive.with_token(token));
        self.push(opcode::AsyncCancel2::new(target).build().user_data(Op::Cancel.with_token(token)));
        false
    }

    fn send(&mut self, token: Token, conn: &mut Conn<()>, output: O) -> Option<(O, usize)> {
        let is_first = !std::mem::replace(&mut self.has_sent, true);
        if is_first
            && self.handed_out <= 1
            && let Ok((octets, _)) = send_now(conn.socket.as_fd(), &output)
        {
            return Some((output, octets));
        }
        self.has_sends = true;
        let index = self.sends.insert(Sending { token, output });
        let entry = self.describe_send(conn.fd(), index);
        self.push(entry.user_data(Op::Send.with_index(index as u32)));
        None
    }

    fn cancel_all(&mut self, token: Token, conn: &mut Conn<()>) -> bool {
        let target = CancelBuilder::fd(Fd(conn.fd())).all();
        self.push(opcode::AsyncCancel2::new(target).build().user_data(Op::Cancel.with_token(token)));
        false
    }

    fn next(&mut self, _conns: &mut Conns<()>) -> Option<Completion<O, Chunk>> {
        if !self.has_begun {
            self.begin();
        }
        let entry = self.uring.completion().next()?;
        self.handed_out += 1;
        let more = cqueue::more(entry.flags());
        if !more {
            self.in_flight -= 1;
        }
        let result = entry.result();
        let taken = usize::try_from(result).map_err(|_| -result);
        let (op, index, token) = Op::parse(entry.user_data());
        Some(match op {
            Op::Accept => {
                // SAFETY: a successful accept returns a descriptor that nothing else owns yet.
                let result = taken.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
                Completion::Accepted { listener: index as u16, result, more }
            }
            Op::Receive => {
                let buffer = cqueue::buffer_select(entry.flags());
                Completion::Received { token, received: self.received(taken, buffer), more }
            }
            Op::Send => {
                let Sending { token, output } = self.sends.remove(index as usize);
                Completion::Sent { token, output, result: taken }
            }
            Op::Cancel => Completion::Cancelled { token },
            Op::Wake => {
                if !more && self.listens {
                    self.listen();
                }
                Completion::Done
            }
            Op::Ignore => Completion::Done,
        })
    }

    fn consume<R>(&mut self, chunk: Chunk, read: impl FnOnce(&mut [u8]) -> R) -> R {
        self.buffers.consume(chunk, read)
    }

    /// Only sends go to the kernel now, because nobody is to be woken before them.
    fn end_turn(&mut self) {
        self.has_begun = false;
        self.handed_out = 0;
        self.has_sent = false;
        if std::mem::take(&mut self.has_sends) {
            self.enter();
        }
    }

    fn has_work(&mut self) -> bool {
        let kernel_has_work = !self.flag_is_stale && self.kernel_has_work();
        !self.uring.completion().is_empty() || kernel_has_work || !self.backlog.is_empty()
    }
}

impl<O> Drop for Ring<O> {
    fn drop(&mut self) {
        // SAFETY: dropped only here; closing the ring first ends the kernel's use of whatever is not in flight.
        unsafe { ManuallyDrop::drop(&mut self.uring) };
        if self.in_flight > 0 {
            // The kernel ends these operations some time after the ring was closed, and may use their memory until
            // then. Leaking it is the only safe thing; it happens only when a shard is torn down in a panic.
            return;
        }
        // SAFETY: nothing is in flight, so the kernel uses none of it; dropped only here.
        unsafe {
            ManuallyDrop::drop(&mut self.buffers);
            ManuallyDrop::drop(&mut self.sends);
        }
    }
}

impl Vectored {
    fn empty() -> Vectored {
        // SAFETY: both are plain C structures of integers and pointers, for which all zeros is a valid value.
        unsafe { std::mem::zeroed() }
    }

    /// Points at `slices`, the first 64 of them.
    fn fill<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>) -> *const libc::msghdr {
        let mut count = 0;
        for (place, slice) in self.slices.iter_mut().zip(slices) {
            *place = libc::iovec { iov_base: slice.as_ptr().cast_mut().cast(), iov_len: slice.len() };
            count += 1;
        }
        self.message.msg_iov = self.slices.as_mut_ptr();
        self.message.msg_iovlen = count;
        &raw const self.message
    }
}

/// An io_uring of the kind that [`Ring`] is built on; also what the probe tries.
pub(crate) fn setup(submissions: u32, completions: u32) -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(completions)
        .dontfork()
        .build(submissions)
}

/// Tries to register a small set of receive buffers; for the probe.
pub(crate) fn try_buffers(ring: IoUring) -> io::Result<()> {
    let buffers = buffers::Buffers::register(&ring, 1, 64)?;
    drop(ring);
    drop(buffers);
    Ok(())
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ETIME))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use wampline_shard::Output;

    /// A guard against hanging.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// How many completions a wait has given.
    fn wait(ring: &mut Ring<Output>, most: Duration) -> usize {
        ring.wait(most);
        let completions = std::iter::from_fn(|| ring.next(&mut Conns::default())).count();
        ring.end_turn();
        completions
    }

    #[test]
    fn a_signal_ends_a_wait_whenever_it_comes_and_is_told_once() {
        let wakes = EventFd::new().unwrap();
        let size = RingSize { submissions: 8, completions: 16, buffers: 2, buffer_octets: 512 };
        let mut ring = Ring::<Output>::new(size, &wakes).unwrap();
        wakes.signal();
        ring.listen();
        assert_eq!(wait(&mut ring, PATIENCE), 1, "signalled before the poll began");
        assert_eq!(wait(&mut ring, Duration::from_millis(1)), 0, "told once");
        wakes.signal();
        assert_eq!(wait(&mut ring, PATIENCE), 1, "signalled between two waits");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                wakes.signal();
            });
            assert_eq!(wait(&mut ring, PATIENCE), 1, "signalled during a wait");
        });
        assert_eq!(wait(&mut ring, Duration::from_millis(1)), 0, "told once");
        ring.stop_listening();
        while ring.in_flight() > 0 {
            assert!(wait(&mut ring, PATIENCE) > 0, "the poll ends");
        }
    }
}
