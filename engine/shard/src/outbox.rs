//! What waits to be sent to one connection.
//!
//! Owns the queue and its count of octets. Three lanes, the earlier overtaking the later: octets that are past framing
//! (TLS handshake), control frames, messages. Invariant: chunks hold whole messages, so a control frame between
//! two chunks never tears a message; a chunk that is the rest of a message leaves together with the one before it.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::output::{Block, Chunk, Output, SharedRange};
use crate::spare::SpareBuffers;

/// Frames up to this length are copied into the connection's own buffer when that saves a chunk, in octets.
const COPY_BYTES_MAX: usize = 512;

/// Frames up to this length are copied when the connection lags: a shared block must not be pinned by someone who
/// holds a small part of it, in octets.
const LAGGING_COPY_BYTES_MAX: usize = 16 << 10;

/// A connection's own buffer takes messages up to this; more go into another one, for to grow is to copy. In octets.
const OWN_CHUNK_BYTES: usize = 64 << 10;

/// An output takes no more than this unless a single message is longer, in octets.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Laid out in this order, so that an event that meets an empty outbox looks at one cache line of it.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Outbox {
    queued: usize,
    in_flight: usize,
    /// The longest message since the outbox was last empty, in octets.
    longest: usize,
    chunks: Chunks,
    /// PONG, close frames, handshake answers.
    pub(crate) control: Vec<u8>,
}

/// The chunks of an outbox, in order. The first has its place here, for mostly there is one.
#[derive(Debug, Default)]
#[repr(C)]
struct Chunks {
    /// There is one unless there are none.
    first: Option<Chunk>,
    others: VecDeque<Chunk>,
}

impl Chunks {
    fn front(&self) -> Option<&Chunk> {
        self.first.as_ref()
    }

    fn back_mut(&mut self) -> Option<&mut Chunk> {
        if self.others.is_empty() { self.first.as_mut() } else { self.others.back_mut() }
    }

    fn push_back(&mut self, chunk: Chunk) {
        if self.first.is_none() {
            self.first = Some(chunk);
        } else {
            self.others.push_back(chunk);
        }
    }

    fn pop_front(&mut self) -> Option<Chunk> {
        let next = if self.others.is_empty() { None } else { self.others.pop_front() };
        std::mem::replace(&mut self.first, next)
    }

    fn pop_back(&mut self) -> Option<Chunk> {
        self.others.pop_back().or_else(|| self.first.take())
    }

    /// Gives back the memory of a queue that was long.
    fn shrink(&mut self) {
        if self.others.is_empty() && self.others.capacity() > 8 {
            self.others = VecDeque::new();
        }
    }
}

impl Outbox {
    /// Octets queued or under way.
    pub(crate) fn len(&self) -> usize {
        self.queued + self.in_flight + self.control.len()
    }

    /// Whether a message of this length may be queued under a bound of `limit` octets: the bound holds beside twice the longest
    /// message, so that one message always fits an empty outbox and a long one never costs its receiver the session.
    pub(crate) fn admits(&self, length: usize, limit: usize) -> bool {
        self.is_empty() || self.len() + length <= limit + 2 * self.longest.max(length)
    }

    /// Whether so much waits that its owner should not cause more: half of what may be queued.
    pub(crate) fn is_half_full(&self, limit: usize) -> bool {
        self.len() > limit / 2 + self.longest
    }

    /// Octets under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether anything waits to be handed out.
    pub(crate) fn has_queued(&self) -> bool {
        self.queued > 0 || !self.control.is_empty()
    }

    /// Whether there is nothing, neither queued nor under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a message of about `estimate` octets that `write` appends to the buffer it is given, all but its `rest`. When it
    /// fails nothing is queued.
    #[inline]
    pub(crate) fn write<E>(
        &mut self,
        estimate: usize,
        rest: Option<&Arc<Vec<u8>>>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
        spare: &mut SpareBuffers,
    ) -> Result<(), E> {
        let has_room = |buffer: &Vec<u8>| buffer.is_empty() || buffer.len() + estimate <= OWN_CHUNK_BYTES;
        if !matches!(self.chunks.back_mut(), Some(Chunk::Own(buffer)) if has_room(buffer)) {
            self.chunks.push_back(Chunk::Own(spare.take()));
        }
        let Some(Chunk::Own(buffer)) = self.chunks.back_mut() else { unreachable!("just pushed") };
        let before = buffer.len();
        let result = write(buffer);
        let mut length = buffer.len() - before;
        if let Some(rest) = rest
            && length > 0
        {
            length += rest.len();
            self.chunks.push_back(Chunk::Rest(rest.clone()));
        }
        self.queued += length;
        self.longest = self.longest.max(length);
        if matches!(self.chunks.back_mut(), Some(Chunk::Own(buffer)) if buffer.is_empty())
            && let Some(Chunk::Own(buffer)) = self.chunks.pop_back()
        {
            spare.give(buffer);
        }
        result
    }

