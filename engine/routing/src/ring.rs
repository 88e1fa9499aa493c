//! The subscribers of one subscription that share its events (advanced profile, "Sharded Subscription").
//!
//! The specification names two keys and no more: `SUBSCRIBE.Options.nkey` for nodes, `PUBLISH.Options.rkey` for resources.
//! Our reading: the members of a subscription that gave a node key form a ring, and an event with a resource key goes to the
//! one of them that rendezvous hashing of both keys picks: the same as long as the ring is the same, and of a ring that
//! gains or loses a node only the share of that node changes hands. Sessions with the same node key share what falls to
//! it. The hash depends on the keys alone, so that every shard, and a router that was started again, picks alike.

use ahash::AHashMap;
use wampline_wire::SessionId;

/// The nodes of one subscription.
#[derive(Debug)]
pub struct Ring {
    /// The hash of each session's node key.
    nodes: AHashMap<SessionId, u64>,
}

impl Ring {
    /// No nodes.
    pub fn new(hasher: ahash::RandomState) -> Ring {
        Ring { nodes: AHashMap::with_hasher(hasher) }
    }

    /// A session is the node with this key, and no other.
    pub fn insert(&mut self, session: SessionId, nkey: &str) {
        self.nodes.insert(session, hash(nkey));
    }

    /// A session is no node any more.
    pub fn remove(&mut self, session: SessionId) {
        self.nodes.remove(&session);
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Who gets the events with this resource key. Costs some nanoseconds per node.
    pub fn pick(&self, rkey: &str) -> Option<SessionId> {
        let resource = hash(rkey);
        let weight = |(session, node): (&SessionId, &u64)| {
            (mix(*node ^ resource.rotate_left(32)), mix(session.get() ^ resource), *session)
        };
        self.nodes.iter().map(weight).max().map(|(.., session)| session)
    }
}

/// FNV-1a, finished so that all bits depend on all octets.
fn hash(key: &str) -> u64 {
    mix(key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)))
}

/// The finisher of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn session(n: u64) -> SessionId {
        SessionId::new(n).unwrap()
    }

    fn ring(nodes: u64, seed: usize) -> Ring {
        let mut ring = Ring::new(ahash::RandomState::with_seed(seed));
        (1..=nodes).for_each(|n| ring.insert(session(n), &format!("node{n}")));
        ring
    }

    #[test]
    fn every_shard_picks_alike_and_the_share_is_fair() {
        let (one, other) = (ring(4, 1), ring(4, 2));
        // Too few under Miri to tell what is fair.
        let keys = if cfg!(miri) { 20 } else { 4000 };
        let mut shares = [0; 5];
        for n in 0..keys {
            let rkey = format!("sn{n}");
            let picked = one.pick(&rkey).unwrap();
            assert_eq!(other.pick(&rkey), Some(picked));
            shares[picked.get() as usize] += 1;
        }
        assert!(cfg!(miri) || shares[1..].iter().all(|share| (800..1200).contains(share)), "{shares:?}");
        assert_eq!(ring(0, 1).pick("x"), None);
        assert!(ring(0, 1).is_empty() && one.len() == 4);
    }

    #[test]
    fn only_the_share_of_a_node_that_goes_changes_hands() {
        let (before, mut after) = (ring(5, 1), ring(5, 1));
        after.remove(session(3));
        for n in 0..if cfg!(miri) { 20 } else { 1000 } {
            let rkey = format!("sn{n}");
            let picked = before.pick(&rkey).unwrap();
            let now = after.pick(&rkey).unwrap();
            assert!(now == picked || picked == session(3));
        }
    }

    #[test]
    fn sessions_with_one_node_key_share_what_falls_to_it() {
        let mut ring = ring(2, 1);
        ring.insert(session(9), "node1");
        let picks: Vec<u64> = (0..200).map(|n| ring.pick(&n.to_string()).unwrap().get()).collect();
        for of in [1, 2, 9] {
            assert!(picks.iter().filter(|pick| **pick == of).count() > 20, "{picks:?}");
        }
    }
}
