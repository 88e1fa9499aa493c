//! The block in which a message is collected that does not lie in one buffer.

use std::mem;

/// Collects one message. Its capacity is at most four times the octets received so far, never what a header claims,
/// and the block is gone once the message has been handed over.
#[derive(Debug, Default)]
pub(crate) struct Block {
    octets: Vec<u8>,
    lent: bool,
}

impl Block {
    pub(crate) fn len(&self) -> usize {
        self.octets.len()
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Appends octets received. `more` is what the message still lacks after them, if that is known: it bounds the
    /// reserve.
    pub(crate) fn append(&mut self, received: &[u8], more: Option<usize>) {
        let needed = self.octets.len() + received.len();
        if needed > self.octets.capacity() {
            let doubled = needed.max(2 * self.octets.capacity());
            // A message that lies in two buffers is not to be moved once more when its end comes.
            let target = more.map_or(doubled, |more| (4 * needed).min(needed + more));
            self.octets.reserve_exact(target - self.octets.len());
        }
        self.octets.extend_from_slice(received);
    }

    /// The whole message. [`Block::release`] must come before the next message.
    pub(crate) fn lend(&mut self) -> &mut [u8] {
        self.lent = true;
        &mut self.octets
    }

    /// Drops what was lent.
    #[inline]
    pub(crate) fn release(&mut self) {
        if self.lent {
            *self = Block::default();
        }
    }

    /// Hands the octets over for good.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.octets)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.octets.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::Block;

    /// Fewer for Miri.
    const ROUNDS: usize = if cfg!(miri) { 50 } else { 1000 };

    #[test]
    fn capacity_follows_what_was_received() {
        let mut block = Block::default();
        for _ in 0..ROUNDS {
            block.append(&[7; 100], Some(16 << 20));
            assert!(block.heap_bytes() <= 4 * block.len(), "{} for {}", block.heap_bytes(), block.len());
        }
        assert_eq!(block.lend().len(), 100 * ROUNDS);
        block.release();
        assert_eq!((block.heap_bytes(), block.len()), (0, 0));
    }

    #[test]
    fn never_reserves_beyond_the_message() {
        let mut block = Block::default();
        block.append(&[1; 60], Some(40));
        block.append(&[1; 30], Some(10));
        block.append(&[1; 10], Some(0));
        assert_eq!(block.heap_bytes(), 100);
    }
}
