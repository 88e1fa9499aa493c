//! The search for the highest rate that a router holds: open-loop runs at rising rates until the 99th percentile of the
//! latency passes a bound or something fails, then at rates in between.

use super::demand::Demand;
use super::{Failure, load};
use crate::cli::{LimitArguments, LimitScenario};
use crate::report::{Limit, Report, Step};

/// Finds the limit and tells each step to `say`. The report is that of the run at the highest rate that held.
pub(crate) fn find(arguments: &LimitArguments, mut say: impl FnMut(String)) -> Result<Report, Failure> {
    let mut demand = match &arguments.scenario {
        LimitScenario::Rpc(scenario) => Demand::rpc(scenario),
        LimitScenario::Pubsub(scenario) => Demand::pubsub(scenario),
        LimitScenario::Mixed(scenario) => Demand::mixed(scenario),
    };
    if demand.window.rate.is_some() || demand.window.count.is_some() {
        return Err(Failure::Usage(
            "find-limit chooses the rate itself: no --rate and no --count".to_owned(),
        ));
    }
    if arguments.rate_start > arguments.rate_max {
        return Err(Failure::Usage("--rate-start is above --rate-max".to_owned()));
    }
    demand.check()?;
    search(arguments, &mut say, |rate| {
        demand.window.rate = Some(rate);
        load::run(&demand)
    })
}

fn search(
    arguments: &LimitArguments,
    say: &mut dyn FnMut(String),
    mut attempt: impl FnMut(f64) -> Result<Report, Failure>,
) -> Result<Report, Failure> {
    let p99_max_us = arguments.p99_max * 1e3;
    let mut steps: Vec<Step> = Vec::new();
    let mut best: Option<(f64, Report)> = None;
    let mut last = None;
    // The lowest rate that is known not to hold.
    let mut broken: Option<f64> = None;
    let mut rate = arguments.rate_start;
    let mut refinements = 0;
    loop {
        let (step, report) = match attempt(rate) {
            Ok(report) => (judge(rate, &report, p99_max_us), Some(report)),
            // If not even the first run can be carried out, it is not because of the rate.
            Err(failure) if steps.is_empty() => return Err(failure),
            Err(Failure::Usage(reason) | Failure::Run(reason)) => {
                (Step { rate, step_p99_us: None, problem: Some(reason) }, None)
            }
        };
        say(describe(&step));
        let has_held = step.problem.is_none();
        steps.push(step);
        match report {
            Some(report) if has_held => best = Some((rate, report)),
            report => {
                broken = Some(rate);
                last = report.or(last);
            }
        }
        let held = best.as_ref().map_or(0.0, |(rate, _)| *rate);
        rate = match broken {
            None if held >= arguments.rate_max => break,
            None => (held * arguments.factor).min(arguments.rate_max),
            Some(_) if refinements == arguments.refinements => break,
            Some(broken) => {
                refinements += 1;
                f64::midpoint(held, broken)
            }
        };
    }
    let limit_per_second = best.as_ref().map_or(0.0, |(rate, _)| *rate);
    let found = best.map(|(_, report)| report).or_else(|| {
        let mut report = last?;
        report.fail(format!("no rate held a p99 of {} ms", arguments.p99_max));
        Some(report)
    });
    let mut report = found.ok_or_else(|| Failure::Run("no run could be carried out".to_owned()))?;
    report.limit = Some(Limit { p99_max_us, limit_per_second, steps });
    Ok(report)
}

fn judge(rate: f64, report: &Report, p99_max_us: f64) -> Step {
    let step_p99_us = report.p99();
    let problem = report.problem().or_else(|| match step_p99_us {
        Some(p99) if p99 <= p99_max_us => None,
        Some(_) => Some("p99 is above the bound".to_owned()),
        None => Some("nothing was measured".to_owned()),
    });
    Step { rate, step_p99_us, problem }
}

fn describe(step: &Step) -> String {
    let p99 = step.step_p99_us.map_or_else(|| "-".to_owned(), |p99| format!("{p99:.1} us"));
    format!("{:>12.0}/s  p99 {p99:>14}  {}", step.rate, step.problem.as_deref().unwrap_or("held"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;
    use crate::cli::{Arguments, Command};
    use crate::stats::Tally;

    fn arguments(line: &str) -> LimitArguments {
        let line = format!("x find-limit {line} rpc --url rs://h:1");
        match Arguments::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::FindLimit(arguments) => arguments,
            _ => panic!(),
        }
    }

    /// A router that answers within 1 ms up to a rate, and within 100 ms beyond it.
    fn report(rate: f64, limit: f64) -> Report {
        let mut tally = Tally::new();
        (0..1000).for_each(|_| tally.record(0, if rate <= limit { 1_000_000 } else { 100_000_000 }));
        let mut report = Report::bare("rpc", "calls");
        report.set_total(1.0, &mut tally);
        report
    }

    fn limit_of(line: &str, limit: f64) -> (Report, Vec<f64>) {
        let mut told = 0;
        let report = search(&arguments(line), &mut |_| told += 1, |rate| Ok(report(rate, limit))).unwrap();
        let rates: Vec<f64> = report.limit.as_ref().unwrap().steps.iter().map(|step| step.rate).collect();
        assert_eq!(told, rates.len());
        (report, rates)
    }

    #[test]
    fn the_limit_is_closed_in() {
        let (report, rates) = limit_of("--p99-max 5 --rate-start 1000 --refinements 2", 5_000.0);
        assert_eq!(rates, [1_000.0, 2_000.0, 4_000.0, 8_000.0, 6_000.0, 5_000.0]);
        assert_eq!(report.limit.as_ref().unwrap().limit_per_second, 5_000.0);
        assert!(report.passed());
    }

    #[test]
    fn it_goes_down_from_too_high_a_start() {
        let (report, rates) = limit_of("--p99-max 5 --rate-start 1000 --refinements 2", 600.0);
        assert_eq!(rates, [1_000.0, 500.0, 750.0]);
        assert_eq!(report.limit.unwrap().limit_per_second, 500.0);
    }

    #[test]
    fn it_stops_at_the_highest_rate() {
        let (report, rates) = limit_of("--p99-max 5 --rate-start 1000 --rate-max 3000", 1e9);
        assert_eq!(rates, [1_000.0, 2_000.0, 3_000.0]);
        assert_eq!(report.limit.unwrap().limit_per_second, 3_000.0);
    }

    #[test]
    fn no_rate_at_all_is_a_failure() {
        let (report, _) = limit_of("--p99-max 5 --rate-start 1000", 0.0);
        assert!(!report.passed());
        assert_eq!(report.limit.unwrap().limit_per_second, 0.0);
    }

    #[test]
    fn a_run_that_breaks_off_did_not_hold() {
        let outcome = search(&arguments("--p99-max 5 --refinements 0"), &mut |_| {}, |rate| {
            if rate > 1_500.0 { Err(Failure::Run("cut off".to_owned())) } else { Ok(report(rate, 1e9)) }
        });
        let limit = outcome.unwrap().limit.unwrap();
        assert_eq!(limit.limit_per_second, 1_000.0);
        assert_eq!(limit.steps[1].problem.as_deref(), Some("cut off"));
        let first =
            search(&arguments("--p99-max 5"), &mut |_| {}, |_| Err(Failure::Run("nobody".to_owned())));
        assert_eq!(first.unwrap_err(), Failure::Run("nobody".to_owned()));
    }
}
