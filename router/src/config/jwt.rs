//! Who signs tokens, and what their claims stand for: from the tables of issuers to [`JwtIssuer`].

use std::ops::Range;
use std::path::Path;

use wampline_auth::{ConfigError, JwtIssuer, JwtKey, JwtRole};

use super::diagnostics::Diagnostics;
use super::principals::place_of;
use super::raw::authentication as raw;
use super::secret::read_file;

/// Where something stands in the file.
type Place = Option<Range<usize>>;

/// A file with keys is not read beyond this.
const KEYS_BYTES_MAX: u64 = 1 << 20;

/// Reads a table of an issuer. The roles that it grants go to `granted`, what is wrong to `found`.
pub(super) fn issuer(
    table: toml::Spanned<raw::Issuer>,
    folder: &Path,
    granted: &mut Vec<(Place, String)>,
    found: &mut Diagnostics,
) -> Option<JwtIssuer> {
    let place = Some(table.span());
    let mut table = table.into_inner();
    let keys = keys(&mut table, &place, folder, found)?;
    let role = role(&mut table, &place, granted, found)?;
    let leeway_place = table.leeway.span();
    let issuer = table.issuer.take(found);
    let audiences = table.audiences.get(found);
    let leeway = table.leeway.get(found).as_secs();
    let allow_no_expiry = table.allow_no_expiry.get(found);
    let (authid_claim, realm_claim) = (table.authid_claim.take(found), table.realm_claim.take(found));
    let build = || -> Result<JwtIssuer, ConfigError> {
        let mut built = JwtIssuer::new(keys, role)?.with_leeway(leeway)?;
        if let Some(issuer) = issuer {
            built = built.with_issuer(&issuer)?;
        }
        for audience in audiences {
            built = built.with_audience(&audience)?;
        }
        if allow_no_expiry {
            built = built.without_expiry();
        }
        if let Some(claim) = authid_claim {
            built = built.with_authid_claim(&claim)?;
        }
        match realm_claim {
            Some(claim) => built.with_realm_claim(&claim),
            None => Ok(built),
        }
    };
    build()
        .map_err(|error| found.add(place_of(&error, &[("leeway", &leeway_place)], &place), error.to_string()))
        .ok()
}

/// The keys of an issuer.
fn keys(
    table: &mut raw::Issuer,
    place: &Place,
    folder: &Path,
    found: &mut Diagnostics,
) -> Option<Vec<JwtKey>> {
    let mut keys = Vec::new();
    let (jwks_place, pem_place, secret_place) =
        (table.jwks.span(), table.public_key.span(), table.secret.span());
    let algorithm_place = table.algorithm.span();
    let jwks = std::mem::take(&mut table.jwks).take(found);
    let pem = std::mem::take(&mut table.public_key).take(found);
    let algorithm = std::mem::take(&mut table.algorithm).take(found);
    let secret = std::mem::take(&mut table.secret).take(found);
    if jwks.is_none() && pem.is_none() && secret.is_none() {
        found.add(place.clone(), "there is no key, expected jwks, public_key or secret");
        return None;
    }
    let mut is_fine = true;
    let mut take = |place: &Place, read: Result<Vec<JwtKey>, String>| match read {
        Ok(more) => keys.extend(more),
        Err(message) => {
            is_fine = false;
            found.add(place.clone(), message);
        }
    };
    if let Some(path) = jwks {
        let path = folder.join(path);
        let read = read_file(&path, KEYS_BYTES_MAX);
        take(
            &jwks_place,
            read.and_then(|json| JwtKey::from_jwks(&json).map_err(|error| format!("{path:?}: {error}"))),
        );
    }
    match (pem, algorithm) {
        (Some(path), Some(algorithm)) => {
            let path = folder.join(path);
            let read = read_file(&path, KEYS_BYTES_MAX);
            let read = read.and_then(|pem| {
                JwtKey::from_pem(algorithm.0, &pem).map_err(|error| format!("{path:?}: {error}"))
            });
            take(&pem_place, read.map(|key| vec![key]));
        }
        (Some(_), None) => {
            take(
                &pem_place,
                Err("which algorithm the key is for is open, expected algorithm beside it".into()),
            );
        }
        (None, Some(_)) => {
            take(
                &algorithm_place,
                Err("there is no key for this algorithm, expected public_key beside it".into()),
            );
        }
        (None, None) => {}
    }
    if let Some(secret) = secret {
        let read = secret.read(folder);
        let read =
            read.and_then(|secret| JwtKey::hs256(secret.as_bytes()).map_err(|error| error.to_string()));
        take(&secret_place, read.map(|key| vec![key]));
    }
    is_fine.then_some(keys)
}

/// The role that tokens of an issuer give.
fn role(
    table: &mut raw::Issuer,
    place: &Place,
    granted: &mut Vec<(Place, String)>,
    found: &mut Diagnostics,
) -> Option<JwtRole> {
    let (role_place, claim_place, roles_place) =
        (table.role.span(), table.role_claim.span(), table.roles.span());
    let role = std::mem::take(&mut table.role).take(found);
    let claim = std::mem::take(&mut table.role_claim).take(found);
    let roles = std::mem::take(&mut table.roles).placed(found);
    let (place, role) = match (role, claim) {
        (Some(role), None) if roles.is_empty() => {
            granted.push((role_place.clone(), role.clone()));
            (role_place, JwtRole::fixed(role))
        }
        (None, Some(claim)) if !roles.is_empty() => {
            let names: Vec<String> = roles.iter().map(|(_, role)| role.clone()).collect();
            granted.extend(roles);
            (claim_place, JwtRole::claim(&claim, names))
        }
        _ => {
            let place = role_place.or(claim_place).or(roles_place).or_else(|| place.clone());
            found.add(place, "which role tokens give is open, expected role alone, or role_claim with roles");
            return None;
        }
    };
    role.map_err(|error| found.add(place, error.to_string())).ok()
}
