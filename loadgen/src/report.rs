//! The outcome of one run, and its forms: a table for people, an object for programs, a page, a log of histograms.

mod hdr_log;
mod page;
mod plot;
mod table;

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::options::{Common, Window};
use crate::scenarios::{Interval, Measured};
use crate::stats::{Faults, Latency, Tally};

pub(crate) use hdr_log::HdrLog;
pub(crate) use page::page;

/// The outcome of one run.
#[derive(Debug)]
pub(crate) struct Report {
    /// What the scenario is called in its file.
    pub(crate) name: Option<String>,
    kind: &'static str,
    /// What an operation is, in the plural.
    operation: &'static str,
    settings: Vec<(&'static str, Value)>,
    seconds: f64,
    operations: u64,
    latency: Option<Latency>,
    /// Operations of different kinds, where there are several.
    pub(crate) parts: Vec<Part>,
    router: Option<Usage>,
    router_rss_kib: Option<u64>,
    own: Option<Usage>,
    /// Share of one core that the busiest thread of this generator used.
    busiest_thread_percent: Option<f64>,
    /// More than half of the latency is that operations were begun late.
    is_late: bool,
    /// Figures that only this scenario has; the name ends with the unit.
    figures: Vec<(&'static str, f64)>,
    faults: Faults,
    /// Why the run has failed, besides faults.
    failures: Vec<String>,
    /// How a limit was found, if one was asked for.
    pub(crate) limit: Option<Limit>,
    began: Option<SystemTime>,
    intervals: Vec<Interval>,
    latencies: Option<Histogram<u64>>,
}

/// Operations of one kind.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Part {
    operation: &'static str,
    operations: u64,
    operations_per_second: f64,
    latency_us: Option<Latency>,
}

/// The search for the highest rate that holds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) p99_max_us: f64,
    /// The highest rate that held; 0 if none did.
    pub(crate) limit_per_second: f64,
    pub(crate) steps: Vec<Step>,
}

/// One rate that was tried.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) rate: f64,
    pub(crate) step_p99_us: Option<f64>,
    /// Why it did not hold.
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Usage {
    micros_per_operation: f64,
    percent: f64,
}

impl Part {
    /// What was counted over `seconds`.
    pub(crate) fn new(operation: &'static str, seconds: f64, tally: &mut Tally) -> Part {
        Part {
            operation,
            operations: tally.operations,
            operations_per_second: per_second(tally.operations, seconds),
            latency_us: tally.latency(),
        }
    }
}

impl Report {
    /// A report of a run against a router.
    pub(crate) fn new(kind: &'static str, operation: &'static str, common: &Common) -> Report {
        let mut report = Report::bare(kind, operation);
        report.setting("url", common.url.as_str());
        report.setting("realm", common.realm.as_str());
        report.setting("serializer", common.serializer.serializer().name());
        report.setting("threads", common.threads);
        if common.busy_poll {
            report.setting("busy_poll", true);
        }
        if let Some(cores) = &common.pin {
            let cores: Vec<String> = cores.0.iter().map(ToString::to_string).collect();
            report.setting("pin", cores.join(","));
        }
        report
    }

    /// A report of a run without a router.
    pub(crate) fn bare(kind: &'static str, operation: &'static str) -> Report {
        Report {
            name: None,
            kind,
            operation,
            settings: Vec::new(),
            seconds: 0.0,
            operations: 0,
            latency: None,
            parts: Vec::new(),
            router: None,
            router_rss_kib: None,
            own: None,
            busiest_thread_percent: None,
            is_late: false,
            figures: Vec::new(),
            faults: Faults::default(),
            failures: Vec::new(),
            limit: None,
            began: None,
            intervals: Vec::new(),
            latencies: None,
        }
    }

    /// Adds what was asked for.
    pub(crate) fn setting(&mut self, name: &'static str, value: impl Into<Value>) {
        self.settings.push((name, value.into()));
    }

    /// Adds the window that was asked for.
    pub(crate) fn set_window(&mut self, window: &Window) {
        if let Some(rate) = window.rate {
            self.setting("rate", rate);
        }
        if let Some(count) = window.count {
            self.setting("count", count);
        }
        self.setting("warmup_seconds", window.warmup.as_secs_f64());
    }

