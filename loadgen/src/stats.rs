//! What is counted: operations, latencies, faults.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::control::Control;

/// The counts of one worker, or of all.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Operations that were measured.
    pub(crate) operations: u64,
    /// Publications begun in the measured window (pubsub only).
    pub(crate) publications: u64,
    /// How late the operations of an open loop were begun, in nanoseconds.
    late: Histogram<u64>,
    /// Operations that an open loop should have begun in the window and never did.
    pub(crate) unsent: u64,
    /// Nanoseconds per operation, but for those in `recent`.
    latency: Histogram<u64>,
    /// Those that have not been told to the main thread yet.
    recent: Histogram<u64>,
    last_end: u64,
    faults_told: u64,
    pub(crate) faults: Faults,
}

/// What must not happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    /// Calls without an answer, events that were not delivered.
    pub(crate) lost: u64,
    /// Results and events that came again.
    pub(crate) duplicated: u64,
    /// Events and invocations that came after a later one of the same sender.
    pub(crate) reordered: u64,
    /// Messages with a payload or id that is not the expected one.
    pub(crate) wrong: u64,
    /// ERROR messages, failed joins and sessions that ended before their time.
    pub(crate) errors: u64,
    /// The first of the errors in words.
    pub(crate) first_error: Option<String>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    #[serde(rename = "p99.9")]
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Tally {
    /// Nothing counted.
    pub(crate) fn new() -> Tally {
        Tally {
            operations: 0,
            publications: 0,
            late: new_histogram(),
            unsent: 0,
            latency: new_histogram(),
            recent: new_histogram(),
            last_end: 0,
            faults_told: 0,
            faults: Faults::default(),
        }
    }

    /// Counts one operation that was due at `due` and has ended at `now` (nanoseconds).
    pub(crate) fn record(&mut self, due: u64, now: u64) {
        self.operations += 1;
        self.last_end = now;
        self.recent.saturating_record(now.saturating_sub(due));
    }

    /// Notes how late an operation of an open loop is begun.
    pub(crate) fn begin(&mut self, due: u64, now: u64) {
        self.late.saturating_record(now.saturating_sub(due));
    }

    /// How late operations were begun; `None` in a closed loop.
    pub(crate) fn lateness(&self) -> Option<Latency> {
        Latency::of(&self.late)
    }

    /// Tells the main thread what was counted since the last time.
    pub(crate) fn tell(&mut self, control: &Control) {
        if !self.recent.is_empty() {
            control.add_recent(&self.recent, self.last_end);
            self.settle();
        }
        let faults = self.faults.total();
        control.faults.fetch_add(faults - self.faults_told, std::sync::atomic::Ordering::Relaxed);
        self.faults_told = faults;
    }

    /// All latencies.
    pub(crate) fn histogram(&mut self) -> &Histogram<u64> {
        self.settle();
        &self.latency
    }

    fn settle(&mut self) {
        self.latency.add(&self.recent).expect("all histograms have the same bounds");
        self.recent.reset();
    }

    /// Adds the counts of another worker.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.operations += other.operations;
        self.publications += other.publications;
        self.late.add(&other.late).expect("all histograms have the same bounds");
        self.unsent += other.unsent;
        self.latency.add(&other.latency).expect("all histograms have the same bounds");
        self.latency.add(&other.recent).expect("all histograms have the same bounds");
        self.faults.add(&other.faults);
    }

    /// The distribution of latencies; `None` if nothing was recorded.
    pub(crate) fn latency(&mut self) -> Option<Latency> {
        Latency::of(self.histogram())
    }
}

impl Latency {
    /// The distribution in a histogram of nanoseconds; `None` if it is empty.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Latency> {
        if histogram.is_empty() {
            return None;
        }
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        Some(Latency {
            min: micros(histogram.min()),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(histogram.max()),
        })
    }
}

/// An empty histogram of nanoseconds; all have the same bounds.
pub(crate) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, 3).expect("the bounds are in order")
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults { lost, duplicated, reordered, wrong, errors, first_error } = self;
        if self.total() == 0 {
            return f.write_str("none");
        }
        write!(
            f,
            "lost {lost}, duplicated {duplicated}, reordered {reordered}, wrong {wrong}, errors {errors}"
        )?;
        first_error.as_ref().map_or(Ok(()), |first| write!(f, " (first: {first})"))
    }
}

impl Faults {
    /// Counts an error and keeps the words of the first.
    pub(crate) fn error(&mut self, words: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(words);
    }

    /// All faults together.
    pub(crate) fn total(&self) -> u64 {
        self.lost + self.duplicated + self.reordered + self.wrong + self.errors
    }

    fn add(&mut self, other: &Faults) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.wrong += other.wrong;
        self.errors += other.errors;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }
}

/// Ten minutes; what takes longer counts as that.
const LATENCY_NANOS_MAX: u64 = 600_000_000_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn tallies_add_up() {
        let mut all = Tally::new();
        assert_eq!(all.latency(), None);
        let mut one = Tally::new();
        for micros in 1..=1000 {
            one.record(7, 7 + micros * 1000);
        }
        one.faults.error(|| "first".to_owned());
        one.faults.error(|| "second".to_owned());
        one.faults.lost = 3;
        all.add(&one);
        all.add(&one);
        assert_eq!(all.operations, 2000);
        assert_eq!(all.faults.total(), 10);
        assert_eq!(all.faults.first_error.as_deref(), Some("first"));
        let latency = all.latency().unwrap();
        assert!((latency.p50 - 500.0).abs() < 5.0, "{latency:?}");
        assert!((latency.p99 - 990.0).abs() < 10.0, "{latency:?}");
        assert!((latency.max - 1000.0).abs() < 5.0, "{latency:?}");
    }

    #[test]
    fn a_latency_beyond_the_bounds_is_kept() {
        let mut tally = Tally::new();
        tally.record(0, u64::MAX);
        tally.record(5, 3);
        assert_eq!(tally.operations, 2);
        assert!(tally.latency().unwrap().max >= 6e8);
    }
}
