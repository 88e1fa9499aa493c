//! `wampline hash`: what a configuration holds in the place of a password.

use std::fmt::Write as _;
use std::io::Read;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use wampline_auth::{ConfigError, Dialect, Kdf};
use zeroize::Zeroizing;

use crate::{complain, say};

pub(crate) const HASH_HELP: &str = "\
Reads a password (the first line, without its end) and prints one line of TOML per method, for [[realms.principals]] or a file of
principals. Who knows a record can guess at the password; with a record of wampcra one can also join. Each run draws new salts.

Exit codes: 0 done, 1 the password cannot be used, 64 the command line is not valid

Examples:
  wampline hash < password
  wampline hash --method wamp-scram --kdf pbkdf2 --iterations 600000 < password

  [[realms.principals]]
  authid = \"joe\"
  role = \"frontend\"
  wamp-scram = { kdf = \"argon2id13\", ... }     # what hash has printed";

/// A password is not read beyond this.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// What `wampline hash` is asked for.
#[derive(Debug, Args)]
pub struct HashArguments {
    /// The method to make a record for (may be repeated) [default: all three]
    #[arg(short, long, value_name = "METHOD")]
    method: Vec<HashMethod>,
    /// How wamp-scram derives keys; scram has Argon2 alone, wampcra PBKDF2
    #[arg(long, value_name = "FUNCTION", default_value = "argon2id13")]
    kdf: HashKdf,
    /// Iterations [default: 2 for Argon2, 600000 for PBKDF2 of wamp-scram, 100000 for wampcra]
    #[arg(long, value_name = "N")]
    iterations: Option<u32>,
    /// Memory of Argon2 in KiB [default: 19456]
    #[arg(long, value_name = "KIB")]
    memory: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HashMethod {
    /// WAMP-CRA
    Wampcra,
    /// SCRAM as the specification has it
    WampScram,
    /// SCRAM as autobahn and Crossbar have it
    Scram,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HashKdf {
    /// Argon2id, version 1.3
    Argon2id13,
    /// PBKDF2 with HMAC-SHA-256
    Pbkdf2,
}

/// Makes records of the password on standard input.
pub(crate) fn hash(arguments: &HashArguments) -> ExitCode {
    let password = match read_password(std::io::stdin()) {
        Ok(password) => password,
        Err(message) => return complain(&message),
    };
    let all = [HashMethod::Wampcra, HashMethod::WampScram, HashMethod::Scram];
    let methods = if arguments.method.is_empty() { &all[..] } else { &arguments.method };
    let mut lines = Zeroizing::new(String::new());
    for method in methods {
        match record(*method, arguments, &password) {
            Ok(line) => {
                let _ = writeln!(lines, "{}", *line);
            }
            Err(error) => return complain(&error),
        }
    }
    say(lines.trim_end())
}

/// The first line of what there is to read.
fn read_password(from: impl Read) -> Result<Zeroizing<String>, String> {
    let mut octets = Zeroizing::new(Vec::with_capacity(PASSWORD_BYTES_MAX as usize + 1));
    from.take(PASSWORD_BYTES_MAX + 1)
        .read_to_end(&mut octets)
        .map_err(|error| format!("the password cannot be read from standard input: {error}"))?;
    let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() as u64 > PASSWORD_BYTES_MAX - 1 {
        return Err(format!("the password is longer than {} octets", PASSWORD_BYTES_MAX - 1));
    }
    if line.is_empty() {
        return Err("there is no password on standard input, expected one line: wampline hash < FILE".into());
    }
    let text = std::str::from_utf8(line).map_err(|_| "the password is not UTF-8".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The line of one method.
fn record(
    method: HashMethod,
    arguments: &HashArguments,
    password: &str,
) -> Result<Zeroizing<String>, ConfigError> {
    let dialect = match method {
        HashMethod::Wampcra => return wampcra(arguments.iterations.unwrap_or(100_000), password),
        HashMethod::WampScram => Dialect::Specification,
        HashMethod::Scram => Dialect::Crossbar,
    };
    let memory = Some(arguments.memory.unwrap_or(19 << 10));
    let kdf = match (arguments.kdf, dialect) {
        (HashKdf::Pbkdf2, Dialect::Specification) => {
            Kdf::named("pbkdf2", dialect, arguments.iterations.unwrap_or(600_000), None)
        }
        // The iterations of another function are none of its.
        (HashKdf::Pbkdf2, Dialect::Crossbar) => Kdf::named("argon2id-13", dialect, 2, memory),
        (HashKdf::Argon2id13, _) => {
            Kdf::named("argon2id13", dialect, arguments.iterations.unwrap_or(2), memory)
        }
    }?;
    let record = wampline_auth::hash_scram(dialect, kdf, password, &mut super::random)?;
    let name = if dialect == Dialect::Specification { "wamp-scram" } else { "scram" };
    let memory = kdf.memory_kib().map(|memory| format!("memory = {memory}, ")).unwrap_or_default();
    Ok(Zeroizing::new(format!(
        "{name} = {{ kdf = {:?}, iterations = {}, {memory}salt = {:?}, stored_key = {:?}, server_key = {:?} }}",
        kdf.name(dialect),
        kdf.iterations(),
        record.salt_text(),
        *record.stored_key_text(),
        *record.server_key_text(),
    )))
}

fn wampcra(iterations: u32, password: &str) -> Result<Zeroizing<String>, ConfigError> {
    let (key, salting) = wampline_auth::hash_wampcra(iterations, password, &mut super::random)?;
    Ok(Zeroizing::new(format!(
        "wampcra = {{ key = {:?}, salt = {:?}, iterations = {}, keylen = {} }}",
        *key,
        salting.salt(),
        salting.iterations(),
        salting.key_bytes(),
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_password_is_the_first_line() {
        let read = |text: &str| read_password(text.as_bytes()).map(|password| password.to_string());
        for text in ["secret", "secret\n", "secret\r\n", "secret\nmore"] {
            assert_eq!(read(text).unwrap(), "secret");
        }
        assert_eq!(read(" a b ").unwrap(), " a b ");
        for text in ["", "\n", "\r\nx"] {
            assert!(read(text).unwrap_err().contains("wampline hash < FILE"));
        }
        assert!(read(&"x".repeat(4096)).unwrap_err().contains("longer"));
        assert!(read_password(&b"\xff"[..]).unwrap_err().contains("UTF-8"));
    }
}
