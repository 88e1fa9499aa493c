//! The kinds of values that a configuration holds: each knows how to read itself from TOML, what it may range over, what
//! it is by default and how the JSON Schema describes it.
//!
//! A value that cannot be read does not end the reading of the file: [`Checked`] keeps the message and the place, so
//! that one run reports everything. Ranges and defaults are parts of the types, which is why the schema, the checks and
//! the built-in configuration cannot disagree.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use toml::{Spanned, Value};

use super::diagnostics::Diagnostics;
use super::units::{DURATION_FORM, SIZE_FORM, format_duration, format_size, parse_duration, parse_size};

/// The schema's keyword for a range as people write it; validators ignore it, the manual's test does not.
const RANGE: &str = "x-range";

/// A kind of value.
pub trait Setting: Sized {
    /// What the rest of the program works with.
    type Out;

    /// Reads the value.
    ///
    /// # Errors
    /// What was wrong and what was expected, as the end of a sentence that begins with the place.
    fn read(value: &Value) -> Result<Self::Out, String>;

    /// What holds when the key is absent; `None` when the key is required or absence has a meaning of its own.
    fn default() -> Option<Self::Out>;

    /// The JSON Schema of the value, its default included.
    fn schema() -> Schema;
}

/// A value of the kind `T` as it stands in the file: what it says, or what is wrong with it, and where it stands.
#[derive(Debug)]
pub(super) struct Checked<T: Setting> {
    span: Option<Range<usize>>,
    value: Result<Option<T::Out>, String>,
}

impl<T: Setting> Checked<T> {
    /// Where the value stands; `None` when the default holds.
    pub(super) fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// The value. What was wrong with it goes to `found`, and the default is given instead; `None` when there is none.
    pub(super) fn take(self, found: &mut Diagnostics) -> Option<T::Out> {
        match self.value {
            Ok(value) => value,
            Err(message) => {
                found.add(self.span, message);
                T::default()
            }
        }
    }

    /// As [`Checked::take`], for kinds that always have a default.
    pub(super) fn get(self, found: &mut Diagnostics) -> T::Out {
        self.take(found).expect("this kind of value has a default")
    }
}

impl<T: Setting> Default for Checked<T> {
    fn default() -> Checked<T> {
        Checked { span: None, value: Ok(T::default()) }
    }
}

impl<'de, T: Setting> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Checked<T>, D::Error> {
        let value = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Checked { span: Some(value.span()), value: T::read(value.get_ref()).map(Some) })
    }
}

impl<T: Setting> JsonSchema for Checked<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Checked".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

/// An integer from `MIN` to `MAX`.
#[derive(Debug)]
pub(super) struct Count<const MIN: u64, const MAX: u64, const DEFAULT: u64>;

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> Setting for Count<MIN, MAX, DEFAULT> {
    type Out = usize;

    fn read(value: &Value) -> Result<usize, String> {
        let expected = format!("an integer from {MIN} to {MAX}");
        let Value::Integer(number) = value else { return Err(unexpected(value, &expected)) };
        match usize::try_from(*number) {
            Ok(count) if (MIN..=MAX).contains(&(count as u64)) => Ok(count),
            _ => Err(format!("{number} is out of range, expected {expected}")),
        }
    }

    fn default() -> Option<usize> {
        usize::try_from(DEFAULT).ok()
    }

    fn schema() -> Schema {
        json_schema!({
            "type": "integer",
            "minimum": MIN,
            "maximum": MAX,
            RANGE: format!("{MIN} to {MAX}"),
            "default": DEFAULT,
        })
    }
}

/// A number of octets from `MIN` to `MAX`, as an integer or with a unit. A `DEFAULT` of 0 says that absence has a
/// meaning of its own.
#[derive(Debug)]
pub(super) struct Size<const MIN: u64, const MAX: u64, const DEFAULT: u64>;

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> Setting for Size<MIN, MAX, DEFAULT> {
    type Out = usize;

    fn read(value: &Value) -> Result<usize, String> {
        let octets = match value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::String(text) => Some(parse_size(text).ok_or_else(|| unexpected(value, SIZE_FORM))?),
            _ => return Err(unexpected(value, SIZE_FORM)),
        };
        octets
            .filter(|octets| (MIN..=MAX).contains(octets))
            .and_then(|octets| usize::try_from(octets).ok())
            .ok_or_else(|| {
                format!(
                    "{} is out of range, expected a size from {} to {}",
                    shown(value),
                    format_size(MIN),
                    format_size(MAX)
                )
            })
    }

    fn default() -> Option<usize> {
        usize::try_from(DEFAULT).ok().filter(|octets| *octets > 0)
    }

    fn schema() -> Schema {
        let mut schema = json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": MIN, "maximum": MAX },
                { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" },
            ],
            RANGE: format!("{} to {}", format_size(MIN), format_size(MAX)),
        });
        if DEFAULT > 0 {
            let whole = DEFAULT.is_multiple_of(1024);
            let default = if whole { json!(format_size(DEFAULT)) } else { json!(DEFAULT) };
            schema.insert("default".into(), default);
        }
        schema
    }
}

