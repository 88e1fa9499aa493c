//! The configuration: from TOML text (or none) and command-line overrides to what the engine and its driver are started
//! with.
//!
//! `raw` declares the keys, `values` and `lists` the kinds of values with range and default, `build` checks what they
//! mean together, `diagnostics` renders what is wrong. An empty text is a complete configuration: the built-in
//! one. Nothing here binds a socket or keeps a file open.

mod address;
mod authentication;
mod authorization;
mod build;
mod diagnostics;
mod hooks;
mod jwt;
mod lists;
mod principals;
mod raw;
mod realm;
mod realms;
mod rules;
mod secret;
#[cfg(test)]
mod tests;
mod units;
mod values;

use std::path::Path;
use std::time::Duration;

use wampline_driver::{DriverChoice, DriverConfig};
use wampline_shard::{Config, ShutdownMode};
use zeroize::Zeroize;

pub use address::{Address, display_endpoint};
pub use diagnostics::{Report, Source};
pub use raw::TlsVersion;
pub use values::{Named, SHARDS_MAX, Setting};

use self::diagnostics::Diagnostics;
use crate::logging::{LogFilter, LogFormat, LogSettings};
use crate::watch::Watched;

/// Everything that the router is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For the shards.
    pub engine: Config,
    /// For what moves them.
    pub driver: DriverConfig,
    /// What clients are told on shutdown.
    pub shutdown_mode: ShutdownMode,
    /// How long a shutdown may take.
    pub shutdown_grace: Duration,
    /// What is logged and how.
    pub log: LogSettings,
    /// Files that are read again when they change.
    pub watched: Vec<Watched>,
}

/// What the command line says, and the configuration does not get to say.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--driver`
    pub driver: Option<DriverChoice>,
    /// `--shards`
    pub shards: Option<usize>,
    /// `--listen`, each: the n-th replaces the address of the n-th listener, further ones get the settings of the last
    /// listener, and listeners left over are not opened.
    pub listen: Vec<Address>,
    /// `--log-level`
    pub log_filter: Option<LogFilter>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
}

/// Reads a configuration file, or takes the built-in configuration, and applies the overrides.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Settings, Report> {
    let Some(path) = path else {
        return parse(&Source::default(), Path::new(""), overrides);
    };
    let name = path.display().to_string();
    let text = std::fs::read(path)
        .map_err(|error| format!("{name}: cannot be read: {error}"))
        .and_then(|octets| {
            String::from_utf8(octets).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                format!("{name}: the octet at offset {at} is not UTF-8, expected TOML text in UTF-8")
            })
        })
        .map_err(|message| Report { lines: vec![message] })?;
    let mut source = Source { name, text };
    let settings = parse(&source, path.parent().unwrap_or(Path::new("")), overrides);
    // There may be secrets in it.
    source.text.zeroize();
    settings
}

/// Reads a configuration's text. Relative paths in it are taken from `folder`.
///
/// # Errors
/// As [`load`].
pub fn parse(source: &Source, folder: &Path, overrides: &Overrides) -> Result<Settings, Report> {
    let mut found = Diagnostics::default();
    match toml::from_str::<raw::Raw>(&source.text) {
        Ok(raw) => {
            let settings = build::build(raw, folder, overrides, &mut found);
            if found.is_empty() {
                return Ok(settings);
            }
        }
        Err(error) => {
            found.add(Some(error.span().unwrap_or(0..0)), without_values(error.message()));
        }
    }
    Err(found.into_report(source))
}

/// What TOML's reader says, without the values that it quotes: one may be a secret that stands in the wrong place.
fn without_values(message: &str) -> String {
    // The only lists are TOML's; "sequence" is serde's word.
    let message = message.replace('\n', ", ").replace("expected a sequence", "expected a list");
    let quoting = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match quoting.and_then(|rest| Some((rest, rest.rsplit_once(", expected ")?.1))) {
        Some((rest, expected)) => {
            let kind = rest.split([' ', ',']).next().unwrap_or_default();
            let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
            let kind = match kind {
                "sequence" => "list",
                "map" => "table",
                "floating" => "number",
                kind => kind,
            };
            format!("{article} {kind} is not valid here, expected {expected}")
        }
        None => message,
    }
}

/// The JSON Schema of the configuration file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(raw::Raw).to_value()
}
