//! The io_uring driver: a glommio executor per shard, whose one long-lived task owns a ring of its own.
//!
//! Between turns the task lets glommio's other tasks run: those that are ready every eight turns, those that wait for
//! something every millisecond or when glommio asks. Without work it spins for the configured time and then waits, through
//! glommio, for the eventfd that is both its ring's and the other shards' way to wake it.
//!
//! Map: `ring` wraps io_uring, `park` waits through glommio, `probe` finds out beforehand whether the kernel lets us.
//!
//! Invariant: the task ends only when its ring has nothing in flight.

mod park;
mod probe;
mod ring;

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};

use crate::StartError;
use crate::counters::DriverCounters;
use crate::port::Port;
use crate::router::ShardStart;
use crate::seam::Core;
use crate::sys::{self, EventFd};
use crate::task::{Parts, Task};
use park::{PREEMPT_NEVER, Park, keep_alive};
use ring::Ring;

pub(crate) use probe::check;
pub(crate) use ring::RingSize;

/// glommio's own rings serve the eventfd and side tasks only; deeper ones cost locked memory.
const EXECUTOR_RING_DEPTH: usize = 128;
/// glommio's buffers, the least that it accepts.
const EXECUTOR_IO_MEMORY: usize = 64 << 10;
/// Turns after which tasks that are ready get their chance.
const TURNS_IN_A_ROW: u32 = 8;
/// After this long glommio gets to handle its own events though the shard is busy.
const SLICE: Duration = Duration::from_millis(1);
/// Looks at the clock while spinning are this many looks at the flags apart.
const SPINS_PER_CLOCK: u32 = 64;

/// Runs a shard on this thread until a shutdown has finished. Whether it could start is reported.
pub(crate) fn run<C: Core>(start: ShardStart<C>) -> io::Result<()> {
    let placement = start.cpu.map_or(Placement::Unbound, Placement::Fixed);
    let executor = LocalExecutorBuilder::new(placement)
        .ring_depth(EXECUTOR_RING_DEPTH)
        .io_memory(EXECUTOR_IO_MEMORY)
        .preempt_timer(PREEMPT_NEVER)
        .make();
    let executor = match executor {
        Ok(executor) => executor,
        Err(error) => {
            start.report(Err(explain_rings(&error)));
            return Ok(());
        }
    };
    executor.run(async move {
        let spin = start.spin;
        let made = make_ring(&start);
        match made {
            Ok((ring, park)) => {
                keep_alive();
                let Some(parts) = start.begin() else { return Ok(()) };
                UringTask::new(parts, ring, park, spin).run().await
            }
            Err(error) => {
                start.report(Err(explain_rings(&error)));
                Ok(())
            }
        }
    })
}

fn make_ring<C: Core>(start: &ShardStart<C>) -> io::Result<(Ring<C::Output>, Park)> {
    let eventfd: &EventFd = start.eventfd();
    Ok((Ring::new(start.sizes.ring, eventfd.fd().as_fd())?, Park::new(eventfd)?))
}

/// For want of locked memory in most cases (an executor's three rings and the shard's own take about 370 KiB), or of
/// descriptors.
fn explain_rings(error: &impl fmt::Display) -> StartError {
    let message = format!(
        "the rings of a shard cannot be set up: {error}. Each shard needs about 370 KiB of locked memory and ten open \
         files: raise the limits with `ulimit -l unlimited -n 65536`, `LimitMEMLOCK=infinity` in a systemd unit or \
         `--ulimit memlock=-1` for a container, run fewer shards, or do without io_uring: `--driver epoll`"
    );
    StartError { message, uring: true }
}

/// The shard task and how it waits.
struct UringTask<C: Core> {
    task: Task<C, Ring<C::Output>>,
    park: Park,
    spin: Duration,
}

impl<C: Core> UringTask<C> {
    fn new(parts: Parts<C>, ring: Ring<C::Output>, park: Park, spin: Duration) -> UringTask<C> {
        UringTask { task: Task::new(parts, ring), park, spin }
    }

    async fn run(mut self) -> io::Result<()> {
        self.task.start_accepting();
        let (mut in_a_row, mut slice_began) = (0, sys::now());
        loop {
            let now = sys::now();
            let busy = self.task.turn(now);
            if self.task.has_finished() {
                break;
            }
            in_a_row += 1;
            if now.0 - slice_began.0 >= SLICE.as_nanos() as u64 || glommio::executor().need_preempt() {
                (in_a_row, slice_began) = (0, now);
                self.park.pass().await;
            } else if in_a_row >= TURNS_IN_A_ROW {
                in_a_row = 0;
                glommio::executor().yield_now().await;
            }
            if !busy && !self.spin().await {
                self.sleep().await;
                slice_began = sys::now();
            }
        }
        self.end();
        self.park.close().await
    }

    /// Looks for work for the configured time; whether there is some.
    async fn spin(&mut self) -> bool {
        if self.spin.is_zero() {
            return self.task.has_work();
        }
        let until = sys::now().0 + self.spin.as_nanos() as u64;
        let until = self.task.next_deadline().map_or(until, |deadline| until.min(deadline.0));
        loop {
            for _ in 0..SPINS_PER_CLOCK {
                if self.task.has_work() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if glommio::executor().need_preempt() {
                self.park.pass().await;
            }
            if sys::now().0 >= until {
                return self.task.has_work();
            }
        }
    }

    /// Waits until the ring or another shard has something, or a deadline passes.
    async fn sleep(&mut self) {
        if let Some(deadline) = self.task.next_deadline() {
            if deadline <= sys::now() {
                return;
            }
            self.task.port.wake_at(deadline);
        }
        self.task.port.listen_for_wakes(true);
        // The fence inside orders the look at the ring after both announcements: to the kernel, that it is to signal,
        // and to the other shards, that this one sleeps.
        if self.task.bell().lie_down() {
            if !self.task.port.has_work() {
                DriverCounters::count(&self.task.counters().parks);
                self.park.rest().await;
            }
            self.task.bell().rise();
        }
        self.task.port.listen_for_wakes(false);
    }

    /// Lets the ring come to rest.
    fn end(&mut self) {
        self.task.port.cancel_timer();
        while self.task.port.in_flight() > 0 {
            self.task.port.wait();
            self.task.handle_completions(sys::now());
        }
        tracing::debug!(shard = self.task.id(), "ended");
    }
}
