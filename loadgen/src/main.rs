//! `wampline-loadgen`: puts load on a WAMP router, measures it, and checks every answer.
//!
//! A few threads with an epoll loop each ([`worker`]) hold WAMP sessions ([`session`]) over non-blocking
//! sockets ([`connection`]). What the sessions do is a [`scenarios::Workload`]; when they do it is said by the
//! main thread through [`control`]. Each result and event carries its sender and sequence ([`stamp`]): what
//! is lost, duplicated, reordered or wrong is counted and fails the run.
//!
//! It works with any router that speaks the basic profile, and uses nothing of the router's own code but
//! the message encodings and the client's side of the transports.

mod cli;
mod clock;
mod connection;
mod control;
mod floor;
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

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match scenarios::run(&arguments.scenario) {
        Ok(report) => {
            let text = if arguments.scenario.json() { report.to_json() } else { report.to_table() };
            println!("{text}");
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("wampline-loadgen: {error}");
            ExitCode::from(2)
        }
    }
}
