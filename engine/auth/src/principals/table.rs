//! Principals as TOML: a table for each, alone in a file or in a configuration.

use serde::Deserialize;
use toml::Spanned;
use wampline_wire::{Message, Serializer};
use zeroize::Zeroizing;

use super::Principals;
use crate::admission::Grant;
use crate::cryptosign::PublicKey;
use crate::error::ConfigError;
use crate::scram::{Dialect, Kdf, ScramRecord, ScramText, salt_octets};
use crate::wampcra::{CraSecret, Salting};
use crate::{CertificateName, OwnedDict, Ticket};

/// Why a file of principals is refused, and where. The text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalFileError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for PrincipalFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for PrincipalFileError {}

/// A secret as text: wiped when dropped, shown by nobody.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The secret of this text.
    pub fn new(text: String) -> SecretText {
        SecretText(Zeroizing::new(text))
    }
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        String::deserialize(deserializer).map(SecretText::new)
    }
}

/// One principal, by every method that it may use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalTable {
    /// Its name.
    pub authid: String,
    /// The role of its sessions.
    pub role: String,
    /// The realm that its sessions join in place of the one they ask for.
    pub realm: Option<String>,
    /// The authid of its sessions in place of its name.
    pub session_authid: Option<String>,
    /// `authextra` of their WELCOME.
    pub extra: Option<serde_json::Map<String, serde_json::Value>>,
    /// Method `ticket`: the ticket itself.
    pub ticket: Option<SecretText>,
    /// Method `ticket`: its SHA-256 in hexadecimal digits, in place of the ticket.
    pub ticket_sha256: Option<SecretText>,
    /// Method `wampcra`.
    pub wampcra: Option<CraTable>,
    /// Method `wamp-scram`.
    #[serde(rename = "wamp-scram")]
    pub wamp_scram: Option<ScramTable>,
    /// Method `scram`.
    pub scram: Option<ScramTable>,
    /// Method `cryptosign`: public keys in hexadecimal digits.
    pub cryptosign: Option<Vec<String>>,
    /// Method `tls`.
    pub tls: Option<CertificateTable>,
}

/// A shared secret: `secret` alone; or `salt` with either `password` (raw) or `key` (derived).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CraTable {
    /// The secret that both sides use as it is.
    pub secret: Option<SecretText>,
    /// A password, raw, from which the key is derived when the table is read.
    pub password: Option<SecretText>,
    /// The key derived from a password, in base64.
    pub key: Option<SecretText>,
    /// The salt, used as the text that it is.
    pub salt: Option<String>,
    /// Iterations of PBKDF2.
    pub iterations: Option<u32>,
    /// Octets of the key: 32 if this is not said.
    pub keylen: Option<u32>,
}

/// A SCRAM record; or a `password`, from which it is derived when the table is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScramTable {
    /// `argon2id13` or `pbkdf2`.
    pub kdf: String,
    /// The time cost.
    pub iterations: u32,
    /// The memory cost in KiB, for Argon2.
    pub memory: Option<u32>,
    /// The salt: base64 for `wamp-scram`, hexadecimal digits for `scram`.
    pub salt: String,
    /// 32 octets, as base64 or hexadecimal digits.
    pub stored_key: Option<SecretText>,
    /// 32 octets, as base64 or hexadecimal digits.
    pub server_key: Option<SecretText>,
    /// A password, raw.
    pub password: Option<SecretText>,
}

/// What the principal's certificates are recognised by: any of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateTable {
    /// SHA-256 fingerprints.
    pub sha256: Vec<String>,
    /// Whole subjects (RFC 4514).
    pub subject: Vec<String>,
    /// Common names.
    pub common_name: Vec<String>,
    /// Alternative names: DNS names.
    pub dns: Vec<String>,
    /// Alternative names: mail addresses.
    pub email: Vec<String>,
    /// Alternative names: URIs.
    pub uri: Vec<String>,
    /// Alternative names: IP addresses.
    pub ip: Vec<std::net::IpAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    principal: Vec<Spanned<PrincipalTable>>,
}

