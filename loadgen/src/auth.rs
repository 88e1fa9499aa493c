//! Who the sessions say they are: HELLO and the answer to CHALLENGE.
//!
//! All sessions of a run are the same principal, by one method. What a password costs to derive is paid once for each salt.

use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use wampline_wire::{Dict, List, Message, Value};

/// The environment variable that holds the secret where no option does.
const SECRET_VARIABLE: &str = "WAMPLINE_LOADGEN_SECRET";

/// How the sessions authenticate.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Router")]
pub(crate) struct AuthArguments {
    /// How every session proves who it is
    #[arg(long, value_enum, default_value_t = AuthMethod::Anonymous, value_name = "METHOD")]
    pub(crate) authmethod: AuthMethod,
    /// Who every session is (cryptosign can do without: the key tells)
    #[arg(long, value_name = "AUTHID")]
    pub(crate) authid: Option<String>,
    /// The ticket, the secret or password (wampcra), or the private key as 64 hexadecimal digits (cryptosign); without this
    /// option the environment variable WAMPLINE_LOADGEN_SECRET, which other users of the machine cannot see
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Option<Secret>,
}

/// A method of authentication, by its name in HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuthMethod {
    Anonymous,
    Ticket,
    Wampcra,
    Cryptosign,
}

/// A secret, shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Secret, Self::Err> {
        Ok(Secret(text.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where and as whom every session of a run joins.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    realm: String,
    authid: Option<String>,
    credentials: Credentials,
}

/// What sessions prove who they are with.
#[derive(Clone, Debug)]
enum Credentials {
    /// Nothing.
    Anonymous,
    /// A secret that is sent.
    Ticket(Secret),
    /// A secret that both sides know, and the key that was derived from it last.
    WampCra(Secret, Arc<Mutex<Option<Derived>>>),
    /// A private key, and the public one in hexadecimal digits.
    Cryptosign(Arc<Ed25519KeyPair>, String),
}

/// A key, and what it was derived with.
#[derive(Clone)]
struct Derived {
    salt: String,
    iterations: NonZeroU32,
    key_bytes: usize,
    key: String,
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Derived(..)")
    }
}