/// A duration from `MIN` to `MAX` microseconds.
#[derive(Debug)]
pub(super) struct Span<const MIN: u64, const MAX: u64, const DEFAULT: u64>;

impl<const MIN: u64, const MAX: u64, const DEFAULT: u64> Setting for Span<MIN, MAX, DEFAULT> {
    type Out = Duration;

    fn read(value: &Value) -> Result<Duration, String> {
        let Value::String(text) = value else { return Err(unexpected(value, DURATION_FORM)) };
        let duration = parse_duration(text).ok_or_else(|| unexpected(value, DURATION_FORM))?;
        let (min, max) = (Duration::from_micros(MIN), Duration::from_micros(MAX));
        if (min..=max).contains(&duration) {
            return Ok(duration);
        }
        Err(format!(
            "{} is out of range, expected a duration from {} to {}",
            shown(value),
            micros(MIN),
            micros(MAX)
        ))
    }

    fn default() -> Option<Duration> {
        Some(Duration::from_micros(DEFAULT))
    }

    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+(us|ms|s|m|h)$",
            RANGE: format!("{} to {}", micros(MIN), micros(MAX)),
            "default": micros(DEFAULT),
        })
    }
}

/// A value of the kind `T`, or `"off"`; with `ON` it is `T`'s default when absent, else off.
#[derive(Debug)]
pub(super) struct OrOff<T, const ON: bool>(std::marker::PhantomData<T>);

impl<T: Setting, const ON: bool> Setting for OrOff<T, ON> {
    type Out = Option<T::Out>;

    fn read(value: &Value) -> Result<Option<T::Out>, String> {
        match value.as_str() {
            Some("off") => Ok(None),
            _ => T::read(value).map(Some).map_err(|message| format!(r#"{message}, or "off""#)),
        }
    }

    fn default() -> Option<Option<T::Out>> {
        Some(if ON { T::default() } else { None })
    }

    fn schema() -> Schema {
        let mut value = T::schema();
        let default = value.remove("default").filter(|_| ON).unwrap_or(json!("off"));
        let range = value.remove(RANGE);
        json_schema!({ "anyOf": [value, { "const": "off" }], RANGE: range, "default": default })
    }
}

/// A value of the kind `T` whose absence has a meaning of its own.
#[derive(Debug)]
pub(super) struct Optional<T>(std::marker::PhantomData<T>);

impl<T: Setting> Setting for Optional<T> {
    type Out = T::Out;

    fn read(value: &Value) -> Result<T::Out, String> {
        T::read(value)
    }

    fn default() -> Option<T::Out> {
        None
    }

    fn schema() -> Schema {
        let mut schema = T::schema();
        schema.remove("default");
        schema
    }
}

/// One of a few names.
pub trait Named: Copy + PartialEq + 'static {
    /// Every name and what it stands for; the first is the default.
    const CHOICES: &'static [(&'static str, Self)];
    /// Whether the first choice holds when the key is absent.
    const DEFAULT: bool = true;

    /// The name in the configuration.
    fn name(self) -> &'static str {
        Self::CHOICES.iter().find(|(_, choice)| *choice == self).map_or("", |(name, _)| name)
    }
}

/// The value that one of the names of `T` stands for.
#[derive(Debug)]
pub(super) struct Choice<T>(std::marker::PhantomData<T>);

impl<T: Named> Setting for Choice<T> {
    type Out = T;

    fn read(value: &Value) -> Result<T, String> {
        let named = |text| T::CHOICES.iter().find(|(name, _)| *name == text);
        match value.as_str().and_then(named) {
            Some((_, choice)) => Ok(*choice),
            None => {
                let names: Vec<String> = T::CHOICES.iter().map(|(name, _)| format!("{name:?}")).collect();
                Err(unexpected(value, &names.join(" or ")))
            }
        }
    }

