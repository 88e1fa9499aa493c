//! Realms with roles, for transcripts.

use std::sync::Arc;

use wampline_routing::authorization::{Action, Authorizer, RoleId, Rule};
use wampline_routing::uri::MatchPolicy::{self, Exact, Prefix};
use wampline_shard::{Config, Roles};

use crate::config::with_tickets;

/// A realm with these roles. What others can do with it is up to `anonymous`, which may do everything.
pub fn with_roles(build: impl Fn(&mut Roles)) -> impl Fn(&mut Config) {
    move |config| {
        let mut roles = Roles::default();
        let anonymous = roles.add_role("anonymous").expect("a new role");
        permit_by_default(&mut roles, anonymous);
        build(&mut roles);
        let strangers = ["stranger"].into_iter().filter(|name| !roles.contains(name));
        let tickets = with_tickets(roles.names().chain(strangers));
        config.realms[0].authentication = tickets;
        config.realms[0].roles = Arc::new(roles);
    }
}

/// Permits a role everything where no rule matches.
///
/// # Panics
/// Never: the rule is good.
pub fn permit_by_default(roles: &mut Roles, role: RoleId) {
    roles.set_default_permissions(role, Rule::allowing(Action::ALL)).expect("a good rule");
}

/// Adds a role with these rules.
///
/// # Panics
/// If the role is there, or a rule is bad.
pub fn role(roles: &mut Roles, name: &str, rules: &[(MatchPolicy, &str, &[Action])]) -> RoleId {
    let role = roles.add_role(name).expect("a new role");
    for (policy, uri, allow) in rules {
        roles.add_rule(role, *policy, uri, Rule::allowing(allow.iter().copied())).expect("a good rule");
    }
    role
}

/// The role `user` asks `auth.ask`, which the role `guard` serves.
pub fn with_authorizer(
    rules: &[(MatchPolicy, &str, &[Action])],
    settings: impl Fn(&mut Authorizer),
) -> impl Fn(&mut Config) {
    with_roles(move |roles| {
        role(roles, "guard", &[(Exact, "auth.ask", &[Action::Register]), (Prefix, "guard.", &Action::ALL)]);
        let user = role(roles, "user", rules);
        let mut authorizer = Authorizer { procedure: "auth.ask".into(), ..Authorizer::default() };
        settings(&mut authorizer);
        roles.set_authorizer(user, authorizer).expect("a good authorizer");
    })
}

/// The same without rules.
pub fn asks() -> impl Fn(&mut Config) {
    with_authorizer(&[], |_| {})
}
