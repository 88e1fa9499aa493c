//! What rules have decided about URIs, so that they need not be looked at for every message.

use super::{Action, AnswerCache, CachedAnswer, Question, RoleId, Roles, Verdict};
use crate::key::RealmId;
use crate::pattern::UriHash;
use crate::uri::MatchPolicy;
use wampline_wire::SessionId;

/// The most decisions that are remembered.
const SLOTS_MAX: usize = 1 << 12;

/// How many are remembered at first.
const SLOTS_MIN: usize = 1 << 4;

/// The longest URI that decisions are remembered for, in octets.
const URI_BYTES_MAX: usize = 256;

/// What the rules have decided lately, for all realms and roles of one shard.
///
/// A decision of the rules follows from the realm, the role, the action and the URI, and from nothing else: rules never change
/// once a realm is there, and a session keeps its role. So what is remembered never goes stale, and it is the same for all sessions
/// of a role. What does change, an authorizer's answers, is not remembered here: that one is to be asked is, and the
/// [`AnswerCache`] is looked at each time. So an answer holds no longer for having been used.
///
/// A table of slots; each decision has one place in it, where it takes the place of another one. The table begins empty and
/// without memory and grows, up to a bound, while decisions drive each other out. So it costs at most 4096 slots and their URIs,
/// no more than 2.3 MiB.
#[derive(Debug, Default)]
pub struct DecisionMemo {
    /// A power of two, or none.
    slots: Box<[Slot]>,
    /// How often a decision has driven out another one since the table grew.
    replaced: usize,
}

/// What a session wants to do to one URI.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its realm. The roles and the answers that are looked at must be those of this realm.
    pub realm: RealmId,
    /// Its role.
    pub role: RoleId,
    /// Who it is.
    pub session: SessionId,
    /// What it wants to do.
    pub action: Action,
    /// To what.
    pub uri: &'a str,
    /// The hash of the URI, always by the same hasher.
    pub hash: UriHash,
}

#[derive(Debug)]
struct Slot {
    /// [`Asked::key`]; 0 if nothing is remembered here.
    key: u64,
    uri: String,
    verdict: Verdict,
}

impl DecisionMemo {
    /// Whether a session may do something, as far as anybody knows: by the rules of its role, or by what its authorizer has
    /// answered and still holds at this time, in nanoseconds. [`Verdict::Ask`]: the authorizer must be asked.
    #[inline]
    pub fn decide(
        &mut self,
        roles: &Roles,
        answers: &mut AnswerCache,
        now: u64,
        asked: &Asked<'_>,
    ) -> Verdict {
        let verdict = match self.get(asked) {
            Some(verdict) => verdict,
            None => self.decide_anew(roles, asked),
        };
        match verdict {
            Verdict::Ask => self::answered(roles, answers, now, asked),
            decided => decided,
        }
    }

    /// How many decisions there is room for.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    fn get(&self, asked: &Asked<'_>) -> Option<Verdict> {
        let key = asked.key();
        let slot = self.slots.get(place(key, asked.hash, self.slots.len()))?;
        (slot.key == key && slot.uri == asked.uri).then_some(slot.verdict)
    }

    #[cold]
    fn decide_anew(&mut self, roles: &Roles, asked: &Asked<'_>) -> Verdict {
        let verdict = roles.decide(asked.role, asked.action, MatchPolicy::Exact, asked.uri);
        if asked.uri.len() <= URI_BYTES_MAX {
            self.put(asked, verdict);
        }
        verdict
    }

    fn put(&mut self, asked: &Asked<'_>, verdict: Verdict) {
        if self.slots.is_empty() || (self.replaced > self.slots.len() && self.slots.len() < SLOTS_MAX) {
            // What is forgotten here is soon decided again.
            let most = (2 * self.slots.len()).max(SLOTS_MIN);
            self.slots = (0..most).map(|_| Slot::EMPTY).collect();
            self.replaced = 0;
        }
        let key = asked.key();
        let slot = &mut self.slots[place(key, asked.hash, self.slots.len())];
        self.replaced += usize::from(slot.key != 0);
        slot.key = key;
        slot.verdict = verdict;
        slot.uri.clear();
        slot.uri.push_str(asked.uri);
    }
}

