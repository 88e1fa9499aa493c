//! Starting and ending: choose the driver, bind, one thread per shard, shutdown, join.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use wampline_shard::{Config, Now, Seed, Shard, ShardId, Shared, ShutdownMode};

use crate::choice::Chosen;
use crate::common::Common;
use crate::counters::DriverCounters;
use crate::epoll::PollSize;
use crate::hooks::{Deliver, Hooks};
use crate::lanes::LaneBounds;
use crate::listen::Listener;
use crate::seam::Core;
use crate::sys::{EventFd, Resource};
use crate::task::{Acceptor, Parts};
use crate::uring::RingSize;
use crate::{Driver, DriverChoice, DriverConfig, Endpoint, StartError, cores, epoll, sys, uring};

/// The most shards: their number is squared in lanes.
const SHARDS_MAX: usize = 128;
/// The core tells this many connections beyond a listener's bound that there is no room; further ones are dropped unheard.
const REFUSALS_AT_ONCE: usize = 256;

/// A running router. Dropping it without [`Router::join`] ends it at once.
pub struct Router {
    driver: Driver,
    endpoints: Vec<Endpoint>,
    handle: Box<dyn Handle>,
    threads: Vec<JoinHandle<()>>,
}

/// What a router needs of its shards, whatever their core; never used per message.
trait Handle: Send + Sync {
    fn shut_down(&self, mode: ShutdownMode, grace: Duration);
    fn counters(&self) -> &[DriverCounters];
    fn open_sockets(&self) -> Vec<usize>;
}

/// Starts the shards and begins to listen; returns when connections are accepted. The driver that runs them is logged
/// once, with the reason.
///
/// Raises the soft limit of open files, and for io_uring that of locked memory, to the hard one.
///
/// # Errors
/// An address that cannot be listened on, io_uring asked for and missing or denied, more shards than 128, or as many
/// endpoints as the configuration has listeners are not given. Nothing runs and nothing listens then.
pub fn start(config: Config, mut driver: DriverConfig) -> Result<Router, StartError> {
    if config.listeners.len() != driver.endpoints.len() {
        let (listeners, endpoints) = (config.listeners.len(), driver.endpoints.len());
        return Err(refuse(format!(
            "{listeners} listeners are configured, but {endpoints} addresses are given"
        )));
    }
    let (router, reason) = match start_shards(&config, &driver) {
        // The probe was content, but there is not enough of something for all shards.
        Err(error) if error.uring && driver.driver == DriverChoice::Auto => {
            driver.driver = DriverChoice::Epoll;
            (start_shards(&config, &driver)?.0, error.message)
        }
        started => started?,
    };
    tracing::info!(driver = router.driver.name(), reason, "driver chosen");
    Ok(router)
}

fn start_shards(config: &Config, driver: &DriverConfig) -> Result<(Router, String), StartError> {
    let connections_max = config.listeners.iter();
    let connections_max =
        connections_max.map(|listener| listener.connections_max.map(|most| most + REFUSALS_AT_ONCE));
    let connections_max = connections_max.collect();
    let plan = Plan::new(driver, connections_max)?;
    let reason = plan.chosen.reason.clone();
    let shared = Shared::with_epoch(config.clone(), plan.shards as u16, sys::epoch());
    let make = move |id, seed, now| Shard::new(id, Arc::clone(&shared), seed, now);
    Ok((start_cores(driver, plan, make)?, reason))
}

impl Router {
    /// Where it listens, in the order of the endpoints, with the ports that were picked.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// What runs the shards.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// How many shards run.
    pub fn shards(&self) -> usize {
        self.threads.len()
    }

    /// What the driver has dropped, refused and run short of, by shard.
    pub fn counters(&self) -> &[DriverCounters] {
        self.handle.counters()
    }

    /// The sockets that are open or on their way to their shard, by shard.
    pub fn open_sockets_by_shard(&self) -> Vec<usize> {
        self.handle.open_sockets()
    }

    /// The sockets that are open or on their way to their shard.
    pub fn open_sockets(&self) -> usize {
        self.handle.open_sockets().iter().sum()
    }

    /// Begins an orderly shutdown; may be called from any thread. `grace` is how long calls in flight and
    /// closing handshakes may take; then what is left is aborted. A second call can shorten the grace.
    pub fn shutdown(&self, mode: ShutdownMode, grace: Duration) {
        tracing::debug!(?mode, ?grace, "shutting down");
        self.handle.shut_down(mode, grace);
    }

    /// Waits until every shard has ended.
    pub fn join(mut self) {
        self.join_all();
    }

    fn join_all(&mut self) {
        for thread in self.threads.drain(..) {
            // A shard that panicked has ended the process.
            let _ = thread.join();
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.handle.shut_down(ShutdownMode::Goodbye, Duration::ZERO);
            self.join_all();
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("driver", &self.driver)
            .field("endpoints", &self.endpoints)
            .field("shards", &self.shards())
            .finish_non_exhaustive()
    }
}

impl<B: Send + 'static> Handle for Arc<Common<B>> {
    fn shut_down(&self, mode: ShutdownMode, grace: Duration) {
        Common::shut_down(self, mode, grace);
    }
    fn counters(&self) -> &[DriverCounters] {
        &self.counters
    }
    fn open_sockets(&self) -> Vec<usize> {
        self.desks.iter().map(|desk| desk.load.load(Ordering::Relaxed)).collect()
    }
}

/// What is settled before the first thread starts.
pub(crate) struct Plan {
    pub(crate) chosen: Chosen,
    pub(crate) shards: usize,
    /// By shard; empty without pinning.
    cpus: Vec<usize>,
    listeners: Vec<(Listener, Option<usize>)>,
    pub(crate) lanes: LaneBounds,
    pub(crate) sizes: Sizes,
}

