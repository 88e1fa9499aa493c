//! The threads of one run: started together, watched by the main thread, joined at the end.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::auth::Identity;
use crate::control::Control;
use crate::options::Common;
use crate::procfs::Process;
use crate::scenarios::Workload;
use crate::sys;
use crate::target::Target;
use crate::worker::{Plan, Worker};

/// The workers of a run, each with its workload.
pub(crate) struct Team<W> {
    control: Arc<Control>,
    threads: Vec<JoinHandle<W>>,
    progress: ProgressBar,
}

impl<W: Workload> Team<W> {
    /// Starts one thread for each workload. `sessions` is how many will be open at the same time, all together.
    pub(crate) fn start(
        common: &Common,
        control: &Arc<Control>,
        sessions: u64,
        workloads: Vec<W>,
    ) -> Result<Team<W>, String> {
        let limit = sys::raise_descriptor_limit().map_err(|error| format!("descriptor limit: {error}"))?;
        if sessions + DESCRIPTORS_SPARE > limit {
            return Err(format!(
                "{sessions} sessions need more than the {limit} descriptors allowed: raise ulimit -n"
            ));
        }
        let target = Target::new(common)?;
        let identity = Identity::new(&common.realm, &common.auth)?;
        let count = workloads.len();
        let mut workers = Vec::with_capacity(count);
        let mut wakers = Vec::with_capacity(count);
        for (index, workload) in workloads.into_iter().enumerate() {
            let plan = Plan {
                target: target.clone(),
                identity: identity.clone(),
                worker: index,
                core: common.pin.as_ref().map(|cores| cores.0[index % cores.0.len()]),
                is_busy: common.busy_poll,
                timeout: common.timeout,
                concurrency: share(common.concurrency, count, index).max(1) as usize,
                seed: run_id().wrapping_add((index as u64) << 32),
            };
            let (worker, waker) = Worker::new(plan, Arc::clone(control), workload)
                .map_err(|error| format!("cannot set up a thread: {error}"))?;
            workers.push(worker);
            wakers.push(waker);
        }
        control.set_wakers(wakers);
        let mut threads = Vec::with_capacity(count);
        for (index, worker) in workers.into_iter().enumerate() {
            let thread = thread::Builder::new().name(format!("load-{index}")).spawn(move || worker.run());
            threads.push(thread.map_err(|error| {
                control.stop();
                format!("cannot start a thread: {error}")
            })?);
        }
        Ok(Team { control: Arc::clone(control), threads, progress: ProgressBar::new_spinner() })
    }

    /// Waits until `done` says so. Fails when the run has failed, or when `measure` has not changed for `patience`.
    pub(crate) fn wait(
        &self,
        what: &str,
        patience: Duration,
        measure: impl Fn() -> u64,
        done: impl Fn() -> bool,
    ) -> Result<(), Stalled> {
        self.wait_with(patience, &measure, done, &mut || self.say(format!("{what}: {}", measure())))
    }

    /// The same, calling `meanwhile` again and again.
    pub(crate) fn wait_with(
        &self,
        patience: Duration,
        measure: impl Fn() -> u64,
        done: impl Fn() -> bool,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<(), Stalled> {
        let mut last = (measure(), Instant::now());
        while !done() && !self.control.is_stopped() {
            thread::sleep(TICK);
            meanwhile();
            let now = measure();
            if now != last.0 {
                last = (now, Instant::now());
            } else if last.1.elapsed() > patience {
                return Err(Stalled(now));
            }
        }
        Ok(())
    }

    /// Waits until the run's clock reads `until`, or the run has failed, and shows the rate meanwhile.
    pub(crate) fn wait_until(&self, what: &str, until: u64) {
        let mut last = (self.operations(), self.control.clock.now());
        loop {
            let now = self.control.clock.now();
            if now >= until || self.control.is_stopped() {
                return;
            }
            thread::sleep(TICK.min(Duration::from_nanos(until - now)));
            let elapsed = now - last.1;
            if elapsed >= 500_000_000 {
                let operations = self.operations();
                let rate = (operations - last.0) as f64 * 1e9 / elapsed as f64;
                self.say(format!("{what}: {rate:.0} operations/s"));
                last = (operations, now);
            }
            self.progress.tick();
        }
    }

    /// Shows a line, if there is a terminal to show it on.
    pub(crate) fn say(&self, line: String) {
        self.progress.set_message(line);
        self.progress.tick();
    }

    /// Joins the threads and gives the workloads back, or says why the run failed.
    pub(crate) fn finish(self) -> Result<Vec<W>, String> {
        let mut workloads = Vec::with_capacity(self.threads.len());
        for thread in self.threads {
            workloads.push(thread.join().map_err(|_| "a thread of the generator panicked".to_owned())?);
        }
        self.progress.finish_and_clear();
        match self.control.failure() {
            Some(reason) => Err(reason),
            None => Ok(workloads),
        }
    }

    fn operations(&self) -> u64 {
        self.control.operations.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Nothing has moved for too long; the last measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stalled(pub(crate) u64);

/// The router's process, if it is known.
pub(crate) fn router(common: &Common) -> Result<Option<Process>, String> {
    common.router_pid.map(Process::new).transpose()
}

/// Waits until the router has no more than `descriptors` open, for a few seconds at most, and its memory had a
/// moment to be given back.
pub(crate) fn settle(router: Process, descriptors: u64) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let open = router
            .descriptors()
            .map_err(|error| format!("cannot count the router's descriptors: {error}"))?;
        if open <= descriptors || began.elapsed() > SETTLE_MAX {
            break;
        }
        thread::sleep(TICK);
    }
    thread::sleep(SETTLE_PAUSE);
    Ok(())
}

/// How many of `total` fall to worker `index` of `count` when they are dealt out in turn.
pub(crate) fn share(total: u32, count: usize, index: usize) -> u32 {
    (index as u32..total).step_by(count).count() as u32
}

/// A number that differs from run to run: part of every URI, so that runs do not meet.
pub(crate) fn run_id() -> u64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (since_epoch.as_millis() as u64) << 16 ^ u64::from(std::process::id())
}

/// For epoll, wakers, standard streams and the files of `/proc`.
const DESCRIPTORS_SPARE: u64 = 64;

const SETTLE_MAX: Duration = Duration::from_secs(10);
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

const TICK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for total in [0, 1, 7, 64] {
            for count in [1, 2, 3, 8] {
                let shares: Vec<u32> = (0..count).map(|index| share(total, count, index)).collect();
                assert_eq!(shares.iter().sum::<u32>(), total);
                assert!(
                    shares
                        .iter()
                        .all(|&share| share == total / count as u32 || share == total / count as u32 + 1)
                );
            }
        }
    }
}
