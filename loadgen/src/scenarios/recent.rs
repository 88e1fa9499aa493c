//! Events that have been parsed and found good, so that the same octets on the next connection need not be parsed
//! again: a fan-out to a thousand subscribers brings each EVENT a thousand times.
//!
//! Equal octets mean equal messages, so nothing goes unchecked; what is peculiar to a subscriber (its
//! subscription, its sequence) is checked by the subscriber.

use wampline_wire::SubscriptionId;

use crate::stamp::Stamp;

/// The newest events of a thread.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// At most [`ENTRIES_MAX`]; the oldest is overwritten.
    entries: Vec<Entry>,
    /// Where the next event is kept.
    end: usize,
    /// Where the next event is looked for: each connection brings the same events in the same order.
    expected: usize,
}

#[derive(Debug)]
struct Entry {
    octets: Vec<u8>,
    subscription: Option<SubscriptionId>,
    stamp: Stamp,
}

impl Recent {
    /// What an EVENT of these octets says, if it came before.
    pub(crate) fn find(&mut self, octets: &[u8]) -> Option<(Option<SubscriptionId>, Stamp)> {
        let expected = self.expected;
        let matches = |&index: &usize| self.entries.get(index).is_some_and(|entry| entry.octets == octets);
        let index = Some(expected).filter(matches).or_else(|| (0..self.entries.len()).find(matches))?;
        self.expected = if index + 1 == self.entries.len() { 0 } else { index + 1 };
        let entry = &self.entries[index];
        Some((entry.subscription, entry.stamp))
    }

    /// Keeps an event that [`Recent::find`] did not know.
    pub(crate) fn keep(&mut self, octets: &[u8], subscription: Option<SubscriptionId>, stamp: Stamp) {
        if octets.len() > OCTETS_MAX {
            return;
        }
        match self.entries.get_mut(self.end) {
            Some(entry) => {
                entry.octets.clear();
                entry.octets.extend_from_slice(octets);
                (entry.subscription, entry.stamp) = (subscription, stamp);
            }
            None => self.entries.push(Entry { octets: octets.to_vec(), subscription, stamp }),
        }
        self.end = (self.end + 1) % ENTRIES_MAX;
    }
}

/// The usual number of publications in flight. A search that fails compares that many first octets.
const ENTRIES_MAX: usize = 64;

/// Comparing longer events costs as much as reading them; keeping them would crowd the cache.
const OCTETS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn event(number: u64) -> (Vec<u8>, Option<SubscriptionId>, Stamp) {
        let stamp = Stamp { sender: 1, sequence: number, sent_at: number };
        (format!("event {number}").into_bytes(), SubscriptionId::new(number + 1), stamp)
    }

    #[test]
    fn the_newest_are_found_in_any_order() {
        let mut recent = Recent::default();
        let count = ENTRIES_MAX as u64 + 10;
        for number in 0..count {
            let (octets, subscription, stamp) = event(number);
            assert_eq!(recent.find(&octets), None);
            recent.keep(&octets, subscription, stamp);
        }
        for number in (10..count).chain((10..count).rev()) {
            let (octets, subscription, stamp) = event(number);
            assert_eq!(recent.find(&octets), Some((subscription, stamp)));
        }
        assert_eq!(recent.find(&event(9).0), None, "overwritten");
        assert_eq!(recent.find(b"event 1"), None);
    }

    #[test]
    fn long_events_are_not_kept() {
        let mut recent = Recent::default();
        let (_, subscription, stamp) = event(0);
        let long = vec![0; OCTETS_MAX + 1];
        recent.keep(&long, subscription, stamp);
        assert_eq!(recent.find(&long), None);
    }
}
