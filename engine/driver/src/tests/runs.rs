//! What the echo core sends.
#![allow(unsafe_code)]

use std::collections::VecDeque;

use crate::outgoing::Outgoing;

/// Octets in several runs, to exercise vectored sends.
#[derive(Debug)]
pub(super) struct Runs {
    runs: VecDeque<Vec<u8>>,
    offset: usize,
}

impl Runs {
    pub(super) fn new(runs: VecDeque<Vec<u8>>) -> Runs {
        Runs { runs, offset: 0 }
    }
}

// SAFETY: the octets are on the heap and stay there until they are advanced over or dropped.
unsafe impl Outgoing for Runs {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let offsets = std::iter::once(self.offset).chain(std::iter::repeat(0));
        self.runs.iter().zip(offsets).take(64).map(|(run, offset)| &run[offset..])
    }
    fn advance(&mut self, octets: usize) {
        self.offset += octets;
        while let Some(first) = self.runs.front()
            && self.offset >= first.len()
        {
            self.offset -= first.len();
            self.runs.pop_front();
        }
        assert!(!self.runs.is_empty() || self.offset == 0, "no more is sent than there was");
    }
    fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}
