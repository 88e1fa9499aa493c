//! What sessions may do: from the tables of roles to [`Roles`].

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use wampline_routing::DisclosureRule;
use wampline_routing::authorization::{
    Actions, Authorizer, PayloadSchema, RoleError, RoleId, Roles, Rule, Validation,
};
use wampline_routing::uri::UriRules;
use wampline_shard::SourceRules;

use super::authentication::networks;
use super::diagnostics::Diagnostics;
use super::raw::authorization as raw;
use super::values::{Checked, Text};

/// The longest schema.
const SCHEMA_BYTES_MAX: u64 = 1 << 20;

/// Where something stands in the file.
type Place = Option<Range<usize>>;

/// The roles of a realm, their names, and where their sessions may come from.
pub(super) fn roles(
    list: Vec<raw::Role>,
    default_role: Checked<Text>,
    uris: UriRules,
    mut sources: SourceRules,
    folder: &Path,
    found: &mut Diagnostics,
) -> (Roles, Vec<String>, SourceRules) {
    let (mut roles, mut names) = (Roles::new(uris), Vec::new());
    for role in list {
        let place = role.name.span();
        let allows_by_default = role.allow_by_default.get(found);
        let from = networks(role.networks, found);
        let Some(name) = role.name.take(found) else { continue };
        let id = match roles.add_role(&name) {
            Ok(id) => id,
            Err(error) => {
                found.add(place, error.to_string());
                continue;
            }
        };
        names.push(name.clone());
        if let Some(from) = from {
            sources = sources.with_role(&name, from);
        }
        if allows_by_default {
            let rule = Rule { allow: Actions::ALL, cache: true, ..Rule::default() };
            complain(roles.set_default_permissions(id, rule), place.clone(), found);
        }
        for permission in role.permissions {
            add_rule(&mut roles, id, permission, folder, found);
        }
        if let Some(authorizer) = role.authorizer {
            let place = Some(authorizer.span());
            if allows_by_default {
                let message =
                    "the authorizer would decide what allow_by_default allows, expected one of them";
                found.add(place.clone(), message);
            }
            set_authorizer(&mut roles, id, authorizer.into_inner(), found);
        }
    }
    let place = default_role.span();
    if let Some(name) = default_role.take(found) {
        complain(roles.set_default_role(&name), place, found);
    }
    (roles, names, sources)
}

fn add_rule(
    roles: &mut Roles,
    role: RoleId,
    permission: raw::Permission,
    folder: &Path,
    found: &mut Diagnostics,
) {
    let place = permission.uri.span();
    let policy = permission.policy.get(found);
    let rule = Rule {
        allow: permission.allow.get(found).into_iter().collect(),
        disclose: DisclosureRule {
            caller: permission.disclose_caller.take(found),
            publisher: permission.disclose_publisher.take(found),
        },
        cache: permission.cache.get(found),
        validate: permission.validate.map(|table| Arc::new(validation(table, folder, found))),
    };
    if let Some(uri) = permission.uri.take(found) {
        complain(roles.add_rule(role, policy, &uri, rule), place, found);
    }
}

/// What payloads must be like.
fn validation(table: raw::Validate, folder: &Path, found: &mut Diagnostics) -> Validation {
    let mut read = |path: Checked<Text>| {
        let place = path.span();
        let path = path.take(found)?;
        schema(&folder.join(&path)).map_err(|error| found.add(place, format!("{path:?}: {error}"))).ok()
    };
    Validation { call: read(table.call), call_result: read(table.call_result), event: read(table.event) }
}

/// Reads a file with a JSON Schema.
fn schema(path: &Path) -> Result<PayloadSchema, String> {
    let octets = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if octets > SCHEMA_BYTES_MAX {
        return Err(format!("has {octets} octets, expected at most {SCHEMA_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    PayloadSchema::read(&text).map_err(|error| format!("is no JSON Schema for payloads: {error}"))
}

fn set_authorizer(roles: &mut Roles, role: RoleId, table: raw::Authorizer, found: &mut Diagnostics) {
    let place = table.procedure.span();
    let (timeout, scope) = (table.timeout.get(found), table.cache_for.get(found));
    let (allowed_for, denied_for) = (table.allowed_ttl.get(found), table.denied_ttl.get(found));
    if let Some(procedure) = table.procedure.take(found) {
        let authorizer = Authorizer {
            procedure: procedure.into(),
            timeout,
            scope,
            allowed_for: allowed_for.unwrap_or_default(),
            denied_for: denied_for.unwrap_or_default(),
        };
        complain(roles.set_authorizer(role, authorizer), place, found);
    }
}

/// Tells what is wrong.
pub(super) fn complain(result: Result<(), RoleError>, place: Place, found: &mut Diagnostics) {
    if let Err(error) = result {
        found.add(place, error.to_string());
    }
}
