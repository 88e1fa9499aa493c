//! `wampline-instructions`: counts instructions per operation under valgrind, and checks them against the recorded
//! budgets. See `wampline_bench::instructions`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wampline_bench::instructions::{Budgets, Finding, Toolchain, be_counted, count};

// As the router does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Counts the instructions of hot functions and whole paths under valgrind.
///
/// Exit code 0: as recorded. 1: more than recorded, or operations and budgets do not correspond. 2: it could not be done. 3:
/// skipped, because there is no valgrind here, or because the budgets were recorded with other tools.
#[derive(Debug, Parser)]
#[command(name = "wampline-instructions", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The file with the budgets
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/budgets.toml"), value_name = "FILE")]
    budgets: PathBuf,
    /// Only operations whose names contain this
    #[arg(long, global = true, default_value = "", value_name = "TEXT")]
    filter: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare with the budgets
    Check {
        /// Percent that a count may be above its budget
        #[arg(long, default_value_t = 3.0, value_parser = percent)]
        tolerance: f64,
        /// Compare even if the budgets were recorded with other tools
        #[arg(long)]
        whatever_tools: bool,
    },
    /// Write the budgets anew
    Record,
    /// Print the counts
    Show,
    /// The part that runs under valgrind
    #[command(hide = true)]
    BeCounted {
        /// The family of operations
        family: String,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Command::BeCounted { family } => {
            be_counted(family);
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { tolerance, whatever_tools } => check(&arguments, *tolerance, *whatever_tools),
        Command::Record => record(&arguments),
        Command::Show => counts(&arguments).map(|counts| {
            counts.iter().for_each(|(name, count)| println!("{count:>12.1} {name}"));
            ExitCode::SUCCESS
        }),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("wampline-instructions: {error}");
        ExitCode::from(2)
    })
}

fn check(arguments: &Arguments, tolerance: f64, whatever_tools: bool) -> Result<ExitCode, String> {
    let Some(here) = Toolchain::here() else {
        println!("instruction budgets: skipped: there is no valgrind here");
        return Ok(ExitCode::from(3));
    };
    let budgets = read(&arguments.budgets)?;
    if budgets.toolchain != here && !whatever_tools {
        println!("instruction budgets: skipped: recorded with {:?}, here is {here:?}", budgets.toolchain);
        return Ok(ExitCode::from(3));
    }
    let counts = counts(arguments)?;
    let findings = budgets.judge(&counts, tolerance / 100.0, arguments.filter.is_empty());
    findings.iter().for_each(|finding| println!("{finding}"));
    let is_good = |finding: &Finding| matches!(finding, Finding::Under { .. });
    let failed = findings.iter().filter(|finding| !is_good(finding)).count();
    let gains = findings.len() - failed;
    println!(
        "instruction budgets: {} operations, {failed} not as recorded, {gains} gains to record",
        counts.len()
    );
    if !findings.is_empty() {
        println!("where this is meant: perf/instructions.sh record, and say why in the commit");
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn record(arguments: &Arguments) -> Result<ExitCode, String> {
    let toolchain = Toolchain::here().ok_or("there is no valgrind here")?;
    let counts = counts(arguments)?;
    let mut instructions = std::collections::BTreeMap::new();
    if !arguments.filter.is_empty() {
        let before = read(&arguments.budgets)?;
        if before.toolchain != toolchain {
            return Err("the other budgets were recorded with other tools: record all".to_owned());
        }
        instructions = before.instructions;
    }
    instructions.extend(counts);
    let text = Budgets { toolchain, instructions }.to_text();
    fs::write(&arguments.budgets, text)
        .map_err(|error| format!("{}: {error}", arguments.budgets.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Budgets, String> {
    let at = |error: String| format!("{}: {error}", path.display());
    Budgets::parse(&fs::read_to_string(path).map_err(|error| at(error.to_string()))?).map_err(at)
}

fn counts(arguments: &Arguments) -> Result<Vec<(String, f64)>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = std::env::temp_dir().join(format!("wampline-instructions-{}", std::process::id()));
    fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let counts = count(&program, &folder, &arguments.filter);
    // What cannot be removed is a matter of the machine's.
    let _ = fs::remove_dir_all(&folder);
    counts
}

fn percent(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.0..=100.0).contains(value));
    value.ok_or_else(|| "expected 0 to 100".to_owned())
}
