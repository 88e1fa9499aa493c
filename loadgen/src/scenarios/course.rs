//! The course of a measured run: receivers join, senders join, load, a window that is measured and recorded in
//! intervals, a wait for what is outstanding, and everybody leaves.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;

use super::Workload;
use super::demand::Demand;
use super::team::{Stalled, Team, router};
use crate::clock::nanos;
use crate::control::{Control, Course, Phase};
use crate::procfs::{Memory, Process, ProcessorTime};
use crate::stats::Latency;

/// What was seen from outside over the measured window.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// The length of the window, in seconds.
    pub(crate) seconds: f64,
    /// When it began.
    pub(crate) began: SystemTime,
    /// Between the two looks at processor times, in seconds: about the same.
    pub(crate) looked_seconds: f64,
    pub(crate) router: Option<RouterUse>,
    pub(crate) own: OwnUse,
    pub(crate) intervals: Vec<Interval>,
}

/// One interval of the record.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    /// From the beginning of the window, in seconds.
    pub(crate) start: f64,
    pub(crate) seconds: f64,
    /// Latencies of the operations that ended in it, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
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
    /// Of the busiest thread. With busy polling only the time in which there was something to do.
    pub(crate) busiest_thread: Duration,
}

/// Leads the workloads through a run.
pub(crate) fn run<W: Workload>(
    demand: &Demand,
    control: &Arc<Control>,
    workloads: Vec<W>,
) -> Result<(Vec<W>, Measured), String> {
    let router = router(&demand.common)?;
    let team = Team::start(&demand.common, control, demand.sessions(), workloads)?;
    if let Err(reason) = prepare(demand, control, &team) {
        control.fail(reason.clone());
        return Err(team.finish().err().unwrap_or(reason));
    }
    let window = &demand.window;
    let load_start = control.clock.now();
    let window_start = load_start + nanos(window.warmup);
    let window_end = window.time().map_or(u64::MAX, |time| window_start + nanos(time));
    control.set_course(Course {
        load_start,
        window_start,
        window_end,
        give_up_at: window_end.saturating_add(nanos(demand.common.timeout)),
        by_due_time: window.rate.is_some() || window.time().is_none(),
        interval: nanos(window.interval),
    });
    control.enter(Phase::Run);

    team.wait_until("warming up", window_start);
    let before = Sample::take(control, router)?;
    let began = SystemTime::now();
    let mut record = Record {
        start: window_start,
        next: window_start,
        step: nanos(window.interval),
        intervals: Vec::new(),
    };
    // A closed loop is looked at while it runs. What an open loop or a count leaves outstanding belongs to the measured part.
    let is_cut = window.rate.is_none() && window.time().is_some();
    if window.time().is_some() {
        record.until(control, &team, window_end);
    }
    let cut = if is_cut { Some(Sample::take(control, router)?) } else { None };
    drain(demand, control, &team, || {
        if !is_cut {
            record.keep(control, &team);
        }
    });
    let after = cut.map_or_else(|| Sample::take(control, router), Ok)?;
    let end = match (is_cut, window.time()) {
        (true, _) => window_end,
        (false, Some(_)) => window_end.max(control.last_end()),
        (false, None) => control.last_end().max(window_start + 1),
    };
    control.enter(Phase::Leave);
    let workloads = team.finish()?;
    record.end(control, end);
    let seconds = (end - window_start) as f64 / 1e9;
    let mut measured = measured(&before, &after, began, seconds, record.intervals);
    if !is_cut {
        // What was used between the looks was used for the counted operations, and then there was rest.
        measured.looked_seconds = seconds;
    }
    Ok((workloads, measured))
}

/// Has everybody join: first those who receive, then those who send.
fn prepare<W: Workload>(demand: &Demand, control: &Control, team: &Team<W>) -> Result<(), String> {
    let workers = u32::from(demand.common.threads);
    let timeout = demand.common.timeout;
    for (stage, phase) in [(1, Phase::Receivers), (2, Phase::Senders)] {
        control.enter(phase);
        let progress = || control.joined.load(Ordering::Relaxed) + control.prepared.load(Ordering::Relaxed);
        let prepared =
            team.wait("sessions and subscriptions", timeout, progress, || control.ready() == stage * workers);
        if let Err(Stalled(_)) = prepared {
            let (joined, all) = (control.joined.load(Ordering::Relaxed), demand.sessions());
            let seconds = timeout.as_secs_f64();
            return Err(format!("{joined} of {all} sessions joined, then nothing for {seconds} s"));
        }
    }
    Ok(())
}

