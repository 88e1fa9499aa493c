//! The command line. Scenario files use the same definitions: a key is an option's name.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::options::{Common, Output, PayloadArguments, SerializerName, Window};
use crate::options::{rate, seconds, seconds_some};

/// Puts load on a WAMP router, measures it, and checks every answer.
///
/// It works with any router that speaks the basic profile. Every call and every event carries its sender and its
/// sequence; what is lost, duplicated, reordered, altered or refused is counted, and makes the exit code 1.
#[derive(Debug, Parser)]
#[command(name = "wampline-loadgen", version, about, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  wampline-loadgen rpc --url rs://127.0.0.1:8080
      calls as fast as the router answers, 4 callers with 64 calls in flight each
  wampline-loadgen rpc --url ws://127.0.0.1:8080/ws --serializer json --rate 5000 --report out.html
      5,000 calls a second: latency worth reading, and a page with its distribution
  wampline-loadgen pubsub --url rs://127.0.0.1:8080 --subscribers 1000 --router-pid $(pidof wampline)
      a fan-out, with the router's processor time per event
  wampline-loadgen find-limit --p99-max 5 rpc --url rs://127.0.0.1:8080
      the highest rate at which 99 of 100 calls take at most 5 ms
  wampline-loadgen run perf/scenarios/rpc.toml --address 127.0.0.1:8080
      what a file describes

Exit codes:
  0   everything was answered, once, in order, and as it was sent
  1   something was lost, duplicated, reordered, altered or refused, or a bound was passed
  2   the run could not be carried out: nobody answers, a session was refused or cut off
  64  the command line or a scenario file is not valid";

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Scenario(Box<Scenario>),
    /// Runs the scenarios of a file.
    ///
    /// A TOML file with one table for each scenario: `[scenario.NAME]` with `kind` (rpc, pubsub, mixed, connect or
    /// churn) and, as keys, that subcommand's options without the dashes. Keys under `[defaults]` hold for all.
    Run(RunArguments),
    /// Finds the highest rate that a router holds.
    ///
    /// Runs the scenario again and again in an open loop, raising the rate until the 99th percentile of the
    /// latency passes the bound (or something fails), then halves the distance a few times.
    FindLimit(LimitArguments),
    /// Measures this machine instead of a router: the processor time of one receive and send.
    ///
    /// A bare epoll echo on loopback without WAMP, to set the other figures against.
    Floor(FloorArguments),
}

/// Load on a router.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Remote procedure calls.
    ///
    /// Every callee registers a procedure of its own and echoes its arguments; every caller calls them in
    /// turn. An operation is one answered call.
    Rpc(RpcArguments),
    /// Fan-out and fan-in of events.
    ///
    /// Subscribers are dealt over the topics; every publisher publishes to the topics in turn. In the closed loop a
    /// publication is done when all its subscribers have received it. An operation is one delivered event.
    Pubsub(PubsubArguments),
    /// Calls and events at the same time, by sessions of their own.
    ///
    /// --rate and --count are over callers and publishers together, in equal parts.
    Mixed(MixedArguments),
    /// Opens sessions, holds them idle, and tells what they cost.
    ///
    /// An operation is one joined session; its latency runs from connect to WELCOME.
    Connect(ConnectArguments),
    /// Comes and goes over and over, and tells what is left behind.
    ///
    /// Sessions that join and leave (an operation is one session's whole life), or sessions that stay and subscribe and
    /// unsubscribe, or register and unregister (an operation is both requests, answered).
    Churn(ChurnArguments),
}

/// The scenarios of which a limit can be found.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LimitScenario {
    /// Calls per second.
    Rpc(RpcArguments),
    /// Publications per second.
    Pubsub(PubsubArguments),
    /// Calls and publications per second.
    Mixed(MixedArguments),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RpcArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) payload: PayloadArguments,
    #[command(flatten)]
    pub(crate) calls: CallArguments,
    /// Calls that each caller keeps open (closed loop)
    #[arg(
        long,
        default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=65_536),
        help_heading = "Load"
    )]
    pub(crate) in_flight: u32,
    #[command(flatten)]
    pub(crate) placement: PlacementArguments,
}

