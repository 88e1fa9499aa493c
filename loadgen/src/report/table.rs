//! The report as a table for people.

use std::fmt::Write as _;

use super::{Limit, Report, Usage};
use crate::stats::Latency;

impl Report {
    /// The report as a table.
    pub(crate) fn to_table(&self) -> String {
        let mut table = match &self.name {
            Some(name) => format!("{name}: {}", self.kind),
            None => self.kind.to_owned(),
        };
        for (name, value) in &self.settings {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(table, "  {}={value}", name.replace('_', "-"));
        }
        for (name, text) in self.lines() {
            let _ = write!(table, "\n  {name:<14}{text}");
        }
        table
    }

    /// Name and text of each line.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        let mut line = |name: &str, text: String| lines.push((name.to_owned(), text));
        let (rate, noun) = (self.rate(), self.operation);
        line("throughput", format!("{rate:.0} {noun}/s ({} in {:.2} s)", self.operations, self.seconds));
        if let Some(latency) = self.latency {
            line("latency, us", latency_text(latency));
        }
        for part in &self.parts {
            let latency = part.latency_us.map_or_else(|| "none".to_owned(), latency_text);
            line(part.operation, format!("{:.0}/s, latency, us: {latency}", part.operations_per_second));
        }
        if let Some(router) = self.router {
            let memory = self.router_rss_kib.map(|kib| format!(", {:.1} MiB resident", kib as f64 / 1024.0));
            line("router", usage_text(router) + &memory.unwrap_or_default());
        }
        if let Some((own, busiest)) = self.own.zip(self.busiest_thread_percent) {
            line("generator", format!("{}, busiest thread {busiest:.0} %", usage_text(own)));
        }
        for (name, value) in &self.figures {
            let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
            line("", format!("{}: {text}", name.replace('_', " ")));
        }
        if let Some(limit) = &self.limit {
            line("limit", limit_text(limit));
        }
        line("faults", self.faults.to_string());
        for failure in &self.failures {
            line("failed", failure.clone());
        }
        if self.is_saturated() {
            let advice = "the generator is saturated: use more --threads, or the figures are its own";
            line("warning", advice.to_owned());
        }
        if self.is_late {
            let advice = "the generator began operations late: its threads or this machine are busy, and so the latency is theirs";
            line("warning", advice.to_owned());
        }
        lines
    }
}

fn latency_text(latency: Latency) -> String {
    let Latency { min, p50, p90, p99, p999, max } = latency;
    format!("min {min:.1}  p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {max:.1}")
}

fn usage_text(usage: Usage) -> String {
    format!("{:.2} us CPU per operation, {:.0} % of a core", usage.micros_per_operation, usage.percent)
}

fn limit_text(limit: &Limit) -> String {
    let bound = limit.p99_max_us / 1e3;
    if limit.limit_per_second > 0.0 {
        format!("{:.0} operations begun a second, with p99 at most {bound} ms", limit.limit_per_second)
    } else {
        format!("no rate held p99 at most {bound} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

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
    fn what_is_the_generators_own_is_said() {
        let busy = Report { busiest_thread_percent: Some(97.0), ..report() };
        assert!(busy.to_table().contains("saturated"));
        let late = Report { is_late: true, ..report() };
        assert!(late.to_table().contains("began operations late"));
    }
}
