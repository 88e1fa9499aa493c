//! Emptied buffers, kept for outboxes to use again, so that sending allocates nothing in the steady state.

/// The largest buffer that is kept, in octets.
const BUFFER_BYTES_MAX: usize = 256 << 10;

/// Octets of all that are kept.
const BYTES_MAX: usize = 8 << 20;

/// See the module. The buffer that was used last is given first: it is the likeliest to be in the caches.
#[derive(Debug, Default)]
pub(crate) struct SpareBuffers {
    buffers: Vec<Vec<u8>>,
    octets: usize,
}

impl SpareBuffers {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.octets -= buffer.capacity();
        buffer
    }

    /// Keeps a buffer, unless it is large or enough are kept.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let octets = buffer.capacity();
        if octets > 0 && octets <= BUFFER_BYTES_MAX && self.octets + octets <= BYTES_MAX {
            buffer.clear();
            self.octets += octets;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_empty() {
        let mut spare = SpareBuffers::default();
        spare.give(vec![1; BUFFER_BYTES_MAX + 1]);
        assert_eq!(spare.octets, 0);
        for _ in 0..2 * BYTES_MAX / BUFFER_BYTES_MAX {
            spare.give(vec![1; BUFFER_BYTES_MAX]);
        }
        assert_eq!(spare.octets, BYTES_MAX);
        let buffer = spare.take();
        assert!(buffer.is_empty() && buffer.capacity() == BUFFER_BYTES_MAX);
        assert_eq!(spare.octets, BYTES_MAX - BUFFER_BYTES_MAX);
        assert_eq!(SpareBuffers::default().take().capacity(), 0);
    }
}
