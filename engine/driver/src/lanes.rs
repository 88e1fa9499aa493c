//! The lanes between shards: one FIFO queue per (source, destination) pair, bounded in batches and octets.
//!
//! Owns: the batches on their way, the bells. Does not: decide what to do with a batch that was refused (its source
//! keeps it) and write to descriptors (the shard task does, at most once per peer and turn).

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

use crate::bell::{Bell, Refused};

/// What bounds a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneBounds {
    /// Batches in one lane.
    pub(crate) batches: usize,
    /// Octets in one lane; an empty lane takes any batch.
    pub(crate) octets: usize,
}

impl Default for LaneBounds {
    fn default() -> LaneBounds {
        // A batch is one turn's worth for one peer. 64 of them outlast the longest sleep of a peer that has to be woken
        // (36 us) by far; 4 MiB bound what (N-1)^2 lanes can hold.
        LaneBounds { batches: 64, octets: 4 << 20 }
    }
}

/// A lane: one producer, one consumer.
#[derive(Debug)]
struct Lane<B> {
    queue: ArrayQueue<(B, usize)>,
    octets: AtomicUsize,
    refused: Refused,
}

impl<B> Lane<B> {
    /// Gives the batch back if the lane is full.
    fn offer(&self, batch: B, octets: usize, bound: usize) -> Result<(), B> {
        self.refused.offer(batch, |batch| self.try_push(batch, octets, bound))
    }

    fn try_push(&self, batch: B, octets: usize, bound: usize) -> Result<(), B> {
        // Only the consumer lowers the count, and only this thread raises it: reading before adding cannot overshoot.
        let held = self.octets.load(Ordering::Acquire);
        if held.saturating_add(octets) > bound && !self.queue.is_empty() {
            return Err(batch);
        }
        self.octets.fetch_add(octets, Ordering::Relaxed);
        self.queue.push((batch, octets)).map_err(|(batch, octets)| {
            self.octets.fetch_sub(octets, Ordering::Relaxed);
            batch
        })
    }

    fn take(&self) -> Option<B> {
        let (batch, octets) = self.queue.pop()?;
        self.octets.fetch_sub(octets, Ordering::Release);
        Some(batch)
    }
}

/// All lanes of a router and the bell of each shard.
#[derive(Debug)]
pub(crate) struct Mesh<B> {
    shards: usize,
    bounds: LaneBounds,
    /// By source times the number of shards plus destination.
    lanes: Box<[CachePadded<Lane<B>>]>,
    bells: Box<[CachePadded<Bell>]>,
}

impl<B> Mesh<B> {
    /// For `shards` shards.
    pub(crate) fn new(shards: usize, bounds: LaneBounds) -> Mesh<B> {
        let lane = |_| {
            CachePadded::new(Lane {
                queue: ArrayQueue::new(bounds.batches),
                octets: AtomicUsize::new(0),
                refused: Refused::default(),
            })
        };
        Mesh {
            shards,
            bounds,
            lanes: (0..shards * shards).map(lane).collect(),
            bells: (0..shards).map(|_| CachePadded::default()).collect(),
        }
    }

    /// The bell of a shard.
    pub(crate) fn bell(&self, shard: usize) -> &Bell {
        &self.bells[shard]
    }

    /// Offers a batch and announces it; gives it back if the lane is full. The caller wakes `to` at the end of its turn.
    pub(crate) fn offer(&self, from: usize, to: usize, batch: B, octets: usize) -> Result<(), B> {
        self.lane(from, to).offer(batch, octets, self.bounds.octets)?;
        self.bell(to).announce();
        Ok(())
    }

    /// Takes everything that waits for `to`, at most one lane's length from each source so that a turn ends. `emptied`
    /// names each source that had been refused and was told that there is room again; the caller wakes it.
    pub(crate) fn drain(&self, to: usize, mut each: impl FnMut(usize, B), mut emptied: impl FnMut(usize)) {
        let bell = self.bell(to);
        if !bell.take_news() {
            return;
        }
        for from in (0..self.shards).filter(|&from| from != to) {
            let lane = self.lane(from, to);
            let mut taken = 0;
            while taken < self.bounds.batches
                && let Some(batch) = lane.take()
            {
                each(from, batch);
                taken += 1;
            }
            if taken == 0 {
                continue;
            }
            if taken == self.bounds.batches {
                bell.announce();
            }
            if lane.refused.take() {
                self.bell(from).announce();
                emptied(from);
            }
        }
    }

    fn lane(&self, from: usize, to: usize) -> &Lane<B> {
        &self.lanes[from * self.shards + to]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_empty_lane_takes_any_batch_and_a_full_one_gives_it_back() {
        let mesh = Mesh::new(2, LaneBounds { batches: 3, octets: 100 });
        mesh.offer(0, 1, "huge", 1000).unwrap();
        assert_eq!(mesh.offer(0, 1, "refused", 1), Err("refused"));
        let (mut got, mut emptied) = (Vec::new(), Vec::new());
        mesh.drain(1, |from, batch| got.push((from, batch)), |from| emptied.push(from));
        assert_eq!(got, [(0, "huge")]);
        assert_eq!(emptied, [0], "the refused source is told");
        assert!(mesh.bell(0).take_news(), "and its bell rings");
        for batch in ["a", "b", "c"] {
            mesh.offer(0, 1, batch, 1).unwrap();
        }
        assert_eq!(mesh.offer(0, 1, "d", 1), Err("d"), "three batches fit");
        assert_eq!(mesh.offer(1, 0, "other lane", 1), Ok(()), "lanes do not share their bound");
    }

    #[test]
    fn octets_are_given_back_when_a_batch_is_taken() {
        let mesh = Mesh::new(2, LaneBounds { batches: 64, octets: 100 });
        for round in 0..1000 {
            mesh.offer(0, 1, round, 60).unwrap();
            mesh.offer(0, 1, round, 40).unwrap();
            assert!(mesh.offer(0, 1, round, 1).is_err());
            let mut taken = 0;
            mesh.drain(1, |_, _| taken += 1, |_| ());
            assert_eq!(taken, 2);
        }
    }

    #[test]
    fn two_threads_pass_everything_in_order_through_a_tiny_lane() {
        let mesh = Mesh::new(2, LaneBounds { batches: 1, octets: 8 });
        let total = 20_000u32;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..total {
                    let mut batch = number;
                    while let Err(back) = mesh.offer(0, 1, batch, 4) {
                        batch = back;
                        while !mesh.bell(0).take_news() {
                            std::thread::yield_now();
                        }
                    }
                }
            });
            let mut next = 0;
            while next < total {
                mesh.drain(
                    1,
                    |_, number| {
                        assert_eq!(number, next);
                        next += 1;
                    },
                    |_| (),
                );
                std::thread::yield_now();
            }
        });
    }
}
