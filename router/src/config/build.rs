//! What the keys of a configuration mean together: defaults that depend on other keys, references to files, names that
//! must differ, bounds that must fit each other.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use wampline_auth::DecoySecret;
use wampline_driver::{DriverConfig, Endpoint};
use wampline_shard as shard;
use wampline_transports::server::{CookieError, CookieOptions, Options, Origins};

use super::address::{Address, collide};
use super::authentication::Surroundings;
use super::diagnostics::Diagnostics;
use super::raw::{self, Protocol, Raw};
use super::realms::{self, Realms};
use super::{Overrides, Settings, hooks};
use crate::logging::LogSettings;
use crate::tls::{self, Part};

/// Where the built-in listener listens.
const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

/// Listeners at most: they are counted in 16 bits, and each costs an accepting socket per shard.
const LISTENERS_MAX: usize = 64;

/// Where something stands in the file.
type Place = Option<Range<usize>>;

/// Makes settings of what the file says; what is wrong goes to `found`, and then the settings are of no
/// use.
pub(super) fn build(raw: Raw, folder: &Path, overrides: &Overrides, found: &mut Diagnostics) -> Settings {
    let router = raw.router;
    let limits = limits(raw.limits, found);
    let listeners = listeners(raw.listeners, folder, limits.message_bytes_max, found);
    let (hooks, hook_names) = hooks::hooks(raw.hooks, folder, found);
    let around = Surroundings {
        folder,
        hooks: &hook_names,
        decoys: &decoy_secret(),
        has_cookies: listeners.iter().any(|listener| listener.engine.transport.cookie.is_some()),
        has_certificates: listeners.iter().any(|listener| listener.asks_for_certificates),
    };
    let Realms { realms, templates, watched } = realms::realms(raw.realms, &limits.realm, around, found);
    let (listeners, endpoints) = addressed(listeners, overrides, found);

    let configured = router.shards.get(found);
    let shards = overrides.shards.or(configured);
    let pin = router.pin.get(found).unwrap_or(shards.is_none());
    let configured = router.driver.get(found);
    let driver = overrides.driver.unwrap_or(configured);
    let driver = DriverConfig { driver, shards, pin, spin: router.spin.get(found), endpoints, hooks };
    let (filter, format) = (router.log.level.get(found), router.log.format.get(found));
    Settings {
        engine: shard::Config {
            listeners,
            realms,
            templates,
            limits: limits.process,
            agent: concat!("Wampline-", env!("CARGO_PKG_VERSION")).into(),
        },
        driver,
        shutdown_mode: router.shutdown.get(found),
        shutdown_grace: router.shutdown_grace.get(found),
        log: LogSettings {
            filter: overrides.log_filter.clone().unwrap_or(filter),
            format: overrides.log_format.unwrap_or(format),
        },
        watched,
    }
}

/// What decoys are made from: drawn anew for each process.
fn decoy_secret() -> DecoySecret {
    let mut octets = [0; 32];
    aws_lc_rs::rand::fill(&mut octets).expect("invariant: the system has random numbers");
    DecoySecret::new(octets)
}

/// What `[limits]` says.
struct Limits {
    process: shard::Limits,
    /// Of every realm that says nothing else.
    realm: shard::RealmLimits,
    /// The message limit of every listener that says nothing else.
    message_bytes_max: usize,
}

fn limits(raw: raw::Limits, found: &mut Diagnostics) -> Limits {
    let process = shard::Limits {
        handshake_timeout: raw.handshake_timeout.get(found),
        write_stall_timeout: raw.write_stall_timeout.get(found),
        outbox_bytes_max: raw.outbox_bytes_max.get(found),
        rejoin_timeout: raw.rejoin_timeout.get(found),
        close_timeout: raw.close_timeout.get(found),
        rerouting_bytes_max: raw.rerouting_bytes_max.get(found),
        realms_max: raw.realms_made_max.get(found),
        questions_per_shard_max: raw.questions_per_shard_max.get(found),
        authentication_timeout: raw.authentication_timeout.get(found),
        authenticating_max: raw.authenticating_max.get(found),
        authentication_grid: raw.authentication_grid.get(found),
        throttle: shard::ThrottleRules {
            failures_max: u32::try_from(raw.authentication_failures_max.get(found)).unwrap_or(u32::MAX),
            window: raw.authentication_failures_window.get(found),
            block: raw.authentication_block.get(found),
            sources_max: raw.authentication_sources_max.get(found),
        },
    };
    let realm = shard::RealmLimits {
        sessions_max: raw.sessions_per_realm_max.get(found),
        subscriptions_per_session_max: raw.subscriptions_per_session_max.get(found),
        registrations_per_session_max: raw.registrations_per_session_max.get(found),
        calls_per_session_max: raw.calls_per_session_max.get(found),
        invocations_per_session_max: raw.invocations_per_session_max.get(found),
        testaments_per_session_max: raw.testaments_per_session_max.get(found),
        testament_bytes_per_session_max: raw.testament_bytes_per_session_max.get(found),
        calls_per_callee_queued_max: raw.calls_per_callee_queued_max.get(found),
        calls_per_callee_queued_bytes_max: raw.calls_per_callee_queued_bytes_max.get(found),
        inputs_per_session_max: raw.inputs_per_session_max.get(found),
        requests_held_bytes_max: raw.requests_held_bytes_max.get(found),
        authorizer_answers_max: raw.authorizer_answers_max.get(found),
        validated_bytes_max: raw.validated_bytes_max.get(found),
    };
    Limits { process, realm, message_bytes_max: raw.message_bytes_max.get(found) }
}