impl Slot {
    const EMPTY: Slot = Slot { key: 0, uri: String::new(), verdict: Verdict::Denied };
}

impl<'a> Asked<'a> {
    /// The question to the role's authorizer.
    pub fn question(&self, roles: &Roles) -> Question<'a> {
        let Asked { role, session, action, uri, .. } = *self;
        Question { role, owner: roles.owner(role, session), action, policy: MatchPolicy::Exact, uri }
    }

    /// All that a decision depends on but for the URI; never 0.
    fn key(&self) -> u64 {
        1 << 40 | u64::from(self.realm.0) << 24 | u64::from(self.role.0) << 8 | self.action as u64
    }
}

fn answered(roles: &Roles, answers: &mut AnswerCache, now: u64, asked: &Asked<'_>) -> Verdict {
    match answers.get(now, asked.hash, &asked.question(roles)) {
        Some(CachedAnswer { allow: true, disclose }) => Verdict::Allowed(disclose),
        Some(CachedAnswer { allow: false, .. }) => Verdict::Denied,
        None => Verdict::Ask,
    }
}

/// Where in a table of so many slots (a power of two, or none) a decision is.
#[inline]
fn place(key: u64, UriHash(hash): UriHash, slots: usize) -> usize {
    // (An odd factor, so that roles and actions of one URI lie apart.)
    (hash ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & slots.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::authorization::{Authorizer, CacheScope, PurgeFilter, Rule};
    use Action::{Call, Publish};
    use MatchPolicy::{Exact, Prefix};

    const ALLOWED: Verdict = Verdict::Allowed(None);

    /// Every URI has the same hash.
    fn asked(role: RoleId, action: Action, uri: &str) -> Asked<'_> {
        let (realm, session) = (RealmId(0), SessionId::new(1).unwrap());
        Asked { realm, role, session, action, uri, hash: UriHash::forced(5) }
    }

    fn asking_role(roles: &mut Roles, name: &str, scope: CacheScope) -> RoleId {
        let role = roles.add_role(name).unwrap();
        let procedure = "auth.ask".into();
        roles.set_authorizer(role, Authorizer { procedure, scope, ..Authorizer::default() }).unwrap();
        role
    }

    #[test]
    fn what_is_remembered_is_about_one_realm_role_action_and_uri() {
        let mut here = Roles::default();
        let (user, guest) = (here.add_role("user").unwrap(), here.add_role("guest").unwrap());
        here.add_rule(user, Exact, "a", Rule::allowing([Publish])).unwrap();
        here.add_rule(guest, Exact, "a", Rule::allowing([Call])).unwrap();
        let mut there = Roles::default();
        assert_eq!(there.add_role("other").unwrap(), user, "roles of different realms have the same ids");
        there.add_rule(user, Prefix, "", Rule::allowing([Call, Publish])).unwrap();
        let (mut memo, mut answers) = (DecisionMemo::default(), AnswerCache::new(10));
        let elsewhere = |asked| Asked { realm: RealmId(1), ..asked };
        // Each first, and each after each.
        let all: Vec<_> = [user, guest]
            .into_iter()
            .flat_map(|role| [Call, Publish].map(|action| (role, action)))
            .flat_map(|(role, action)| ["a", "b"].map(|uri| asked(role, action, uri)))
            .collect();
        for first in &all {
            for second in &all {
                for asked in [first, second] {
                    let expected = here.decide(asked.role, asked.action, Exact, asked.uri);
                    for _ in 0..2 {
                        assert_eq!(memo.decide(&here, &mut answers, 0, asked), expected, "{asked:?}");
                    }
                    if asked.role == user {
                        let decided = memo.decide(&there, &mut answers, 0, &elsewhere(*asked));
                        assert_eq!(decided, ALLOWED, "{asked:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_answer_holds_no_longer_for_having_been_used() {
        let mut roles = Roles::default();
        let role = asking_role(&mut roles, "user", CacheScope::Session);
        let (mut memo, mut answers) = (DecisionMemo::default(), AnswerCache::new(10));
        let asked = asked(role, Publish, "a");
        let question = asked.question(&roles);
        for allow in [true, false] {
            let decided = if allow { ALLOWED } else { Verdict::Denied };
            assert_eq!(memo.decide(&roles, &mut answers, 0, &asked), Verdict::Ask);
            answers.put(9, asked.hash, &question, CachedAnswer { allow, disclose: None });
            for now in [0, 8] {
                assert_eq!(memo.decide(&roles, &mut answers, now, &asked), decided);
            }
            let other = Asked { session: SessionId::new(2).unwrap(), ..asked };
            assert_eq!(memo.decide(&roles, &mut answers, 0, &other), Verdict::Ask, "another session");
            assert_eq!(memo.decide(&roles, &mut answers, 9, &asked), Verdict::Ask, "its time is over");
            answers.put(9, asked.hash, &question, CachedAnswer { allow: !allow, disclose: None });
            assert_ne!(
                memo.decide(&roles, &mut answers, 0, &asked),
                decided,
                "the authorizer thinks otherwise"
            );
            answers.purge(&PurgeFilter::default(), &roles);
        }
    }

    #[test]
    fn answers_for_a_role_are_for_all_its_sessions_and_no_others() {
        let mut roles = Roles::default();
        let user = asking_role(&mut roles, "user", CacheScope::Role);
        let guest = asking_role(&mut roles, "guest", CacheScope::Role);
        let (mut memo, mut answers) = (DecisionMemo::default(), AnswerCache::new(10));
        let asked = asked(user, Publish, "a");
        let disclose = Some(crate::Disclose::Always);
        answers.put(9, asked.hash, &asked.question(&roles), CachedAnswer { allow: true, disclose });
        let other = Asked { session: SessionId::new(2).unwrap(), ..asked };
        assert_eq!(memo.decide(&roles, &mut answers, 0, &other), Verdict::Allowed(disclose));
        let guest = Asked { role: guest, ..asked };
        assert_eq!(memo.decide(&roles, &mut answers, 0, &guest), Verdict::Ask);
    }

    #[test]
    fn the_table_grows_with_what_is_done_up_to_a_bound() {
        let mut roles = Roles::default();
        let role = roles.add_role("user").unwrap();
        roles.add_rule(role, Prefix, "a", Rule::allowing([Publish])).unwrap();
        let (mut memo, mut answers) = (DecisionMemo::default(), AnswerCache::new(10));
        assert_eq!(memo.capacity(), 0, "nothing is kept before there is a decision");
        let hasher = crate::pattern::UriHasher::with_seed(1);
        let mut decide = |memo: &mut DecisionMemo, uri: &str| {
            let asked = Asked { hash: hasher.hash(uri), ..asked(role, Publish, uri) };
            memo.decide(&roles, &mut answers, 0, &asked)
        };
        assert_eq!(decide(&mut memo, &"a".repeat(URI_BYTES_MAX + 1)), ALLOWED);
        assert_eq!(memo.capacity(), 0, "what is too long is decided, not remembered");
        for _ in 0..100 {
            assert_eq!(decide(&mut memo, &"a".repeat(URI_BYTES_MAX)), ALLOWED);
        }
        assert_eq!(memo.capacity(), SLOTS_MIN, "one decision drives out no other");
        for n in 0..if cfg!(miri) { 200 } else { 10 * SLOTS_MAX } {
            assert_eq!(decide(&mut memo, &format!("a{n}")), ALLOWED);
            assert_eq!(decide(&mut memo, &format!("b{n}")), Verdict::Denied);
        }
        assert!(cfg!(miri) || memo.capacity() == SLOTS_MAX);
        let octets: usize = memo.slots.iter().map(|slot| slot.uri.capacity() + size_of::<Slot>()).sum();
        assert!(octets < 2_300_000, "{octets}");
    }
}