    /// Adds a figure of this scenario; the name ends with its unit.
    pub(crate) fn figure(&mut self, name: &'static str, value: f64) {
        self.figures.push((name, value));
    }

    /// Says why the run has failed.
    pub(crate) fn fail(&mut self, reason: String) {
        self.failures.push(reason);
    }

    /// Sets what was counted over `seconds`.
    pub(crate) fn set_total(&mut self, seconds: f64, tally: &mut Tally) {
        self.seconds = seconds;
        self.operations = tally.operations;
        self.latency = tally.latency();
        self.latencies = Some(tally.histogram().clone());
        self.faults = tally.faults.clone();
        if tally.operations == 0 {
            self.fail("nothing was done in the measured time".to_owned());
        }
    }

    /// Sets when the measured part of a run began of which no intervals were recorded: all of it is one.
    pub(crate) fn set_began(&mut self, began: SystemTime) {
        self.began = Some(began);
        let latencies = self.latencies.clone().unwrap_or_else(crate::stats::new_histogram);
        self.intervals = vec![Interval { start: 0.0, seconds: self.seconds, latencies }];
    }

    /// Sets what was counted and used in a measured window.
    pub(crate) fn set_measured(&mut self, measured: &Measured, tally: &mut Tally) {
        self.set_total(measured.seconds, tally);
        self.began = Some(measured.began);
        self.intervals.clone_from(&measured.intervals);
        if tally.unsent > 0 {
            self.fail(format!("{} operations were due and never begun", tally.unsent));
        }
        if let Some(late) = tally.lateness() {
            self.figure("begun_late_p99_us", late.p99);
            self.figure("begun_late_max_us", late.max);
            self.is_late = self.latency.is_some_and(|latency| late.p99 > latency.p99 / 2.0);
        }
        // The looks are taken a little late, one more than the other.
        let in_window = |time: Duration| time.mul_f64(measured.seconds / measured.looked_seconds);
        let busiest = in_window(measured.own.busiest_thread);
        self.busiest_thread_percent = Some(percent(busiest, self.seconds));
        self.own = Some(self.usage(in_window(measured.own.processor_time)));
        if let Some(router) = measured.router {
            self.router = Some(self.usage(in_window(router.processor_time)));
            self.router_rss_kib = Some(router.memory.rss_kib);
            self.figure("router_anonymous_kib", router.memory.anonymous_kib as f64);
        }
    }

    /// Sets the router's processor time over all operations; to be called after [`Report::set_total`].
    pub(crate) fn set_router_time(&mut self, time: Duration) {
        self.router = Some(self.usage(time));
    }

    /// Whether nothing went wrong.
    pub(crate) fn passed(&self) -> bool {
        self.faults.total() == 0 && self.failures.is_empty()
    }

    /// The 99th percentile of the latency, in microseconds.
    pub(crate) fn p99(&self) -> Option<f64> {
        self.latency.map(|latency| latency.p99)
    }

    /// Why the run has failed, in a line.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.faults.total() > 0 {
            return Some(self.faults.to_string());
        }
        self.failures.first().cloned()
    }

    /// What this run is called: its name in the file, or its kind.
    fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(self.kind)
    }

    /// The report as one JSON object. Every name but those of `settings`, `parts` and `limit` occurs once, so that a script
    /// can pick a figure without a JSON parser.
    pub(crate) fn to_json(&self) -> String {
        let settings: Map<String, Value> =
            self.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let figures: Map<String, Value> =
            self.figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let router = |figure: fn(Usage) -> f64| self.router.map(figure);
        let own = |figure: fn(Usage) -> f64| self.own.map(figure);
        let mut object = json!({
            "scenario": self.kind,
            "operation": self.operation,
            "settings": settings,
            "seconds": self.seconds,
            "operations": self.operations,
            "operations_per_second": self.rate(),
            "latency_us": self.latency,
            "router_cpu_us_per_operation": router(|usage| usage.micros_per_operation),
            "router_cpu_percent": router(|usage| usage.percent),
            "router_rss_kib": self.router_rss_kib,
            "generator_cpu_us_per_operation": own(|usage| usage.micros_per_operation),
            "generator_cpu_percent": own(|usage| usage.percent),
            "generator_busiest_thread_percent": self.busiest_thread_percent,
            "generator_saturated": self.is_saturated(),
            "generator_late": self.is_late,
            "figures": figures,
            "faults": self.faults,
            "failures": self.failures,
            "passed": self.passed(),
        });
        if let Some(name) = &self.name {
            object["name"] = json!(name);
        }
        if !self.parts.is_empty() {
            object["parts"] = json!(self.parts);
        }
        if let Some(limit) = &self.limit {
            object["limit"] = json!(limit);
        }
        object.to_string()
    }

    fn rate(&self) -> f64 {
        per_second(self.operations, self.seconds)
    }

    fn usage(&self, time: Duration) -> Usage {
        Usage {
            micros_per_operation: time.as_secs_f64() * 1e6 / self.operations.max(1) as f64,
            percent: percent(time, self.seconds),
        }
    }

    fn is_saturated(&self) -> bool {
        self.busiest_thread_percent.is_some_and(|percent| percent >= SATURATED_PERCENT)
    }
}