    /// Appends a frame that others receive too: `octets` is the frame, the range says where it lies in its block.
    pub(crate) fn share(&mut self, block: &Rc<Block>, start: u32, end: u32, octets: &[u8]) {
        let length = octets.len();
        self.queued += length;
        self.longest = self.longest.max(length);
        let lagging = self.in_flight > 0 && length <= LAGGING_COPY_BYTES_MAX;
        match self.chunks.back_mut() {
            Some(Chunk::Shared(last)) if last.end == start && Rc::ptr_eq(&last.block, block) => {
                last.end = end;
                return;
            }
            Some(Chunk::Own(buffer)) if length <= COPY_BYTES_MAX || lagging => {
                buffer.extend_from_slice(octets);
                return;
            }
            _ => {}
        }
        if lagging {
            self.chunks.push_back(Chunk::Own(octets.to_vec()));
        } else {
            self.chunks.push_back(Chunk::Shared(SharedRange { block: block.clone(), start, end }));
        }
    }

    /// Takes what may go out now: the control octets, then as many whole chunks as fit.
    #[inline]
    pub(crate) fn take(&mut self) -> Output {
        debug_assert_eq!(self.in_flight, 0, "one output at a time");
        let mut output = Output::default();
        let control = self.control.len();
        if !self.control.is_empty() {
            output.push(Chunk::Own(std::mem::take(&mut self.control)));
        }
        // One for control octets, one for the rest of a message.
        let mut slices = 2;
        while slices < Output::SLICES_MAX
            && let Some(chunk) = self.chunks.front()
            && (output.is_empty() || output.len() + chunk.len() <= OUTPUT_BYTES_MAX)
        {
            output.push(self.chunks.pop_front().expect("invariant: there is a front"));
            slices += 1;
            if let Some(Chunk::Rest(_)) = self.chunks.front() {
                output.push(self.chunks.pop_front().expect("invariant: there is a front"));
                slices += 1;
            }
        }
        self.queued = self.queued + control - output.len();
        self.chunks.shrink();
        self.in_flight = output.len();
        output
    }

    /// The output under way has another length than what was taken (it has been sealed by TLS).
    pub(crate) fn set_in_flight(&mut self, octets: usize) {
        self.in_flight = octets;
    }

    /// The kernel has taken octets of the output under way.
    pub(crate) fn sent(&mut self, octets: usize) {
        self.in_flight = self.in_flight.saturating_sub(octets);
        if self.is_empty() {
            self.longest = 0;
        }
    }

    /// The kernel has taken all of the output under way.
    pub(crate) fn sent_all(&mut self) {
        self.in_flight = 0;
        if self.is_empty() {
            self.longest = 0;
        }
    }

