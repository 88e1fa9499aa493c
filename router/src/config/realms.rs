//! The realms of a configuration: those that are there from the start, and what others are made like.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use wampline_routing::authorization::Roles;
use wampline_routing::uri::{MatchPolicy, UriRules};
use wampline_shard as shard;

use super::authentication::{self, Answering, Surroundings, networks};
use super::authorization::{self, complain};
use super::diagnostics::Diagnostics;
use super::raw;
use super::realm::check_realm;
use super::rules;
use crate::watch::Watched;

/// The built-in realm.
const REALM_DEFAULT: &str = "realm1";

/// Where something stands in the file.
type Place = Option<Range<usize>>;

/// What became of the tables of realms.
pub(super) struct Realms {
    pub(super) realms: Vec<shard::Realm>,
    pub(super) templates: Vec<shard::RealmTemplate>,
    /// Files that are read again when they change.
    pub(super) watched: Vec<Watched>,
}

/// A realm, or a template, while others may still have something to add to it.
struct Draft {
    policy: MatchPolicy,
    realm: shard::Realm,
    roles: Roles,
    procedures: Vec<Answering>,
}

/// The realms, or the built-in one.
pub(super) fn realms(
    raw: Option<Spanned<Vec<raw::Realm>>>,
    limits: &shard::RealmLimits,
    around: Surroundings<'_>,
    found: &mut Diagnostics,
) -> Realms {
    let Some(raw) = raw else {
        let realms = vec![shard::Realm { limits: *limits, ..shard::Realm::new(REALM_DEFAULT) }];
        return Realms { realms, templates: Vec::new(), watched: Vec::new() };
    };
    if raw.get_ref().is_empty() {
        found.add(Some(raw.span()), "the list is empty, expected at least one realm (or no such key)");
    }
    let (mut drafts, mut watched) = (Vec::new(), Vec::new());
    let mut names = HashSet::new();
    for raw in raw.into_inner() {
        drafts.extend(realm(raw, limits, around, &mut names, &mut watched, found));
    }
    note_authenticators(&mut drafts, found);
    let (mut realms, mut templates) = (Vec::new(), Vec::new());
    for Draft { policy, mut realm, roles, .. } in drafts {
        realm.roles = Arc::new(roles);
        match policy {
            MatchPolicy::Exact => realms.push(realm),
            policy => templates.push(shard::RealmTemplate { policy, settings: realm }),
        }
    }
    Realms { realms, templates, watched }
}

fn realm(
    raw: raw::Realm,
    limits: &shard::RealmLimits,
    around: Surroundings<'_>,
    names: &mut HashSet<(MatchPolicy, String)>,
    watched: &mut Vec<Watched>,
    found: &mut Diagnostics,
) -> Option<Draft> {
    let place = raw.name.span();
    let (uri_rules, request_ids) = (raw.uri_rules.get(found), raw.request_ids.get(found));
    let (meta, policy) = (raw.meta.get(found), raw.policy.get(found));
    let (call_timeout, call_timeout_max) = (raw.call_timeout.get(found), raw.call_timeout_max.get(found));
    let features = raw.features.get(found);
    let retained = shard::RetainedLimits {
        events_max: raw.retained.events_max.get(found),
        octets_max: raw.retained.bytes_max.take(found).unwrap_or_default(),
        ttl: raw.retained.ttl.get(found),
    };
    let disclosure = rules::disclosure(raw.disclose, uri_rules, found);
    let trust_levels = rules::trust_levels(raw.trust_levels, uri_rules, found);
    let limits = raw.limits.of_realm(limits, found);
    let history = rules::history(raw.history, uri_rules, found);
    let from = networks(raw.networks, found);
    let built = authentication::build(raw.authentication, raw.principals, around, found);
    let mut sources = built.sources;
    if let Some(from) = from {
        sources = sources.with_realm(from);
    }
    let has_default = raw.default_role.span().is_some();
    let (roles, role_names, sources) =
        authorization::roles(raw.roles, raw.default_role, uri_rules, sources, around.folder, found);
    let is_bounded = !roles.is_empty() && !has_default;
    if is_bounded {
        check_granted(&roles, &built.granted, &place, found);
    }
    watched.extend(built.files.into_iter().map(|file| file.watched(is_bounded.then(|| role_names.clone()))));
    let name = raw.name.take(found)?;
    check_name(&name, policy, uri_rules, &place, names, found);
    let realm = shard::Realm {
        uri_rules,
        request_ids,
        call_timeout,
        call_timeout_max,
        features,
        disclosure,
        trust_levels,
        retained,
        history,
        meta,
        authentication: Arc::new(built.authentication),
        sources: Arc::new(sources),
        limits,
        ..shard::Realm::new(&name)
    };
    Some(Draft { policy, realm, roles, procedures: built.procedures })
}

/// Checks the name of a realm, or the pattern of a template.
fn check_name(
    name: &str,
    policy: MatchPolicy,
    uri_rules: UriRules,
    place: &Place,
    names: &mut HashSet<(MatchPolicy, String)>,
    found: &mut Diagnostics,
) {
    let checked = match policy {
        MatchPolicy::Exact => check_realm(name, uri_rules),
        policy => uri_rules
            .check_pattern(name, policy)
            .map_err(|error| format!("{name:?} cannot be matched as {}: {error}", policy.as_str())),
    };
    if let Err(message) = checked {
        found.add(place.clone(), message);
    } else if !names.insert((policy, name.into())) {
        found.add(place.clone(), format!("the realm {name:?} is there already, expected another name"));
    }
}

/// Roles that are granted must be there, or their sessions could do nothing.
fn check_granted(roles: &Roles, granted: &[(Place, String)], realm: &Place, found: &mut Diagnostics) {
    for (place, role) in granted.iter().filter(|(_, role)| !roles.contains(role)) {
        let place = place.clone().or_else(|| realm.clone());
        let message = format!(
            "there is no role {role:?} in this realm, expected one of [[realms.roles]], or a default_role"
        );
        found.add(place, message);
    }
}

/// Tells each realm which of its procedures know principals: who may register them is decided by rules alone.
fn note_authenticators(drafts: &mut [Draft], found: &mut Diagnostics) {
    let answering: Vec<(usize, Answering)> = drafts
        .iter_mut()
        .enumerate()
        .flat_map(|(index, draft)| {
            std::mem::take(&mut draft.procedures).into_iter().map(move |one| (index, one))
        })
        .collect();
    for (index, Answering { place, realm, procedure }) in answering {
        let draft = match realm {
            None => drafts.get_mut(index),
            Some(name) => {
                let draft = drafts
                    .iter_mut()
                    .find(|draft| draft.policy == MatchPolicy::Exact && draft.realm.name == name);
                if draft.is_none() {
                    let message = format!(
                        "there is no realm {name:?} to call {procedure:?} in, expected one of [[realms]]"
                    );
                    found.add(place.clone(), message);
                }
                draft
            }
        };
        if let Some(draft) = draft {
            complain(draft.roles.add_answering_procedure(&procedure), place, found);
        }
    }
}
