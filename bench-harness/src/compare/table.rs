//! What is printed: a table for people, an object for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Outcome, Plan, Sample};

/// Median and range of one figure over the runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; the mean of both if there are two.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these, if there are any.
    pub fn of(mut figures: Vec<f64>) -> Option<Spread> {
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let (low, high) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Some(Spread { median: (low + high) / 2.0, min, max })
    }
}

fn spread(outcome: &Outcome, figure: fn(&Sample) -> f64) -> Option<Spread> {
    Spread::of(outcome.samples.iter().map(figure).collect())
}

/// The processor time per operation in relation to that of the first router in the same scenario.
fn ratio(outcomes: &[Outcome], outcome: &Outcome) -> Option<f64> {
    let first = outcomes.iter().find(|other| other.scenario == outcome.scenario)?;
    let cpu = |outcome| spread(outcome, |sample| sample.cpu_us).map(|cpu| cpu.median);
    Some(cpu(outcome)? / cpu(first)?)
}

/// For people.
pub fn text(plan: &Plan, outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{:<18} {:<16} {:>9} {:>19} {:>6} {:>12} {:>9} {:>9} {:>9}\n",
        "scenario", "router", "us CPU/op", "range", "ratio", "op/s", "p50 us", "p99 us", "RSS MiB"
    );
    for outcome in outcomes {
        let (scenario, target) = (&plan.scenarios[outcome.scenario].name, &plan.targets[outcome.target].name);
        let _ = write!(text, "{scenario:<18} {target:<16} ");
        if let Some(cpu) = spread(outcome, |sample| sample.cpu_us) {
            let median = |figure| spread(outcome, figure).map_or(f64::NAN, |spread| spread.median);
            let range = format!("{:.3} to {:.3}", cpu.min, cpu.max);
            let _ = write!(
                text,
                "{:>9.3} {range:>19} {:>6.2} {:>12.0} {:>9.0} {:>9.0} {:>9.1}",
                cpu.median,
                ratio(outcomes, outcome).unwrap_or(f64::NAN),
                median(|sample| sample.rate),
                median(|sample| sample.p50),
                median(|sample| sample.p99),
                median(|sample| sample.resident_kib) / 1024.0,
            );
            if outcome.samples.iter().any(|sample| sample.is_saturated) {
                text.push_str(" (generator saturated)");
            }
        }
        text.push('\n');
        for failure in &outcome.failures {
            let _ = writeln!(text, "    failed: {failure}");
        }
    }
    text
}

/// For programs.
pub fn object(plan: &Plan, outcomes: &[Outcome]) -> Value {
    let entry = |outcome: &Outcome| {
        let figure = |figure| {
            spread(outcome, figure).map(|it| json!({ "median": it.median, "min": it.min, "max": it.max }))
        };
        json!({
            "scenario": plan.scenarios[outcome.scenario].name,
            "arguments": plan.scenarios[outcome.scenario].arguments.join(" "),
            "router": plan.targets[outcome.target].name,
            "command": plan.targets[outcome.target].command,
            "cpu_us_per_operation": figure(|sample| sample.cpu_us),
            "cpu_ratio_to_first": ratio(outcomes, outcome),
            "operations_per_second": figure(|sample| sample.rate),
            "p50_us": figure(|sample| sample.p50),
            "p99_us": figure(|sample| sample.p99),
            "resident_kib": figure(|sample| sample.resident_kib),
            "failures": outcome.failures,
            "reports": outcome.samples.iter().map(|sample| sample.report.clone()).collect::<Vec<_>>(),
        })
    };
    json!({
        "rounds": plan.rounds,
        "duration_seconds": plan.duration,
        "warmup_seconds": plan.warmup,
        "outcomes": outcomes.iter().map(entry).collect::<Vec<_>>(),
    })
}