/// A listener whose address may yet be replaced.
#[derive(Clone)]
struct Listener {
    place: Place,
    address: Address,
    /// Whether clients are asked for a certificate.
    asks_for_certificates: bool,
    engine: shard::Listener,
}

fn listeners(
    raw: Option<Spanned<Vec<raw::Listener>>>,
    folder: &Path,
    message_bytes_max: usize,
    found: &mut Diagnostics,
) -> Vec<Listener> {
    let Some(raw) = raw else {
        return builtin_listener(folder, message_bytes_max, found).into_iter().collect();
    };
    match raw.get_ref().len() {
        0 => {
            found.add(Some(raw.span()), "the list is empty, expected at least one listener (or no such key)")
        }
        count if count > LISTENERS_MAX => {
            found.add(
                Some(raw.span()),
                format!("{count} listeners are too many, expected at most {LISTENERS_MAX}"),
            );
        }
        _ => {}
    }
    raw.into_inner().into_iter().filter_map(|raw| listener(raw, folder, message_bytes_max, found)).collect()
}

/// The listener of the built-in configuration, made from the defaults of every key.
fn builtin_listener(folder: &Path, message_bytes_max: usize, found: &mut Diagnostics) -> Option<Listener> {
    let raw: raw::Listener = toml::from_str(&format!("listen = {LISTEN_DEFAULT:?}")).ok()?;
    listener(raw, folder, message_bytes_max, found).map(|listener| Listener { place: None, ..listener })
}

fn listener(raw: raw::Listener, folder: &Path, limit: usize, found: &mut Diagnostics) -> Option<Listener> {
    let place = raw.listen.span();
    let address = raw.listen.take(found).and_then(|text| match text.parse::<Address>() {
        Ok(address) => Some(address.relative_to(folder)),
        Err(message) => {
            found.add(place.clone(), message);
            None
        }
    });
    let tls_place = raw.tls.as_ref().map(|tls| tls.certificate.span());
    let origins = origins(raw.origins.get(found));
    let same_site_place = raw.cookie.as_ref().and_then(|cookie| cookie.same_site.span());
    let cookie = raw.cookie.and_then(|raw| cookie(raw, tls_place.is_some(), found));
    if origins == Origins::Any && cookie.as_ref().is_some_and(CookieOptions::is_for_every_site) {
        let text =
            "any web page could act as whoever has logged in, expected another same_site, or origins by name";
        found.add(same_site_place, text);
    }
    let Tls { config: tls, channel_binding, asks_for_certificates } =
        raw.tls.map(|raw| terminate_tls(raw, folder, found)).unwrap_or_default();
    if let (Some(tls_place), Some(Address::Unix(_))) = (tls_place, &address) {
        found.add(tls_place, "TLS is of no use on a Unix socket, expected a TCP address or no tls");
    }
    let (serializers, protocols) = (raw.serializers.get(found), raw.protocols.get(found));
    let assumed_place = raw.assume_subprotocol.span();
    let assumed = raw.assume_subprotocol.take(found).map(|assumed| assumed.0);
    if let Some(assumed) = assumed.filter(|assumed| !serializers.contains(assumed)) {
        found.add(
            assumed_place,
            format!(
                "{:?} is not on offer here, expected one of this listener's serializers",
                assumed.subprotocol()
            ),
        );
    }
    let transport = Options {
        rawsocket: protocols.contains(&Protocol::RawSocket),
        websocket: protocols.contains(&Protocol::WebSocket),
        serializers,
        paths: raw.paths.get(found),
        origins,
        assume_subprotocol: assumed,
        echo: false,
        cookie,
        message_bytes_max: raw.message_bytes_max.take(found).unwrap_or(limit),
    };
    let engine = shard::Listener {
        transport: Arc::new(transport),
        tls,
        channel_binding,
        ping_interval: raw.ping_interval.get(found),
        ping_timeout: raw.ping_timeout.get(found),
        connections_max: raw.connections_max.get(found),
    };
    // Without an address the rest has been checked all the same.
    Some(Listener { place, address: address?, asks_for_certificates, engine })
}

