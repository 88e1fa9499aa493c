//! Accepting on shard 0 and handing the sockets over to the shard with the fewest.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use wampline_shard::{ListenerId, Now};

use super::{Shutdown, Task};
use crate::common::Newcomer;
use crate::conns::Conn;
use crate::counters::DriverCounters;
use crate::listen::Listener;
use crate::port::Port;
use crate::seam::Core;

/// After running out of descriptors or memory, accepting rests this long: long enough to cost nothing, short enough that
/// a client whose connection waits in the backlog hardly notices.
const STARVED_PAUSE: Duration = Duration::from_millis(100);
/// Refusals are logged this often at most.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// The listeners, on the shard that accepts.
#[derive(Debug)]
pub(crate) struct Acceptor {
    stations: Vec<Station>,
    /// Where the search for the shard with the fewest sockets begins next.
    rotation: usize,
    starved_log: Throttle,
    limit_log: Throttle,
}

/// A listener and its accept.
#[derive(Debug)]
struct Station {
    listener: Listener,
    connections_max: usize,
    /// An accept is outstanding.
    accepting: bool,
    /// When to try again.
    retry_at: Option<Now>,
}

impl Acceptor {
    /// For listeners with the most connections that each may have.
    pub(crate) fn new(listeners: Vec<(Listener, Option<usize>)>) -> Acceptor {
        let station = |(listener, max): (Listener, Option<usize>)| Station {
            listener,
            connections_max: max.unwrap_or(usize::MAX),
            accepting: false,
            retry_at: None,
        };
        Acceptor {
            stations: listeners.into_iter().map(station).collect(),
            rotation: 0,
            starved_log: Throttle::default(),
            limit_log: Throttle::default(),
        }
    }

    /// When a listener that rests is to be tried again.
    pub(super) fn retry_at(&self) -> Option<Now> {
        self.stations.iter().filter_map(|station| station.retry_at).min()
    }
}

impl<C: Core, P: Port<C::Output>> Task<C, P> {
    /// Starts accepting on every listener; they are closed if this router is going down already.
    pub(crate) fn start_accepting(&mut self) {
        let Some(acceptor) = &mut self.acceptor else { return };
        for (index, station) in acceptor.stations.iter_mut().enumerate() {
            station.accepting = true;
            self.port.accept(station.listener.as_fd(), index as u16);
        }
    }

    /// Cancels every accept. The listeners close when the cancellations are through.
    pub(super) fn stop_accepting(&mut self) {
        let Some(acceptor) = &mut self.acceptor else { return };
        for (index, station) in acceptor.stations.iter_mut().enumerate() {
            station.retry_at = None;
            if station.accepting && self.port.cancel_accept(station.listener.as_fd(), index as u16) {
                station.accepting = false;
            }
        }
        self.close_listeners();
    }

    pub(super) fn retry_accepting(&mut self, now: Now) {
        let Some(acceptor) = &mut self.acceptor else { return };
        for (index, station) in acceptor.stations.iter_mut().enumerate() {
            if station.retry_at.is_some_and(|at| at <= now) {
                station.retry_at = None;
                station.accepting = true;
                self.port.accept(station.listener.as_fd(), index as u16);
            }
        }
    }

    pub(super) fn on_accepted(&mut self, now: Now, index: u16, result: Result<OwnedFd, i32>, more: bool) {
        match result {
            Ok(socket) => self.place(now, index, socket),
            // One connection that has gone already, or nothing at all.
            Err(libc::ECONNABORTED | libc::EPROTO | libc::EINTR | libc::EAGAIN | libc::ECANCELED) => {}
            Err(error) => self.on_accept_failed(now, index, error),
        }
        if more {
            return;
        }
        let Some(acceptor) = &mut self.acceptor else { return };
        let station = &mut acceptor.stations[usize::from(index)];
        station.accepting = false;
        if self.shutdown != Shutdown::No {
            self.close_listeners();
        } else if station.retry_at.is_none() {
            station.accepting = true;
            self.port.accept(station.listener.as_fd(), index);
        }
    }