/// Waits for what is outstanding. What has not come by then is counted as lost by the workloads.
fn drain<W: Workload>(demand: &Demand, control: &Control, team: &Team<W>, mut meanwhile: impl FnMut()) {
    let workers = u32::from(demand.common.threads);
    let operations = || control.operations.load(Ordering::Relaxed);
    let _ =
        team.wait_with(demand.common.timeout, operations, || control.drained() == workers, &mut meanwhile);
}

/// Latencies by interval.
struct Record {
    start: u64,
    /// When the interval that is being collected began.
    next: u64,
    step: u64,
    intervals: Vec<Interval>,
}

impl Record {
    /// Keeps intervals until `end`, or until the run has failed. What ends with the window is left to [`Record::end`].
    fn until<W: Workload>(&mut self, control: &Control, team: &Team<W>, end: u64) {
        loop {
            let now = control.clock.now();
            if now >= end || control.is_stopped() {
                return;
            }
            thread::sleep(TICK.min(Duration::from_nanos(end - now)));
            if self.next + self.step < end {
                self.keep(control, team);
            }
        }
    }

    /// Keeps the current interval if it is over and workers have had time to tell.
    fn keep<W: Workload>(&mut self, control: &Control, team: &Team<W>) {
        let now = control.clock.now();
        if now < self.next + self.step + TELLING_TIME {
            return;
        }
        let latencies = control.take_recent();
        let rate = latencies.len() as f64 * 1e9 / self.step as f64;
        let [p50, p99] = Latency::of(&latencies).map_or([0.0; 2], |latency| [latency.p50, latency.p99]);
        let (faults, at) = (control.faults.load(Ordering::Relaxed), (now - self.start) / 1_000_000_000);
        team.say(format!(
            "{at} s: {rate:.0} operations/s, p50 {p50:.0} us, p99 {p99:.0} us, faults {faults}"
        ));
        self.push(self.step, latencies);
    }

    /// Keeps what is left: an interval, or, if it is short, a part of the last one.
    fn end(&mut self, control: &Control, end: u64) {
        let latencies = control.take_recent();
        let left = end.saturating_sub(self.next);
        match self.intervals.last_mut() {
            Some(last) if left * 2 < self.step => {
                last.seconds += left as f64 / 1e9;
                last.latencies.add(&latencies).expect("all histograms have the same bounds");
            }
            _ => self.push(left.max(1), latencies),
        }
    }

    fn push(&mut self, length: u64, latencies: Histogram<u64>) {
        let start = (self.next - self.start) as f64 / 1e9;
        self.intervals.push(Interval { start, seconds: length as f64 / 1e9, latencies });
        self.next += length;
    }
}

struct Sample {
    at: u64,
    router: Option<(ProcessorTime, Memory)>,
    own: ProcessorTime,
    threads: Vec<(u32, Duration)>,
    worked: Vec<u64>,
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
            .map(|process| Ok((process.processor_time()?, process.memory()?)))
            .transpose()
            .map_err(|error| problem("router's", error))?;
        Ok(Sample {
            at: control.clock.now(),
            router,
            own: own.processor_time().map_err(|error| problem("generator's", error))?,
            threads: own.thread_times().map_err(|error| problem("generator's", error))?,
            worked: control.worked(),
        })
    }
}

fn measured(
    before: &Sample,
    after: &Sample,
    began: SystemTime,
    seconds: f64,
    intervals: Vec<Interval>,
) -> Measured {
    let of_thread = |&(thread, time): &(u32, Duration)| {
        let earlier =
            before.threads.iter().find(|&&(id, _)| id == thread).map_or(Duration::ZERO, |&(_, time)| time);
        time.saturating_sub(earlier)
    };
    let router = before
        .router
        .zip(after.router)
        .map(|(before, after)| RouterUse { processor_time: after.0.since(before.0), memory: after.1 });
    let worked = before.worked.iter().zip(&after.worked).map(|(before, after)| after - before).max();
    let worked = worked.filter(|&worked| worked > 0).map(Duration::from_nanos);
    Measured {
        seconds,
        began,
        looked_seconds: (after.at - before.at) as f64 / 1e9,
        router,
        own: OwnUse {
            processor_time: after.own.since(before.own),
            busiest_thread: worked
                .unwrap_or_else(|| after.threads.iter().map(of_thread).max().unwrap_or_default()),
        },
        intervals,
    }
}

/// A worker takes a turn at least every 50 ms, and then tells of the interval before.
const TELLING_TIME: u64 = 60_000_000;

const TICK: Duration = Duration::from_millis(20);
