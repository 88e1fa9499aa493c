//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use wampline_wire::Serializer;

use crate::stamp::STAMP_BYTES;

/// Puts load on a WAMP router, measures it, and checks every answer.
///
/// Exit code 0: everything was answered, once, in order. 1: something was lost, duplicated, reordered, wrong or
/// refused. 2: the run could not be carried out.
#[derive(Debug, Parser)]
#[command(name = "wampline-loadgen", version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Remote procedure calls, in a closed loop.
    ///
    /// Every callee registers a procedure of its own and echoes its arguments; every caller calls them in
    /// turn and keeps `--in-flight` calls open. An operation is one answered call.
    Rpc(RpcArguments),
    /// Fan-out of events, in a closed loop.
    ///
    /// Subscribers are spread evenly over the topics; every publisher publishes to the topics in turn and keeps
    /// `--in-flight` publications open. A publication is done when all its subscribers have received it. An
    /// operation is one delivered event.
    Pubsub(PubsubArguments),
    /// Opens sessions, holds them idle, and tells what they cost.
    ///
    /// An operation is one joined session; its latency runs from connect to WELCOME.
    Connect(ConnectArguments),
    /// Joins and leaves over and over, and tells what is left behind.
    ///
    /// An operation is one session that joined and left; its latency is its whole life.
    Churn(ChurnArguments),
    /// Measures this machine instead of a router: the processor time of one receive and send.
    ///
    /// A bare epoll echo on loopback without WAMP, to set the other figures against.
    Floor(FloorArguments),
}

impl Scenario {
    /// Whether the report is wanted as JSON.
    pub(crate) fn json(&self) -> bool {
        match self {
            Scenario::Rpc(RpcArguments { common, .. })
            | Scenario::Pubsub(PubsubArguments { common, .. })
            | Scenario::Connect(ConnectArguments { common, .. })
            | Scenario::Churn(ChurnArguments { common, .. }) => common.json,
            Scenario::Floor(floor) => floor.json,
        }
    }
}

/// What every scenario needs to know.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// Where the router is: rs://HOST:PORT and rss://HOST:PORT (RawSocket, plain and over TLS), ws://HOST:PORT/PATH
    /// and wss://HOST:PORT/PATH (WebSocket; the path is /ws if there is none), unix:PATH (RawSocket) and
    /// ws+unix:PATH (WebSocket at /ws)
    #[arg(long)]
    pub(crate) url: String,
    /// The realm to join, anonymously
    #[arg(long, default_value = "realm1")]
    pub(crate) realm: String,
    /// The serializer of every session
    #[arg(long, value_enum, default_value_t = SerializerName::Msgpack)]
    pub(crate) serializer: SerializerName,
    /// Threads of this generator; sessions are spread over them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
    /// The router's process: its processor time and memory are reported
    #[arg(long, value_name = "PID")]
    pub(crate) router_pid: Option<u32>,
    /// Print the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Accept any certificate (wss, rss)
    #[arg(long)]
    pub(crate) insecure: bool,
    /// PEM file with the certificates to trust (wss, rss)
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Seconds that a join, an acknowledgement, or the last outstanding answer may take
    #[arg(long, default_value = "10", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: Duration,
    /// Sessions on their way in at the same time, over all threads
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) concurrency: u32,
}

/// The measured window.
#[derive(Clone, Debug, Args)]
pub(crate) struct Window {
    /// Seconds that are measured
    #[arg(long, default_value = "5", value_parser = seconds_measured, value_name = "SECONDS")]
    pub(crate) duration: Duration,
    /// Seconds of load before that
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) warmup: Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RpcArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) window: Window,
    /// Sessions that call
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) callers: u32,
    /// Sessions that are called, each at a procedure of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) callees: u32,
    /// Calls that each caller keeps open
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) in_flight: u32,
    /// Octets of the one string argument
    #[arg(long, default_value_t = 64, value_parser = payload_bytes, value_name = "OCTETS")]
    pub(crate) payload: usize,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PubsubArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) window: Window,
    /// Sessions that publish
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) publishers: u32,
    /// Sessions that subscribe, each to one topic
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) subscribers: u32,
    /// Topics
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) topics: u32,
    /// Publications that each publisher keeps open
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) in_flight: u32,
    /// Octets of the one string argument
    #[arg(long, default_value_t = 64, value_parser = payload_bytes, value_name = "OCTETS")]
    pub(crate) payload: usize,
    /// A publication is done when the router has acknowledged it, whether or not it has been delivered yet
    #[arg(long)]
    pub(crate) acknowledge: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Sessions to open
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sessions: u32,
    /// Seconds to hold them idle
    #[arg(long, default_value = "5", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) hold: Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ChurnArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Sessions that join and leave in the measured part
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub(crate) sessions: u32,
    /// Sessions that join and leave before that, so that the router has its working memory
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    pub(crate) warmup_sessions: u32,
    /// Drop the connection instead of saying GOODBYE
    #[arg(long)]
    pub(crate) abrupt: bool,
    /// Fail if the router's memory has grown by more octets per session than this (needs --router-pid)
    #[arg(long, value_name = "OCTETS", requires = "router_pid")]
    pub(crate) growth_max: Option<u64>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct FloorArguments {
    /// Connections to the echo
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,
    /// Messages that each connection keeps on their way
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) in_flight: u32,
    /// Octets of a message
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) payload: u32,
    /// Seconds that are measured
    #[arg(long, default_value = "2", value_parser = seconds_measured, value_name = "SECONDS")]
    pub(crate) duration: Duration,
    /// Print the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A serializer by its name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SerializerName {
    Json,
    Msgpack,
    Cbor,
}

impl SerializerName {
    /// The serializer of this name.
    pub(crate) fn serializer(self) -> Serializer {
        match self {
            SerializerName::Json => Serializer::Json,
            SerializerName::Msgpack => Serializer::MsgPack,
            SerializerName::Cbor => Serializer::Cbor,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.0..=1e6).contains(&value) {
        Ok(Duration::from_secs_f64(value))
    } else {
        Err("expected seconds from 0 to 1000000".to_owned())
    }
}

fn seconds_measured(text: &str) -> Result<Duration, String> {
    let duration = seconds(text)?;
    if duration.is_zero() { Err("expected more than 0 seconds".to_owned()) } else { Ok(duration) }
}

/// The payload carries the stamp, and must fit a message of 2^24 octets.
fn payload_bytes(text: &str) -> Result<usize, String> {
    let value: usize = text.parse().map_err(|_| "expected a number of octets".to_owned())?;
    if (STAMP_BYTES..=16_000_000).contains(&value) {
        Ok(value)
    } else {
        Err(format!("expected {STAMP_BYTES} (what sender, sequence and time take) to 16000000 octets"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn payloads_too_small_for_the_stamp_are_refused() {
        assert_eq!(payload_bytes("64"), Ok(64));
        assert!(payload_bytes("31").unwrap_err().contains("32"));
        assert!(payload_bytes("x").is_err());
    }

    #[test]
    fn durations_are_finite_and_not_negative() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["-1", "inf", "nan", "", "5s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert!(seconds("0").is_ok());
        assert!(seconds_measured("0").is_err());
    }
}
