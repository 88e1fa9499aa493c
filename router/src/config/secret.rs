//! Secrets in the configuration: as they are, or in an environment variable or a file. None of them is ever shown: messages
//! say where it stands and what was expected, not what was found.

use std::fmt;
use std::path::Path;

use schemars::{Schema, json_schema};
use toml::{Table, Value};
use wampline_auth as auth;
use wampline_wire::{Message, Serializer};
use zeroize::Zeroizing;

use super::values::Setting;

/// A secret's file is not read beyond this: no secret has more.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// What a secret looks like, for messages.
const SECRET_FORM: &str = r#"a string that is not empty, { env = "NAME" } or { file = "PATH" }"#;

/// A secret, or where it is.
#[derive(Debug)]
pub(super) struct Secret;

/// Where a secret is.
pub(super) enum SecretPlace {
    /// Here.
    Here(Zeroizing<String>),
    /// In the environment variable of this name.
    Environment(String),
    /// In this file.
    File(String),
}

impl fmt::Debug for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SecretPlace::Here(_) => "Here(..)",
            SecretPlace::Environment(_) => "Environment(..)",
            SecretPlace::File(_) => "File(..)",
        })
    }
}

impl SecretPlace {
    /// The secret. Relative paths are taken from `folder`; a line feed at the end of a file does not count.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(super) fn read(&self, folder: &Path) -> Result<Zeroizing<String>, String> {
        let secret = match self {
            SecretPlace::Here(secret) => return Ok(secret.clone()),
            SecretPlace::Environment(name) => Zeroizing::new(std::env::var(name).map_err(|error| {
                let why = match error {
                    std::env::VarError::NotPresent => "is not set",
                    std::env::VarError::NotUnicode(_) => "is not UTF-8",
                };
                format!("the environment variable {name:?} {why}, expected a secret in it")
            })?),
            SecretPlace::File(path) => {
                let path = folder.join(path);
                let octets = Zeroizing::new(read_file(&path, SECRET_BYTES_MAX)?);
                let text = std::str::from_utf8(&octets);
                let text = text.map_err(|_| format!("{path:?} is not UTF-8, expected a secret in it"))?;
                let text = text.strip_suffix('\n').unwrap_or(text);
                Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned())
            }
        };
        if secret.is_empty() {
            return Err(match self {
                SecretPlace::Environment(name) => {
                    format!("the environment variable {name:?} is empty, expected a secret in it")
                }
                _ => "the file is empty, expected a secret in it".into(),
            });
        }
        Ok(secret)
    }

    fn of(value: &Value) -> Option<SecretPlace> {
        match value {
            Value::String(text) if !text.is_empty() => Some(SecretPlace::Here(Zeroizing::new(text.clone()))),
            Value::Table(table) => match sole(table)? {
                ("env", name) => Some(SecretPlace::Environment(name.into())),
                ("file", path) => Some(SecretPlace::File(path.into())),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The one entry of a table, if it is a text that is not empty.
fn sole(table: &Table) -> Option<(&str, &str)> {
    let mut entries = table.iter();
    let (key, value) = entries.next()?;
    let text = value.as_str().filter(|text| !text.is_empty())?;
    entries.next().is_none().then_some((key, text))
}

/// Reads a file that has at most `max` octets.
///
/// # Errors
/// Why that cannot be done.
pub(super) fn read_file(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let fail = |why: &dyn fmt::Display| format!("{path:?} cannot be read: {why}");
    let file = std::fs::File::open(path).map_err(|error| fail(&error))?;
    let mut octets = Vec::new();
    file.take(max + 1).read_to_end(&mut octets).map_err(|error| fail(&error))?;
    if octets.len() as u64 > max {
        return Err(fail(&format_args!("it is longer than {max} octets")));
    }
    Ok(octets)
}

impl Setting for Secret {
    type Out = SecretPlace;

    fn read(value: &Value) -> Result<SecretPlace, String> {
        SecretPlace::of(value).ok_or_else(|| format!("this is no secret, expected {SECRET_FORM}"))
    }

    fn default() -> Option<SecretPlace> {
        None
    }

    fn schema() -> Schema {
        json_schema!({ "anyOf": [{ "type": "string", "minLength": 1 }, place("env"), place("file")] })
    }
}

/// The schema of a table with this one key.
fn place(key: &str) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { key: { "type": "string", "minLength": 1 } },
        "required": [key],
        "additionalProperties": false,
    })
}

