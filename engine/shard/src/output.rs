//! Octets on their way to a socket.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

/// A run of octets for one connection: owned chunks and ranges of shared frames. The octets do not move while the
/// output exists.
#[derive(Debug, Default)]
pub struct Output {
    chunks: SmallVec<[Chunk; 2]>,
    /// The first chunk that is not sent entirely, and how much of it is.
    current: usize,
    offset: usize,
    left: usize,
}

/// A piece of output. Whole messages only, [`Chunk::Rest`] aside: what overtakes goes between chunks.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// For this connection alone.
    Own(Vec<u8>),
    /// The rest of the last message of the [`Chunk::Own`] before it: a long payload, where it is kept anyway.
    Rest(Arc<Vec<u8>>),
    /// A run of frames that other connections send too.
    Shared(SharedRange),
}

/// A run of frames in a shared block.
#[derive(Debug, Clone)]
pub(crate) struct SharedRange {
    pub(crate) block: Rc<Block>,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Frames encoded once for many. Empty while the turn that fills it lasts, then fixed; when everybody has sent it, it is used
/// again.
#[derive(Debug, Default)]
pub(crate) struct Block {
    octets: OnceCell<Vec<u8>>,
}

/// What can be used again of an output that has been sent.
#[derive(Debug)]
pub(crate) enum Recycled {
    /// The buffer of one connection.
    Buffer(Vec<u8>),
    /// A block that this output was the last to send.
    Block(Rc<Block>),
}

impl Block {
    /// Fixes the contents.
    pub(crate) fn seal(&self, octets: Vec<u8>) {
        self.octets.set(octets).expect("invariant: a block is sealed once");
    }

    /// Empties a block that nobody else holds and gives its memory, if there is enough to be worth it and not too much.
    pub(crate) fn reuse(self: &mut Rc<Block>) -> Option<Vec<u8>> {
        let mut octets = Rc::get_mut(self)?.octets.take()?;
        octets.clear();
        (octets.capacity() <= REUSED_BLOCK_BYTES_MAX).then_some(octets)
    }

    fn octets(&self) -> &[u8] {
        self.octets.get().expect("invariant: blocks are sealed before they are sent")
    }
}

/// The largest memory of a block that is kept, in octets.
const REUSED_BLOCK_BYTES_MAX: usize = 512 << 10;

impl SharedRange {
    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.block.octets()[self.start as usize..self.end as usize]
    }
}

impl Chunk {
    pub(crate) fn len(&self) -> usize {
        match self {
            Chunk::Own(octets) => octets.len(),
            Chunk::Rest(octets) => octets.len(),
            Chunk::Shared(range) => range.len(),
        }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        match self {
            Chunk::Own(octets) => octets,
            Chunk::Rest(octets) => octets,
            Chunk::Shared(range) => range.octets(),
        }
    }
}

impl Output {
    /// The most slices that [`Output::slices`] gives.
    pub const SLICES_MAX: usize = 64;

    pub(crate) fn push(&mut self, chunk: Chunk) {
        debug_assert!(self.chunks.len() < Output::SLICES_MAX);
        self.left += chunk.len();
        self.chunks.push(chunk);
    }

    /// Octets that are still to be sent.
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether everything has been sent.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// What is still to be sent, in order, as at most [`Output::SLICES_MAX`] slices.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let (current, offset) = (self.current, self.offset);
        let rest = self.chunks.iter().enumerate().skip(current);
        rest.map(move |(n, chunk)| if n == current { &chunk.octets()[offset..] } else { chunk.octets() })
            .filter(|slice| !slice.is_empty())
    }

    /// Marks the first `octets` as sent.
    pub fn advance(&mut self, octets: usize) {
        self.left = self.left.checked_sub(octets).expect("invariant: no more is sent than there is");
        self.offset += octets;
        while let Some(chunk) = self.chunks.get(self.current)
            && self.offset >= chunk.len()
        {
            self.offset -= chunk.len();
            self.current += 1;
        }
    }

    /// Gives back what can be used again: buffers, and blocks that nobody else sends.
    pub(crate) fn recycle(self) -> impl Iterator<Item = Recycled> {
        self.chunks.into_iter().filter_map(|chunk| match chunk {
            Chunk::Own(octets) => Some(Recycled::Buffer(octets)),
            Chunk::Rest(_) => None,
            Chunk::Shared(range) => {
                (Rc::strong_count(&range.block) == 1).then_some(Recycled::Block(range.block))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(text: &str, start: u32, end: u32) -> Chunk {
        let block = Rc::new(Block::default());
        block.seal(text.as_bytes().to_vec());
        Chunk::Shared(SharedRange { block, start, end })
    }

    #[test]
    fn slices_follow_what_was_sent() {
        let whole = b"abcdefghij";
        for step in 1..=whole.len() {
            let mut output = Output::default();
            output.push(Chunk::Own(b"ab".to_vec()));
            output.push(Chunk::Rest(Arc::new(b"c".to_vec())));
            output.push(shared("xxdefgxx", 2, 6));
            output.push(Chunk::Own(b"hij".to_vec()));
            let mut sent = Vec::new();
            while !output.is_empty() {
                let pending: Vec<u8> = output.slices().flatten().copied().collect();
                assert_eq!(pending.len(), output.len());
                let now = step.min(pending.len());
                sent.extend_from_slice(&pending[..now]);
                output.advance(now);
            }
            assert_eq!(sent, whole);
            assert_eq!(output.slices().count(), 0);
        }
    }
}
