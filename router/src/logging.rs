//! What is logged, and how: one event per line on standard error, as text or as JSON.
//!
//! Owns the filter syntax: a level, or a comma-separated list of at most one level and `target=level` pairs. Does not
//! know any event.

use std::io::{self, IsTerminal};

use schemars::{Schema, json_schema};
use toml::Value;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Named, Setting};

/// What is logged and how.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// Which events.
    pub filter: LogFilter,
    /// In which form.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Named for LogFormat {
    const CHOICES: &'static [(&'static str, LogFormat)] =
        &[("text", LogFormat::Text), ("json", LogFormat::Json)];
}

/// Which events are logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter(Targets);

/// The levels by name, the quietest first.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// What holds unless something else is said.
const LEVEL_DEFAULT: &str = "info";

impl std::str::FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<LogFilter, String> {
        let invalid = || {
            format!(
                "{text:?} is not a log level, expected off, error, warn, info, debug or trace, \
                 or a list such as \"info,wampline_shard=debug\""
            )
        };
        let level = |name: &str| LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level);
        let mut default = None;
        let mut targets = Vec::new();
        for part in text.split(',') {
            match part.split_once('=') {
                Some((target, name)) => {
                    let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_' || octet == b':';
                    if target.is_empty() || !target.bytes().all(plain) {
                        return Err(invalid());
                    }
                    targets.push((target.to_owned(), level(name).ok_or_else(invalid)?));
                }
                None if default.is_some() => return Err(invalid()),
                None => default = Some(level(part).ok_or_else(invalid)?),
            }
        }
        Ok(LogFilter(Targets::new().with_default(default.unwrap_or(LevelFilter::INFO)).with_targets(targets)))
    }
}

/// `router.log.level`.
#[derive(Debug)]
pub struct LevelSetting;

impl Setting for LevelSetting {
    type Out = LogFilter;

    fn read(value: &Value) -> Result<LogFilter, String> {
        match value {
            Value::String(text) => text.parse(),
            other => other.to_string().parse(),
        }
    }

    fn default() -> Option<LogFilter> {
        LEVEL_DEFAULT.parse().ok()
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "default": LEVEL_DEFAULT })
    }
}

/// Begins to log to standard error. To be called once; a second call changes nothing.
pub fn init(settings: &LogSettings) {
    let filter = settings.filter.0.clone();
    let registry = tracing_subscriber::registry();
    // The only failure is that a subscriber is there already, which then stays.
    let _ = match settings.format {
        LogFormat::Text => {
            let ansi = io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            registry.with(fmt::layer().with_writer(io::stderr).with_ansi(ansi).with_filter(filter)).try_init()
        }
        LogFormat::Json => {
            let layer =
                fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
            registry.with(layer.with_writer(io::stderr).with_filter(filter)).try_init()
        }
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tracing::Level;

    #[test]
    fn filters_are_read() {
        let filter: LogFilter = "warn,wampline_shard=debug".parse().unwrap();
        assert!(filter.0.would_enable("wampline_driver", &Level::WARN));
        assert!(!filter.0.would_enable("wampline_driver", &Level::INFO));
        assert!(filter.0.would_enable("wampline_shard::session", &Level::DEBUG));
        let only_target: LogFilter = "wampline_shard=off".parse().unwrap();
        assert!(only_target.0.would_enable("wampline", &Level::INFO), "the default stays info");
        assert!(!only_target.0.would_enable("wampline_shard", &Level::ERROR));
    }

    #[test]
    fn nonsense_is_not_a_filter() {
        for text in
            ["", "loud", "INFO", "info,debug", "info,", "a=loud", "=info", "a b=info", "a=b=info", "3"]
        {
            assert!(text.parse::<LogFilter>().unwrap_err().contains("is not a log level"), "{text:?}");
        }
    }
}
