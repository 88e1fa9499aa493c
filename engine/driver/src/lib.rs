//! What moves the shards: a thread per core, listeners, wake-ups between shards, the clock. The only crate of the engine
//! with sockets and threads.
//!
//! There are two drivers over the same shard task: `uring` (a glommio executor per core with a ring of its own) and `epoll`
//! (a plain thread per core), for machines and containers where io_uring is missing or denied; `choice` decides between
//! them.
//!
//! Map: `task` is the shard task and its turn, `port` what it does input and output with, which each driver provides; `conns`
//! are its sockets; `lanes` and `bell` connect the shards; `listen` binds; `cores` looks at the machine first; `router`
//! starts and ends it all. `hooks` asks programs outside. `seam` is what the task needs of a core: `wampline_shard::Shard` provides it, and so does the
//! echo of the tests.
//!
//! Does not: parse anything, know what a session is, or read configuration files.

mod bell;
mod choice;
mod common;
mod conns;
mod cores;
mod counters;
mod epoll;
mod hooks;
mod lanes;
mod listen;
mod outgoing;
mod port;
mod router;
mod seam;
mod sys;
mod task;
#[cfg(test)]
mod tests;
mod token;
mod uring;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use choice::{Driver, DriverChoice};
pub use counters::DriverCounters;
pub use hooks::{Hook, HookError, HookSettings};
pub use router::{Router, start};

/// What `bell` synchronises with; the loom model in `tests/loom.rs` compiles that file against loom's instead.
mod sync {
    pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

/// How the shards are run.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Which driver runs them.
    pub driver: DriverChoice,
    /// How many shards; `None` for one per core that this process may use (affinity and cgroup limits respected).
    pub shards: Option<usize>,
    /// Whether shards are pinned to cores.
    pub pin: bool,
    /// How long a shard spins before it parks.
    pub spin: Duration,
    /// Where each of the configuration's listeners listens, in the same order.
    pub endpoints: Vec<Endpoint>,
    /// The programs outside that are asked over HTTP, by their number in the configuration.
    pub hooks: Vec<Hook>,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// TCP. Port 0 picks a free one.
    Tcp(SocketAddr),
    /// A Unix domain socket at this path; a stale socket file is replaced, a live one is an error.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => write!(f, "{address}"),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why the router could not start. The message says what to do.
#[derive(Debug)]
pub struct StartError {
    /// For the user.
    pub message: String,
    /// io_uring is missing or denied (exit code 2).
    pub uring: bool,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StartError {}
