//! Sessions that join and leave, over and over: how fast, and what the router keeps of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connect::{Joins, Look, check, idle_opening};
use super::team::{Stalled, Team, router, settle, share};
use super::{Failure, Workload};
use std::time::{Duration, SystemTime};

use crate::cli::ChurnArguments;
use crate::clock::nanos;
use crate::connection::{Opening, Replies};
use crate::control::{Control, Course, Phase};
use crate::report::Report;
use crate::session::{Life, News};
use crate::stats::Tally;
use crate::worker::Links;

/// Measures joining and leaving, and what is left behind.
pub(crate) fn run(arguments: &ChurnArguments) -> Result<Report, Failure> {
    let common = &arguments.common;
    check(common)?;
    let control = Arc::new(Control::new());
    let threads = usize::from(common.threads);
    let router = router(common)?;
    let idle = Look::take(router)?;

    let workloads = (0..threads).map(|index| Churn::new(arguments, &control, threads, index)).collect();
    let team = Team::start(common, &control, u64::from(common.concurrency), workloads)?;
    let joined = || control.joined.load(Ordering::Relaxed);
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        if let Err(Stalled(count)) = team.wait(what, common.timeout * 2, joined, done) {
            control.fail(format!("nothing happened any more after {count} sessions"));
        }
    };
    wait("warm-up sessions", &|| control.ready() as usize == threads);
    let before = rest(router, idle)?;
    let (began, began_at) = (control.clock.now(), SystemTime::now());
    let window_end = measured_time(arguments).map_or(u64::MAX, |time| began + nanos(time));
    control.set_course(Course {
        load_start: began,
        window_start: began,
        window_end,
        give_up_at: u64::MAX,
        by_due_time: false,
        interval: nanos(arguments.window.interval),
    });
    control.enter(Phase::Run);
    wait("sessions", &|| control.drained() as usize == threads);
    let seconds = (control.clock.now() - began) as f64 / 1e9;
    let ended = Look::take(router)?;
    control.enter(Phase::Leave);
    let workloads = team.finish()?;

    let mut tally = Tally::new();
    workloads.iter().for_each(|workload| tally.add(&workload.tally));
    if let (0, Some(error)) = (tally.operations, &tally.faults.first_error) {
        return Err(Failure::Run(error.clone()));
    }
    let mut report = Report::new("churn", "sessions", common);
    match measured_time(arguments) {
        None => report.setting("sessions", wanted(arguments)),
        Some(time) => report.setting("duration_seconds", time.as_secs_f64()),
    }
    if let Some(rate) = arguments.window.rate {
        report.setting("rate", rate);
    }
    report.setting("warmup_sessions", arguments.warmup_sessions);
    report.setting("concurrency", common.concurrency);
    report.setting("abrupt", arguments.abrupt);
    let sessions = tally.operations;
    report.set_total(seconds, &mut tally);
    report.set_began(began_at);
    if let (Some(before), Some(ended)) = (before, ended) {
        let after = rest(router, Some(before))?.unwrap_or(ended);
        report.set_router_time(ended.processor_time.since(before.processor_time));
        judge(&mut report, before, after, sessions, arguments.growth_max);
    }
    Ok(report)
}

/// The time that is measured, if it is a time and not a number of sessions.
fn measured_time(arguments: &ChurnArguments) -> Option<Duration> {
    arguments.window.duration
}

/// Sessions of the measured part.
fn wanted(arguments: &ChurnArguments) -> u32 {
    match arguments.window.count {
        _ if measured_time(arguments).is_some() => u32::MAX,
        Some(count) => u32::try_from(count).unwrap_or(u32::MAX),
        None => arguments.sessions,
    }
}

/// Waits until the router has closed what `earlier` did not have open, then looks at it.
fn rest(router: Option<crate::procfs::Process>, earlier: Option<Look>) -> Result<Option<Look>, String> {
    if let (Some(process), Some(earlier)) = (router, earlier) {
        settle(process, earlier.descriptors)?;
    }
    Look::take(router)
}

fn judge(report: &mut Report, before: Look, after: Look, sessions: u64, growth_max: Option<u64>) {
    let grown = after.memory.rss_kib as f64 - before.memory.rss_kib as f64;
    let per_session = grown * 1024.0 / sessions.max(1) as f64;
    report.figure("router_rss_before_kib", before.memory.rss_kib as f64);
    report.figure("router_rss_after_kib", after.memory.rss_kib as f64);
    report.figure("router_growth_bytes_per_session", per_session);
    report.figure("router_descriptors_before", before.descriptors as f64);
    report.figure("router_descriptors_after", after.descriptors as f64);
    if after.descriptors > before.descriptors {
        report.fail(format!("the router keeps {} descriptors more", after.descriptors - before.descriptors));
    }
    if let Some(max) = growth_max.filter(|&max| per_session > max as f64) {
        report.fail(format!("the router has grown by {per_session:.0} octets per session, more than {max}"));
    }
}

