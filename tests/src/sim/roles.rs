//! The roles of a run: random rules, an authorizer that answers by the toss of a coin that can be repeated, and a naive model of
//! what follows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use wampline_routing::authorization::{Action, Actions, Authorizer, CacheScope, Roles, Rule};
use wampline_routing::uri::MatchPolicy;
use wampline_shard::Config;

use super::pool::{Pattern, Policy, Pool};
use crate::config::with_tickets;

/// What is asked about sessions.
pub(super) const AUTHORIZER: &str = "auth.ask";

/// Makes its answers be forgotten.
pub(super) const PURGE: &str = "wampline.authorizer.purge";

/// How long the authorizer has to answer.
pub(super) const AUTHORIZER_TIMEOUT: Duration = Duration::from_millis(40);

/// Who answers for the authorizer.
pub(super) const GUARD: &str = "guard";

/// The roles that sessions of `realm1` have.
const NAMES: [&str; 4] = ["anonymous", GUARD, "user", "member"];

/// What a session may do, as far as the model knows beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    Yes,
    No,
    /// The authorizer is asked, or was; what it says if it says anything.
    Asked(bool),
}

impl Permit {
    /// Whether it is done, if nothing fails.
    pub(crate) fn may(self) -> bool {
        matches!(self, Permit::Yes | Permit::Asked(true))
    }

    /// Whether both are done.
    pub(crate) fn and(self, other: Permit) -> Permit {
        match (self, other) {
            (Permit::No, _) | (_, Permit::No) => Permit::No,
            (Permit::Asked(a), Permit::Asked(b)) => Permit::Asked(a && b),
            (Permit::Asked(a), _) | (_, Permit::Asked(a)) => Permit::Asked(a),
            (Permit::Yes, Permit::Yes) => Permit::Yes,
        }
    }
}

/// The roles of a run.
#[derive(Debug)]
pub(crate) struct Model {
    roles: BTreeMap<&'static str, Role>,
    /// Kept answers are for all sessions of a role.
    by_role: bool,
    salt: u64,
    universe: Vec<String>,
}

#[derive(Debug, Default)]
struct Role {
    rules: Vec<(Pattern, Vec<Action>)>,
    by_default: Vec<Action>,
    /// The authorizer is asked where no rule matches.
    asks: bool,
}

impl Model {
    pub(super) fn new(random: &mut Rng, pool: Pool) -> Model {
        let mut roles = BTreeMap::new();
        for name in NAMES {
            let mut role = Role::default();
            if name == GUARD {
                let pattern = |uri: &str| Pattern { policy: Policy::Exact, uri: uri.into() };
                role.rules.push((pattern(AUTHORIZER), vec![Action::Register]));
                role.rules.push((pattern(PURGE), vec![Action::Call]));
            } else {
                role.randomize(random, pool);
            }
            role.asks &= name != "anonymous" && !role.serves();
            roles.insert(name, role);
        }
        Model { roles, by_role: random.bool(), salt: random.u64(..), universe: universe() }
    }

    pub(super) fn configure(&self, config: &mut Config) {
        let mut roles = Roles::default();
        for (name, role) in &self.roles {
            let id = roles.add_role(name).expect("names differ");
            for (pattern, allow) in &role.rules {
                let rule = Rule::allowing(allow.iter().copied());
                roles.add_rule(id, pattern.policy.into(), &pattern.uri, rule).expect("patterns differ");
            }
            let allow: Actions = role.by_default.iter().copied().collect();
            roles.set_default_permissions(id, Rule { allow, ..Rule::default() }).expect("a good rule");
            if role.asks {
                let scope = if self.by_role { CacheScope::Role } else { CacheScope::Session };
                let procedure = AUTHORIZER.into();
                let timeout = AUTHORIZER_TIMEOUT;
                let authorizer = Authorizer { procedure, timeout, scope, ..Authorizer::default() };
                roles.set_authorizer(id, authorizer).expect("it has none");
            }
        }
        // In runs where nobody asks it is still a procedure that not everybody may register.
        roles.add_answering_procedure(AUTHORIZER).expect("a good URI");
        config.realms[0].authentication = with_tickets(NAMES);
        config.realms[0].roles = Arc::new(roles);
    }