    fn default() -> Option<T> {
        T::CHOICES.first().filter(|_| T::DEFAULT).map(|(_, choice)| *choice)
    }

    fn schema() -> Schema {
        let names: Vec<&str> = T::CHOICES.iter().map(|(name, _)| *name).collect();
        let mut schema = json_schema!({ "type": "string", "enum": names });
        if T::DEFAULT {
            schema.insert("default".into(), json!(names.first()));
        }
        schema
    }
}

/// Text that is not empty. It has no default.
#[derive(Debug)]
pub(super) struct Text;

impl Setting for Text {
    type Out = String;

    fn read(value: &Value) -> Result<String, String> {
        match value {
            Value::String(text) if !text.is_empty() => Ok(text.clone()),
            _ => Err(unexpected(value, "a string that is not empty")),
        }
    }

    fn default() -> Option<String> {
        None
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// A URI or pattern; an empty one is a pattern too. It has no default.
#[derive(Debug)]
pub(super) struct Pattern;

impl Setting for Pattern {
    type Out = String;

    fn read(value: &Value) -> Result<String, String> {
        match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(unexpected(value, "a URI or pattern")),
        }
    }

    fn default() -> Option<String> {
        None
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// How many shards: an integer from 1 to [`SHARDS_MAX`], or `"auto"` (`None`): one per core.
#[derive(Debug)]
pub(super) struct Shards;

/// The most shards. Lanes between shards are pairs, so their number grows with the square.
pub const SHARDS_MAX: u64 = 128;

impl Setting for Shards {
    type Out = Option<usize>;

    fn read(value: &Value) -> Result<Option<usize>, String> {
        match value.as_str() {
            Some("auto") => Ok(None),
            _ => Count::<1, SHARDS_MAX, 1>::read(value)
                .map(Some)
                .map_err(|message| format!(r#"{message}, or "auto""#)),
        }
    }

    fn default() -> Option<Option<usize>> {
        Some(None)
    }

    fn schema() -> Schema {
        json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": SHARDS_MAX }, { "const": "auto" }],
            RANGE: format!("1 to {SHARDS_MAX}"),
            "default": "auto",
        })
    }
}

/// Yes or no.
#[derive(Debug)]
pub(super) struct Flag<const DEFAULT: bool>;

impl<const DEFAULT: bool> Setting for Flag<DEFAULT> {
    type Out = bool;

    fn read(value: &Value) -> Result<bool, String> {
        value.as_bool().ok_or_else(|| unexpected(value, "true or false"))
    }

    fn default() -> Option<bool> {
        Some(DEFAULT)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "boolean", "default": DEFAULT })
    }
}

/// Whether executors are pinned to cores: a boolean, or `"auto"` (`None`): when every core has its shard.
#[derive(Debug)]
pub(super) struct Pin;

impl Setting for Pin {
    type Out = Option<bool>;

    fn read(value: &Value) -> Result<Option<bool>, String> {
        match value {
            Value::Boolean(pin) => Ok(Some(*pin)),
            Value::String(text) if text == "auto" => Ok(None),
            _ => Err(unexpected(value, r#"true, false or "auto""#)),
        }
    }

    fn default() -> Option<Option<bool>> {
        Some(None)
    }

    fn schema() -> Schema {
        json_schema!({ "enum": [true, false, "auto"], "default": "auto" })
    }
}

/// A duration in microseconds, as it is written.
fn micros(micros: u64) -> String {
    format_duration(Duration::from_micros(micros))
}

/// `"5 apples" is not valid, expected a duration ...`.
pub(super) fn unexpected(value: &Value, expected: &str) -> String {
    format!("{} is not valid here, expected {expected}", shown(value))
}

/// The value as a message shows it: short, and never a whole table.
pub(super) fn shown(value: &Value) -> String {
    /// Longer text is cut.
    const CHARS_MAX: usize = 60;
    match value {
        Value::String(text) if text.chars().count() > CHARS_MAX => {
            format!("{:?}...", text.chars().take(CHARS_MAX).collect::<String>())
        }
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(_) => "a date".into(),
        Value::Array(_) => "a list".into(),
        Value::Table(_) => "a table".into(),
    }
}