/// Above this a thread has hardly waited for the router.
const SATURATED_PERCENT: f64 = 90.0;

fn percent(time: Duration, seconds: f64) -> f64 {
    if seconds > 0.0 { time.as_secs_f64() / seconds * 100.0 } else { 0.0 }
}

fn per_second(operations: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { operations as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A report with something in every part.
    pub(crate) fn report() -> Report {
        let mut tally = Tally::new();
        (0..1000).for_each(|_| tally.record(7, 5_007));
        let mut report = Report::bare("rpc", "calls");
        report.setting("in_flight", 64);
        report.set_total(2.0, &mut tally);
        report.set_router_time(Duration::from_secs(1));
        report.figure("router_growth_bytes_per_session", 12.5);
        report.began = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        report.intervals = (0..4)
            .map(|number| {
                let mut latencies = crate::stats::new_histogram();
                latencies.record_n(5_000, 250).unwrap();
                Interval { start: f64::from(number) * 0.5, seconds: 0.5, latencies }
            })
            .collect();
        report
    }

    #[test]
    fn the_object_has_the_figures() {
        let object: Value = serde_json::from_str(&report().to_json()).unwrap();
        assert_eq!(object["operations_per_second"], 500.0);
        assert_eq!(object["router_cpu_us_per_operation"], 1000.0);
        assert_eq!(object["router_cpu_percent"], 50.0);
        assert_eq!(object["settings"]["in_flight"], 64);
        assert_eq!(object["figures"]["router_growth_bytes_per_session"], 12.5);
        assert!(object["latency_us"]["p99.9"].as_f64().unwrap() >= 5.0);
        assert_eq!(object["passed"], true);
        assert_eq!(object.get("name"), None);
        let named = Report { name: Some("x".to_owned()), ..report() };
        let object: Value = serde_json::from_str(&named.to_json()).unwrap();
        assert_eq!(object["name"], "x");
    }

    #[test]
    fn a_fault_fails_the_run() {
        let mut with_fault = report();
        with_fault.faults.lost = 1;
        assert!(!with_fault.passed());
        assert!(with_fault.to_table().contains("lost 1,"));
        assert!(with_fault.problem().unwrap().contains("lost 1,"));
        let mut with_failure = report();
        with_failure.fail("leak".to_owned());
        assert!(!with_failure.passed());
        assert_eq!(with_failure.problem().as_deref(), Some("leak"));
    }

    #[test]
    fn nothing_done_is_a_failure() {
        let mut empty = Report::bare("rpc", "calls");
        empty.set_total(1.0, &mut Tally::new());
        assert!(!empty.passed());
    }

    #[test]
    fn what_was_never_begun_is_a_failure() {
        let mut late = report();
        let mut tally = Tally::new();
        tally.record(0, 1);
        tally.unsent = 3;
        let own = crate::scenarios::OwnUse { processor_time: Duration::ZERO, busiest_thread: Duration::ZERO };
        let measured = Measured {
            seconds: 1.0,
            began: SystemTime::UNIX_EPOCH,
            looked_seconds: 1.0,
            router: None,
            own,
            intervals: Vec::new(),
        };
        late.set_measured(&measured, &mut tally);
        assert!(late.problem().unwrap().contains("3 operations were due and never begun"));
    }
}