/// Who calls whom.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct CallArguments {
    /// Sessions that call
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) callers: u32,
    /// Sessions that are called, each at a procedure of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) callees: u32,
    /// Serializers that are dealt to the callees in turn, such as json,cbor
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub(crate) callee_serializers: Vec<SerializerName>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PubsubArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) payload: PayloadArguments,
    #[command(flatten)]
    pub(crate) events: EventArguments,
    /// Sessions that subscribe, each to one topic
    #[arg(
        long,
        default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(0..=1_000_000),
        help_heading = "Load"
    )]
    pub(crate) subscribers: u32,
    /// Publications that each publisher keeps open (closed loop)
    #[arg(
        long,
        default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=65_536),
        help_heading = "Load"
    )]
    pub(crate) in_flight: u32,
    #[command(flatten)]
    pub(crate) placement: PlacementArguments,
}

/// Who publishes what, and what else is subscribed to.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct EventArguments {
    /// Sessions that publish; many with few subscribers are a fan-in
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) publishers: u32,
    /// Topics
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) topics: u32,
    /// Serializers that are dealt to the subscribers in turn, such as json,msgpack,cbor
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub(crate) subscriber_serializers: Vec<SerializerName>,
    /// Closed loop: a publication is done when the router has acknowledged it, whether or not it has been
    /// delivered yet. In both loops: lost acknowledgements are counted
    #[arg(long)]
    pub(crate) acknowledge: bool,
    /// Exact subscriptions that are there and match nothing, made by extra sessions before the run
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub(crate) background_exact: u32,
    /// The same with match=prefix; they differ from the topics in the last component only
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub(crate) background_prefix: u32,
    /// The same with match=wildcard
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub(crate) background_wildcard: u32,
    /// Sessions that hold them
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) background_sessions: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MixedArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) payload: PayloadArguments,
    #[command(flatten)]
    pub(crate) calls: CallArguments,
    #[command(flatten)]
    pub(crate) events: EventArguments,
    /// Sessions that subscribe, each to one topic
    #[arg(
        long,
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(0..=1_000_000),
        help_heading = "Load"
    )]
    pub(crate) subscribers: u32,
    /// Calls that each caller keeps open (closed loop)
    #[arg(
        long,
        default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=65_536),
        help_heading = "Load"
    )]
    pub(crate) in_flight: u32,
    /// Publications that each publisher keeps open (closed loop)
    #[arg(
        long,
        default_value_t = 4,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=65_536),
        help_heading = "Load"
    )]
    pub(crate) publications_in_flight: u32,
    #[command(flatten)]
    pub(crate) placement: PlacementArguments,
}

/// In which order sessions are opened, which decides where a router puts them.
///
/// Receivers (callees, subscribers) open first, then senders, and with one thread and --concurrency 1 each in order. A router that places each new
/// session where there are fewest, as Wampline does, deals them to its shards in that order.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Placement")]
pub(crate) struct PlacementArguments {
    /// Idle sessions opened after each receiver: with 2 shards, 1 puts all receivers on the same
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) idle_per_receiver: u32,
    /// Idle sessions opened between receivers and senders: with 2 shards and 1 receiver, 0 puts the sender on
    /// the other shard, 1 on the same. Use --concurrency 1 with these
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) idle_before_senders: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Sessions to open
    #[arg(
        long,
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
        help_heading = "Load"
    )]
    pub(crate) sessions: u32,
    /// Seconds to hold them idle
    #[arg(long, default_value = "5", value_parser = seconds, value_name = "SECONDS", help_heading = "Load")]
    pub(crate) hold: Duration,
    /// Open loop: begin this many joins a second; latency from the moment at which each was due
    #[arg(long, value_parser = rate, value_name = "N", help_heading = "Load")]
    pub(crate) rate: Option<f64>,
}

