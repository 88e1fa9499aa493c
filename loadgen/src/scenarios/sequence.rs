//! Whether what comes from one sender comes completely, once, and in order.

use std::collections::BTreeSet;

use crate::stats::Faults;

/// What has come from one sender whose sequence rises by `step` from `first`.
#[derive(Debug)]
pub(crate) struct Sequence {
    expected: u64,
    step: u64,
    /// Sequences that were passed over and have not come yet; bounded by [`MISSING_MAX`].
    missing: BTreeSet<u64>,
    /// Those passed over beyond that bound.
    forgotten: u64,
}

impl Sequence {
    /// Nothing has come yet.
    pub(crate) fn new(first: u64, step: u64) -> Sequence {
        Sequence { expected: first, step, missing: BTreeSet::new(), forgotten: 0 }
    }

    /// Something came. Returns whether it is new; faults are counted.
    pub(crate) fn accept(&mut self, sequence: u64, faults: &mut Faults) -> bool {
        if sequence == self.expected {
            self.expected += self.step;
            return true;
        }
        self.accept_unexpected(sequence, faults)
    }

    /// Counts as lost what was passed over, and what is missing before `end`, the first sequence that was never
    /// sent.
    pub(crate) fn finish(&self, end: u64, faults: &mut Faults) {
        let tail = end.saturating_sub(self.expected).div_ceil(self.step);
        faults.lost += self.missing.len() as u64 + self.forgotten + tail;
    }

    #[cold]
    fn accept_unexpected(&mut self, sequence: u64, faults: &mut Faults) -> bool {
        if sequence % self.step != self.expected % self.step {
            faults.wrong += 1;
            return false;
        }
        if sequence < self.expected {
            let late = self.missing.remove(&sequence);
            if late {
                faults.reordered += 1;
            } else {
                faults.duplicated += 1;
            }
            return late;
        }
        while self.expected < sequence {
            if self.missing.len() >= MISSING_MAX {
                self.forgotten += (sequence - self.expected) / self.step;
                break;
            }
            self.missing.insert(self.expected);
            self.expected += self.step;
        }
        self.expected = sequence + self.step;
        true
    }
}

/// With more than this missing the difference between lost and late no longer matters.
const MISSING_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: u64, step: u64, came: &[u64], end: u64, expected: [u64; 4]) {
        let mut faults = Faults::default();
        let mut sequence = Sequence::new(first, step);
        for &number in came {
            sequence.accept(number, &mut faults);
        }
        sequence.finish(end, &mut faults);
        let found = [faults.lost, faults.duplicated, faults.reordered, faults.wrong];
        assert_eq!(found, expected, "lost, duplicated, reordered, wrong of {came:?}");
    }

    #[test]
    fn complete_and_in_order() {
        check(0, 1, &[0, 1, 2, 3], 4, [0; 4]);
        check(1, 3, &[1, 4, 7], 8, [0; 4]);
        check(1, 3, &[1, 4, 7], 10, [0; 4]);
        check(2, 3, &[], 2, [0; 4]);
    }

    #[test]
    fn lost() {
        check(0, 1, &[0, 1], 4, [2, 0, 0, 0]);
        check(0, 1, &[0, 3], 4, [2, 0, 0, 0]);
        check(0, 1, &[], 3, [3, 0, 0, 0]);
        check(1, 3, &[1, 7], 11, [2, 0, 0, 0]);
    }

    #[test]
    fn duplicated() {
        check(0, 1, &[0, 1, 1, 0, 2], 3, [0, 2, 0, 0]);
    }

    #[test]
    fn reordered() {
        check(0, 1, &[0, 2, 1, 3], 4, [0, 0, 1, 0]);
        check(0, 1, &[3, 0, 1, 2, 2], 4, [0, 1, 3, 0]);
    }

    #[test]
    fn from_another_topic() {
        check(1, 3, &[1, 5, 4], 7, [0, 0, 0, 1]);
    }

    #[test]
    fn a_huge_gap_is_counted_without_being_kept() {
        let beyond = 1_u64 << 40;
        check(0, 1, &[beyond], beyond + 1, [beyond, 0, 0, 0]);
    }
}
