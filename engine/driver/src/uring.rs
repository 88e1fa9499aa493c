//! The io_uring driver: a glommio executor per shard, whose one long-lived task owns a ring of its own.
//!
//! Without work the task spins for the configured time and then waits for its own ring, directly: in one system call, which
//! also takes along what was asked for last. Other shards wake it with an eventfd that the ring polls. Waiting through
//! glommio instead costs five entries into its three rings and a `membarrier` each time, and an isolated call across two
//! shards three times the processor time.
//!
//! glommio's other tasks get their turn once per [`SLICE`], whether the shard is busy or not. Nothing runs there today but
//! what keeps glommio itself alive, so a slice is a second: given every millisecond, these turns cost isolated calls
//! 40 percent more processor time and calls at full load 20 percent. A task to be run beside the shard has to bring along
//! what makes the slice shorter while it has something to do, for example a counter shared with [`UringTask`] with which
//! the slice is a millisecond as long as it is not zero. A task for whose timers and files a second is soon enough needs
//! nothing.
//!
//! Map: `ring` wraps io_uring, `park` gives glommio its turn, `probe` finds out beforehand whether the kernel lets us.
//!
//! Invariant: the task ends only when its ring has nothing in flight.

mod park;
mod probe;
mod ring;

use std::fmt;
use std::io;
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};
use wampline_shard::Now;

use crate::StartError;
use crate::counters::DriverCounters;
use crate::port::Port;
use crate::router::ShardStart;
use crate::seam::Core;
use crate::sys;
use crate::task::{Parts, Task};
use park::{PREEMPT_NEVER, Park, keep_alive};
use ring::Ring;

pub(crate) use probe::check;
pub(crate) use ring::RingSize;

/// glommio's own rings serve side tasks only; deeper ones cost locked memory.
const EXECUTOR_RING_DEPTH: usize = 128;
/// glommio's buffers, the least that it accepts.
const EXECUTOR_IO_MEMORY: usize = 64 << 10;
/// Time between two turns of glommio's other tasks; bounds a single wait. See the module.
const SLICE: Duration = Duration::from_secs(1);
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
    Ok((Ring::new(start.sizes.ring, start.eventfd())?, Park::new()?))
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
        self.task.port.listen();
        self.task.start_accepting();
        let mut pass_at = after(sys::now(), SLICE);
        loop {
            let now = sys::now();
            let busy = self.task.turn(now);
            if self.task.has_finished() {
                break;
            }
            if now >= pass_at {
                self.park.pass().await;
                pass_at = after(sys::now(), SLICE);
            }
            if !busy && !self.spin() {
                self.sleep(pass_at);
            }
        }
        self.end();
        self.park.close().await
    }

    /// Looks for work for the configured time; whether there is some. No look is a system call.
    fn spin(&mut self) -> bool {
        if self.spin.is_zero() || !self.task.port.can_be_watched() {
            return false;
        }
        self.task.port.flush();
        let until = sys::now().0 + self.spin.as_nanos() as u64;
        let until = self.task.next_deadline().map_or(until, |deadline| until.min(deadline.0));
        loop {
            for _ in 0..SPINS_PER_CLOCK {
                if self.task.has_work() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if sys::now().0 >= until {
                return false;
            }
        }
    }

    /// Waits until the ring or another shard has something, a deadline passes, or it is time to pass.
    fn sleep(&mut self, pass_at: Now) {
        let until = self.task.next_deadline().map_or(pass_at, |deadline| pass_at.min(deadline));
        let now = sys::now();
        if until <= now {
            return;
        }
        if self.task.bell().lie_down() {
            // The fence inside orders this look after the announcement that this shard sleeps. What comes after the look ends
            // the wait: completions, and other shards' signals, which are completions too.
            if !self.task.port.has_work() {
                DriverCounters::count(&self.task.counters().parks);
                self.task.port.wait(Duration::from_nanos(until.0 - now.0));
            }
            self.task.bell().rise();
        }
    }

    /// Lets the ring come to rest.
    fn end(&mut self) {
        self.task.port.stop_listening();
        while self.task.port.in_flight() > 0 {
            self.task.port.wait(SLICE);
            self.task.handle_completions(sys::now());
        }
        tracing::debug!(shard = self.task.id(), "ended");
    }
}

fn after(now: Now, time: Duration) -> Now {
    Now(now.0 + time.as_nanos() as u64)
}
