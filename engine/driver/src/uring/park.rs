//! Letting glommio's other tasks run: the shard task waits, through glommio, for a signal that it has given itself.
//!
//! glommio offers no way to await a foreign descriptor, but it reads files through its ring: reading an eventfd as if it
//! were one waits for a signal and resets the counter in a single operation, and the executor's other tasks run
//! meanwhile. The eventfd is nobody else's, so a signal that is meant for the shard cannot get lost here.
//!
//! glommio 0.9 can fall asleep while a task is ready to run: when an event without a waiter, such as its preemption timer,
//! is in its latency ring at the moment at which it begins to run tasks, it runs none, finds nothing to wake, and parks.
//! On a machine whose cores are shared a timer of 1 ms does that within seconds. So executors get a timer that never fires
//! ([`PREEMPT_NEVER`]), the shard task keeps its own time slices and ends them by waiting for the signal
//! ([`Park::pass`]) instead of being ready, and [`keep_alive`] bounds what is left of the chance.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::time::Duration;

use glommio::io::BufferedFile;

use crate::sys::EventFd;

/// For the executor's preemption timer.
pub(crate) const PREEMPT_NEVER: Duration = Duration::from_secs(365 * 86_400);

/// How long an executor can sleep on a task that is ready. Cheap though it is short: the timer counts only while the shard
/// task passes.
const KEEP_ALIVE: Duration = Duration::from_millis(10);

/// An eventfd of its own, and the same as glommio sees it.
pub(crate) struct Park {
    file: BufferedFile,
    eventfd: EventFd,
}

impl Park {
    /// On the executor that will run the others; fails for want of descriptors.
    pub(crate) fn new() -> io::Result<Park> {
        let eventfd = EventFd::new()?;
        let descriptor = eventfd.try_clone()?.into_raw_fd();
        // SAFETY: the duplicate is valid and, after `into_raw_fd`, owned by the file alone, which closes it.
        let file = unsafe { BufferedFile::from_raw_fd(descriptor) };
        Ok(Park { file, eventfd })
    }

    /// Lets the executor handle its events and run its other tasks once.
    pub(crate) async fn pass(&self) {
        self.eventfd.signal();
        if let Err(error) = self.file.read_at(0, 8).await {
            panic!("the eventfd cannot be read: {error}");
        }
    }

    /// Closes the duplicate.
    pub(crate) async fn close(self) -> io::Result<()> {
        self.file.close().await.map_err(io::Error::from)
    }
}

/// Makes the executor look at its tasks now and then whatever happens; see the module. Ends with the executor.
pub(crate) fn keep_alive() {
    glommio::spawn_local(async {
        loop {
            glommio::timer::sleep(KEEP_ALIVE).await;
        }
    })
    .detach();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    use glommio::LocalExecutorBuilder;

    #[test]
    fn a_pass_lets_other_tasks_run_and_comes_back() {
        let executor = LocalExecutorBuilder::default().preempt_timer(PREEMPT_NEVER).make().unwrap();
        executor.run(async {
            keep_alive();
            let park = Park::new().unwrap();
            let ran = Rc::new(Cell::new(0));
            for round in 1..=100 {
                let ran = Rc::clone(&ran);
                glommio::spawn_local(async move { ran.set(round) }).detach();
                // One pass is nearly always enough; see the module for when it is not.
                park.pass().await;
                park.pass().await;
            }
            assert!(ran.get() >= 99, "{} of 100 ran", ran.get());
            park.close().await.unwrap();
        });
    }
}