/// `authextra`: a table of anything but dates.
#[derive(Debug)]
pub(super) struct Extra;

impl Setting for Extra {
    type Out = auth::OwnedDict;

    fn read(value: &Value) -> Result<auth::OwnedDict, String> {
        let refused = || "this is no extra, expected a table without dates, infinities and NaN".to_owned();
        let Value::Table(table) = value else { return Err(refused()) };
        if has_dates(value) {
            return Err(refused());
        }
        let json = serde_json::to_string(table).map_err(|_| refused())?;
        let message = format!("[50,1,{{}},[],{json}]");
        let Ok(Message::Result { payload, .. }) = Message::parse(Serializer::Json, message.as_bytes()) else {
            return Err(refused());
        };
        payload.kwargs().and_then(|extra| auth::OwnedDict::copy(&extra).ok()).ok_or_else(refused)
    }

    fn default() -> Option<auth::OwnedDict> {
        None
    }

    fn schema() -> Schema {
        json_schema!({ "type": "object" })
    }
}

fn has_dates(value: &Value) -> bool {
    match value {
        Value::Datetime(_) => true,
        Value::Float(number) => !number.is_finite(),
        Value::Array(list) => list.iter().any(has_dates),
        Value::Table(table) => table.values().any(has_dates),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<SecretPlace, String> {
        Secret::read(&toml::from_str::<Table>(&format!("a = {text}")).unwrap()["a"])
    }

    #[test]
    fn nothing_shows_a_secret() {
        let place = read("\"very secret\"").unwrap();
        assert_eq!(format!("{place:?}"), "Here(..)");
        assert_eq!(&*place.read(Path::new("")).unwrap(), "very secret");
        for wrong in
            ["\"\"", "4711", "{ env = \"\" }", "{ env = \"A\", file = \"B\" }", "{ vault = \"4711\" }"]
        {
            let message = read(wrong).unwrap_err();
            assert!(!message.contains("4711") && message.contains("{ env = \"NAME\" }"), "{message}");
        }
    }

    #[test]
    fn secrets_are_found_in_variables_and_files() {
        // `HOME` may be unset; cargo sets this one.
        let found = read("{ env = \"CARGO_PKG_NAME\" }").unwrap().read(Path::new("")).unwrap();
        assert_eq!(&*found, "wampline");
        let missing = read("{ env = \"WAMPLINE_NO_SUCH\" }").unwrap().read(Path::new("")).unwrap_err();
        assert_eq!(
            missing,
            "the environment variable \"WAMPLINE_NO_SUCH\" is not set, expected a secret in it"
        );
        let folder = std::env::temp_dir().join(format!("wampline-secret-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (text, expected) in
            [("s3cret\n", Some("s3cret")), ("s3cret\r\n", Some("s3cret")), (" a ", Some(" a ")), ("\n", None)]
        {
            std::fs::write(folder.join("secret"), text).unwrap();
            let found = read("{ file = \"secret\" }").unwrap().read(&folder);
            assert_eq!(found.ok().as_deref().map(String::as_str), expected, "{text:?}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        let gone = read("{ file = \"secret\" }").unwrap().read(&folder).unwrap_err();
        assert!(gone.contains("cannot be read"), "{gone}");
    }

    #[test]
    fn an_extra_is_a_table() {
        let read = |text: &str| Extra::read(&toml::from_str::<Table>(&format!("a = {text}")).unwrap()["a"]);
        let extra = read("{ team = \"x\", level = 3, nested = { a = [1, 2.5, true] } }").unwrap();
        assert_eq!(extra.as_dict().get("level").unwrap().as_u64(), Some(3));
        for wrong in ["1", "[]", "{ a = 1979-05-27 }", "{ a = inf }"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
