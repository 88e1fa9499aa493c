//! Sources that have failed to authenticate too often are turned away for a while.
//!
//! One table for all shards, because the connections of one source meet all of them. It is locked where somebody has failed,
//! and read by those who authenticate only while somebody is blocked; sessions that prove nothing never touch it.
//! A source is an IPv4 address or the 64 bits of an IPv6 address that name a network: whoever has one address there has them
//! all. Unix domain sockets are not counted: whoever is behind them shares one source with everybody else who is.
//!
//! The table is bounded. When it is full of sources that have failed in the last window, further ones are not watched, which is
//! counted: who has that many addresses need not fear a bound per address.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ahash::AHashMap;

use crate::{Now, Peer};

/// When a source is turned away, and for how long.
#[derive(Clone, Debug)]
pub struct ThrottleRules {
    /// So many failures within `window` block their source; 0 for no bound.
    pub failures_max: u32,
    /// See `failures_max`.
    pub window: Duration,
    /// How long a source is turned away after that.
    pub block: Duration,
    /// How many sources are watched at once, over all shards.
    pub sources_max: usize,
}

impl Default for ThrottleRules {
    fn default() -> ThrottleRules {
        let (window, block) = (Duration::from_secs(1), Duration::from_secs(10));
        ThrottleRules { failures_max: 10, window, block, sources_max: 1 << 16 }
    }
}

/// What sources have failed lately.
#[derive(Debug)]
pub(crate) struct Throttle {
    table: Mutex<Table>,
    /// How many sources of the table are blocked, or were when it was last looked at.
    blocked: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    sources: AHashMap<u64, Failures>,
    /// When the table was last swept, in nanoseconds.
    swept: u64,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    /// When the window ends, or the block, in nanoseconds.
    until: u64,
    count: u32,
    is_blocked: bool,
}

/// What a failure led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Nothing yet.
    Counted,
    /// The source is turned away from now on.
    Blocked,
    /// Nothing: as many sources are watched as may.
    Unwatched,
}

impl Throttle {
    pub(crate) fn new(hasher: ahash::RandomState) -> Throttle {
        let table = Table { sources: AHashMap::with_hasher(hasher), swept: 0 };
        Throttle { table: Mutex::new(table), blocked: AtomicUsize::new(0) }
    }

    /// Whether a peer is turned away.
    pub(crate) fn is_blocked(&self, peer: &Peer, now: Now) -> bool {
        if self.blocked.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let Some(source) = source_of(peer) else { return false };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = table.sources.get(&source) else { return false };
        if found.until > now.0 {
            return found.is_blocked;
        }
        if found.is_blocked {
            self.blocked.fetch_sub(1, Ordering::Relaxed);
        }
        table.sources.remove(&source);
        false
    }

    /// A peer has failed to authenticate.
    pub(crate) fn failed(&self, peer: &Peer, now: Now, rules: &ThrottleRules) -> Failed {
        let Some(source) = source_of(peer).filter(|_| rules.failures_max > 0) else { return Failed::Counted };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.sources.len() >= rules.sources_max && !table.sources.contains_key(&source) {
            self.sweep(&mut table, now, rules);
            if table.sources.len() >= rules.sources_max {
                return Failed::Unwatched;
            }
        }
        let fresh = Failures { until: now.after(rules.window), count: 0, is_blocked: false };
        let found = table.sources.entry(source).or_insert(fresh);
        if found.until <= now.0 {
            if found.is_blocked {
                self.blocked.fetch_sub(1, Ordering::Relaxed);
            }
            *found = fresh;
        }
        found.count += 1;
        if found.is_blocked || found.count < rules.failures_max {
            return Failed::Counted;
        }
        found.is_blocked = true;
        found.until = now.after(rules.block);
        self.blocked.fetch_add(1, Ordering::Relaxed);
        Failed::Blocked
    }

    /// Forgets what is over. Takes time in proportion to the table, and so at most once in a window.
    fn sweep(&self, table: &mut Table, now: Now, rules: &ThrottleRules) {
        if Now(table.swept).after(rules.window) > now.0 && table.swept > 0 {
            return;
        }
        table.swept = now.0;
        let mut ended = 0;
        table.sources.retain(|_, found| {
            let is_over = found.until <= now.0;
            ended += usize::from(is_over && found.is_blocked);
            !is_over
        });
        self.blocked.fetch_sub(ended, Ordering::Relaxed);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).sources.len()
    }
}

