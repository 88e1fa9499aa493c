//! A subscription as the directory knows it: its topic, where its members are, and which of them are nodes of its ring.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use smallvec::SmallVec;
use wampline_wire::{SessionId, SubscriptionId};

use crate::key::{RealmId, ShardId};
use crate::meta::{Created, SessionSet};
use crate::pattern::PatternTable;
use crate::replica::Delta;
use crate::visibility::{DeltaNumber, Visibility};

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) created: Created,
    pub(super) members: SessionSet,
    pub(super) shards: SmallVec<[Presence; 1]>,
    /// The members that are nodes of its ring, with their keys.
    pub(super) nodes: BTreeMap<SessionId, Arc<str>>,
    /// It stays when it has no members.
    pub(super) is_pinned: bool,
}

/// The members of a subscription on one shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presence {
    pub(super) shard: ShardId,
    pub(super) members: u32,
    /// The change that made the shard known to all others.
    pub(super) visible_at: DeltaNumber,
}

impl Subscription {
    /// Makes a member a node of the ring, or none. Gives the change that this rests on, 0 if nothing changes.
    pub(super) fn set_node(
        &mut self,
        realm: RealmId,
        subscription: SubscriptionId,
        session: SessionId,
        nkey: Option<&str>,
        out: &mut Visibility,
    ) -> DeltaNumber {
        if self.nodes.get(&session).map(|known| &**known) == nkey {
            return 0;
        }
        let nkey: Option<Arc<str>> = nkey.map(Into::into);
        match &nkey {
            Some(nkey) => self.nodes.insert(session, nkey.clone()),
            None => self.nodes.remove(&session),
        };
        out.change(Delta::Node { realm, subscription, session, nkey })
    }
}

/// Makes a subscription without members, for a pattern that is admitted.
pub(super) fn new_subscription(
    last: &mut u64,
    topics: &mut PatternTable<SubscriptionId>,
    subscriptions: &mut AHashMap<SubscriptionId, Subscription>,
    created: Created,
) -> SubscriptionId {
    *last += 1;
    let new = SubscriptionId::new(*last).expect("invariant: fewer than 2^53 subscriptions");
    topics.insert(created.policy, &created.uri, new).expect("invariant: the pattern is admitted");
    let entry = Subscription {
        created,
        members: SessionSet::new(),
        shards: SmallVec::new(),
        nodes: BTreeMap::new(),
        is_pinned: false,
    };
    subscriptions.insert(new, entry);
    new
}
