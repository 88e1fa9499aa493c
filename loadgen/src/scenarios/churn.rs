//! Sessions that join and leave, over and over: how fast, and what the router keeps of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Workload;
use super::connect::Look;
use super::team::{Stalled, Team, router, settle, share};
use crate::cli::ChurnArguments;
use crate::connection::Replies;
use crate::control::{Control, Phase};
use crate::report::Report;
use crate::session::{Life, News};
use crate::stats::Tally;
use crate::worker::Links;

/// Measures joining and leaving, and what is left behind.
pub(crate) fn run(arguments: &ChurnArguments) -> Result<Report, String> {
    let common = &arguments.common;
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
    let began = control.clock.now();
    control.enter(Phase::Run);
    wait("sessions", &|| control.drained() as usize == threads);
    let seconds = (control.clock.now() - began) as f64 / 1e9;
    let ended = Look::take(router)?;
    control.enter(Phase::Leave);
    let workloads = team.finish()?;

    let mut tally = Tally::new();
    workloads.iter().for_each(|workload| tally.add(&workload.tally));
    if let (0, Some(error)) = (tally.operations, &tally.faults.first_error) {
        return Err(error.clone());
    }
    let mut report = Report::new("churn", "sessions", common);
    report.setting("sessions", arguments.sessions);
    report.setting("warmup_sessions", arguments.warmup_sessions);
    report.setting("concurrency", common.concurrency);
    report.setting("abrupt", arguments.abrupt);
    report.set_total(seconds, &tally);
    if let (Some(before), Some(ended)) = (before, ended) {
        let after = rest(router, Some(before))?.unwrap_or(ended);
        report.set_router_time(ended.processor_time.saturating_sub(before.processor_time));
        judge(&mut report, before, after, arguments);
    }
    Ok(report)
}

/// Waits until the router has closed what `earlier` did not have open, then looks at it.
fn rest(router: Option<crate::procfs::Process>, earlier: Option<Look>) -> Result<Option<Look>, String> {
    if let (Some(process), Some(earlier)) = (router, earlier) {
        settle(process, earlier.descriptors)?;
    }
    Look::take(router)
}

fn judge(report: &mut Report, before: Look, after: Look, arguments: &ChurnArguments) {
    let grown = after.memory.rss_kib as f64 - before.memory.rss_kib as f64;
    let per_session = grown * 1024.0 / f64::from(arguments.sessions);
    report.figure("router_rss_before_kib", before.memory.rss_kib as f64);
    report.figure("router_rss_after_kib", after.memory.rss_kib as f64);
    report.figure("router_growth_bytes_per_session", per_session);
    report.figure("router_descriptors_before", before.descriptors as f64);
    report.figure("router_descriptors_after", after.descriptors as f64);
    if after.descriptors > before.descriptors {
        report.fail(format!("the router keeps {} descriptors more", after.descriptors - before.descriptors));
    }
    if let Some(max) = arguments.growth_max.filter(|&max| per_session > max as f64) {
        report.fail(format!("the router has grown by {per_session:.0} octets per session, more than {max}"));
    }
}

/// The sessions of one thread.
struct Churn {
    control: Arc<Control>,
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
            live: 0,
            live_max: share(arguments.common.concurrency, threads, index).max(1),
            warmup: lap(arguments.warmup_sessions),
            measured: lap(arguments.sessions),
            abrupt: arguments.abrupt,
            joined: Vec::new(),
            is_measured: Vec::new(),
            tally: Tally::new(),
        }
    }

    fn lap(&mut self) -> Option<&mut Lap> {
        match self.control.phase() {
            Phase::Setup => Some(&mut self.warmup),
            Phase::Run => Some(&mut self.measured),
            Phase::Leave => None,
        }
    }

    fn count(&mut self, at: usize, took: u64) {
        self.live -= 1;
        if self.is_measured[at] {
            self.measured.ended += 1;
            self.tally.record(took);
        } else {
            self.warmup.ended += 1;
        }
    }
}

impl Workload for Churn {
    fn wants_session(&mut self) -> bool {
        self.live < self.live_max && self.lap().is_some_and(|lap| lap.opened < lap.wanted)
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

    fn ended(&mut self, at: usize, life: &Life, outcome: Result<(), String>, now: u64) {
        match outcome {
            Ok(()) => self.count(at, now - life.opened_at),
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
            } else if let Some(session) = links.remove(at) {
                self.count(at, now - session.life.opened_at);
            }
        }
        self.joined = joined;
        if !self.warmup.is_told && self.warmup.ended == self.warmup.wanted {
            self.warmup.is_told = true;
            self.control.add_ready();
        }
        if !self.measured.is_told && self.measured.ended == self.measured.wanted {
            self.measured.is_told = true;
            self.control.add_drained();
        }
    }

    fn is_finished(&self, links: &Links) -> bool {
        self.control.phase() == Phase::Leave && links.is_empty()
    }
}
