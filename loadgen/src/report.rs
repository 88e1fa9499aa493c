//! What is printed at the end: a table for people, an object for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::{Common, Window};
use crate::scenarios::Measured;
use crate::stats::{Faults, Latency, Tally};

/// The outcome of one run.
#[derive(Debug)]
pub(crate) struct Report {
    scenario: &'static str,
    /// What an operation is, in the plural.
    operation: &'static str,
    settings: Vec<(&'static str, Value)>,
    seconds: f64,
    operations: u64,
    latency: Option<Latency>,
    router: Option<Usage>,
    router_rss_kib: Option<u64>,
    own: Option<Usage>,
    /// Share of one core that the busiest thread of this generator used.
    busiest_thread_percent: Option<f64>,
    /// Figures that only this scenario has; the name ends with the unit.
    figures: Vec<(&'static str, f64)>,
    faults: Faults,
    /// Why the run has failed, besides faults.
    failures: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Usage {
    micros_per_operation: f64,
    percent: f64,
}

impl Report {
    /// A report of a run against a router.
    pub(crate) fn new(scenario: &'static str, operation: &'static str, common: &Common) -> Report {
        let mut report = Report::bare(scenario, operation);
        report.setting("url", common.url.as_str());
        report.setting("realm", common.realm.as_str());
        report.setting("serializer", common.serializer.serializer().name());
        report.setting("threads", common.threads);
        report
    }

    /// A report of a run without a router.
    pub(crate) fn bare(scenario: &'static str, operation: &'static str) -> Report {
        Report {
            scenario,
            operation,
            settings: Vec::new(),
            seconds: 0.0,
            operations: 0,
            latency: None,
            router: None,
            router_rss_kib: None,
            own: None,
            busiest_thread_percent: None,
            figures: Vec::new(),
            faults: Faults::default(),
            failures: Vec::new(),
        }
    }

    /// Adds what was asked for.
    pub(crate) fn setting(&mut self, name: &'static str, value: impl Into<Value>) {
        self.settings.push((name, value.into()));
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
    pub(crate) fn set_total(&mut self, seconds: f64, tally: &Tally) {
        self.seconds = seconds;
        self.operations = tally.operations;
        self.latency = tally.latency();
        self.faults = tally.faults.clone();
        if tally.operations == 0 {
            self.fail("nothing was done in the measured time".to_owned());
        }
    }

    /// Sets what was counted and used in a measured window.
    pub(crate) fn set_window(&mut self, window: &Window, measured: &Measured, tally: &Tally) {
        self.setting("warmup_seconds", window.warmup.as_secs_f64());
        self.set_total(window.duration.as_secs_f64(), tally);
        // The samples are taken a little late, one more than the other.
        let seconds = self.seconds;
        let in_window = |time: Duration| time.mul_f64(seconds / measured.seconds);
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

    /// The report as one JSON object. Every name but those of `settings` occurs once, so that a script can pick a
    /// figure without a JSON parser.
    pub(crate) fn to_json(&self) -> String {
        let settings: Map<String, Value> =
            self.settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let figures: Map<String, Value> =
            self.figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let router = |figure: fn(Usage) -> f64| self.router.map(figure);
        let own = |figure: fn(Usage) -> f64| self.own.map(figure);
        json!({
            "scenario": self.scenario,
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
            "figures": figures,
            "faults": self.faults,
            "failures": self.failures,
            "passed": self.passed(),
        })
        .to_string()
    }

    /// The report as a table.
    pub(crate) fn to_table(&self) -> String {
        let mut table = self.scenario.to_owned();
        for (name, value) in &self.settings {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(table, "  {}={value}", name.replace('_', "-"));
        }
        let mut line = |name: &str, text: String| {
            let _ = write!(table, "\n  {name:<14}{text}");
        };
        let noun = self.operation;
        line(
            "throughput",
            format!("{:.0} {noun}/s ({} in {:.2} s)", self.rate(), self.operations, self.seconds),
        );
        if let Some(l) = self.latency {
            let [min, p50, p90, p99, p999, max] = [l.min, l.p50, l.p90, l.p99, l.p999, l.max];
            line(
                "latency, us",
                format!(
                    "min {min:.1}  p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {max:.1}"
                ),
            );
        }
        let describe = |usage: Usage| {
            format!(
                "{:.2} us CPU per operation, {:.0} % of a core",
                usage.micros_per_operation, usage.percent
            )
        };
        if let Some(router) = self.router {
            let memory = self.router_rss_kib.map(|kib| format!(", {:.1} MiB resident", kib as f64 / 1024.0));
            line("router", describe(router) + &memory.unwrap_or_default());
        }
        if let Some((own, busiest)) = self.own.zip(self.busiest_thread_percent) {
            line("generator", format!("{}, busiest thread {busiest:.0} %", describe(own)));
        }
        for (name, value) in &self.figures {
            let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
            line("", format!("{}: {text}", name.replace('_', " ")));
        }
        line("faults", self.faults_text());
        for failure in &self.failures {
            line("failed", failure.clone());
        }
        if self.is_saturated() {
            line(
                "warning",
                "the generator is saturated: use more --threads, or the figures are its own".to_owned(),
            );
        }
        table
    }

    fn faults_text(&self) -> String {
        let Faults { lost, duplicated, reordered, wrong, errors, first_error } = &self.faults;
        if self.faults.total() == 0 {
            return "none".to_owned();
        }
        let mut text = format!(
            "lost {lost}, duplicated {duplicated}, reordered {reordered}, wrong {wrong}, errors {errors}"
        );
        if let Some(first) = first_error {
            let _ = write!(text, " (first: {first})");
        }
        text
    }

    fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.operations as f64 / self.seconds } else { 0.0 }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn report() -> Report {
        let mut tally = Tally::new();
        (0..1000).for_each(|_| tally.record(5_000));
        let mut report = Report::bare("rpc", "calls");
        report.setting("in_flight", 64);
        report.set_total(2.0, &tally);
        report.set_router_time(Duration::from_secs(1));
        report.figure("router_growth_bytes_per_session", 12.5);
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
    }

    #[test]
    fn the_table_has_the_figures() {
        let table = report().to_table();
        for part in [
            "in-flight=64",
            "500 calls/s",
            "p50 5.0",
            "1000.00 us CPU",
            "session: 12.50",
            "faults        none",
        ] {
            assert!(table.contains(part), "{part:?} in\n{table}");
        }
    }

    #[test]
    fn a_fault_fails_the_run() {
        let mut with_fault = report();
        with_fault.faults.lost = 1;
        assert!(!with_fault.passed());
        assert!(with_fault.to_table().contains("lost 1,"));
        let mut with_failure = report();
        with_failure.fail("leak".to_owned());
        assert!(!with_failure.passed());
    }

    #[test]
    fn nothing_done_is_a_failure() {
        let mut empty = Report::bare("rpc", "calls");
        empty.set_total(1.0, &Tally::new());
        assert!(!empty.passed());
    }

    #[test]
    fn saturation_is_said() {
        let mut busy = report();
        busy.busiest_thread_percent = Some(97.0);
        assert!(busy.to_table().contains("saturated"));
    }
}
