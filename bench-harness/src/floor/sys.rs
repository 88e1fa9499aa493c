//! The system calls of the forwarder that no crate of this workspace wraps: epoll, and receiving into spare capacity.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use socket2::Socket;

/// Events that one wait gives at most.
const EVENTS_MAX: usize = 1024;

/// An epoll instance.
#[derive(Debug)]
pub(super) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this descriptor and nothing else owns it.
        Ok(Epoll { fd: unsafe { OwnedFd::from_raw_fd(fd) }, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Watches a socket for input.
    pub(super) fn add(&self, socket: &Socket, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), key, false)
    }

    /// Watches for input, and for room to send too if `writable`.
    pub(super) fn watch(&self, socket: &Socket, key: u64, writable: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket.as_raw_fd(), key, writable)
    }

    fn control(&self, operation: i32, socket: RawFd, key: u64, writable: bool) -> io::Result<()> {
        let events = libc::EPOLLIN | if writable { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: events as u32, u64: key };
        // SAFETY: `event` is a valid event that the call only reads.
        let result = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, socket, &raw mut event) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits until something happens. Gives the number of events.
    pub(super) fn wait(&mut self) -> io::Result<usize> {
        self.events.clear();
        let room = self.events.as_mut_ptr();
        // SAFETY: `room` has room for EVENTS_MAX events, reserved in `new` and never given up.
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), room, EVENTS_MAX as i32, -1) };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has written the first `count` events.
        unsafe { self.events.set_len(count as usize) };
        Ok(count as usize)
    }

    /// One event of the last wait: key, readable (or ended), writable.
    pub(super) fn event(&self, index: usize) -> (u64, bool, bool) {
        let event = self.events[index];
        let events = event.events as i32;
        (event.u64, events & !libc::EPOLLOUT != 0, events & libc::EPOLLOUT != 0)
    }
}

/// Receives at most `max` octets without waiting, and appends them. 0 is the end of the stream.
pub(super) fn receive(socket: &Socket, into: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    into.reserve(max);
    let received = socket.recv_with_flags(&mut into.spare_capacity_mut()[..max], libc::MSG_DONTWAIT)?;
    // SAFETY: the kernel has written `received` octets behind the current length, within the capacity.
    unsafe { into.set_len(into.len() + received) };
    Ok(received)
}

/// Sends what the kernel takes without waiting; 0 if it takes nothing now.
pub(super) fn send(socket: &Socket, octets: &[u8]) -> io::Result<usize> {
    match socket.send_with_flags(octets, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        result => result,
    }
}