fn origins(list: Vec<String>) -> Origins {
    if list.iter().any(|origin| origin == "*") {
        Origins::Any
    } else if list.is_empty() {
        Origins::SameHostOrLoopback
    } else {
        Origins::Also(list)
    }
}

/// The cookie of a listener, which may have TLS.
fn cookie(raw: raw::Cookie, is_secure: bool, found: &mut Diagnostics) -> Option<CookieOptions> {
    let (name_place, same_site_place) = (raw.name.span(), raw.same_site.span());
    let (max_age, same_site) = (raw.max_age.get(found), raw.same_site.get(found));
    let name = raw.name.take(found)?;
    match CookieOptions::new(&name, max_age, same_site, is_secure) {
        Ok(cookie) => Some(cookie),
        Err(error) => {
            let place = if error == CookieError::NoneWithoutTls { same_site_place } else { name_place };
            found.add(place, format!("browsers would not take this cookie: {error}"));
            None
        }
    }
}

/// What the table of TLS says.
#[derive(Default)]
struct Tls {
    /// What handshakes go by, unless something is wrong with it.
    config: Option<Arc<rustls::ServerConfig>>,
    /// Whether its connections can be bound to.
    channel_binding: bool,
    /// Whether clients are asked for a certificate.
    asks_for_certificates: bool,
}

fn terminate_tls(raw: raw::Tls, folder: &Path, found: &mut Diagnostics) -> Tls {
    let (certificate_place, key_place) = (raw.certificate.span(), raw.key.span());
    let (asked_place, authorities_place) = (raw.client_certificates.span(), raw.client_authorities.span());
    let channel_binding = raw.channel_binding.get(found);
    let versions = raw.versions.get(found);
    let (certificate, key) = (raw.certificate.take(found), raw.key.take(found));
    let asked = raw.client_certificates.get(found).0;
    let authorities = raw.client_authorities.take(found);
    match (&asked, &authorities) {
        (Some(_), None) => found.add(
            asked_place,
            "client certificates cannot be checked, expected client_authorities beside this key",
        ),
        (None, Some(_)) => found.add(
            authorities_place.clone(),
            "nobody is asked for a certificate, expected client_certificates = \"optional\" or \"required\"",
        ),
        _ => {}
    }
    let asks_for_certificates = asked.is_some();
    let clients = asked.zip(authorities).map(|(asked, path)| (folder.join(path), asked));
    let without = Tls { config: None, channel_binding, asks_for_certificates };
    let (Some(certificate), Some(key)) = (certificate, key) else { return without };
    let files = tls::Files { certificate: folder.join(certificate), key: folder.join(key), clients };
    let config = match tls::server_config(&files, &versions, channel_binding) {
        Ok(config) => Some(config),
        // The list of versions has told what is wrong with it.
        Err(error) if error.part == Part::Versions && versions.is_empty() => None,
        Err(error) => {
            let place = match error.part {
                Part::Key => key_place,
                Part::Authorities => authorities_place,
                Part::Certificate | Part::Versions => certificate_place,
            };
            found.add(place, error.message);
            None
        }
    };
    Tls { config, ..without }
}

/// Gives every listener its endpoint, after the command line has had its say.
fn addressed(
    configured: Vec<Listener>,
    overrides: &Overrides,
    found: &mut Diagnostics,
) -> (Vec<shard::Listener>, Vec<Endpoint>) {
    let opened = match configured.last().cloned() {
        Some(last) if !overrides.listen.is_empty() => {
            let settings = configured.into_iter().chain(std::iter::repeat(last));
            let replaced = overrides.listen.iter().zip(settings);
            replaced.map(|(address, of)| Listener { place: None, address: address.clone(), ..of }).collect()
        }
        _ => configured,
    };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for Listener { place, address, engine, .. } in &opened {
        // Nothing in the file is to blame for what the command line says: then the message names the flag.
        let subject = if place.is_none() && !overrides.listen.is_empty() { "--listen: " } else { "" };
        let endpoint = match address.resolve() {
            Ok(endpoint) => endpoint,
            Err(message) => {
                found.add(place.clone(), format!("{subject}{message}"));
                continue;
            }
        };
        if let Some(index) = endpoints.iter().position(|other| collide(other, &endpoint)) {
            let other = super::display_endpoint(&endpoints[index]);
            found.add(
                place.clone(),
                format!("{subject}{address} collides with the listener on {other}, expected another address"),
            );
        }
        if !subject.is_empty() && engine.tls.is_some() && matches!(address, Address::Unix(_)) {
            found.add(
                None,
                format!(
                    "{subject}{address} would get the settings of a listener with TLS, expected a TCP address"
                ),
            );
        }
        endpoints.push(endpoint);
    }
    (opened.into_iter().map(|listener| listener.engine).collect(), endpoints)
}
