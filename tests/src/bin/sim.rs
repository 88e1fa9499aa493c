//! Runs the simulation over many seeds, or one plan with its log.
//!
//! `sim --seeds 1000000 [--from 0] [--shards N] [--threads N]` runs seeds and stops at the first that fails, whose plan it makes
//! smaller. `--authentication 1` runs the clients that authenticate alone.
//! `sim --seed S [--shards N] [--lane-batches N] [--steps N] [--clients N] [--muted MASK]` runs one plan.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use wampline_tests::sim::{Failure, Plan, Summary, run, run_authentication, shrink, watch_panics};

/// Lines of the log that are printed.
const LOG_LINES_MAX: usize = 400;

#[derive(Default)]
struct Arguments {
    seeds: Option<u64>,
    from: u64,
    seed: Option<u64>,
    shards: Option<u16>,
    lane_batches: Option<usize>,
    steps: Option<usize>,
    clients: Option<usize>,
    muted: u64,
    threads: Option<usize>,
    /// Only the clients that authenticate.
    authentication: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    watch_panics();
    match arguments.seed {
        Some(seed) => one(&arguments, &plan(&arguments, seed)),
        None => many(&arguments),
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number: u64 = value.parse().map_err(|_| format!("{word}: {value} is not a number"))?;
        match word.as_str() {
            "--seeds" => arguments.seeds = Some(number),
            "--from" => arguments.from = number,
            "--seed" => arguments.seed = Some(number),
            "--shards" if (1..=128).contains(&number) => arguments.shards = Some(number as u16),
            "--lane-batches" if number > 0 => arguments.lane_batches = Some(number as usize),
            "--steps" => arguments.steps = Some(number as usize),
            "--clients" if (1..=64).contains(&number) => arguments.clients = Some(number as usize),
            "--authentication" => arguments.authentication = number > 0,
            "--muted" => arguments.muted = number,
            "--threads" if number > 0 => arguments.threads = Some(number as usize),
            _ => return Err(format!("{word} {value} is not understood")),
        }
    }
    Ok(arguments)
}

fn plan(arguments: &Arguments, seed: u64) -> Plan {
    let mut plan = match arguments.shards {
        Some(shards) => Plan::with_shards(seed, shards),
        None => Plan::of_seed(seed),
    };
    plan.lane_batches = arguments.lane_batches.unwrap_or(plan.lane_batches);
    plan.steps = arguments.steps.unwrap_or(plan.steps);
    plan.clients = arguments.clients.unwrap_or(plan.clients);
    plan.muted = arguments.muted;
    plan
}

fn run_part(arguments: &Arguments, plan: &Plan, log: bool) -> Result<Summary, Box<Failure>> {
    if arguments.authentication { run_authentication(plan, log) } else { run(plan, log) }
}

fn one(arguments: &Arguments, plan: &Plan) -> ExitCode {
    match run_part(arguments, plan, true) {
        Ok(summary) => {
            println!("{plan}: {summary:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            print_log(&failure.log);
            println!("FAILED {plan}\n{}", failure.what);
            ExitCode::FAILURE
        }
    }
}

fn many(arguments: &Arguments) -> ExitCode {
    let seeds = arguments.seeds.unwrap_or(1000);
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(available);
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(seeds);
    let (stop, total, begun) = (AtomicBool::new(false), Mutex::new(Summary::default()), Instant::now());
    let worker = || {
        let mut summary = Summary::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            match run_part(arguments, &plan(arguments, seed), false) {
                Ok(of_run) => summary.add(&of_run),
                Err(failure) => {
                    stop.store(true, Ordering::Relaxed);
                    println!("seed {seed} fails: {}", failure.what);
                    report(arguments, &plan(arguments, seed));
                    break;
                }
            }
            let done = seed + 1 - arguments.from;
            if done.is_multiple_of((seeds / 100).max(1000)) {
                println!("{done} of {seeds} seeds, {:.0} s", begun.elapsed().as_secs_f64());
            }
        }
        total.lock().expect("no thread panics while it adds").add(&summary);
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(worker))));
    if stop.load(Ordering::Relaxed) {
        return ExitCode::FAILURE;
    }
    let total = total.lock().expect("no thread panics while it adds");
    println!(
        "{seeds} seeds from {} passed in {:.0} s: {total:?}",
        arguments.from,
        begun.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

fn report(arguments: &Arguments, plan: &Plan) {
    if arguments.authentication {
        let _ = one(arguments, plan);
        return;
    }
    let (smaller, failure) = shrink(plan);
    if let Some(failure) = failure {
        print_log(&failure.log);
        println!("FAILED {smaller}\n{}", failure.what);
    }
}

fn print_log(log: &[String]) {
    let skipped = log.len().saturating_sub(LOG_LINES_MAX);
    if skipped > 0 {
        println!("({skipped} lines left out)");
    }
    log[skipped..].iter().for_each(|line| println!("{line}"));
}
