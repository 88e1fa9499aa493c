//! The receive buffers that the kernel picks from: a provided-buffer ring.
//!
//! Invariant: at any time each buffer belongs either to the kernel (it is in the ring, or a receive is filling it) or to
//! the one [`Chunk`] that names it. A chunk is made from a completion only and is consumed when its buffer goes back.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

/// The group that the buffers of a ring are registered under.
pub(crate) const GROUP: u16 = 0;

/// Between two buffers, so that their first octets do not all share one set of the first-level cache.
const COLOUR: usize = 64;

/// A received run of octets in a buffer that is ours until it is given back.
#[derive(Debug)]
#[must_use = "a buffer that is not given back is lost to the ring"]
pub(crate) struct Chunk {
    buffer: u16,
    len: usize,
}

/// Page-aligned, zeroed memory.
#[derive(Debug)]
struct Pages {
    base: NonNull<u8>,
    layout: Layout,
}

impl Pages {
    fn new(octets: usize) -> Pages {
        let layout =
            Layout::from_size_align(octets.max(1), 4096).expect("invariant: buffer sizes are bounded");
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else { handle_alloc_error(layout) };
        Pages { base, layout }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout and freed only here.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// The buffers of one ring.
#[derive(Debug)]
pub(crate) struct Buffers {
    entries: Pages,
    memory: Pages,
    count: u16,
    octets: usize,
    /// What the kernel will see as the tail after the next [`Buffers::publish`].
    tail: u16,
}

impl Buffers {
    /// Allocates `count` buffers (rounded up to a power of two, at most 32,768) of `octets` each, registers them with
    /// the ring and hands all of them over.
    ///
    /// The caller must keep the result alive until the ring is closed and has no operation in flight.
    pub(super) fn register(ring: &IoUring, count: u16, octets: usize) -> io::Result<Buffers> {
        let count = count.clamp(1, 1 << 15).next_power_of_two();
        let stride = octets + COLOUR;
        let entries = Pages::new(usize::from(count) * size_of::<BufRingEntry>());
        let memory = Pages::new(usize::from(count) * stride);
        let address = entries.base.as_ptr() as u64;
        // SAFETY: `entries` is page-aligned memory for exactly `count` entries; the ring's owner keeps it until the
        // ring is closed with nothing in flight (see `Ring`'s `Drop`).
        unsafe { ring.submitter().register_buf_ring_with_flags(address, count, GROUP, 0)? };
        let mut buffers = Buffers { entries, memory, count, octets, tail: 0 };
        for buffer in 0..count {
            buffers.push(buffer);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// Names the octets that a completion has put into a buffer.
    pub(super) fn chunk(&self, buffer: u16, len: usize) -> Chunk {
        assert!(
            buffer < self.count && len <= self.octets,
            "invariant: the kernel fills the buffers it was given"
        );
        Chunk { buffer, len }
    }

    /// Lets `read` use the octets in place, then takes the buffer back.
    pub(super) fn consume<R>(&mut self, chunk: Chunk, read: impl FnOnce(&mut [u8]) -> R) -> R {
        let start = self.address(chunk.buffer);
        // SAFETY: `chunk` is the only owner of this buffer (see the module's invariant), the kernel does not touch it
        // until `push` and `publish`, `len` is within it and its memory is initialised.
        let octets = unsafe { std::slice::from_raw_parts_mut(start, chunk.len) };
        let result = read(octets);
        self.push(chunk.buffer);
        result
    }

    /// Makes what was given back visible to the kernel.
    pub(super) fn publish(&mut self) {
        // SAFETY: `entries` points to the first entry of the registered ring, initialised (zeroed) at allocation.
        let tail = unsafe { BufRingEntry::tail(self.entries.base.as_ptr().cast()) };
        // SAFETY: the tail is an aligned u16 inside `entries` that the kernel reads concurrently; it is accessed as an
        // atomic here and nowhere else in this process.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    fn address(&self, buffer: u16) -> *mut u8 {
        let offset = usize::from(buffer) * (self.octets + COLOUR);
        // SAFETY: `buffer` is below `count`, so the offset stays inside `memory`.
        unsafe { self.memory.base.as_ptr().add(offset) }
    }

    fn push(&mut self, buffer: u16) {
        let index = usize::from(self.tail & (self.count - 1));
        let address = self.address(buffer) as u64;
        // SAFETY: `index` is below `count`. The kernel reads an entry only below the published tail, and this one is
        // not: at most `count` buffers exist and this one was ours. Only address, length and id are written, never the
        // tail that shares the first entry.
        let entry = unsafe { &mut *self.entries.base.as_ptr().cast::<BufRingEntry>().add(index) };
        entry.set_addr(address);
        entry.set_len(self.octets as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }
}
