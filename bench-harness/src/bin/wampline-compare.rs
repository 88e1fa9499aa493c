//! `wampline-compare`: the same scenarios on several routers in turn. See `wampline_bench::compare`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use wampline_bench::compare::scenario::{self, Scenario};
use wampline_bench::compare::target::{PROFILES, Places, Target};
use wampline_bench::compare::{Generators, Plan, compare, table};

/// Runs the same scenarios on several routers in turn (A B A B ...) and prints medians, ranges and ratios of processor time
/// per operation, with rates, latencies and memory.
///
/// Routers run on loopback and are stopped at the end. Exit code 0: every run passed. 1: one did not. 2: the
/// comparison could not be carried out.
#[derive(Debug, Parser)]
#[command(name = "wampline-compare", version)]
struct Arguments {
    /// Routers: a ready profile (wampline, wampline-uring, wampline-epoll, crossbar, nats, floor-epoll, floor-uring) or
    /// NAME=COMMAND,URL with rs://IP:PORT (WAMP: WebSocket at /ws on the same port), floor://IP:PORT or nats://IP:PORT.
    /// Ratios are to the first
    #[arg(required = true, value_name = "ROUTER")]
    routers: Vec<String>,
    /// Scenarios: a ready one (`wampline-compare --list` names them) or NAME=rs|ws SUBCOMMAND ARGUMENTS... of the generator
    #[arg(long = "scenario", short = 's', default_values = ["rpc", "fanout"], value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// How often each scenario runs on each router
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds that each run is measured
    #[arg(long, default_value_t = 3.0, value_parser = seconds, value_name = "SECONDS")]
    duration: f64,
    /// Seconds of load before that
    #[arg(long, default_value_t = 1.0, value_parser = seconds, value_name = "SECONDS")]
    warmup: f64,
    /// Shards of Wampline in the ready profiles
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    shards: u32,
    /// The ready profiles listen on this port of 127.0.0.1 and the six behind it
    #[arg(long, default_value_t = 18700, value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    port: u16,
    /// The load generator [default: wampline-loadgen beside this program]
    #[arg(long, value_name = "PROGRAM")]
    generator: Option<PathBuf>,
    /// Print one JSON object, with the generator's reports, instead of the table
    #[arg(long)]
    json: bool,
    /// Do not tell of every run on standard error
    #[arg(long, short)]
    quiet: bool,
}

fn main() -> ExitCode {
    // Looked at before the rest, which demands routers.
    if std::env::args().nth(1).as_deref() == Some("--list") {
        println!(
            "profiles: {}\nscenarios: {}",
            PROFILES.join(" "),
            scenario::ready().collect::<Vec<_>>().join(" ")
        );
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wampline-compare: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let programs = std::env::current_exe().map_err(|error| error.to_string())?;
    let programs = programs.parent().ok_or("this program lies nowhere")?.to_owned();
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let places =
        Places { programs: programs.clone(), repository, shards: arguments.shards, port: arguments.port };
    let targets = arguments.routers.iter().map(|router| match Target::profile(router, &places) {
        Some(target) => Ok(target),
        None => {
            router.parse().map_err(|error| format!("{router}: {error}, or one of {}", PROFILES.join(", ")))
        }
    });
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone()).map_err(|error| error.to_string())?;
    }
    let generators = Generators {
        wamp: arguments.generator.clone().unwrap_or_else(|| programs.join("wampline-loadgen")),
        nats: programs.join("wampline-natsgen"),
    };
    let plan = Plan {
        targets: targets.collect::<Result<_, String>>()?,
        scenarios: arguments.scenarios.clone(),
        rounds: arguments.rounds,
        duration: arguments.duration,
        warmup: arguments.warmup,
        generators,
        interrupted,
    };
    let outcomes = compare(&plan, |line| {
        if !arguments.quiet {
            eprintln!("{line}");
        }
    })?;
    if arguments.json {
        println!("{}", table::object(&plan, &outcomes));
    } else {
        print!("{}", table::text(&plan, &outcomes));
    }
    if plan.interrupted.load(Ordering::Relaxed) {
        return Err("interrupted".to_owned());
    }
    Ok(ExitCode::from(u8::from(outcomes.iter().any(|outcome| !outcome.failures.is_empty()))))
}

fn seconds(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.1..=1e5).contains(value));
    value.ok_or_else(|| "expected seconds from 0.1 to 100000".to_owned())
}
