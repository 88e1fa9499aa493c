//! `wampline run` and `wampline testee`: start, say where it listens, wait for a signal, shut down.
//!
//! The log lines `listening` and `ready` are part of the interface (see `docs/configuration.md`): scripts wait for them.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{error, info, warn};
use wampline_driver::{Endpoint, Router, StartError};

use crate::cli::ServeArguments;
use crate::config::{self, Named, Settings};
use crate::{complain, exit, limits, logging, watch};

/// What events of this module are logged under.
const TARGET: &str = "wampline";

/// Serves until a signal ends it. `adapt` has the last word on the settings.
pub(crate) fn serve(
    arguments: ServeArguments,
    started: Instant,
    adapt: impl FnOnce(Settings) -> Settings,
) -> ExitCode {
    let settings = match config::load(arguments.config.as_deref(), &arguments.overrides) {
        Ok(settings) => adapt(settings),
        Err(report) => return complain(&report),
    };
    logging::init(&settings.log);
    // Before the start, so that a signal that comes early still leads to an orderly end.
    let signals = match Signals::new(handled_signals()) {
        Ok(signals) => signals,
        Err(error) => return complain(&format_args!("signals cannot be handled: {error}")),
    };
    let (mode, grace) = (settings.shutdown_mode, settings.shutdown_grace);
    let Settings { engine, driver, watched, .. } = settings;
    let described: Vec<Described> = engine.listeners.iter().map(Described::new).collect();
    let realms: Vec<String> = engine.realms.iter().map(|realm| realm.name.clone()).collect();
    if let Err(message) = limits::check_open_files(driver.shards, driver.driver) {
        return not_started(&StartError { message, uring: false });
    }
    let router = match wampline_driver::start(engine, driver) {
        Ok(router) => router,
        Err(error) => return not_started(&error),
    };
    let watcher = match watch::start(watched) {
        Ok(watcher) => watcher,
        Err(error) => return complain(&format_args!("files cannot be watched: {error}")),
    };
    announce(&router, &described, &realms, started);
    let ended = wait(router, signals, mode, grace);
    drop(watcher);
    ended
}

fn not_started(error: &StartError) -> ExitCode {
    if tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
        error!(target: TARGET, "cannot start: {}", error.message);
    } else {
        // A process that ends by itself says why, whatever is logged.
        complain(&format_args!("cannot start: {}", error.message));
    }
    if error.uring { exit::NO_URING.into() } else { exit::FAILED.into() }
}

/// A listener as the log shows it.
struct Described {
    protocols: String,
    tls: bool,
}

impl Described {
    fn new(listener: &wampline_shard::Listener) -> Described {
        let options = &listener.transport;
        let protocols = [
            (options.websocket && !options.echo, "websocket"),
            (options.rawsocket, "rawsocket"),
            (options.echo, "echo"),
        ];
        let protocols: Vec<&str> =
            protocols.into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect();
        Described { protocols: protocols.join(","), tls: listener.tls.is_some() }
    }
}

fn announce(router: &Router, listeners: &[Described], realms: &[String], started: Instant) {
    let endpoints: &[Endpoint] = router.endpoints();
    for (endpoint, listener) in endpoints.iter().zip(listeners) {
        let endpoint = config::display_endpoint(endpoint);
        info!(target: TARGET, %endpoint, protocols = %listener.protocols, tls = listener.tls, "listening");
    }
    let start_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(
        target: TARGET,
        version = env!("CARGO_PKG_VERSION"),
        shards = router.shards(),
        realms = realms.len(),
        start_ms,
        "ready"
    );
}

/// The signals that end the router. SIGHUP, which a terminal sends when it closes, is none of them where it is ignored
/// (`nohup`).
fn handled_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let is_hangup_ignored = ignored & (1 << (SIGHUP - 1)) != 0;
    [SIGTERM, SIGINT, SIGHUP].into_iter().filter(|signal| *signal != SIGHUP || !is_hangup_ignored).collect()
}

/// What follows a signal within this time is taken for the same one: `timeout` and some service managers signal a process
/// and then its group.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// The first signal shuts down in order, a second one at once.
fn wait(
    router: Router,
    mut signals: Signals,
    mode: wampline_shard::ShutdownMode,
    grace: std::time::Duration,
) -> ExitCode {
    if let Some(signal) = signals.forever().next() {
        let begun = Instant::now();
        info!(target: TARGET, signal = name(signal), mode = mode.name(), "shutting down");
        router.shutdown(mode, grace);
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().find(|_| begun.elapsed() >= SAME_SIGNAL) {
                warn!(target: TARGET, signal = name(signal), "ending at once");
                std::process::exit(exit::signalled(signal));
            }
        });
    }
    router.join();
    info!(target: TARGET, "stopped");
    exit::OK.into()
}

fn name(signal: i32) -> &'static str {
    match signal {
        SIGINT => "SIGINT",
        SIGTERM => "SIGTERM",
        SIGHUP => "SIGHUP",
        _ => "signal",
    }
}
