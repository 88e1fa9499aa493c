//! The source's end of the lanes to other shards.
//!
//! Each lane has what this turn adds, and an overflow list. Once the list is used, everything for that lane goes through it,
//! so that order is kept. Invariant: a connection whose message is in an overflow list is parked until the list is
//! empty; what no connection produced (answers, changes, departures) may always enter. So full lanes slow producers and can
//! never deadlock in a cycle, because inbound lanes are drained unconditionally.

use std::collections::VecDeque;

use wampline_routing::ShardId;

use crate::Lanes;
use crate::frame::{Batch, Frame};

/// A batch is closed when it has grown to this, in octets, so that a lane's bound is not met by one batch alone.
const BATCH_BYTES_MAX: usize = 256 << 10;

#[derive(Debug, Default)]
pub(crate) struct Lane {
    batch: Batch,
    overflow: VecDeque<Batch>,
    /// Connections that have contributed to what is not handed over yet.
    contributors: Vec<u32>,
}

impl Lane {
    /// Adds a frame. `from` is the slot of the connection whose message caused it, if one did.
    pub(crate) fn push(&mut self, frame: Frame, from: Option<u32>) {
        if self.batch.octets() >= BATCH_BYTES_MAX {
            self.overflow.push_back(std::mem::take(&mut self.batch));
        }
        self.batch.push(frame);
        if let Some(slot) = from
            && self.contributors.last() != Some(&slot)
        {
            self.contributors.push(slot);
        }
    }

    /// Hands over what the lane takes, in order; what it refuses waits in the overflow list.
    pub(crate) fn flush(
        &mut self,
        to: ShardId,
        lanes: &mut dyn Lanes,
        spare: &mut Vec<Vec<Frame>>,
    ) -> LaneState {
        if !self.batch.is_empty() {
            let next = Batch::with_memory(spare.pop().unwrap_or_default());
            self.overflow.push_back(std::mem::replace(&mut self.batch, next));
        }
        while let Some(batch) = self.overflow.pop_front() {
            if let Err(batch) = lanes.push(to, batch) {
                self.overflow.push_front(batch);
                return LaneState::Full;
            }
        }
        LaneState::Clear
    }

    /// The connections that have contributed since the list was last taken.
    pub(crate) fn take_contributors(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.contributors)
    }

    /// As [`Lane::take_contributors`], where nobody needs to know.
    pub(crate) fn forget_contributors(&mut self) {
        self.contributors.clear();
    }

    /// Whether batches wait at the source.
    pub(crate) fn is_clear(&self) -> bool {
        self.batch.is_empty() && self.overflow.is_empty()
    }
}

/// What became of a lane's batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneState {
    /// All are handed over.
    Clear,
    /// Some wait at the source.
    Full,
}
