//! Where events are encoded once for all recipients on this shard.

use std::rc::Rc;

use wampline_transports::Framing;
use wampline_wire::Serializer;

use crate::output::Block;

/// In how many forms an event can leave: serializer times framing.
pub(crate) const FORMS: usize = 6;

/// A block is closed when it has grown beyond this, in octets: what a slow recipient can pin.
const BLOCK_BYTES_MAX: usize = 256 << 10;

/// A form of an outgoing event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form(pub(crate) u8);

impl Form {
    pub(crate) fn new(serializer: Serializer, framing: Framing) -> Form {
        Form(serializer as u8 * 2 + framing as u8)
    }

    pub(crate) fn serializer(self) -> Serializer {
        Serializer::ALL[self.0 as usize / 2]
    }

    pub(crate) fn framing(self) -> Framing {
        if self.0.is_multiple_of(2) { Framing::RawSocket } else { Framing::WebSocket }
    }
}

/// The frames of one form that are being collected in this turn. Frames that follow each other here and go to the same
/// connection are sent as one run.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    block: Rc<Block>,
    octets: Vec<u8>,
    /// The next block.
    spare: Option<Rc<Block>>,
}

/// A frame in an arena.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) block: Rc<Block>,
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Length of the message without its header.
    pub(crate) message_len: usize,
}

impl Arena {
    /// Adds the frame that `write` appends; `write` gives the length of the message in it.
    pub(crate) fn add<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<Frame, E> {
        if self.octets.len() > BLOCK_BYTES_MAX {
            self.seal();
        }
        let start = self.octets.len();
        let message_len = write(&mut self.octets)?;
        let end = self.octets.len() as u32;
        Ok(Frame { block: self.block.clone(), start: start as u32, end, message_len })
    }

    /// The octets of a frame of the block that is being filled (every frame is, until the next one is added).
    pub(crate) fn octets(&self, frame: &Frame) -> &[u8] {
        debug_assert!(Rc::ptr_eq(&self.block, &frame.block));
        &self.octets[frame.start as usize..frame.end as usize]
    }

    /// Fixes what was collected, so that it can be sent. What comes next goes into a block that has been sent, if there is one.
    pub(crate) fn seal(&mut self) {
        if self.octets.is_empty() {
            return;
        }
        let mut block = self.spare.take().unwrap_or_default();
        let octets = Block::reuse(&mut block).unwrap_or_default();
        std::mem::replace(&mut self.block, block).seal(std::mem::replace(&mut self.octets, octets));
    }

    /// Sees to it that the next block is at hand, from those that everybody has sent.
    pub(crate) fn restock(&mut self, spare: &mut Vec<Rc<Block>>) {
        if self.spare.is_none() {
            self.spare = spare.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Chunk, Output, Recycled, SharedRange};

    fn add(arena: &mut Arena, text: &str) -> Frame {
        let written: Result<Frame, ()> = arena.add(|octets| {
            octets.extend_from_slice(text.as_bytes());
            Ok(text.len())
        });
        written.expect("nothing fails")
    }

    fn output(frames: &[&Frame]) -> Output {
        let mut output = Output::default();
        for Frame { block, start, end, .. } in frames {
            output.push(Chunk::Shared(SharedRange { block: block.clone(), start: *start, end: *end }));
        }
        output
    }

    fn sent(output: &Output) -> Vec<u8> {
        output.slices().flatten().copied().collect()
    }

    #[test]
    fn a_block_is_used_again_when_everybody_has_sent_it() {
        let (mut arena, mut spare, mut used) = (Arena::default(), Vec::new(), Vec::new());
        for turn in 0..5 {
            arena.restock(&mut spare);
            let (a, b) = (add(&mut arena, &format!("a{turn}")), add(&mut arena, "b"));
            let (both, one) = (output(&[&a, &b]), output(&[&b]));
            used.push(Rc::as_ptr(&a.block));
            drop((a, b));
            arena.seal();
            assert_eq!((sent(&both), sent(&one)), (format!("a{turn}b").into_bytes(), b"b".to_vec()));
            assert_eq!(both.recycle().count(), 0, "another connection still sends the block");
            for recycled in one.recycle() {
                let Recycled::Block(block) = recycled else { panic!("{recycled:?}") };
                spare.push(block);
            }
        }
        // What is filled in a turn is sent while the next one is filled.
        assert_eq!((used[2], used[3], used[4]), (used[0], used[1], used[0]));
        assert_ne!(used[0], used[1]);
    }

    #[test]
    fn a_block_that_somebody_keeps_is_not_touched() {
        let (mut arena, mut spare) = (Arena::default(), Vec::new());
        let frame = add(&mut arena, "kept");
        let kept = output(&[&frame]);
        drop(frame);
        arena.seal();
        for _ in 0..3 {
            arena.restock(&mut spare);
            let frame = add(&mut arena, "sent");
            let output = output(&[&frame]);
            drop(frame);
            arena.seal();
            spare.extend(output.recycle().filter_map(|recycled| match recycled {
                Recycled::Block(block) => Some(block),
                Recycled::Buffer(_) => None,
            }));
        }
        assert_eq!(sent(&kept), b"kept");
    }
}