impl Identity {
    /// The identity that the options name.
    ///
    /// # Errors
    /// If something is missing or is not what it must be.
    pub(crate) fn new(realm: &str, arguments: &AuthArguments) -> Result<Identity, String> {
        let AuthArguments { authmethod, authid, secret } = arguments.clone();
        let variable = || std::env::var(SECRET_VARIABLE).ok().map(Secret);
        let secret = || {
            let secret = secret.or_else(variable).filter(|secret| !secret.0.is_empty());
            secret
                .ok_or_else(|| format!("this method takes --secret, or {SECRET_VARIABLE} in the environment"))
        };
        let credentials = match authmethod {
            AuthMethod::Anonymous => Credentials::Anonymous,
            AuthMethod::Ticket => Credentials::Ticket(secret()?),
            AuthMethod::Wampcra => Credentials::WampCra(secret()?, Arc::default()),
            AuthMethod::Cryptosign => {
                let key = octets(secret()?.0.trim())
                    .and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).ok());
                let key = key.ok_or("the secret is no private key, expected 64 hexadecimal digits")?;
                let public = hex(key.public_key().as_ref());
                Credentials::Cryptosign(Arc::new(key), public)
            }
        };
        if authid.is_none() && matches!(authmethod, AuthMethod::Ticket | AuthMethod::Wampcra) {
            return Err("this method takes --authid".to_owned());
        }
        Ok(Identity { realm: realm.to_owned(), authid, credentials })
    }

    /// Hands HELLO to `send`.
    pub(crate) fn hello(&self, send: impl FnOnce(&Message<'_>)) {
        const ROLE: Value<'static> = Value::Dict(Dict::EMPTY);
        const ROLES: &[(&str, Value<'static>)] =
            &[("caller", ROLE), ("callee", ROLE), ("publisher", ROLE), ("subscriber", ROLE)];
        let mut details = vec![("roles", Value::Dict(Dict::pairs(ROLES)))];
        let methods = self.method().map(|method| [Value::Str(method.into())]);
        details.extend(methods.iter().map(|methods| ("authmethods", Value::List(List::items(methods)))));
        details.extend(self.authid.iter().map(|authid| ("authid", Value::Str(authid.as_str().into()))));
        let extra = match &self.credentials {
            Credentials::Cryptosign(_, public) => Some([("pubkey", Value::Str(public.as_str().into()))]),
            _ => None,
        };
        details.extend(extra.iter().map(|extra| ("authextra", Value::Dict(Dict::pairs(extra)))));
        send(&Message::Hello { realm: self.realm.as_str().into(), details: Dict::pairs(&details) });
    }

    /// The AUTHENTICATE that answers a CHALLENGE.
    ///
    /// # Errors
    /// If these credentials have no answer to that challenge.
    pub(crate) fn answer(&self, method: &str, extra: &Dict<'_>) -> Result<Message<'static>, String> {
        if self.method() != Some(method) {
            return Err(format!("the router asks for authentication by {method:?}: see --authmethod"));
        }
        let text = |key: &str| extra.get(key).and_then(|value| value.as_str().map(str::to_owned));
        let challenge = || text("challenge").ok_or("the router's CHALLENGE has no challenge");
        let signature = match &self.credentials {
            Credentials::Anonymous => String::new(),
            Credentials::Ticket(ticket) => ticket.0.clone(),
            Credentials::WampCra(secret, derived) => {
                let key = match text("salt") {
                    None => secret.0.clone(),
                    Some(salt) => {
                        let number = |key: &str| extra.get(key).and_then(|value| value.as_u64());
                        let iterations = number("iterations").unwrap_or(1000);
                        derive(secret, derived, salt, iterations, number("keylen").unwrap_or(32))?
                    }
                };
                let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
                STANDARD.encode(hmac::sign(&key, challenge()?.as_bytes()))
            }
            Credentials::Cryptosign(key, _) => {
                let challenge = challenge()?;
                let message = octets(&challenge).ok_or("the router's challenge is not hexadecimal")?;
                hex(key.sign(&message).as_ref()) + &challenge
            }
        };
        Ok(Message::Authenticate { signature: signature.into(), extra: Dict::EMPTY })
    }

    /// What HELLO lists.
    fn method(&self) -> Option<&'static str> {
        match self.credentials {
            Credentials::Anonymous => None,
            Credentials::Ticket(_) => Some("ticket"),
            Credentials::WampCra(..) => Some("wampcra"),
            Credentials::Cryptosign(..) => Some("cryptosign"),
        }
    }
}

/// The key of a password, derived unless it is the last one that was.
fn derive(
    secret: &Secret,
    last: &Mutex<Option<Derived>>,
    salt: String,
    iterations: u64,
    key_bytes: u64,
) -> Result<String, String> {
    let refused = "the router's iterations or keylen are out of bounds";
    let iterations = u32::try_from(iterations).ok().and_then(NonZeroU32::new).ok_or(refused)?;
    let key_bytes =
        usize::try_from(key_bytes).ok().filter(|bytes| (1..=1024).contains(bytes)).ok_or(refused)?;
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = &*last
        && (&known.salt, known.iterations, known.key_bytes) == (&salt, iterations, key_bytes)
    {
        return Ok(known.key.clone());
    }
    let mut octets = vec![0; key_bytes];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt.as_bytes(), secret.0.as_bytes(), &mut octets);
    let key = STANDARD.encode(octets);
    *last = Some(Derived { salt, iterations, key_bytes, key: key.clone() });
    Ok(key)
}

/// The octets of hexadecimal digits.
fn octets(digits: &str) -> Option<Vec<u8>> {
    let is_hex = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    if is_hex { (0..digits.len()).step_by(2).map(octet).collect() } else { None }
}

fn hex(octets: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * octets.len());
    for octet in octets {
        write!(digits, "{octet:02x}").expect("a String takes everything");
    }
    digits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn identity(authmethod: AuthMethod, secret: &str) -> Result<Identity, String> {
        let arguments =
            AuthArguments { authmethod, authid: Some("joe".into()), secret: Some(Secret(secret.into())) };
        Identity::new("realm1", &arguments)
    }

    fn answer(identity: &Identity, method: &str, extra: &[(&str, Value<'_>)]) -> Result<String, String> {
        match identity.answer(method, &Dict::pairs(extra))? {
            Message::Authenticate { signature, .. } => Ok(signature.into_owned()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn tickets_are_sent_as_they_are() {
        let identity = identity(AuthMethod::Ticket, "abc").unwrap();
        assert_eq!(answer(&identity, "ticket", &[]), Ok("abc".into()));
        assert!(answer(&identity, "wampcra", &[]).unwrap_err().contains("--authmethod"));
        assert!(!format!("{identity:?}").contains("abc"));
    }

    #[test]
    fn challenges_are_signed_with_the_derived_key() {
        let identity = identity(AuthMethod::Wampcra, "prq7+YkJ1/KlW1X0YczMHw==").unwrap();
        let challenge = [("challenge", Value::Str("x".into()))];
        let plain = answer(&identity, "wampcra", &challenge).unwrap();
        let salted = [
            ("challenge", Value::Str("x".into())),
            ("salt", Value::Str("salt1234".into())),
            ("iterations", Value::Uint(1000)),
            ("keylen", Value::Uint(32)),
        ];
        let derived = answer(&identity, "wampcra", &salted).unwrap();
        assert_ne!(plain, derived);
        assert_eq!(answer(&identity, "wampcra", &salted).unwrap(), derived, "from memory");
    }

    /// The keys and the first exchange of the specification's test vectors for cryptosign.
    #[test]
    fn cryptosign_signs_as_the_published_vectors_have_it() {
        let seed = "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510";
        let identity = identity(AuthMethod::Cryptosign, seed).unwrap();
        let challenge = "ff".repeat(32);
        let signed = answer(&identity, "cryptosign", &[("challenge", Value::Str(challenge.as_str().into()))]);
        let expected = "b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0cae80a357331bfc5cc9fb71081464e6e75013517c2cf067ad566a6b7b728e5d03";
        assert_eq!(signed.unwrap(), expected.to_owned() + &challenge);
        assert!(self::identity(AuthMethod::Cryptosign, "abc").is_err());
    }
}
