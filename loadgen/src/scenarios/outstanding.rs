//! Requests that have no answer yet.

use std::collections::VecDeque;

/// The requests of one sender, numbered from 0. Memory follows the span from the oldest open request to the newest.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    /// Number of the front entry.
    base: u64,
    /// When each was due; `None` once answered. The front entry, if any, is open.
    sent: VecDeque<Option<u64>>,
    open: u32,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The first, to a request that was due at this time.
    First(u64),
    /// One more.
    Again,
    /// To a request that was never sent.
    Unasked,
}

impl Outstanding {
    /// The number of the next request.
    pub(crate) fn next(&self) -> u64 {
        self.base + self.sent.len() as u64
    }

    /// Notes the next request.
    pub(crate) fn begin(&mut self, now: u64) {
        self.sent.push_back(Some(now));
        self.open += 1;
    }

    /// Notes an answer.
    pub(crate) fn answer(&mut self, number: u64) -> Answer {
        let Some(index) = number.checked_sub(self.base) else { return Answer::Again };
        let Some(entry) = usize::try_from(index).ok().and_then(|index| self.sent.get_mut(index)) else {
            return Answer::Unasked;
        };
        let Some(sent_at) = entry.take() else { return Answer::Again };
        self.open -= 1;
        while let Some(None) = self.sent.front() {
            self.sent.pop_front();
            self.base += 1;
        }
        Answer::First(sent_at)
    }

    /// How many have no answer.
    pub(crate) fn open(&self) -> u32 {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_any_order() {
        let mut outstanding = Outstanding::default();
        for now in 10..14 {
            assert_eq!(outstanding.next(), now - 10);
            outstanding.begin(now);
        }
        assert_eq!(outstanding.answer(2), Answer::First(12));
        assert_eq!(outstanding.answer(2), Answer::Again);
        assert_eq!(outstanding.answer(0), Answer::First(10));
        assert_eq!(outstanding.answer(0), Answer::Again, "below the base");
        assert_eq!(outstanding.answer(4), Answer::Unasked);
        assert_eq!(outstanding.answer(u64::MAX), Answer::Unasked);
        assert_eq!(outstanding.open(), 2);
        assert_eq!(outstanding.answer(1), Answer::First(11));
        assert_eq!(outstanding.answer(3), Answer::First(13));
        assert_eq!((outstanding.open(), outstanding.next()), (0, 4));
        assert!(outstanding.sent.is_empty());
    }
}