impl Principals {
    /// The principals of a file: `[[principal]]` tables, see [`PrincipalTable`]. Raw passwords are derived from here and
    /// now, which may take long.
    ///
    /// ```
    /// let principals = wampline_auth::Principals::from_toml(
    ///     r#"
    ///     [[principal]]
    ///     authid = "joe"
    ///     role = "operator"
    ///     ticket_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    ///     cryptosign = ["545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"]
    ///
    ///     [principal.wampcra]
    ///     key = "qzcdsr9uu/L5hnss3kjNTRe490ETgA70ZBaB5rvnJ5Y="
    ///     salt = "n2T8gkThJ1xO2Q=="
    ///     iterations = 100000
    ///
    ///     [principal.wamp-scram]
    ///     kdf = "argon2id13"
    ///     iterations = 2
    ///     memory = 19456
    ///     salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
    ///     stored_key = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    ///     server_key = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    ///     "#,
    /// )?;
    /// assert_eq!(principals.methods().count(), 4);
    /// # Ok::<(), wampline_auth::PrincipalFileError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong, and in which line: nothing of a file counts that is not right as a whole.
    pub fn from_toml(text: &str) -> Result<Principals, PrincipalFileError> {
        let at = |offset: usize, message: String| {
            let before = text.get(..offset).unwrap_or(text);
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let line = before.matches('\n').count() + 1;
            let column = before[line_start..].chars().count() + 1;
            PrincipalFileError { line, column, message }
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            at(offset, without_values(error.message()))
        })?;
        let mut principals = Principals::default();
        for table in &file.principal {
            let added = table.get_ref().add_to(&mut principals);
            added.map_err(|error| at(table.span().start, format!("{}: {error}", name(table.get_ref()))))?;
        }
        Ok(principals)
    }
}

impl PrincipalTable {
    /// Adds the principal to a set, by every method that the table has.
    ///
    /// # Errors
    /// If something in it is refused, or there is no method.
    pub fn add_to(&self, principals: &mut Principals) -> Result<(), ConfigError> {
        let grant = self.grant()?;
        let mut has_method = false;
        let authid = self.authid.as_str();
        let ticket = match (&self.ticket, &self.ticket_sha256) {
            (Some(_), Some(_)) => return Err(either("ticket or ticket_sha256", "one of them")),
            (Some(raw), None) => Some(Ticket::raw(raw.expose())?),
            (None, digest) => digest.as_ref().map(|digest| Ticket::sha256(digest.expose())).transpose()?,
        };
        if let Some(ticket) = ticket {
            principals.add_ticket(authid, ticket, grant.clone())?;
            has_method = true;
        }
        if let Some(table) = &self.wampcra {
            principals.add_wampcra(authid, table.secret()?, grant.clone())?;
            has_method = true;
        }
        for (table, dialect) in [(&self.wamp_scram, Dialect::Specification), (&self.scram, Dialect::Crossbar)]
        {
            if let Some(table) = table {
                principals.add_scram(authid, table.record(dialect)?, grant.clone())?;
                has_method = true;
            }
        }
        if let Some(keys) = &self.cryptosign {
            let keys: Result<Vec<PublicKey>, ConfigError> =
                keys.iter().map(|key| PublicKey::from_hex(key)).collect();
            principals.add_cryptosign(authid, &keys?, grant.clone())?;
            has_method = true;
        }
        if let Some(table) = &self.tls {
            for name in table.names()? {
                principals.add_certificate(authid, name, grant.clone())?;
                has_method = true;
            }
        }
        if has_method {
            Ok(())
        } else {
            Err(ConfigError::Missing { what: "a method that the principal may use" })
        }
    }

    fn grant(&self) -> Result<Grant, ConfigError> {
        let mut grant = Grant::role(self.role.as_str())?;
        if let Some(authid) = &self.session_authid {
            grant = grant.with_authid(authid)?;
        }
        if let Some(realm) = &self.realm {
            grant = grant.with_realm(realm)?;
        }
        if let Some(extra) = &self.extra {
            grant = grant.with_extra(dict(extra)?);
        }
        Ok(grant)
    }
}

impl CraTable {
    /// The secret that the table says.
    ///
    /// # Errors
    /// If it does not say just one, or that one is refused.
    pub fn secret(&self) -> Result<CraSecret, ConfigError> {
        let salting = || {
            let salt = self.salt.as_deref().ok_or(ConfigError::Missing { what: "salt" })?;
            let iterations = self.iterations.ok_or(ConfigError::Missing { what: "iterations" })?;
            Salting::new(salt, iterations, self.keylen.unwrap_or(32))
        };
        match (&self.secret, &self.password, &self.key) {
            (Some(secret), None, None) => {
                if self.salt.is_some() || self.iterations.is_some() || self.keylen.is_some() {
                    return Err(either(
                        "secret",
                        "without salt, iterations and keylen; with them it is a password",
                    ));
                }
                CraSecret::unsalted(secret.expose())
            }
            (None, Some(password), None) => CraSecret::password(password.expose(), salting()?),
            (None, None, Some(key)) => CraSecret::derived(key.expose(), salting()?),
            _ => Err(either("wampcra", "one of secret, password and key")),
        }
    }
}

