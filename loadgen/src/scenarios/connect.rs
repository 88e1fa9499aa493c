//! Sessions that join and then do nothing: how fast they join, and what they cost while they are idle.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::pace::Schedule;
use super::team::{Stalled, Team, router, settle, share};
use super::{Failure, Workload};
use crate::cli::ConnectArguments;
use crate::clock::nanos;
use crate::connection::{Opening, Replies};
use crate::control::{Control, Phase};
use crate::forwarder::Role;
use crate::options::Common;
use crate::procfs::{Memory, Process, ProcessorTime};
use crate::report::Report;
use crate::session::{Life, News};
use crate::stats::Tally;
use crate::target;
use crate::worker::Links;

/// Measures joining and being there.
pub(crate) fn run(arguments: &ConnectArguments) -> Result<Report, Failure> {
    let common = &arguments.common;
    check(common)?;
    let control = Arc::new(Control::new());
    let threads = usize::from(common.threads);
    let router = router(common)?;
    let look = || Look::take(router);
    let before = look()?;

    let workloads = (0..threads).map(|index| Connect::new(arguments, &control, threads, index));
    let (began, began_at) = (control.clock.now(), SystemTime::now());
    let team = Team::start(common, &control, u64::from(arguments.sessions), workloads.collect())?;
    let joined = || control.joined.load(Ordering::Relaxed);
    if let Err(Stalled(count)) =
        team.wait("sessions joined", common.timeout * 2, joined, || control.ready() as usize == threads)
    {
        control.fail(format!("{count} of {} sessions joined, then nothing", arguments.sessions));
    }
    let seconds = (control.clock.now() - began) as f64 / 1e9;
    let there = look()?;
    team.wait_until("holding", control.clock.now() + nanos(arguments.hold));
    let held = look()?;
    control.enter(Phase::Leave);
    let workloads = team.finish()?;

    let mut tally = Tally::new();
    workloads.iter().for_each(|workload| tally.add(&workload.tally));
    if let (0, Some(error)) = (tally.operations, &tally.faults.first_error) {
        return Err(Failure::Run(error.clone()));
    }
    let mut report = Report::new("connect", "joins", common);
    report.setting("sessions", arguments.sessions);
    report.setting("concurrency", common.concurrency);
    if let Some(rate) = arguments.rate {
        report.setting("rate", rate);
    }
    report.set_total(seconds, &mut tally);
    report.set_began(began_at);
    if let (Some(process), Some(before), Some(there), Some(held)) = (router, before, there, held) {
        settle(process, before.descriptors)?;
        let after = Look::take(router)?.unwrap_or(held);
        report.set_router_time(there.processor_time.since(before.processor_time));
        report_memory(&mut report, [before, there, held, after], tally.operations, arguments.hold);
    }
    Ok(report)
}

/// Whether sessions can be opened there.
pub(crate) fn check(common: &Common) -> Result<(), Failure> {
    target::check(common).map_err(Failure::Usage)?;
    if target::is_floor(&common.url) {
        return Err(Failure::Usage("a bare forwarder (floor://) knows rpc and pubsub only".to_owned()));
    }
    Ok(())
}

/// How sessions are opened that neither send nor receive.
pub(crate) fn idle_opening(common: &Common) -> Opening {
    Opening { serializer: common.serializer.serializer(), role: Role::Other }
}

/// What is to be seen of the router at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) memory: Memory,
    pub(crate) descriptors: u64,
    pub(crate) processor_time: ProcessorTime,
}

impl Look {
    /// Looks, if the router's process is known.
    pub(crate) fn take(router: Option<Process>) -> Result<Option<Look>, String> {
        let Some(process) = router else { return Ok(None) };
        let look = || {
            Ok(Look {
                memory: process.memory()?,
                descriptors: process.descriptors()?,
                processor_time: process.processor_time()?,
            })
        };
        look()
            .map(Some)
            .map_err(|error: std::io::Error| format!("cannot look at the router's process: {error}"))
    }
}

fn report_memory(
    report: &mut Report,
    [before, there, held, after]: [Look; 4],
    sessions: u64,
    hold: Duration,
) {
    let per_session = |kib: u64, base: u64| (kib as f64 - base as f64) * 1024.0 / sessions.max(1) as f64;
    let base = before.memory;
    report.figure("router_rss_before_kib", base.rss_kib as f64);
    report.figure("router_rss_joined_kib", there.memory.rss_kib as f64);
    report.figure("router_rss_held_kib", held.memory.rss_kib as f64);
    report.figure("router_rss_left_kib", after.memory.rss_kib as f64);
    report.figure("router_bytes_per_session", per_session(held.memory.rss_kib, base.rss_kib));
    report.figure(
        "router_anonymous_bytes_per_session",
        per_session(held.memory.anonymous_kib, base.anonymous_kib),
    );
    report.figure("router_descriptors_before", before.descriptors as f64);
    report.figure("router_descriptors_held", held.descriptors as f64);
    report.figure("router_descriptors_left", after.descriptors as f64);
    if !hold.is_zero() {
        let idle = held.processor_time.since(there.processor_time);
        report.figure("router_idle_cpu_percent", idle.as_secs_f64() / hold.as_secs_f64() * 100.0);
    }
}

