//! Programs outside that know principals: from the tables of hooks to [`Hook`].

use std::collections::HashMap;
use std::path::Path;

use wampline_auth::HookId;
use wampline_driver::{Hook, HookError, HookSettings};

use super::diagnostics::Diagnostics;
use super::raw::authentication as raw;
use super::secret::read_file;

/// Hooks at most: each has threads of its own.
const HOOKS_MAX: usize = 64;

/// A file of authorities is not read beyond this.
const AUTHORITIES_BYTES_MAX: u64 = 4 << 20;

/// The hooks, in their order, and the place of each by its name.
pub(super) fn hooks(
    list: Vec<toml::Spanned<raw::Hook>>,
    folder: &Path,
    found: &mut Diagnostics,
) -> (Vec<Hook>, HashMap<String, HookId>) {
    let (mut hooks, mut names) = (Vec::new(), HashMap::new());
    for table in list {
        let place = Some(table.span());
        if names.len() == HOOKS_MAX {
            found.add(place, format!("these are too many hooks, expected at most {HOOKS_MAX}"));
            break;
        }
        let table = table.into_inner();
        let (name_place, name) = (table.name.span(), table.name.take(found));
        let (url_place, authorities_place) = (table.url.span(), table.authorities.span());
        let url = table.url.take(found).map(|url| url.read(folder));
        let token_place = table.token.span();
        let token = table.token.take(found).map(|token| token.read(folder)).transpose();
        let authorities = table.authorities.take(found);
        let authorities =
            authorities.map(|path| read_file(&folder.join(path), AUTHORITIES_BYTES_MAX)).transpose();
        let mut settings = HookSettings {
            connect_timeout: table.connect_timeout.get(found),
            timeout: table.timeout.get(found),
            connections_max: table.connections_max.get(found),
            waiting_max: table.waiting_max.get(found),
            answer_bytes_max: table.answer_bytes_max.get(found),
            ..HookSettings::new("")
        };
        match url {
            Some(Ok(url)) => url.as_str().clone_into(&mut settings.url),
            Some(Err(message)) => found.add(url_place.clone(), message),
            None => {}
        }
        match authorities {
            Ok(pem) => settings.authorities = pem,
            Err(message) => found.add(authorities_place.clone(), message),
        }
        match token {
            Ok(token) => settings.token = token,
            Err(message) => found.add(token_place.clone(), message),
        }
        if let Some(name) = name {
            // A hook with something wrong is there all the same, so that sources that name it are not to blame.
            if names.insert(name.clone(), HookId(hooks.len() as u32)).is_some() {
                found.add(name_place, format!("the hook {name:?} is there already, expected another name"));
            }
        }
        if settings.url.is_empty() {
            continue;
        }
        match Hook::new(settings) {
            Ok(hook) => hooks.push(hook),
            Err(error) => {
                let place = match error {
                    HookError::Url | HookError::NoSystemAuthorities(_) => url_place,
                    HookError::Authorities(_) | HookError::NoAuthority => authorities_place,
                    HookError::Token => token_place,
                };
                found.add(place, error.to_string());
            }
        }
    }
    (hooks, names)
}
