//! How one shard tells another that something waits for it, and how a shard falls asleep without missing it.
//!
//! Invariants, checked by the loom model in `tests/loom.rs`:
//! - what was left before [`Bell::announce`] is seen by the consumer's drain that follows [`Bell::take_news`], or the
//!   consumer does not fall asleep, or the announcer is told to wake it ([`Bell::must_wake`]);
//! - of all announcers that meet a sleeper, exactly one is told to wake it;
//! - an announcer that sees the consumer asleep after its announcement may count on the consumer draining what was
//!   left before it does anything else, because the consumer passes [`Bell::rise`] first.
//!
//! This file knows nothing of descriptors: the caller does the waking.

use crate::sync::{AtomicBool, Ordering, fence};

/// One per shard: many announcers, one consumer.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// Something was left since the consumer last looked.
    news: AtomicBool,
    /// The consumer waits, or is about to wait, for a wake-up.
    sleeping: AtomicBool,
}

impl Bell {
    /// Announcer: something has been left for the consumer. Follow with [`Bell::must_wake`] before waiting for anything.
    pub(crate) fn announce(&self) {
        // A read-modify-write, so that the consumer's acquire covers every announcer since it last looked and not only
        // the latest one.
        self.news.swap(true, Ordering::AcqRel);
    }

    /// Announcer: whether the caller, and nobody else, has to wake the consumer.
    pub(crate) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel)
    }

    /// Consumer: whether something was left since the last call.
    pub(crate) fn take_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::AcqRel)
    }

    /// Consumer: a look without taking, for spinning.
    pub(crate) fn has_news(&self) -> bool {
        self.news.load(Ordering::Relaxed)
    }

    /// Consumer: about to wait. If this returns false there is news and waiting is not allowed.
    pub(crate) fn lie_down(&self) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.news.load(Ordering::Relaxed) {
            self.rise();
            return false;
        }
        true
    }

    /// Consumer: awake again, or not asleep after all.
    pub(crate) fn rise(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

/// Set by the one producer of a bounded queue when it was refused, cleared by the one consumer once there is room.
#[derive(Debug, Default)]
pub(crate) struct Refused(AtomicBool);

impl Refused {
    /// Producer: tries, and if there is no room leaves a note and tries once more, so that either the second try meets
    /// the room that was made meanwhile or the consumer meets the note.
    pub(crate) fn offer<T>(&self, item: T, mut offer: impl FnMut(T) -> Result<(), T>) -> Result<(), T> {
        let Err(item) = offer(item) else { return Ok(()) };
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        offer(item)
    }

    /// Consumer, after it has taken something: whether the producer was refused and is to be told.
    pub(crate) fn take(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::AcqRel)
    }
}
