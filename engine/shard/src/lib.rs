//! One shard's pure core: its connections and sessions, replicas, lanes, fan-out, outboxes and deadlines.
//! Octets and batches in, octets and batches out; no sockets, no threads, no clock.
//!
//! [`Shard`] is the whole of it; a driver (or a simulation) moves the octets, the batches and the time.

mod action;
mod arena;
mod asking;
mod authenticate;
mod authorize;
mod broker;
mod callee;
mod config;
mod connection;
mod counters;
mod deadline;
mod dealer;
mod event;
mod facts;
mod frame;
mod group;
mod holding;
mod home;
mod input;
mod join;
mod keep;
mod lane;
mod leave;
mod meta;
mod outbox;
mod output;
mod publish;
mod question;
mod random;
mod realms;
mod register;
mod route;
mod session;
mod shard;
mod slots;
mod sources;
mod spare;
mod throttle;
mod timeout;
mod validate;

pub use config::{Config, FeatureRules, Limits, Listener, Realm, RealmLimits, RealmTemplate};
pub use counters::Counters;
pub use frame::Batch;
pub use output::Output;
pub use random::Seed;
pub use shard::{Shard, Shared};
pub use sources::{SourceError, SourceRules, Sources};
pub use throttle::ThrottleRules;
pub use wampline_auth::RealmAuthentication;
pub use wampline_routing::authorization::Roles;
pub use wampline_routing::meta::{MetaApi, UnixNanos};
pub use wampline_routing::uri::UriRules;
pub use wampline_routing::{RequestIds, RetainedLimits, ShardId};

use std::net::SocketAddr;

/// A point in time: nanoseconds since an arbitrary start, common to all shards. Injected, never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Now(pub u64);

impl Now {
    /// This much later, in nanoseconds, saturating.
    pub(crate) fn after(self, span: std::time::Duration) -> u64 {
        self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Index into [`Config::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// Names a connection of one shard: a slot and a guard against its reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnKey {
    /// Dense, used again.
    pub slot: u32,
    /// Differs from use to use of the slot.
    pub guard: u32,
}

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// TCP, from this address.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// The lanes that lead away from one shard; implemented by the driver and by the simulation.
pub trait Lanes {
    /// Offers a batch to the lane that leads to `to`; gives it back if the lane is full (64 batches or 4 MiB; an
    /// empty lane takes any batch). After a refusal the driver runs another turn of this shard as soon as
    /// `to` has taken something from the lane.
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch>;
}

/// What the driver must do.
#[derive(Debug)]
pub enum Action {
    /// Send this. At most one output per connection is under way; the driver reports [`Shard::sent`] when the kernel has taken
    /// a part of it, and gives the output back with [`Shard::send_done`] when it has taken all.
    Send(ConnKey, Output),
    /// Stop receiving for this connection (what arrives all the same is still to be handed in, and is kept).
    PauseRead(ConnKey),
    /// Receive again.
    ResumeRead(ConnKey),
    /// Close the socket. What had to be flushed has been flushed. With `abort` whatever is still queued or unread is
    /// dropped at once. The key is dead from here on.
    Close {
        /// Which connection.
        key: ConnKey,
        /// Do not wait for anything.
        abort: bool,
    },
    /// Ask a hook; the answer comes back with [`Shard::hook_answered`], exactly once, within a bounded time.
    Ask {
        /// What is asked.
        question: HookQuestion,
    },
}

/// A question for a program outside, which the driver asks over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookQuestion {
    /// Names the question among those of this shard; the answer comes with it.
    pub id: u64,
    /// Which hook of the configuration is asked.
    pub hook: u32,
    /// What is posted: JSON.
    pub body: Vec<u8>,
}

/// Why a hook gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookFailure {
    /// It could not be connected to, or broke the connection.
    Unreachable,
    /// It took longer than it may.
    TimedOut,
    /// It answered with this status, which is none of 200 to 299.
    Status(u16),
    /// Its answer is no HTTP, or longer than it may be.
    Malformed,
    /// As many questions wait for it as may.
    Busy,
}

/// How the router goes down (see the configuration's `shutdown`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownMode {
    /// GOODBYE `wamp.close.system_shutdown` to every session.
    Goodbye,
    /// Close without it (WebSocket 1012), so that clients come back.
    Restart,
}
