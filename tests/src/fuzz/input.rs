//! Octets of the fuzzer as a source of decisions, from front to back, so that seeds can be written by hand. What is not
//! there reads as 0.

/// What is left of an input.
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Input<'a> {
        Input { rest: octets }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn octet(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// A number below `bound`, which is at most 256.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.octet()) % bound
    }

    /// At most `count` octets.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (front, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        front
    }

    /// Octets behind their length, which has one octet.
    pub(super) fn string(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet());
        self.take(length)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}
