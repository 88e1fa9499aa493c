//! Names for shards, realms and sessions inside the router. None of them appears on the wire.

/// Names a shard: 0 to N-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// As an index into a table with one row per shard.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Names a realm: its position in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub u16);

impl RealmId {
    /// As an index into a table with one row per realm.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a session lives: its shard, its slot there, and a guard that tells it from others that used the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionRef {
    /// The shard that owns the session.
    pub shard: ShardId,
    /// The session's slot on that shard.
    pub slot: u32,
    /// Differs from use to use of the slot.
    pub guard: u32,
}

/// A set of shards, at most [`ShardSet::SHARDS_MAX`] of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u128);

impl ShardSet {
    /// The most shards that a router can have.
    pub const SHARDS_MAX: usize = 128;

    /// Adds a shard.
    pub fn insert(&mut self, shard: ShardId) {
        self.0 |= 1 << shard.0;
    }

    /// Removes a shard.
    pub fn remove(&mut self, shard: ShardId) {
        self.0 &= !(1 << shard.0);
    }

    /// Whether the shard is in the set.
    pub fn contains(self, shard: ShardId) -> bool {
        self.0 & (1 << shard.0) != 0
    }

    /// Whether no shard is.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set without one shard.
    pub fn without(mut self, shard: ShardId) -> ShardSet {
        self.remove(shard);
        self
    }
}

impl Iterator for ShardSet {
    type Item = ShardId;

    /// Takes the lowest shard out of the set.
    fn next(&mut self) -> Option<ShardId> {
        if self.0 == 0 {
            return None;
        }
        let shard = ShardId(self.0.trailing_zeros() as u16);
        self.0 &= self.0 - 1;
        Some(shard)
    }
}