    /// Drops what is queued.
    pub(crate) fn clear(&mut self) {
        self.control = Vec::new();
        self.chunks = Chunks::default();
        self.queued = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(outbox: &mut Outbox, text: &str) {
        write_before(outbox, text, None);
    }

    fn write_before(outbox: &mut Outbox, text: &str, rest: Option<&str>) {
        let rest = rest.map(|rest| Arc::new(rest.as_bytes().to_vec()));
        let written: Result<(), ()> = outbox.write(
            text.len(),
            rest.as_ref(),
            |buffer| {
                buffer.extend_from_slice(text.as_bytes());
                Ok(())
            },
            &mut SpareBuffers::default(),
        );
        assert_eq!(written, Ok(()));
    }

    fn text(output: &Output) -> String {
        output.slices().map(|slice| String::from_utf8_lossy(slice).into_owned()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn consecutive_shared_frames_are_one_slice() {
        let block = Rc::new(Block::default());
        let mut outbox = Outbox::default();
        outbox.share(&block, 0, 3, b"abc");
        outbox.share(&block, 3, 5, b"de");
        outbox.share(&block, 7, 8, b"h");
        block.seal(b"abcdefgh".to_vec());
        assert_eq!(outbox.len(), 6);
        assert_eq!(text(&outbox.take()), "abcde|h");
    }

    #[test]
    fn order_is_kept_and_control_overtakes() {
        let block = Rc::new(Block::default());
        let mut outbox = Outbox::default();
        write(&mut outbox, "one ");
        outbox.share(&block, 0, 4, b"two ");
        write(&mut outbox, "three");
        outbox.control.extend_from_slice(b"PONG");
        block.seal(b"two ".to_vec());
        let output = outbox.take();
        assert_eq!(text(&output), "PONG|one two three");
        outbox.sent(output.len());
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_lagging_connection_pins_no_block() {
        let block = Rc::new(Block::default());
        let mut outbox = Outbox::default();
        write(&mut outbox, "under way");
        let under_way = outbox.take();
        outbox.share(&block, 0, 1000, &[b'x'; 1000]);
        assert_eq!(Rc::strong_count(&block), 1);
        assert_eq!(outbox.len(), under_way.len() + 1000);
    }

    #[test]
    fn the_bound_holds_beside_the_longest_messages() {
        let mut outbox = Outbox::default();
        assert!(outbox.admits(1 << 24, 100), "one message always fits an empty outbox");
        write(&mut outbox, &"x".repeat(1000));
        assert!(outbox.admits(1000, 100));
        write(&mut outbox, &"x".repeat(1000));
        assert!(outbox.admits(100, 100), "a small one behind two long ones");
        assert!(!outbox.admits(1000, 100));
        let output = outbox.take();
        outbox.sent(output.len());
        write(&mut outbox, &"x".repeat(10));
        for _ in 0..11 {
            write(&mut outbox, &"x".repeat(10));
        }
        assert!(!outbox.admits(10, 100), "long messages that have gone leave no room behind");
    }

    #[test]
    fn long_messages_have_buffers_of_their_own() {
        let mut outbox = Outbox::default();
        for length in [OWN_CHUNK_BYTES - 1, 1, 1, 3 * OWN_CHUNK_BYTES, 5] {
            write(&mut outbox, &"x".repeat(length));
        }
        let lengths: Vec<usize> = outbox.take().slices().map(<[u8]>::len).collect();
        assert_eq!(lengths, [OWN_CHUNK_BYTES, 1, 3 * OWN_CHUNK_BYTES, 5]);
    }

    #[test]
    fn nothing_comes_between_a_message_and_its_rest() {
        let mut outbox = Outbox::default();
        for n in 0..100 {
            write(&mut outbox, "short ");
            // As long as the output may be, so that both bounds are met in turn.
            let rest = "x".repeat(if n % 2 == 0 { 10 } else { OUTPUT_BYTES_MAX });
            write_before(&mut outbox, "long: ", Some(&rest));
        }
        let (mut outputs, mut octets) = (0, 0);
        while outbox.has_queued() {
            outbox.control.extend_from_slice(b"PONG ");
            let output = outbox.take();
            let slices: Vec<&[u8]> = output.slices().collect();
            assert!(slices.len() <= Output::SLICES_MAX);
            assert_eq!(slices[0], b"PONG ");
            assert!(slices[1].starts_with(b"short "), "no output begins in a message");
            (outputs, octets) = (outputs + 1, octets + output.len() - 5);
            outbox.sent(output.len());
        }
        assert!(outputs >= 50);
        assert_eq!(octets, 100 * 12 + 50 * (10 + OUTPUT_BYTES_MAX));
        assert!(outbox.is_empty());
    }

    #[test]
    fn many_short_rests_stay_within_the_slices() {
        let mut outbox = Outbox::default();
        for _ in 0..1000 {
            write_before(&mut outbox, "long: ", Some("rest"));
        }
        while outbox.has_queued() {
            let output = outbox.take();
            assert!(output.slices().count() <= Output::SLICES_MAX);
            assert!(output.slices().last().is_some_and(|last| last == b"rest"));
            outbox.sent(output.len());
        }
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let mut outbox = Outbox::default();
        let failed = outbox.write(10, None, |_| Err("no"), &mut SpareBuffers::default());
        assert_eq!(failed, Err("no"));
        assert!(outbox.is_empty());
        assert!(!outbox.has_queued());
    }
}
