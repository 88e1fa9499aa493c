//! The course of a closed-loop run: join, warm up, measure, wait for what is outstanding, leave.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Workload;
use super::team::{Stalled, Team, router};
use crate::cli::{Common, Window};
use crate::clock::nanos;
use crate::control::{Control, Phase};
use crate::procfs::{Memory, Process};

/// What a closed-loop run is made of.
pub(crate) struct ClosedLoop<'a> {
    pub(crate) common: &'a Common,
    pub(crate) window: &'a Window,
    pub(crate) control: &'a Arc<Control>,
    /// Sessions of all workers together.
    pub(crate) sessions: u64,
}

/// What was seen from outside over the measured window.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Between the two looks, in seconds: about the length of the window.
    pub(crate) seconds: f64,
    pub(crate) router: Option<RouterUse>,
    pub(crate) own: OwnUse,
}

/// What the router used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouterUse {
    pub(crate) processor_time: Duration,
    pub(crate) memory: Memory,
}

/// What this generator used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnUse {
    pub(crate) processor_time: Duration,
    /// Of the busiest thread.
    pub(crate) busiest_thread: Duration,
}

/// Leads the workloads through a run.
pub(crate) fn run<W: Workload>(
    closed: &ClosedLoop<'_>,
    workloads: Vec<W>,
) -> Result<(Vec<W>, Measured), String> {
    let control = closed.control;
    let timeout = closed.common.timeout;
    let router = router(closed.common)?;
    let workers = workloads.len() as u32;
    let team = Team::start(closed.common, control, closed.sessions, workloads)?;

    let joined = || control.joined.load(Ordering::Relaxed);
    let prepared = team.wait("sessions joined", timeout, joined, || control.ready() == workers);
    if let Err(Stalled(joined)) = prepared {
        let all = closed.sessions;
        let reason =
            format!("{joined} of {all} sessions joined, then nothing for {} s", timeout.as_secs_f64());
        control.fail(reason.clone());
        return Err(team.finish().err().unwrap_or(reason));
    }
    let start = control.clock.now() + nanos(closed.window.warmup);
    let end = start + nanos(closed.window.duration);
    control.set_window(start, end);
    control.enter(Phase::Run);

    team.wait_until("warming up", start);
    let before = Sample::take(control, router)?;
    team.wait_until("measuring", end);
    let after = Sample::take(control, router)?;

    let operations = || control.operations.load(Ordering::Relaxed);
    // What has not come by then is counted as lost by the workloads.
    let _ = team.wait("outstanding", timeout, operations, || control.drained() == workers);
    control.enter(Phase::Leave);
    let workloads = team.finish()?;
    Ok((workloads, Sample::difference(&before, &after)))
}

struct Sample {
    at: u64,
    router: Option<RouterUse>,
    own: Duration,
    threads: Vec<(u32, Duration)>,
}

impl Sample {
    fn take(control: &Control, router: Option<Process>) -> Result<Sample, String> {
        let problem = |whose: &str, error: io::Error| {
            let reason = format!("cannot read the {whose} use of processor and memory: {error}");
            control.fail(reason.clone());
            reason
        };
        let own = Process::own();
        let router = router
            .map(|process| {
                Ok(RouterUse { processor_time: process.processor_time()?, memory: process.memory()? })
            })
            .transpose()
            .map_err(|error| problem("router's", error))?;
        Ok(Sample {
            at: control.clock.now(),
            router,
            own: own.processor_time().map_err(|error| problem("generator's", error))?,
            threads: own.thread_times().map_err(|error| problem("generator's", error))?,
        })
    }

    fn difference(before: &Sample, after: &Sample) -> Measured {
        let of_thread = |&(thread, time): &(u32, Duration)| {
            let earlier = before
                .threads
                .iter()
                .find(|&&(id, _)| id == thread)
                .map_or(Duration::ZERO, |&(_, time)| time);
            time.saturating_sub(earlier)
        };
        let router = before.router.zip(after.router).map(|(before, after)| RouterUse {
            processor_time: after.processor_time.saturating_sub(before.processor_time),
            memory: after.memory,
        });
        Measured {
            seconds: (after.at - before.at) as f64 / 1e9,
            router,
            own: OwnUse {
                processor_time: after.own.saturating_sub(before.own),
                busiest_thread: after.threads.iter().map(of_thread).max().unwrap_or_default(),
            },
        }
    }
}
