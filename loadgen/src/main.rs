//! `wampline-loadgen`: puts load on a WAMP router, measures it, and checks every answer.
//!
//! A few threads with an epoll loop each ([`worker`]) hold WAMP sessions ([`session`]) over non-blocking
//! sockets ([`connection`]). What the sessions do is a [`scenarios::Workload`]; when they do it is said by the
//! main thread through [`control`]. Each result and event carries its sender and sequence ([`stamp`]): what
//! is lost, duplicated, reordered, wrong or refused is counted and fails the run.
//!
//! It works with any router that speaks the basic profile, and uses nothing of the router's own code but
//! the message encodings and the client's side of the transports.

mod auth;
mod cli;
mod clock;
mod connection;
mod control;
mod file;
mod floor;
mod forwarder;
mod options;
mod procfs;
mod report;
mod scenarios;
mod session;
mod socket;
mod stamp;
mod stats;
mod sys;
mod target;
mod tls;
mod worker;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use cli::{Arguments, Command, RunArguments};
use options::Output;
use report::{HdrLog, Report};
use scenarios::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Fails when nobody reads it any more.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let json = arguments.output.json;
    let outcome = Results::new(arguments.output).and_then(|mut results| {
        match arguments.command {
            Command::Scenario(scenario) => results.take(None, scenarios::run(&scenario)),
            Command::FindLimit(limit) => {
                let say = |step: String| {
                    if !json {
                        print(&step);
                    }
                };
                results.take(None, scenarios::find_limit(&limit, say));
            }
            Command::Floor(floor) => results.take(None, floor::run(&floor).map_err(Failure::Run)),
            Command::Run(run) => run_file(&run, &mut results)?,
        }
        results.finish()
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => ExitCode::from(complain(&failure)),
    }
}

/// Some answers were missing or wrong.
const FAULTY: u8 = 1;
/// The run could not be carried out.
const FAILED: u8 = 2;
/// What was asked for is not valid.
const USAGE: u8 = 64;

/// Between two scenarios: a router needs a moment to notice that the sessions of the last one have gone, and would place those
/// of the next one differently.
const PAUSE: Duration = Duration::from_millis(300);

fn run_file(run: &RunArguments, results: &mut Results) -> Result<(), Failure> {
    for (number, named) in file::load(run).map_err(Failure::Usage)?.into_iter().enumerate() {
        if run.list {
            print(&format!("{:<28} {}", named.name, named.about.unwrap_or_default()));
        } else {
            if number > 0 {
                std::thread::sleep(PAUSE);
            }
            results.take(Some(named.name), scenarios::run(&named.scenario));
        }
    }
    Ok(())
}

/// Where reports go, and the exit code that they lead to.
struct Results {
    output: Output,
    hdr_log: Option<HdrLog>,
    reports: Vec<Report>,
    code: u8,
}

impl Results {
    /// Opens the files, so that a run is not in vain.
    fn new(output: Output) -> Result<Results, Failure> {
        let hdr_log = output.hdr_log.as_deref().map(HdrLog::create).transpose().map_err(Failure::Usage)?;
        if let Some(path) = &output.report {
            std::fs::write(path, "")
                .map_err(|error| Failure::Usage(format!("--report {}: {error}", path.display())))?;
        }
        Ok(Results { output, hdr_log, reports: Vec::new(), code: 0 })
    }

    /// Prints the report of a run, or why there is none.
    fn take(&mut self, name: Option<String>, outcome: Result<Report, Failure>) {
        let written = outcome.and_then(|mut report| {
            report.name = name;
            print(&if self.output.json { report.to_json() } else { report.to_table() });
            if !report.passed() {
                self.code = self.code.max(FAULTY);
            }
            let logged = self.hdr_log.as_mut().map_or(Ok(()), |log| log.append(&report));
            self.reports.push(report);
            logged.map_err(Failure::Run)
        });
        if let Err(failure) = written {
            self.code = self.code.max(complain(&failure));
        }
    }

    fn finish(self) -> Result<u8, Failure> {
        if let Some(path) = &self.output.report {
            std::fs::write(path, report::page(&self.reports))
                .map_err(|error| Failure::Run(format!("--report {}: {error}", path.display())))?;
        }
        Ok(self.code)
    }
}

/// Says what is wrong; returns the exit code.
fn complain(failure: &Failure) -> u8 {
    let (reason, code) = match failure {
        Failure::Usage(reason) => (reason, USAGE),
        Failure::Run(reason) => (reason, FAILED),
    };
    eprintln!("wampline-loadgen: {reason}");
    code
}

/// Prints lines; nobody need read them.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
