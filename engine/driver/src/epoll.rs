//! The epoll driver: a plain thread per shard, pinned where pinning is asked for, that owns an epoll instance. For kernels
//! and containers in which io_uring is missing or denied; it never touches io_uring.
//!
//! Without work the thread looks for some for the configured time and then waits for its epoll instance, in which the
//! eventfd is that other shards wake it with.
//!
//! Map: `poll` is the epoll instance with what is ready, and the calls that move octets.

mod poll;

use std::io;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::StartError;
use crate::counters::DriverCounters;
use crate::port::Port;
use crate::router::ShardStart;
use crate::seam::Core;
use crate::sys;
use crate::task::{Parts, Task};
use poll::Poll;

pub(crate) use poll::PollSize;

/// Runs a shard on this thread until a shutdown has finished. Whether it could start is reported.
pub(crate) fn run<C: Core>(start: ShardStart<C>) -> io::Result<()> {
    if let Some(cpu) = start.cpu {
        pin(cpu);
    }
    let spin = start.spin;
    match Poll::new(start.sizes.poll, start.eventfd()) {
        Ok(poll) => {
            if let Some(parts) = start.begin() {
                EpollTask::new(parts, poll, spin).run();
            }
        }
        Err(error) => start.report(Err(explain(&error))),
    }
    Ok(())
}

/// A shard on another core is slower, not wrong.
fn pin(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    if let Err(error) = sched_setaffinity(None, &cpus) {
        tracing::warn!(cpu, %error, "a shard cannot be pinned");
    }
}

fn explain(error: &io::Error) -> StartError {
    let message =
        format!("a shard cannot be set up: epoll: {error}; if open files ran out, raise `ulimit -n`");
    StartError { message, uring: false }
}

/// The shard task and how it waits.
struct EpollTask<C: Core> {
    task: Task<C, Poll<C::Output>>,
    spin: Duration,
}

impl<C: Core> EpollTask<C> {
    fn new(parts: Parts<C>, poll: Poll<C::Output>, spin: Duration) -> EpollTask<C> {
        EpollTask { task: Task::new(parts, poll), spin }
    }

    fn run(mut self) {
        self.task.start_accepting();
        loop {
            let busy = self.task.turn(sys::now());
            if self.task.has_finished() {
                break;
            }
            if !busy && !self.spin() {
                self.sleep();
            }
        }
        tracing::debug!(shard = self.task.id(), "ended");
    }

    /// Looks for work for the configured time; whether there is some. Every look asks the kernel.
    fn spin(&mut self) -> bool {
        if self.spin.is_zero() {
            return self.task.has_work();
        }
        let until = sys::now().0 + self.spin.as_nanos() as u64;
        let until = self.task.next_deadline().map_or(until, |deadline| until.min(deadline.0));
        loop {
            self.task.port.look();
            if self.task.has_work() {
                return true;
            }
            if sys::now().0 >= until {
                return false;
            }
            std::hint::spin_loop();
        }
    }

    /// Waits until a socket or another shard has something, or a deadline passes.
    fn sleep(&mut self) {
        let now = sys::now();
        let deadline = self.task.next_deadline();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return;
        }
        let timeout = deadline.map(|deadline| Duration::from_nanos(deadline.0 - now.0));
        if self.task.bell().lie_down() {
            if !self.task.port.has_work() {
                DriverCounters::count(&self.task.counters().parks);
                self.task.port.wait(timeout);
            }
            self.task.bell().rise();
        }
    }
}