impl ScramTable {
    /// The record that the table says.
    ///
    /// # Errors
    /// If it is refused, or has neither both keys nor a password.
    pub fn record(&self, dialect: Dialect) -> Result<ScramRecord, ConfigError> {
        match (&self.stored_key, &self.server_key, &self.password) {
            (Some(stored_key), Some(server_key), None) => {
                let text = ScramText {
                    kdf: &self.kdf,
                    iterations: self.iterations,
                    memory_kib: self.memory,
                    salt: &self.salt,
                    stored_key: stored_key.expose(),
                    server_key: server_key.expose(),
                };
                ScramRecord::from_text(dialect, &text)
            }
            (None, None, Some(password)) => {
                let kdf = Kdf::named(&self.kdf, dialect, self.iterations, self.memory)?;
                ScramRecord::derive(dialect, kdf, &salt_octets(dialect, &self.salt)?, password.expose())
            }
            _ => Err(either("a SCRAM record", "stored_key with server_key, or password alone")),
        }
    }
}

impl CertificateTable {
    /// The names that the table has.
    ///
    /// # Errors
    /// If one is refused.
    pub fn names(&self) -> Result<Vec<CertificateName>, ConfigError> {
        type Read = fn(&str) -> Result<CertificateName, ConfigError>;
        let kinds: [(&[String], Read); 6] = [
            (&self.sha256, CertificateName::sha256),
            (&self.subject, CertificateName::subject),
            (&self.common_name, CertificateName::common_name),
            (&self.dns, CertificateName::dns),
            (&self.email, CertificateName::email),
            (&self.uri, CertificateName::uri),
        ];
        let mut names = Vec::new();
        for (texts, read) in kinds {
            for text in texts {
                names.push(read(text)?);
            }
        }
        names.extend(self.ip.iter().map(|address| CertificateName::ip(*address)));
        Ok(names)
    }
}

/// A JSON object as a dict.
fn dict(object: &serde_json::Map<String, serde_json::Value>) -> Result<OwnedDict, ConfigError> {
    let refused = ConfigError::Malformed { what: "extra", expected: "a table of values that WAMP can carry" };
    let object = serde_json::to_string(object).map_err(|_| refused.clone())?;
    let message = format!("[4,\"\",{object}]");
    match Message::parse(Serializer::Json, message.as_bytes()) {
        Ok(Message::Challenge { extra, .. }) => OwnedDict::copy(&extra).map_err(|_| refused),
        _ => Err(refused),
    }
}

fn either(what: &'static str, expected: &'static str) -> ConfigError {
    ConfigError::Malformed { what, expected }
}

fn name(table: &PrincipalTable) -> String {
    format!("principal {:?}", table.authid)
}

