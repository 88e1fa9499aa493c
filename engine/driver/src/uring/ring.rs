//! The shard's own io_uring: typed operations in, typed completions out.
//!
//! Owns: the ring, the receive buffers, and every output that the kernel is sending from. An output enters with
//! [`Ring::send`] and leaves with its completion, so the kernel never reads freed or moved octets whatever the caller
//! does. Sockets belong to the caller, who keeps them open while an operation names them.
//!
//! Does not: know what a connection is, retry, or wait (the shard task parks through glommio).
#![allow(unsafe_code)]

mod buffers;

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use io_uring::types::{CancelBuilder, Fd, TimeoutFlags, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;
use wampline_shard::Now;

use crate::conns::{Conn, Conns};
use crate::outgoing::{Outgoing, SLICES_MAX};
use crate::port::{Completion, Port, Received};
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
        RingSize { submissions: 512, completions: 4096, buffers: 256, buffer_octets: 16 << 10 }
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
    /// Read by the kernel while it takes the submission, not after.
    timespec: Box<Timespec>,
    /// When the timer that is under way will fire.
    timer: Option<Now>,
    /// Operations whose last completion has not been seen.
    in_flight: usize,
}

impl<O: Outgoing> Ring<O> {
    /// A ring for this thread, which signals `eventfd` while [`Ring::listen_for_wakes`] is on.
    pub(crate) fn new(size: RingSize, eventfd: BorrowedFd<'_>) -> io::Result<Ring<O>> {
        let uring = setup(size.submissions, size.completions)?;
        uring.submitter().register_eventfd(eventfd.as_raw_fd())?;
        let buffers = buffers::Buffers::register(&uring, size.buffers, size.buffer_octets)?;
        let mut ring = Ring {
            uring: ManuallyDrop::new(uring),
            buffers: ManuallyDrop::new(buffers),
            sends: ManuallyDrop::new(Slab::new()),
            backlog: VecDeque::new(),
            vectored: Vec::new(),
            vectored_used: 0,
            timespec: Box::new(Timespec::new()),
            timer: None,
            in_flight: 0,
        };
        ring.listen_for_wakes(false);
        Ok(ring)
    }

    /// Sees to it that a completion comes at `deadline` or before.
    pub(crate) fn wake_at(&mut self, deadline: Now) {
        if self.timer.is_some_and(|armed| armed <= deadline) {
            return;
        }
        let (seconds, nanoseconds) = (deadline.0 / 1_000_000_000, deadline.0 % 1_000_000_000);
        *self.timespec = Timespec::new().sec(seconds).nsec(nanoseconds as u32);
        let timespec: *const Timespec = &raw const *self.timespec;
        let timer = Op::Timer.with_index(0);
        let entry = if self.timer.is_none() {
            opcode::Timeout::new(timespec).flags(TimeoutFlags::ABS).build().user_data(timer)
        } else {
            let entry = opcode::TimeoutUpdate::new(timer, timespec).flags(TimeoutFlags::ABS).build();
            entry.user_data(Op::Ignore.with_index(0))
        };
        self.timer = Some(deadline);
        self.push(entry);
        // The kernel copies the time when it takes the submission; the next call may write another one.
        self.submit();
    }

    /// Blocks until a completion is there. For the end of a shard only.
    pub(crate) fn wait(&mut self) {
        self.buffers.publish();
        match self.uring.submit_and_wait(1) {
            Ok(_) => self.refill(),
            Err(error) if is_passing(&error) => {}
            Err(error) => panic!("io_uring_enter failed: {error}"),
        }
    }

    /// Cancels the timer, the last operation of a ring without sockets.
    pub(crate) fn cancel_timer(&mut self) {
        if self.timer.is_some() {
            let target = CancelBuilder::user_data(Op::Timer.with_index(0));
            self.push(opcode::AsyncCancel2::new(target).build().user_data(Op::Ignore.with_index(0)));
        }
    }

    /// Operations that have not completed.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether the kernel signals the eventfd for new completions. Off while the shard runs, to save the signals.
    pub(crate) fn listen_for_wakes(&mut self, on: bool) {
        let queue = self.uring.completion();
        if on { queue.enable_eventfd() } else { queue.disable_eventfd() }
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
                self.submit();
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
        // headers in `vectored` and `timespec` until the kernel has taken the submission (IORING_FEAT_SUBMIT_STABLE,
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

    /// Asks the kernel for nothing.
    fn next(&mut self, _conns: &mut Conns<()>) -> Option<Completion<O, Chunk>> {
        let entry = self.uring.completion().next()?;
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
            Op::Timer => {
                self.timer = None;
                Completion::Done
            }
            Op::Ignore => Completion::Done,
        })
    }

    fn consume<R>(&mut self, chunk: Chunk, read: impl FnOnce(&mut [u8]) -> R) -> R {
        self.buffers.consume(chunk, read)
    }

    /// Hands everything over to the kernel and lets it finish what it had put off. One system call, or none if there is
    /// nothing to do.
    fn submit(&mut self) {
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
        if self.uring.submission().is_empty() {
            self.vectored_used = 0;
        }
    }

    fn has_work(&mut self) -> bool {
        !self.uring.completion().is_empty() || self.kernel_has_work() || !self.backlog.is_empty()
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
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}
