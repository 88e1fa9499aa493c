//! The few system calls that no crate of this workspace wraps: event counters, resource limits, CPU affinity, the clock.
//!
//! Every function here is safe to call with any argument; none keeps a pointer beyond the call.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::SystemTime;

use wampline_shard::{Now, UnixNanos};

/// An event counter (`eventfd`): written to wake.
///
/// Who polls it is told of every write, edge-triggered by epoll and by a multishot poll of io_uring, and never reads it: the
/// counter does not overflow in 2^64 of them. Who reads it, through io_uring, waits and resets it: for that it is a blocking
/// descriptor, because io_uring answers EAGAIN at once for a non-blocking one.
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    /// A counter at zero.
    pub(crate) fn new() -> io::Result<EventFd> {
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this descriptor and nothing else owns it.
        Ok(EventFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The same counter under another descriptor.
    pub(crate) fn try_clone(&self) -> io::Result<EventFd> {
        self.0.try_clone().map(EventFd)
    }

    /// The descriptor.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Adds one, which wakes whoever reads. Cannot block in practice: the counter would have to reach 2^64-2.
    pub(crate) fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        loop {
            // SAFETY: `one` is 8 readable octets for the length of the call.
            let written = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
            if written >= 0 {
                return;
            }
            let error = io::Error::last_os_error();
            assert!(error.kind() == io::ErrorKind::Interrupted, "invariant: eventfd is writable: {error}");
        }
    }
}

impl IntoRawFd for EventFd {
    fn into_raw_fd(self) -> RawFd {
        self.0.into_raw_fd()
    }
}

/// The monotonic clock, the same that io_uring's absolute timeouts use.
pub(crate) fn now() -> Now {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the length of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert!(result == 0, "invariant: CLOCK_MONOTONIC exists");
    Now(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// What time it was on the wall when [`now`] gave 0.
pub(crate) fn epoch() -> UnixNanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    UnixNanos(nanos.saturating_sub(now().0))
}

/// A resource of `getrlimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Open descriptors.
    OpenFiles,
    /// Octets of locked memory.
    LockedMemory,
}

/// Raises the soft limit to the hard one and returns what then holds. Failing to raise is not an error.
pub(crate) fn raise_limit(resource: Resource) -> u64 {
    let which = match resource {
        Resource::OpenFiles => libc::RLIMIT_NOFILE,
        Resource::LockedMemory => libc::RLIMIT_MEMLOCK,
    };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, writable rlimit for the length of the call.
    if unsafe { libc::getrlimit(which, &raw mut limit) } != 0 {
        return 0;
    }
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        // SAFETY: `raised` is a valid rlimit for the length of the call.
        if unsafe { libc::setrlimit(which, &raw const raised) } == 0 {
            limit.rlim_cur = limit.rlim_max;
        }
    }
    limit.rlim_cur
}

/// The CPUs that this process may run on, in ascending order; empty if the kernel does not say.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    // SAFETY: a cpu_set_t is an array of integers, for which all zeros is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is writable and of the size that is passed.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        return Vec::new();
    }
    // SAFETY: CPU_ISSET only reads `set`, at an index below its size.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// The kernel's release, for example `6.1.0-13-amd64`.
pub(crate) fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}