/// What a peer is counted as: 32 bits of IPv4, or 64 of IPv6, the upper half of which is never zero in use.
fn source_of(peer: &Peer) -> Option<u64> {
    let Peer::Tcp(address) = peer else { return None };
    Some(match address.ip().to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn peer(text: &str) -> Peer {
        Peer::Tcp((text.parse::<IpAddr>().unwrap(), 1).into())
    }

    fn throttle() -> Throttle {
        Throttle::new(ahash::RandomState::with_seeds(1, 2, 3, 4))
    }

    fn rules() -> ThrottleRules {
        ThrottleRules { failures_max: 3, ..ThrottleRules::default() }
    }

    #[test]
    fn failures_in_a_window_block_their_source_for_a_while() {
        let (throttle, rules) = (throttle(), rules());
        let (bad, good) = (peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(throttle.failed(&bad, Now(0), &rules), Failed::Counted);
        assert_eq!(throttle.failed(&bad, Now(1), &rules), Failed::Counted);
        assert!(!throttle.is_blocked(&bad, Now(2)));
        assert_eq!(throttle.failed(&bad, Now(SECOND - 1), &rules), Failed::Blocked);
        assert!(throttle.is_blocked(&bad, Now(SECOND)));
        assert!(throttle.is_blocked(&peer("::ffff:192.0.2.1"), Now(SECOND)));
        assert!(!throttle.is_blocked(&good, Now(SECOND)));
        // One that was under way when the block began makes it no longer.
        assert_eq!(throttle.failed(&bad, Now(5 * SECOND), &rules), Failed::Counted);
        assert!(throttle.is_blocked(&bad, Now(11 * SECOND - 2)));
        assert!(!throttle.is_blocked(&bad, Now(11 * SECOND - 1)));
        assert_eq!(throttle.blocked.load(Ordering::Relaxed), 0);
        assert_eq!(throttle.failed(&bad, Now(12 * SECOND), &rules), Failed::Counted);
    }

    #[test]
    fn failures_that_are_far_apart_block_nobody() {
        let (throttle, rules) = (throttle(), rules());
        for n in 0..100 {
            assert_eq!(throttle.failed(&peer("192.0.2.1"), Now(n * SECOND / 2), &rules), Failed::Counted);
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let (throttle, rules) = (throttle(), rules());
        for n in 0..3 {
            throttle.failed(&peer(&format!("2001:db8::{n}")), Now(0), &rules);
        }
        assert!(throttle.is_blocked(&peer("2001:db8::ffff:1:2:3"), Now(1)));
        assert!(!throttle.is_blocked(&peer("2001:db8:0:1::"), Now(1)));
    }

    #[test]
    fn unix_domain_sockets_are_never_blocked() {
        let (throttle, rules) = (throttle(), rules());
        for _ in 0..10 {
            assert_eq!(throttle.failed(&Peer::Unix, Now(0), &rules), Failed::Counted);
        }
        assert!(!throttle.is_blocked(&Peer::Unix, Now(0)));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_what_is_over() {
        let (throttle, rules) = (throttle(), ThrottleRules { sources_max: 100, ..rules() });
        let failed =
            |n: u32, now| throttle.failed(&peer(&std::net::Ipv4Addr::from(n).to_string()), now, &rules);
        for n in 0..100 {
            assert_eq!(failed(n, Now(0)), Failed::Counted);
        }
        assert_eq!(failed(100, Now(SECOND / 2)), Failed::Unwatched);
        failed(7, Now(SECOND / 2));
        assert_eq!(failed(7, Now(SECOND / 2)), Failed::Blocked);
        assert_eq!(failed(101, Now(2 * SECOND)), Failed::Counted);
        assert_eq!(throttle.len(), 2, "the one that is blocked, and the new one");
        assert!(throttle.is_blocked(&peer("0.0.0.7"), Now(2 * SECOND)));
        for n in 200..298 {
            failed(n, Now(2 * SECOND));
        }
        assert_eq!(failed(300, Now(20 * SECOND)), Failed::Counted);
        assert_eq!((throttle.len(), throttle.blocked.load(Ordering::Relaxed)), (1, 0));
    }

    #[test]
    fn without_a_bound_nobody_is_blocked() {
        let (throttle, rules) = (throttle(), ThrottleRules { failures_max: 0, ..rules() });
        for _ in 0..100 {
            assert_eq!(throttle.failed(&peer("192.0.2.1"), Now(0), &rules), Failed::Counted);
        }
        assert_eq!(throttle.len(), 0);
    }
}