/// What comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChurnKind {
    /// Join and leave.
    Sessions,
    /// Subscribe and unsubscribe.
    Subscriptions,
    /// Register and unregister.
    Registrations,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ChurnArguments {
    #[command(flatten)]
    pub(crate) common: Common,
    /// What comes and goes
    #[arg(long = "of", value_name = "WHAT", value_enum, default_value_t = ChurnKind::Sessions, help_heading = "Load")]
    pub(crate) kind: ChurnKind,
    #[command(flatten)]
    pub(crate) window: Window,
    /// Sessions that join and leave in the measured part; --duration measures a time instead
    #[arg(
        long,
        default_value_t = 10_000,
        conflicts_with_all = ["duration", "count"],
        value_parser = clap::value_parser!(u32).range(1..=100_000_000),
        help_heading = "Sessions"
    )]
    pub(crate) sessions: u32,
    /// Sessions that join and leave before that, so that the router has its working memory
    #[arg(
        long,
        default_value_t = 1_000,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=100_000_000),
        help_heading = "Sessions"
    )]
    pub(crate) warmup_sessions: u32,
    /// Drop the connection instead of saying GOODBYE
    #[arg(long, help_heading = "Sessions")]
    pub(crate) abrupt: bool,
    /// Fail if the router's memory has grown by more octets per session than this (needs --router-pid)
    #[arg(long, value_name = "OCTETS", requires = "router_pid", help_heading = "Sessions")]
    pub(crate) growth_max: Option<u64>,
    /// Sessions that subscribe and unsubscribe, or register and unregister
    #[arg(
        long,
        default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        help_heading = "Subscriptions and registrations"
    )]
    pub(crate) members: u32,
    /// Requests that each of them keeps open (closed loop)
    #[arg(
        long,
        default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=65_536),
        help_heading = "Subscriptions and registrations"
    )]
    pub(crate) in_flight: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RunArguments {
    /// The scenario file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Run only the scenarios of these names (may be given several times)
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// List the scenarios and what they stand for, and run nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Replace host and port of every URL in the file, and keep its scheme and path
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "url")]
    pub(crate) address: Option<String>,
    /// Replace every URL in the file
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The router's process
    #[arg(long, value_name = "PID")]
    pub(crate) router_pid: Option<u32>,
    /// Replace the realm
    #[arg(long)]
    pub(crate) realm: Option<String>,
    /// Replace the measured seconds of the scenarios that have them
    #[arg(long, value_name = "SECONDS")]
    pub(crate) duration: Option<String>,
    /// Replace the seconds of warm-up of the scenarios that have them
    #[arg(long, value_name = "SECONDS")]
    pub(crate) warmup: Option<String>,
    /// Replace the number of threads
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<String>,
    /// Replace the cores for the threads
    #[arg(long, value_name = "CORES")]
    pub(crate) pin: Option<String>,
    /// Replace the PEM file with the certificates to trust
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Accept any certificate
    #[arg(long)]
    pub(crate) insecure: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LimitArguments {
    /// The bound of the 99th percentile, in milliseconds
    #[arg(long, value_parser = milliseconds, value_name = "MILLISECONDS")]
    pub(crate) p99_max: f64,
    /// The first rate, in operations a second
    #[arg(long, default_value = "1000", value_parser = rate, value_name = "N")]
    pub(crate) rate_start: f64,
    /// Do not go beyond this rate
    #[arg(long, default_value = "10000000", value_parser = rate, value_name = "N")]
    pub(crate) rate_max: f64,
    /// How much each step raises the rate, as a factor
    #[arg(long, default_value = "2", value_parser = factor)]
    pub(crate) factor: f64,
    /// How often the distance between the last rate that held and the first that did not is halved
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=20))]
    pub(crate) refinements: u32,
    #[command(subcommand)]
    pub(crate) scenario: LimitScenario,
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
    #[arg(long, default_value = "2", value_parser = seconds_some, value_name = "SECONDS")]
    pub(crate) duration: Duration,
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number of milliseconds".to_owned())?;
    if (0.001..=600_000.0).contains(&value) {
        Ok(value)
    } else {
        Err("expected milliseconds from 0.001 to 600000".to_owned())
    }
}

fn factor(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a factor".to_owned())?;
    if (1.01..=100.0).contains(&value) { Ok(value) } else { Err("expected 1.01 to 100".to_owned()) }
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
    fn output_options_may_stand_anywhere() {
        for line in ["x --json rpc --url rs://h:1", "x rpc --url rs://h:1 --json"] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert!(arguments.output.json, "{line}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "x rpc --url rs://h:1 --count 5 --duration 1",
            "x rpc --url rs://h:1 --ca f --insecure",
            "x churn --url rs://h:1 --growth-max 5",
            "x find-limit rpc --url rs://h:1",
            "x rpc --url rs://h:1 --rate 0",
            "x rpc",
            "x",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