/// How large what a shard has of its own is, by driver.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) ring: RingSize,
    pub(crate) poll: PollSize,
}

impl Plan {
    /// Looks at the machine and binds.
    pub(crate) fn new(
        driver: &DriverConfig,
        connections_max: Vec<Option<usize>>,
    ) -> Result<Plan, StartError> {
        let shards = driver.shards.unwrap_or_else(cores::default_shards);
        if shards == 0 || shards > SHARDS_MAX {
            return Err(refuse(format!("{shards} shards are asked for; there can be 1 to {SHARDS_MAX}")));
        }
        let open_files = sys::raise_limit(Resource::OpenFiles);
        tracing::debug!(open_files, "limit");
        let chosen = Chosen::new(driver.driver, uring::check)?;
        let listeners = driver.endpoints.iter().map(Listener::bind).collect::<Result<Vec<_>, _>>()?;
        Ok(Plan {
            chosen,
            shards,
            cpus: if driver.pin { cores::placement(shards) } else { Vec::new() },
            listeners: listeners.into_iter().zip(connections_max).collect(),
            lanes: LaneBounds::default(),
            sizes: Sizes::default(),
        })
    }
}

/// Starts a router over any core.
pub(crate) fn start_cores<C: Core>(
    driver: &DriverConfig,
    plan: Plan,
    make: impl Fn(ShardId, Seed, Now) -> C + Send + Clone + 'static,
) -> Result<Router, StartError> {
    let endpoints: Vec<Endpoint> =
        plan.listeners.iter().map(|(listener, _)| listener.endpoint().clone()).collect();
    let common = Common::new(plan.shards, endpoints.len(), plan.lanes)
        .map_err(|error| refuse(format!("the shards cannot be set up: {error}; raise `ulimit -n`")))?;
    let common = Arc::new(common);
    let deliver: Arc<dyn Deliver> = Arc::clone(&common) as _;
    // Started here, not by the shards, whose threads may be pinned.
    let hooks = Hooks::start(&driver.hooks, &deliver)
        .map_err(|error| refuse(format!("the threads that ask hooks cannot be started: {error}")))?;
    let hooks = Arc::new(hooks);
    let mut acceptor = Some(Acceptor::new(plan.listeners));
    let (report, reports) = mpsc::channel();
    let kind = plan.chosen.driver;
    let handle = Box::new(Arc::clone(&common));
    let mut router = Router { driver: kind, endpoints, handle, threads: Vec::new() };
    for shard in 0..plan.shards {
        let start = ShardStart {
            id: ShardId(shard as u16),
            cpu: plan.cpus.get(shard).copied(),
            common: Arc::clone(&common),
            hooks: Arc::clone(&hooks),
            acceptor: acceptor.take(),
            spin: driver.spin,
            sizes: plan.sizes,
            make: Box::new(make.clone()),
            report: report.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("shard-{shard}"));
        let thread = thread.spawn(move || start.run_or_abort(kind));
        router.threads.push(thread.map_err(|error| refuse(format!("a thread cannot be started: {error}")))?);
    }
    drop(report);
    for _ in 0..plan.shards {
        // A failure drops the router, which ends the shards that have started.
        reports.recv().unwrap_or_else(|_| Err(refuse("a shard ended while it started".to_owned())))?;
    }
    for endpoint in &router.endpoints {
        tracing::debug!(%endpoint, "listening");
    }
    tracing::debug!(shards = plan.shards, cpus = ?plan.cpus, spin = ?driver.spin, "started");
    Ok(router)
}

/// What a shard's thread begins with.
pub(crate) struct ShardStart<C: Core> {
    id: ShardId,
    /// Where the thread is to be pinned.
    pub(crate) cpu: Option<usize>,
    common: Arc<Common<C::Batch>>,
    hooks: Arc<Hooks>,
    acceptor: Option<Acceptor>,
    pub(crate) spin: Duration,
    pub(crate) sizes: Sizes,
    make: Box<dyn FnOnce(ShardId, Seed, Now) -> C + Send>,
    report: mpsc::Sender<Result<(), StartError>>,
}

impl<C: Core> ShardStart<C> {
    /// How others wake this shard.
    pub(crate) fn eventfd(&self) -> &EventFd {
        &self.common.desks[usize::from(self.id.0)].eventfd
    }

    /// Tells whoever starts the router how it went.
    pub(crate) fn report(&self, result: Result<(), StartError>) {
        // Nobody listens when another shard has failed.
        let _ = self.report.send(result);
    }

    /// Makes the core, on the thread that will run it, and reports; `None` if that has failed.
    pub(crate) fn begin(self) -> Option<Parts<C>> {
        let mut seed = [0; 32];
        if let Err(error) = getrandom::fill(&mut seed) {
            self.report(Err(refuse(format!("the system gives no random numbers: {error}"))));
            return None;
        }
        let core = (self.make)(self.id, seed.into(), sys::now());
        let _ = self.report.send(Ok(()));
        Some(Parts { id: self.id, core, common: self.common, hooks: self.hooks, acceptor: self.acceptor })
    }

    /// Runs the shard. A panic ends the process: a router without one of its shards would lose messages in silence.
    fn run_or_abort(self, driver: Driver) {
        let shard = self.id.0;
        let result = catch_unwind(AssertUnwindSafe(|| match driver {
            Driver::Uring => uring::run(self),
            Driver::Epoll => epoll::run(self),
        }));
        let cause = match result {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(payload) => panic_message(payload.as_ref()),
        };
        tracing::error!(shard, cause, "a shard has failed, the router cannot go on");
        eprintln!("wampline: shard {shard} has failed, the router cannot go on: {cause}");
        std::process::abort();
    }
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

fn refuse(message: String) -> StartError {
    StartError { message, uring: false }
}