/// The idle sessions of one thread.
struct Connect {
    control: Arc<Control>,
    opening: Opening,
    joins: Joins,
    start: u64,
    wanted: u32,
    opened: u32,
    /// Joined, or failed to.
    settled: u32,
    is_ready: bool,
    is_leaving: bool,
    tally: Tally,
}

/// Joins at fixed times, or at once.
pub(crate) struct Joins {
    schedule: Option<Schedule>,
    /// When the session in each slot was due.
    due: Vec<u64>,
}

impl Joins {
    /// Worker `index` of so many takes every so manieth join of a rate.
    pub(crate) fn new(rate: Option<f64>, threads: usize, index: usize) -> Joins {
        let schedule = rate.map(|rate| Schedule::new(rate / threads as f64, index as f64 / rate));
        Joins { schedule, due: Vec::new() }
    }

    /// Whether a join is due, if the schedule counts from `start`.
    pub(crate) fn is_due(&self, start: u64, now: u64) -> bool {
        self.schedule.is_none_or(|schedule| schedule.due(start) <= now)
    }

    /// When the next join is due, if joins are at fixed times.
    pub(crate) fn next_due(&self, start: u64) -> Option<u64> {
        self.schedule.map(|schedule| schedule.due(start))
    }

    /// Notes that a session is opened in a slot: the next of the schedule that counts from `start`, or, without a start,
    /// one that is not part of it.
    pub(crate) fn begin(&mut self, at: usize, start: Option<u64>, now: u64) {
        if at >= self.due.len() {
            self.due.resize(at + 1, 0);
        }
        self.due[at] = now;
        if let (Some(schedule), Some(start)) = (&mut self.schedule, start) {
            self.due[at] = schedule.due(start);
            schedule.advance();
        }
    }

    /// When the session in a slot was due.
    pub(crate) fn due(&self, at: usize) -> u64 {
        self.due[at]
    }
}

impl Connect {
    fn new(arguments: &ConnectArguments, control: &Arc<Control>, threads: usize, index: usize) -> Connect {
        Connect {
            control: Arc::clone(control),
            opening: idle_opening(&arguments.common),
            joins: Joins::new(arguments.rate, threads, index),
            start: control.clock.now(),
            wanted: share(arguments.sessions, threads, index),
            opened: 0,
            settled: 0,
            is_ready: false,
            is_leaving: false,
            tally: Tally::new(),
        }
    }
}

impl Workload for Connect {
    fn wants_session(&mut self) -> Option<Opening> {
        let is_wanted = self.opened < self.wanted && self.control.phase() == Phase::Receivers;
        (is_wanted && self.joins.is_due(self.start, self.control.clock.now())).then_some(self.opening)
    }

    fn opened(&mut self, at: usize) {
        self.opened += 1;
        self.joins.begin(at, Some(self.start), self.control.clock.now());
    }

    fn next_due(&mut self) -> Option<u64> {
        self.joins.next_due(self.start).filter(|_| self.opened < self.wanted)
    }

    fn news(&mut self, at: usize, news: News<'_>, _life: &mut Life, now: u64, _replies: &mut Replies) {
        match news {
            News::Joined => {
                self.control.joined.fetch_add(1, Ordering::Relaxed);
                self.settled += 1;
                self.tally.record(self.joins.due(at), now);
            }
            News::Message(..) => self.tally.faults.wrong += 1,
        }
    }

    fn ended(&mut self, _at: usize, life: &Life, outcome: Result<(), String>, _now: u64) {
        if let Err(reason) = outcome {
            self.settled += u32::from(!life.has_joined());
            self.tally.faults.error(|| reason);
        }
    }

    fn turn(&mut self, links: &mut Links, now: u64) {
        if !self.is_ready && self.settled == self.wanted {
            self.is_ready = true;
            self.control.add_ready();
        }
        if !self.is_leaving && self.control.phase() == Phase::Leave {
            self.is_leaving = true;
            links.leave_all(now);
        }
    }

    fn is_finished(&self, links: &Links) -> bool {
        self.is_leaving && links.is_empty()
    }
}
