//! Who on one shard receives the events of a subscription.

use ahash::AHashMap;
use wampline_wire::SubscriptionId;

/// One subscriber, with what the fan-out needs to reach its connection in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The session's slot on this shard.
    pub session: u32,
    /// The slot of its connection.
    pub connection: u32,
    /// In which form (serializer and framing) it receives events.
    pub form: u8,
}

/// The memberships of one realm on one shard. Each session remembers the positions of its own, so that
/// leaving costs what the session had.
#[derive(Debug)]
pub struct Members {
    by_subscription: AHashMap<SubscriptionId, Vec<Member>>,
}

impl Members {
    /// No memberships.
    pub fn new(hasher: ahash::RandomState) -> Members {
        Members { by_subscription: AHashMap::with_hasher(hasher) }
    }

    /// Adds a member; gives its position.
    pub fn add(&mut self, subscription: SubscriptionId, member: Member) -> u32 {
        let list = self.by_subscription.entry(subscription).or_default();
        list.push(member);
        (list.len() - 1) as u32
    }

    /// Removes the member at a position. Gives the member that has moved there, if one has: its session must be told.
    pub fn remove(&mut self, subscription: SubscriptionId, position: u32) -> Option<Member> {
        let list = self.by_subscription.get_mut(&subscription)?;
        list.swap_remove(position as usize);
        let moved = list.get(position as usize).copied();
        if list.is_empty() {
            self.by_subscription.remove(&subscription);
        }
        moved
    }

    /// The members of a subscription, in no particular order.
    pub fn of(&self, subscription: SubscriptionId) -> &[Member] {
        self.by_subscription.get(&subscription).map_or(&[], Vec::as_slice)
    }

    /// Whether there are no memberships.
    pub fn is_empty(&self) -> bool {
        self.by_subscription.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn removal_names_the_member_that_moved() {
        let mut members = Members::new(ahash::RandomState::with_seed(1));
        let topic = SubscriptionId::new(1).unwrap();
        let member = |session| Member { session, connection: session, form: 0 };
        for n in 0..3 {
            assert_eq!(members.add(topic, member(n)), n);
        }
        assert_eq!(members.remove(topic, 0), Some(member(2)));
        assert_eq!(members.of(topic), [member(2), member(1)]);
        assert_eq!(members.remove(topic, 1), None);
        assert_eq!(members.remove(topic, 0), None);
        assert!(members.is_empty());
    }
}
