//! The router as a program: command line, configuration, logging, signals.
//!
//! Owns what a user touches: flags, the configuration file and its error messages, log lines, exit codes. What a router
//! does is the engine's business; sockets and threads are the driver's.

pub mod cli;
pub mod config;
pub mod exit;
mod limits;
pub mod logging;
mod serve;
mod testee;
mod tls;
pub mod tools;
pub mod watch;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use cli::Invocation;

/// Runs the program with the arguments of the process. `started` is when the process began, for the log.
pub fn main(started: Instant) -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help and version are errors in clap's eyes; a closed output is no reason to complain.
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE.into() } else { exit::OK.into() };
        }
    };
    match invocation {
        Invocation::Run(arguments) => serve::serve(arguments, started, |settings| settings),
        Invocation::Testee(arguments) => serve::serve(arguments, started, testee::echoing),
        Invocation::Check(path) => match config::load(Some(&path), &config::Overrides::default()) {
            Ok(settings) => say(&format!("{}: OK: {}", path.display(), summary(&settings))),
            Err(report) => complain(&report),
        },
        Invocation::Schema => say(&format!("{:#}", config::schema())),
        Invocation::Keygen(arguments) => tools::keygen(&arguments),
        Invocation::Hash(arguments) => tools::hash(&arguments),
        Invocation::AuthzCheck(arguments) => tools::authz_check(&arguments),
    }
}

/// Writes a result to standard output. A reader that has gone away is no error: `wampline schema | head`.
fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => exit::FAILED.into(),
        _ => exit::OK.into(),
    }
}

/// Writes what is wrong to standard error.
fn complain(what: &dyn std::fmt::Display) -> ExitCode {
    // When even that fails the exit code remains.
    let _ = writeln!(std::io::stderr(), "{what}");
    exit::FAILED.into()
}

/// One line about a configuration.
fn summary(settings: &config::Settings) -> String {
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!(
        "{}, {}",
        counted(settings.engine.listeners.len(), "listener"),
        counted(settings.engine.realms.len(), "realm")
    )
}