/// The sessions of one thread.
struct Churn {
    control: Arc<Control>,
    opening: Opening,
    joins: Joins,
    live: u32,
    live_max: u32,
    warmup: Lap,
    measured: Lap,
    abrupt: bool,
    /// Slots whose sessions have just joined.
    joined: Vec<usize>,
    /// Whether the session in a slot belongs to the measured part.
    is_measured: Vec<bool>,
    tally: Tally,
}

/// One part of the run.
#[derive(Debug)]
struct Lap {
    wanted: u32,
    opened: u32,
    ended: u32,
    is_told: bool,
}

impl Churn {
    fn new(arguments: &ChurnArguments, control: &Arc<Control>, threads: usize, index: usize) -> Churn {
        let lap = |total| Lap { wanted: share(total, threads, index), opened: 0, ended: 0, is_told: false };
        Churn {
            control: Arc::clone(control),
            opening: idle_opening(&arguments.common),
            joins: Joins::new(arguments.window.rate, threads, index),
            live: 0,
            live_max: share(arguments.common.concurrency, threads, index).max(1),
            warmup: lap(arguments.warmup_sessions),
            measured: lap(wanted(arguments)),
            abrupt: arguments.abrupt,
            joined: Vec::new(),
            is_measured: Vec::new(),
            tally: Tally::new(),
        }
    }

    fn lap(&mut self) -> Option<&mut Lap> {
        match self.control.phase() {
            Phase::Receivers | Phase::Senders => Some(&mut self.warmup),
            Phase::Run => Some(&mut self.measured),
            Phase::Leave => None,
        }
    }

    /// Whether another session is to be opened at some time.
    fn is_wanting(&mut self) -> bool {
        let now = self.control.clock.now();
        let is_over = self.control.is_past_window(now);
        !is_over && self.live < self.live_max && self.lap().is_some_and(|lap| lap.opened < lap.wanted)
    }

    fn count(&mut self, at: usize, now: u64) {
        self.live -= 1;
        if self.is_measured[at] {
            self.measured.ended += 1;
            self.tally.record(self.joins.due(at), now);
        } else {
            self.warmup.ended += 1;
        }
    }
}

impl Workload for Churn {
    fn wants_session(&mut self) -> Option<Opening> {
        let is_due = self.control.phase() != Phase::Run
            || self.joins.is_due(self.control.load_start(), self.control.clock.now());
        (is_due && self.is_wanting()).then_some(self.opening)
    }

    fn next_due(&mut self) -> Option<u64> {
        let due = self.joins.next_due(self.control.load_start())?;
        (self.control.phase() == Phase::Run && self.is_wanting()).then_some(due)
    }

    fn opened(&mut self, at: usize) {
        self.live += 1;
        // Both laps never overlap: the first has ended before the second begins.
        let is_measured = self.warmup.is_told;
        let lap = if is_measured { &mut self.measured } else { &mut self.warmup };
        lap.opened += 1;
        if at >= self.is_measured.len() {
            self.is_measured.resize(at + 1, false);
        }
        self.is_measured[at] = is_measured;
        let start = is_measured.then(|| self.control.load_start());
        self.joins.begin(at, start, self.control.clock.now());
    }

    fn news(&mut self, at: usize, news: News<'_>, _life: &mut Life, _now: u64, _replies: &mut Replies) {
        match news {
            News::Joined => {
                self.control.joined.fetch_add(1, Ordering::Relaxed);
                self.joined.push(at);
            }
            News::Message(..) => self.tally.faults.wrong += 1,
        }
    }

    fn ended(&mut self, at: usize, _life: &Life, outcome: Result<(), String>, now: u64) {
        match outcome {
            Ok(()) => self.count(at, now),
            Err(reason) => {
                self.tally.faults.error(|| reason);
                self.live -= 1;
                let lap = if self.is_measured[at] { &mut self.measured } else { &mut self.warmup };
                lap.ended += 1;
            }
        }
    }

    fn turn(&mut self, links: &mut Links, now: u64) {
        let mut joined = std::mem::take(&mut self.joined);
        for at in joined.drain(..) {
            if !self.abrupt {
                links.leave(at, now);
            } else if links.remove(at).is_some() {
                self.count(at, now);
            }
        }
        self.joined = joined;
        if !self.warmup.is_told && self.warmup.ended == self.warmup.wanted {
            self.warmup.is_told = true;
            self.control.add_ready();
        }
        let is_over = self.control.is_past_window(now) && self.live == 0;
        if !self.measured.is_told && (is_over || self.measured.ended == self.measured.wanted) {
            self.measured.is_told = true;
            self.control.add_drained();
        }
    }

    fn is_finished(&self, links: &Links) -> bool {
        self.control.phase() == Phase::Leave && links.is_empty()
    }
}
