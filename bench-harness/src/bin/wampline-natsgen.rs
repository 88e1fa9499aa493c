//! `wampline-natsgen`: fan-out through a NATS server in its own protocol. See `wampline_bench::nats`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use wampline_bench::nats::{PAYLOAD_BYTES_MIN, Plan, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Puts fan-out on a NATS server in its own protocol, measures it, and checks every delivery.
///
/// Options and report are those of wampline-loadgen. Exit code 0: everything was delivered, once, in order. 1: it was not. 2:
/// the run could not be carried out.
#[derive(Debug, Parser)]
#[command(name = "wampline-natsgen", version)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// One publisher, one subject, many subscribers, in a closed loop
    Pubsub(Pubsub),
}

#[derive(Debug, clap::Args)]
struct Pubsub {
    /// Where the server is: nats://IP:PORT
    #[arg(long, value_parser = server)]
    url: SocketAddr,
    /// Connections that subscribe
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    subscribers: u32,
    /// Publications that are kept open
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: u32,
    /// Octets of a payload
    #[arg(long, default_value_t = 64, value_parser = payload, value_name = "OCTETS")]
    payload: usize,
    /// Seconds that are measured
    #[arg(long, default_value = "5", value_parser = seconds, value_name = "SECONDS")]
    duration: Duration,
    /// Seconds of load before that
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    warmup: Duration,
    /// The server's process: its processor time and memory are reported
    #[arg(long, value_name = "PID")]
    router_pid: Option<u32>,
    /// Print the report on one line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Scenario::Pubsub(arguments) = Arguments::parse().scenario;
    let plan = Plan {
        server: arguments.url,
        subscribers: arguments.subscribers as usize,
        in_flight: arguments.in_flight as usize,
        payload: arguments.payload,
        warmup: arguments.warmup,
        duration: arguments.duration,
        server_pid: arguments.router_pid,
        timeout: Duration::from_secs(10),
    };
    match run(&plan) {
        Ok(report) => {
            let object = report.to_json();
            println!("{}", if arguments.json { object.to_string() } else { format!("{object:#}") });
            ExitCode::from(u8::from(!report.passed()))
        }
        Err(error) => {
            eprintln!("wampline-natsgen: {}: {error}", arguments.url);
            ExitCode::from(2)
        }
    }
}

fn server(text: &str) -> Result<SocketAddr, String> {
    let address = text.strip_prefix("nats://").and_then(|address| address.parse().ok());
    address.ok_or_else(|| "expected nats://IP:PORT".to_owned())
}

fn payload(text: &str) -> Result<usize, String> {
    let most = 1 << 20;
    let value = text.parse().ok().filter(|value| (PAYLOAD_BYTES_MIN..=most).contains(value));
    value.ok_or_else(|| format!("expected {PAYLOAD_BYTES_MIN} (sequence and time) to {most} octets"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value = text.parse().ok().filter(|value: &f64| (0.0..=1e6).contains(value));
    value.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds from 0 to 1000000".to_owned())
}