/// A message of the parser without the text that it quotes from the file, which may be a secret.
fn without_values(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    for kind in ["invalid type: string ", "invalid value: string "] {
        if let Some(rest) = line.strip_prefix(kind) {
            let expected = rest.rsplit_once("expected ").map_or("something else", |(_, expected)| expected);
            return format!("found a string: expected {expected}");
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Method;

    const GOOD: &str = r#"
[[principal]]
authid = "joe"
role = "operator"
realm = "realm2"
session_authid = "joseph"
extra = { my = [1, 2], x = "y" }
ticket = "secret!!!"
cryptosign = ["545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"]

[principal.wampcra]
password = "pencil"
salt = "salt1234"
iterations = 1000

[principal.wamp-scram]
kdf = "pbkdf2"
iterations = 4096
salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
password = "pencil"

[principal.scram]
kdf = "argon2id-13"
iterations = 4096
memory = 512
salt = "ae1f0d2f422757809077785e660b62c6"
server_key = "0d8e7e9222a7c0e54c9e979aa342115699ff5696c45dc379b5ee241338a5861d"
stored_key = "5f19358ff6f38e267b6ef1ea1d862514ec4e8745a84682259fd3894be09febb5"

[principal.tls]
sha256 = ["AB:ab:ababababababababababababababababababababababababababababab00"]
dns = ["a.example", "b.example"]
ip = ["::1"]

[[principal]]
authid = "jane"
role = "user"
ticket_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
wampcra = { secret = "x" }
"#;

    #[test]
    fn a_file_may_have_everything() {
        let principals = Principals::from_toml(GOOD).unwrap();
        let methods: Vec<Method> = principals.methods().collect();
        use Method::{Cryptosign, Scram, Ticket as T, Tls, WampCra, WampScram};
        assert_eq!(methods, [T, WampCra, WampScram, Scram, Cryptosign, Tls]);
        let joe = principals.ticket("joe").unwrap();
        assert!(joe.secret.is(&Ticket::raw("secret!!!").unwrap()));
        assert_eq!(
            (joe.grant.authid.as_deref(), joe.grant.realm.as_deref()),
            (Some("joseph"), Some("realm2"))
        );
        let extra = joe.grant.extra.clone().unwrap();
        assert_eq!(extra.as_dict().get("x").unwrap().as_str(), Some("y"));
        assert!(principals.ticket("jane").unwrap().secret.is(&Ticket::raw("abc").unwrap()));
        let record = &principals.scram(Dialect::Specification, "joe").unwrap().secret;
        let salt = crate::scram::salt_octets(Dialect::Specification, "W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let kdf = Kdf::Pbkdf2 { iterations: 4096 };
        let derived = ScramRecord::derive(Dialect::Specification, kdf, &salt, "pencil").unwrap();
        assert_eq!(record.stored_key_text(), derived.stored_key_text());
        assert!(principals.wampcra("joe").unwrap().secret.salting().is_some());
        assert_eq!(principals.roles().filter(|role| *role == "user").count(), 2);
        assert!(Principals::from_toml("").unwrap().methods().next().is_none());
        assert!(!format!("{principals:?}").contains("secret!!!"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let refuse = |text: &str, place: (usize, usize), part: &str| {
            let error = Principals::from_toml(text).unwrap_err();
            assert_eq!((error.line, error.column), place, "{error}");
            assert!(error.message.contains(part), "{error}");
            assert!(!error.message.contains("hunter2"), "{error}");
        };
        refuse("[[principal]]\nauthid = \"joe\"\nrole = \"r\"\n", (1, 1), "a method");
        refuse(
            "\n\n[[principal]]\nauthid = \"joe\"\nrole = \"\"\nticket = \"x\"",
            (3, 1),
            "role must not be empty",
        );
        refuse(
            "[[principal]]\nauthid = \"joe\"\nrole = \"r\"\nwampcra = \"hunter2\"",
            (4, 11),
            "found a string",
        );
        refuse(
            "[[principal]]\nauthid = \"joe\"\nrole = \"r\"\npasword = \"hunter2\"",
            (4, 1),
            "unknown field",
        );
        refuse(
            "[[principal]]\nauthid = \"joe\"\nrole = 5\nticket = \"hunter2\"",
            (3, 8),
            "expected a string",
        );
        refuse("[[principal]\n", (1, 13), "");
        let joe = "[[principal]]\nauthid = \"joe\"\nrole = \"r\"\n";
        let with = |line: &str| format!("{joe}{line}\n");
        refuse(&with("ticket_sha256 = \"hunter2\""), (1, 1), "ticket_sha256 must be 64 hexadecimal digits");
        refuse(&with("ticket = \"hunter2\"\nticket_sha256 = \"x\""), (1, 1), "one of them");
        refuse(&with("cryptosign = [\"hunter2\"]"), (1, 1), "ed25519 public key");
        refuse(&with("cryptosign = []"), (1, 1), "key is missing");
        let scram = "wamp-scram = { kdf = \"pbkdf2\", iterations = 4096, salt = \"W22ZaJ0SNY7soEsUEjb6gQ==\", password = \"hunter2\" }";
        refuse(
            &with(scram).replace("joe", "jo\u{ad}e"),
            (1, 1),
            "authid must be in the normal form of SASLprep",
        );
        refuse(
            &with(scram).replace("joe", "\u{ff4a}oe"),
            (1, 1),
            "authid must be in the normal form of SASLprep",
        );
        assert!(Principals::from_toml(&with(scram).replace("joe", "Jo\u{eb}l, a=b")).is_ok());
        refuse(
            &with("wampcra = { secret = \"hunter2\", salt = \"salt1234\" }"),
            (1, 1),
            "secret must be without salt",
        );
        refuse(&with("wampcra = { password = \"hunter2\", iterations = 1000 }"), (1, 1), "salt is missing");
        refuse(
            &with("wampcra = { password = \"hunter2\", salt = \"salt\", iterations = 1000 }"),
            (1, 1),
            "salt has 4",
        );
        refuse(&with("wampcra = { }"), (1, 1), "one of secret, password and key");
        let scram = "wamp-scram = { kdf = \"bcrypt\", iterations = 10, salt = \"AAAAAAAAAAA=\", password = \"hunter2\" }";
        refuse(&with(scram), (1, 1), "unknown key derivation function \"bcrypt\"");
        refuse(&with(&scram.replace("bcrypt", "pbkdf2")), (1, 1), "iterations is 10: expected 4096");
        refuse(&with(&scram.replace("password", "stored_key")), (1, 1), "stored_key with server_key");
        let twice = format!("{joe}ticket = \"hunter2\"\n{joe}ticket = \"hunter2\"\n");
        refuse(&twice, (5, 1), "there twice");
    }
}
