//! Every interleaving, and every reordering that the memory model allows, of the ways in which shards wake each other.
//!
//! The file under test is compiled a second time here, against loom's atomics.

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[allow(dead_code)]
#[path = "../src/bell.rs"]
mod bell;

use bell::{Bell, Refused};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// What announcers leave, each in its own cell, without any ordering of its own: only the bell makes it visible.
#[derive(Debug, Default)]
struct Table {
    bell: Bell,
    left: [AtomicUsize; 2],
    /// Wake-ups: the eventfd.
    signals: AtomicUsize,
}

impl Table {
    fn leave(&self, place: usize) {
        self.left[place].store(1, Ordering::Relaxed);
        self.bell.announce();
        if self.bell.must_wake() {
            self.signals.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Looks if there is news; in which places it has found something.
    fn drain(&self) -> [bool; 2] {
        if !self.bell.take_news() {
            return [false; 2];
        }
        [0, 1].map(|place| self.left[place].load(Ordering::Relaxed) == 1)
    }
}

#[test]
fn a_sleeper_misses_nothing_and_is_woken_once() {
    let mut model = loom::model::Builder::new();
    // Unbounded, two announcers and a sleeper take hours; two preemptions find every mutation of the protocol.
    model.preemption_bound = Some(2);
    model.check(|| {
        let table = Arc::new(Table::default());
        let announcers: Vec<_> = (0..2)
            .map(|place| {
                let table = Arc::clone(&table);
                thread::spawn(move || table.leave(place))
            })
            .collect();
        let first = table.drain();
        let lay_down = table.bell.lie_down();
        for announcer in announcers {
            announcer.join().expect("an announcer does not panic");
        }
        let signals = table.signals.load(Ordering::Acquire);
        assert!(signals <= 1, "at most one wake-up");
        if lay_down && first != [true; 2] {
            assert_eq!(signals, 1, "something was left, so the sleeper is woken");
        }
        table.bell.rise();
        let second = table.drain();
        assert!((0..2).all(|place| first[place] || second[place]), "everything that was left is found");
    });
}

#[test]
fn who_sees_the_shard_asleep_may_count_on_it_draining_first() {
    loom::model(|| {
        let table = Arc::new(Table::default());
        let announcer = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.left[0].store(1, Ordering::Relaxed);
                table.bell.announce();
                // Whoever is told to wake the sleeper has seen it asleep.
                table.bell.must_wake()
            })
        };
        // Asleep before anything was left, then woken by something else, such as its own ring.
        if table.bell.lie_down() {
            table.bell.rise();
        }
        let drained = table.drain();
        let seen_asleep = announcer.join().expect("the announcer does not panic");
        assert!(!seen_asleep || drained[0], "what was left is drained by the first turn after the sleep");
    });
}

/// A queue of one place.
#[derive(Debug, Default)]
struct Lane {
    place: AtomicUsize,
    refused: Refused,
    source: Bell,
}

impl Lane {
    fn offer(&self) -> Result<(), ()> {
        self.refused.offer((), |()| {
            let free = self.place.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
            free.map(drop).map_err(drop)
        })
    }

    fn take(&self) {
        if self.place.swap(0, Ordering::AcqRel) == 1 && self.refused.take() {
            self.source.announce();
        }
    }
}

#[test]
fn a_refused_source_learns_that_there_is_room() {
    loom::model(|| {
        let lane = Arc::new(Lane::default());
        assert!(lane.offer().is_ok(), "the lane is empty");
        let consumer = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || lane.take())
        };
        let second = lane.offer();
        consumer.join().expect("the consumer does not panic");
        if second.is_err() {
            assert!(lane.source.take_news(), "refused, and nobody said that there is room");
        }
    });
}
