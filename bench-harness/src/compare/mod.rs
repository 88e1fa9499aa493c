//! Compares routers: the same scenarios in turn (A B A B ...), medians, ranges and ratios of processor time per operation.
//!
//! Owns: the order of runs and the sums. [`target`] starts and stops routers, [`scenario`] knows what to run,
//! [`table`] prints. Does not: put load on anything (a generator does, a process of its own).
//!
//! Processor time is that of the router's whole tree of processes. Where that is one process, the generator looks at it at
//! the ends of its window; else it is looked at from outside while the load is steady, and divided by the generator's rate.

mod run;
pub mod scenario;
pub mod table;
pub mod target;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scenario::Scenario;
use serde_json::Value;
use target::{Running, Target};

/// What to compare.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The routers; ratios are to the first.
    pub targets: Vec<Target>,
    /// What to run on each.
    pub scenarios: Vec<Scenario>,
    /// How often.
    pub rounds: u32,
    /// Seconds that a run is measured.
    pub duration: f64,
    /// Seconds of load before that.
    pub warmup: f64,
    /// The generators.
    pub generators: Generators,
    /// Set when all is to be stopped.
    pub interrupted: Arc<AtomicBool>,
}

/// The programs that put load on routers.
#[derive(Clone, Debug)]
pub struct Generators {
    /// For WAMP routers and the floor.
    pub wamp: PathBuf,
    /// For NATS.
    pub nats: PathBuf,
}

/// One run of one scenario on one router.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Processor time of the router's processes per operation, in microseconds.
    pub cpu_us: f64,
    /// Operations per second.
    pub rate: f64,
    /// Latency in microseconds.
    pub p50: f64,
    /// Latency in microseconds.
    pub p99: f64,
    /// Resident memory of the router's processes while the load was steady, in KiB.
    pub resident_kib: f64,
    /// The generator was saturated: rate and latency are its own.
    pub is_saturated: bool,
    /// The generator's report.
    pub report: Value,
}

/// All runs of one scenario on one router.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Index into [`Plan::scenarios`].
    pub scenario: usize,
    /// Index into [`Plan::targets`].
    pub target: usize,
    /// The runs that passed.
    pub samples: Vec<Sample>,
    /// What went wrong in the others.
    pub failures: Vec<String>,
}

/// Runs everything. Routers are stopped when it returns, whatever happens.
///
/// # Errors
/// When a router cannot be started. A run that fails is no error: it is in its outcome. An interruption ends the comparison early.
pub fn compare(plan: &Plan, mut progress: impl FnMut(&str)) -> Result<Vec<Outcome>, String> {
    let mut running: Vec<Running> = Vec::new();
    for target in &plan.targets {
        progress(&format!("starting {}", target.name));
        running.push(Running::start(target, &plan.interrupted)?);
    }
    let mut outcomes = Vec::new();
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        let first = outcomes.len();
        let able = plan.targets.iter().enumerate().filter(|(_, target)| scenario.suits(target));
        outcomes.extend(able.map(|(target, _)| Outcome {
            scenario: index,
            target,
            samples: Vec::new(),
            failures: Vec::new(),
        }));
        for round in 1..=plan.rounds {
            for outcome in &mut outcomes[first..] {
                if plan.interrupted.load(Ordering::Relaxed) {
                    return Ok(outcomes);
                }
                let router = &running[outcome.target];
                match run::run(plan, scenario, router) {
                    Ok(sample) => {
                        progress(&format!(
                            "{} {round}/{}: {}: {:.3} us CPU, {:.0}/s",
                            scenario.name, plan.rounds, router.target.name, sample.cpu_us, sample.rate
                        ));
                        outcome.samples.push(sample);
                    }
                    Err(failure) => {
                        progress(&format!("{} {round}: {}: {failure}", scenario.name, router.target.name));
                        outcome.failures.push(failure);
                    }
                }
            }
        }
    }
    Ok(outcomes)
}

/// How long is waited between two looks at something outside.
const LOOK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
