//! Options that several scenarios share: the router and how to reach it, the measured window, the payload.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use wampline_wire::Serializer;

use crate::auth::AuthArguments;
use crate::stamp::STAMP_BYTES;

/// Where results go, beside the table on standard output.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print the report as one JSON object (one line for each scenario) instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write one self-contained page: parameters, table, latency by percentile, throughput over time
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Write an HdrHistogram interval log (nanoseconds; maxima in milliseconds), for public tools to read
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) hdr_log: Option<PathBuf>,
}

/// What every scenario needs to know.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Router")]
pub(crate) struct Common {
    /// Where the router is: rs://HOST:PORT and rss://HOST:PORT (RawSocket, plain and over TLS), ws://HOST:PORT/PATH
    /// and wss://HOST:PORT/PATH (WebSocket; the path is /ws if there is none), unix:PATH or unix://PATH (RawSocket)
    /// and ws+unix:PATH (WebSocket at /ws). floor://HOST:PORT and floor+unix:PATH are a bare forwarder that moves
    /// the same octets without WAMP (rpc and pubsub only)
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// The realm to join
    #[arg(long, default_value = "realm1")]
    pub(crate) realm: String,
    #[command(flatten)]
    pub(crate) auth: AuthArguments,
    /// The serializer of every session for which no other is given
    #[arg(long, value_enum, default_value_t = SerializerName::Msgpack)]
    pub(crate) serializer: SerializerName,
    /// PEM file with the certificates to trust (wss, rss)
    #[arg(long, alias = "ca-file", value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Accept any certificate (wss, rss)
    #[arg(long)]
    pub(crate) insecure: bool,
    /// The router's process: its processor time and memory are reported
    #[arg(long, value_name = "PID")]
    pub(crate) router_pid: Option<u32>,
    /// Seconds that a join, an acknowledgement, or the last outstanding answer may take
    #[arg(long, default_value = "10", value_parser = seconds_some, value_name = "SECONDS")]
    pub(crate) timeout: Duration,
    /// Sessions on their way in at the same time, over all threads
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) concurrency: u32,
    /// Threads of this generator; sessions are dealt to them in turn. With one thread everybody shares it: with
    /// --busy-poll, caller and callee meet in one spinning thread
    #[arg(
        long,
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=256),
        help_heading = "Generator"
    )]
    pub(crate) threads: u16,
    /// Never sleep: look for input again and again. Costs a whole core for each thread and saves the wake-up
    #[arg(long, help_heading = "Generator")]
    pub(crate) busy_poll: bool,
    /// Cores for the threads, in turn, such as 1 or 0,2 or 4-7
    #[arg(long, value_name = "CORES", value_parser = cores, help_heading = "Generator")]
    pub(crate) pin: Option<Cores>,
}

/// The measured window and how it is filled.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct Window {
    /// Seconds that are measured [default: 5]
    #[arg(long, value_parser = seconds_some, value_name = "SECONDS")]
    pub(crate) duration: Option<Duration>,
    /// Measure this many operations, over all senders, instead of a time
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "duration",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000)
    )]
    pub(crate) count: Option<u64>,
    /// Seconds of load before that, not measured
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) warmup: Duration,
    /// Open loop: begin this many operations a second, over all senders, whether or not the router keeps up.
    /// Latency then runs from the moment at which each one was due, so that a router that stalls cannot hide the
    /// requests that it held up. Without a rate the loop is closed: senders keep --in-flight operations open
    #[arg(long, value_parser = rate, value_name = "N")]
    pub(crate) rate: Option<f64>,
    /// Seconds of one point of the plots and one line of the HDR log
    #[arg(long, default_value = "0.25", value_parser = seconds_interval, value_name = "SECONDS")]
    pub(crate) interval: Duration,
}

impl Window {
    /// The time that is measured, unless it is a number of operations.
    pub(crate) fn time(&self) -> Option<Duration> {
        self.count.is_none().then(|| self.duration.unwrap_or(DURATION_DEFAULT))
    }
}

/// What each message carries.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct PayloadArguments {
    /// Octets of the payload; about so many for numbers and nested
    #[arg(long, default_value_t = 64, value_parser = payload_bytes, value_name = "OCTETS")]
    pub(crate) payload: usize,
    /// One string, one binary, a list of integers and floats, or dicts in a list with keyword arguments
    #[arg(long, value_enum, default_value_t = Shape::Text)]
    pub(crate) payload_shape: Shape,
}

/// The form of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    Text,
    Binary,
    Numbers,
    Nested,
}

impl Shape {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Text => "text",
            Shape::Binary => "binary",
            Shape::Numbers => "numbers",
            Shape::Nested => "nested",
        }
    }
}

/// Cores by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cores(pub(crate) Vec<usize>);

/// A serializer by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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

/// The serializer of receiver `index`: those given are dealt in turn; without any it is everybody's.
pub(crate) fn dealt(given: &[SerializerName], common: &Common, index: usize) -> Serializer {
    given.get(index % given.len().max(1)).copied().unwrap_or(common.serializer).serializer()
}

/// A number of seconds from 0.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.0..=1e6).contains(&value) {
        Ok(Duration::from_secs_f64(value))
    } else {
        Err("expected seconds from 0 to 1000000".to_owned())
    }
}

/// A number of seconds above 0.
pub(crate) fn seconds_some(text: &str) -> Result<Duration, String> {
    let duration = seconds(text)?;
    if duration.is_zero() { Err("expected more than 0 seconds".to_owned()) } else { Ok(duration) }
}

/// Operations per second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number of operations per second".to_owned())?;
    if (0.001..=1e9).contains(&value) {
        Ok(value)
    } else {
        Err("expected operations per second from 0.001 to 1000000000".to_owned())
    }
}

fn seconds_interval(text: &str) -> Result<Duration, String> {
    let duration = seconds(text)?;
    if duration >= Duration::from_millis(100) {
        Ok(duration)
    } else {
        Err("expected at least 0.1 seconds".to_owned())
    }
}

/// The payload carries the stamp, and must fit a message of 2^24 octets in every serializer.
fn payload_bytes(text: &str) -> Result<usize, String> {
    let value: usize = text.parse().map_err(|_| "expected a number of octets".to_owned())?;
    if (STAMP_BYTES..=16_000_000).contains(&value) {
        Ok(value)
    } else {
        Err(format!("expected {STAMP_BYTES} (what sender, sequence and time take) to 16000000 octets"))
    }
}

fn cores(text: &str) -> Result<Cores, String> {
    let problem = || format!("expected cores such as 1 or 0,2 or 4-7, below {CORES_MAX}");
    let number =
        |text: &str| text.trim().parse::<usize>().ok().filter(|&core| core < CORES_MAX).ok_or_else(problem);
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(problem());
        }
        cores.extend(first..=last);
    }
    Ok(Cores(cores))
}

const DURATION_DEFAULT: Duration = Duration::from_secs(5);

/// What the kernel's fixed-size set holds.
const CORES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
        assert!(seconds_some("0").is_err());
        assert!(seconds_interval("0.01").is_err());
    }

    #[test]
    fn rates_are_finite_and_positive() {
        assert_eq!(rate("1e3"), Ok(1000.0));
        for bad in ["0", "-1", "inf", "nan", "fast"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cores_are_lists_and_ranges() {
        assert_eq!(cores("1").unwrap().0, [1]);
        assert_eq!(cores("0,2, 4-6").unwrap().0, [0, 2, 4, 5, 6]);
        for bad in ["", "a", "3-1", "1-", "5000", "0-99999999999"] {
            assert!(cores(bad).is_err(), "{bad}");
        }
    }
}
