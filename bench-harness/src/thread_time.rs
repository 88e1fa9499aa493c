//! The processor time of the calling thread, which other programs on a busy machine do not add to.
#![allow(unsafe_code)]

use std::time::Duration;

/// Processor time of the calling thread so far.
pub fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the length of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert!(result == 0, "invariant: Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
