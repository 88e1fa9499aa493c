//! What is run on each router.

use std::path::PathBuf;
use std::str::FromStr;

use super::Plan;
use super::target::{Scheme, Target};

/// A run of a generator, without the router's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Unique in a comparison.
    pub name: String,
    /// How WAMP routers are spoken to.
    pub transport: Transport,
    /// The generator's arguments, its subcommand first.
    pub arguments: Vec<String>,
}

/// A transport of WAMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RawSocket.
    RawSocket,
    /// WebSocket at `/ws`.
    WebSocket,
}

/// Scenarios by name.
const READY: &[(&str, &str)] = &[
    ("rpc", "rs rpc --callers 4 --callees 1 --in-flight 64 --payload 64"),
    ("rpc-ws-json", "ws rpc --callers 4 --callees 1 --in-flight 64 --payload 64 --serializer json"),
    ("rpc-16k", "rs rpc --callers 4 --callees 1 --in-flight 64 --payload 16384"),
    ("rpc-16k-ws-json", "ws rpc --callers 4 --callees 1 --in-flight 64 --payload 16384 --serializer json"),
    ("rpc-1", "rs rpc --callers 1 --callees 1 --in-flight 1 --payload 64"),
    ("fanout", "rs pubsub --publishers 1 --subscribers 1000 --in-flight 16 --payload 64"),
    (
        "fanout-ws-json",
        "ws pubsub --publishers 1 --subscribers 1000 --in-flight 16 --payload 64 --serializer json",
    ),
    ("fanout-1", "rs pubsub --publishers 1 --subscribers 1000 --in-flight 1 --payload 64"),
    ("fanout-16k", "rs pubsub --publishers 1 --subscribers 100 --in-flight 4 --payload 16384"),
];

/// Options of `wampline-loadgen pubsub` that the NATS generator has too.
const NATS_OPTIONS: &[&str] = &["--subscribers", "--in-flight", "--payload"];

impl FromStr for Scenario {
    type Err = String;

    /// A name from the list, or `NAME=rs|ws SUBCOMMAND ARGUMENT...`.
    fn from_str(text: &str) -> Result<Scenario, String> {
        let (name, definition) = match text.split_once('=') {
            Some((name, definition)) if !name.contains(' ') => (name, definition),
            _ => *READY.iter().find(|(name, _)| *name == text).ok_or_else(|| {
                let names: Vec<&str> = READY.iter().map(|(name, _)| *name).collect();
                format!("expected NAME=rs|ws SUBCOMMAND ARGUMENTS..., or one of {}", names.join(", "))
            })?,
        };
        let mut words = definition.split_whitespace().map(str::to_owned);
        let transport = match words.next().as_deref() {
            Some("rs") => Transport::RawSocket,
            Some("ws") => Transport::WebSocket,
            _ => return Err("expected rs or ws before the generator's subcommand".to_owned()),
        };
        let arguments: Vec<String> = words.collect();
        if arguments.is_empty() {
            return Err("expected the generator's subcommand".to_owned());
        }
        Ok(Scenario { name: name.to_owned(), transport, arguments })
    }
}

impl Scenario {
    /// Whether it can be run on this router.
    pub fn suits(&self, target: &Target) -> bool {
        let scenario = self.arguments.first().map(String::as_str);
        match target.scheme {
            Scheme::Wamp => true,
            // There is no multiplexing without a protocol.
            Scheme::Floor => matches!(scenario, Some("rpc" | "pubsub")),
            Scheme::Nats => scenario == Some("pubsub"),
        }
    }

    /// The generator's command line.
    pub(super) fn command(&self, plan: &Plan, target: &Target, pids: &[u32]) -> (PathBuf, Vec<String>) {
        let address = &target.address;
        let (program, url) = match (target.scheme, self.transport) {
            (Scheme::Wamp, Transport::RawSocket) => (&plan.generators.wamp, format!("rs://{address}")),
            (Scheme::Wamp, Transport::WebSocket) => (&plan.generators.wamp, format!("ws://{address}/ws")),
            (Scheme::Floor, _) => (&plan.generators.wamp, format!("floor://{address}")),
            (Scheme::Nats, _) => (&plan.generators.nats, format!("nats://{address}")),
        };
        let mut arguments = match target.scheme {
            Scheme::Nats => self.nats_arguments(),
            _ => self.arguments.clone(),
        };
        let (duration, warmup) = (plan.duration.to_string(), plan.warmup.to_string());
        let common = ["--url", &url, "--duration", &duration, "--warmup", &warmup, "--json"];
        arguments.extend(common.map(str::to_owned));
        // The generator looks at one process, at the very ends of its window.
        if let [pid] = pids {
            arguments.extend(["--router-pid".to_owned(), pid.to_string()]);
        }
        (program.clone(), arguments)
    }

    fn nats_arguments(&self) -> Vec<String> {
        let mut kept: Vec<String> = self.arguments.first().cloned().into_iter().collect();
        for pair in self.arguments.windows(2) {
            if NATS_OPTIONS.contains(&pair[0].as_str()) {
                kept.extend_from_slice(pair);
            }
        }
        kept
    }
}

/// The names of the ready scenarios.
pub fn ready() -> impl Iterator<Item = &'static str> {
    READY.iter().map(|(name, _)| *name)
}