    /// The role of the next session.
    pub(super) fn role(&self, random: &mut Rng) -> &'static str {
        NAMES[random.usize(..NAMES.len())]
    }

    /// Whether answers are for all sessions of a role.
    pub(crate) fn is_by_role(&self) -> bool {
        self.by_role
    }

    /// Whether the authorizer is asked about sessions of this role.
    pub(crate) fn asks(&self, role: &str) -> bool {
        self.roles[role].asks
    }

    /// Whether the authorizer is asked about anybody.
    pub(crate) fn has_authorizer(&self) -> bool {
        self.roles.values().any(|role| role.asks)
    }

    /// What a session of this role may do.
    pub(crate) fn permit(&self, role: &str, session: u64, action: Action, pattern: &Pattern) -> Permit {
        let allowed = |is_allowed| if is_allowed { Permit::Yes } else { Permit::No };
        let model = &self.roles[role];
        if action == Action::Call && is_destructive(&pattern.uri) {
            let rule = model.best(&pattern.uri);
            // (Roles without rules may do what the realm offers, and it offers everything.)
            let has_no_rules = model.rules.is_empty() && !model.asks;
            return allowed(match rule {
                Some((by, allow)) => {
                    (by.uri == "wamp" || by.uri.starts_with("wamp.")) && allow.contains(&action)
                }
                None => has_no_rules && model.by_default.contains(&action),
            });
        }
        let matched: Vec<&String> = self.universe.iter().filter(|uri| pattern.matches(uri)).collect();
        let (governing, is_denied_inside) = if pattern.policy == Policy::Exact || is_plain(pattern) {
            (model.best(&pattern.uri), false)
        } else {
            model.govern(action, &matched)
        };
        match governing {
            Some((_, allow)) => allowed(allow.contains(&action) && !is_denied_inside),
            None if action == Action::Register && pattern.matches(AUTHORIZER) => Permit::No,
            None if !model.asks => allowed(model.by_default.contains(&action) && !is_denied_inside),
            None if is_denied_inside => Permit::No,
            None => Permit::Asked(self.answer(role, session, action, &pattern.uri).0),
        }
    }

    /// What the authorizer answers, and whether that is for whoever the answers are kept for.
    pub(crate) fn answer(&self, role: &str, session: u64, action: Action, uri: &str) -> (bool, bool) {
        let toss = |about: &str| {
            let text = format!("{about} {} {uri}", action.as_str());
            text.bytes()
                .fold(self.salt, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
                >> 32
        };
        let of_session = || !toss(&format!("session {session}")).is_multiple_of(4);
        match (self.by_role, toss("cache").is_multiple_of(2)) {
            (true, true) => (!toss(&format!("role {role}")).is_multiple_of(4), true),
            (_, cache) => (of_session(), cache && !self.by_role),
        }
    }
}

impl Role {
    fn randomize(&mut self, random: &mut Rng, pool: Pool) {
        let some = |random: &mut Rng| -> Vec<Action> {
            Action::ALL.into_iter().filter(|_| random.u8(..4) > 0).collect()
        };
        for _ in 0..random.usize(..5) {
            let pattern = match random.u8(..6) {
                0 => Pattern {
                    policy: Policy::Prefix,
                    uri: ["wamp.", "wamp", "wamp.session."][random.usize(..3)].into(),
                },
                _ => pool.pattern(random),
            };
            if self.rules.iter().all(|(known, _)| *known != pattern) {
                self.rules.push((pattern, some(random)));
            }
        }
        self.by_default = if random.u8(..3) > 0 { Action::ALL.to_vec() } else { some(random) };
        self.asks = random.u8(..3) > 0;
    }

    /// The rule that decides about a URI.
    fn best(&self, uri: &str) -> Option<&(Pattern, Vec<Action>)> {
        self.rules
            .iter()
            .filter(|(pattern, _)| pattern.matches(uri))
            .min_by_key(|(pattern, _)| pattern.rank())
    }

    fn serves(&self) -> bool {
        self.best(AUTHORIZER).is_some_and(|(_, allow)| allow.contains(&Action::Register))
    }

    /// The rule that decides about all of these URIs, and whether one that goes before it denies the action for any of them.
    fn govern(&self, action: Action, matched: &[&String]) -> (Option<&(Pattern, Vec<Action>)>, bool) {
        let covers = |pattern: &Pattern| {
            pattern.policy != Policy::Exact && matched.iter().all(|uri| pattern.matches(uri))
        };
        let rules = self.rules.iter();
        let governing =
            rules.filter(|(pattern, _)| covers(pattern)).min_by_key(|(pattern, _)| pattern.rank());
        let is_inside = |(pattern, allow): &(Pattern, Vec<Action>)| {
            governing.is_none_or(|(by, _)| pattern.rank() < by.rank())
                && !allow.contains(&action)
                && matched.iter().any(|uri| pattern.matches(uri))
        };
        (governing, self.rules.iter().any(is_inside))
    }
}

fn is_plain(pattern: &Pattern) -> bool {
    pattern.policy == Policy::Wildcard && pattern.uri.split('.').all(|component| !component.is_empty())
}

fn is_destructive(uri: &str) -> bool {
    matches!(
        uri,
        "wamp.session.kill"
            | "wamp.session.modify_details"
            | "wamp.subscription.remove_subscriber"
            | "wamp.registration.remove_callee"
            | "wamp.reflect.define"
    )
}

/// Every URI of one to four of these components: enough to tell apart all patterns of the random load.
fn universe() -> Vec<String> {
    let components = ["a", "b", "c", "bb", "aq", "wamp", "session", "q", "subscription", "wampq"];
    let mut all: Vec<String> = components.iter().map(|c| c.to_string()).collect();
    let mut newest = all.clone();
    for _ in 0..3 {
        newest = newest.iter().flat_map(|uri| components.iter().map(move |c| format!("{uri}.{c}"))).collect();
        all.extend(newest.iter().cloned());
    }
    let others =
        ["wamp.x", "wamp.xq", "wamp.registration", "wamp.registrationq", "wamp.reflect", "wamp.reflectq"];
    for uri in others {
        all.push(uri.into());
        all.extend(components.iter().map(|c| format!("{uri}.{c}")));
        let pairs = components.iter().flat_map(|c| components.iter().map(move |d| format!("{uri}.{c}.{d}")));
        all.extend(pairs);
    }
    all.push("wamp.session.on_join".into());
    all.extend(super::pool::URIS.iter().map(|uri| uri.to_string()));
    all
}

impl From<Policy> for MatchPolicy {
    fn from(policy: Policy) -> MatchPolicy {
        match policy {
            Policy::Exact => MatchPolicy::Exact,
            Policy::Prefix => MatchPolicy::Prefix,
            Policy::Wildcard => MatchPolicy::Wildcard,
        }
    }
}