    /// Takes over the sockets that shard 0 has left here.
    pub(super) fn take_over_newcomers(&mut self, now: Now) {
        while let Some(newcomer) = self.common.desks[self.id].newcomers.pop() {
            self.take_over(now, newcomer);
        }
    }

    /// Chooses the shard for an accepted socket and hands it over.
    fn place(&mut self, now: Now, index: u16, socket: OwnedFd) {
        let Some(acceptor) = &mut self.acceptor else { return };
        let counters = &self.common.counters[self.id];
        let station = &acceptor.stations[usize::from(index)];
        let load = &self.common.listener_loads[usize::from(index)];
        if load.load(Ordering::Relaxed) >= station.connections_max {
            DriverCounters::count(&counters.accepts_over_limit);
            if acceptor.limit_log.admits(now) {
                let (endpoint, most) = (station.listener.endpoint(), station.connections_max);
                tracing::warn!(
                    ?endpoint,
                    most,
                    "the listener has its most connections, new ones are refused"
                );
            }
            return;
        }
        let Ok(peer) = station.listener.peer(socket.as_fd()) else {
            DriverCounters::count(&counters.sockets_lost);
            return;
        };
        let desks = &self.common.desks;
        let (shards, first) = (desks.len(), acceptor.rotation);
        acceptor.rotation = (first + 1) % shards;
        let candidates = (0..shards).map(|offset| (first + offset) % shards);
        let fewest = candidates.min_by_key(|&shard| desks[shard].load.load(Ordering::Relaxed));
        let shard = fewest.expect("invariant: there is at least one shard");
        load.fetch_add(1, Ordering::Relaxed);
        desks[shard].load.fetch_add(1, Ordering::Relaxed);
        let newcomer = Newcomer { socket, listener: ListenerId(index), peer };
        if shard == self.id {
            self.take_over(now, newcomer);
        } else {
            desks[shard].newcomers.push(newcomer);
            self.common.mesh.bell(shard).announce();
            self.peers.insert(shard);
        }
    }

    fn take_over(&mut self, now: Now, newcomer: Newcomer) {
        if self.shutdown != Shutdown::No {
            DriverCounters::count(&self.counters().sockets_lost);
            self.uncount(newcomer.listener.0);
            return;
        }
        DriverCounters::count(&self.counters().sockets);
        let key = self.core.accept(now, newcomer.listener, newcomer.peer);
        let token = self.conns.insert(Conn::new(newcomer.socket, key, newcomer.listener.0));
        self.to_receive.push(token);
    }

    /// A socket of this shard has gone.
    pub(super) fn uncount(&self, listener: u16) {
        self.common.desks[self.id].load.fetch_sub(1, Ordering::Relaxed);
        self.common.listener_loads[usize::from(listener)].fetch_sub(1, Ordering::Relaxed);
    }

    /// Mostly EMFILE or ENFILE: trying again at once would spin.
    fn on_accept_failed(&mut self, now: Now, index: u16, error: i32) {
        DriverCounters::count(&self.counters().accepts_starved);
        let Some(acceptor) = &mut self.acceptor else { return };
        let station = &mut acceptor.stations[usize::from(index)];
        if self.shutdown == Shutdown::No {
            station.retry_at = Some(Now(now.0 + STARVED_PAUSE.as_nanos() as u64));
        }
        if acceptor.starved_log.admits(now) {
            let (endpoint, error) = (station.listener.endpoint(), std::io::Error::from_raw_os_error(error));
            tracing::warn!(
                %endpoint, %error,
                "connections cannot be accepted for now; if open files ran out, raise `ulimit -n` or lower the load"
            );
        }
    }

    fn close_listeners(&mut self) {
        if let Some(acceptor) = &self.acceptor
            && acceptor.stations.iter().all(|station| !station.accepting)
        {
            self.acceptor = None;
            tracing::debug!("listeners closed");
        }
    }
}

/// Lets one log line through per [`LOG_EVERY`].
#[derive(Debug, Default)]
struct Throttle {
    next: Now,
}

impl Throttle {
    fn admits(&mut self, now: Now) -> bool {
        let admits = now >= self.next;
        if admits {
            self.next = Now(now.0 + LOG_EVERY.as_nanos() as u64);
        }
        admits
    }
}
