//! Attempts from HELLO to their end.

#![allow(clippy::unwrap_used)]

mod enumeration;
mod methods;
mod outside;
mod robustness;

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wampline_wire::{Dict, List, SessionId, Value};

use crate::scram::Dialect;
use crate::secret::{hmac_sha256, sha256};
use crate::*;

/// 2014-06-22T16:36:25.448Z.
const NOW: u64 = 1_403_454_985_448;

/// A client, its connection and the randomness of its router.
struct Client<'a> {
    realm: &'a Arc<RealmAuthentication>,
    transport: Transport<'a>,
    now: u64,
    random: fastrand::Rng,
    attempt: Option<Attempt>,
}

impl<'a> Client<'a> {
    fn new(realm: &'a Arc<RealmAuthentication>) -> Client<'a> {
        let transport = Transport::plain("websocket", "json");
        Client { realm, transport, now: NOW, random: fastrand::Rng::with_seed(7), attempt: None }
    }
    /// Says HELLO with these methods, authid and authextra.
    fn hello(&mut self, methods: &[&str], authid: &str, extra: &[(&str, Value<'_>)]) -> Step {
        let methods: Vec<Value<'_>> = methods.iter().map(|name| Value::Str((*name).into())).collect();
        self.hello_of(Hello {
            realm: "realm1",
            session: SessionId::new(5).unwrap(),
            authid: Some(authid),
            authmethods: Some(List::items(&methods)),
            authextra: Some(Dict::pairs(extra)),
        })
    }
    fn hello_of(&mut self, hello: Hello<'_>) -> Step {
        let mut random = |octets: &mut [u8]| self.random.fill(octets);
        let mut env = Env { unix_millis: self.now, random: &mut random };
        let (attempt, step) = Attempt::begin(self.realm, &hello, &self.transport, &mut env);
        self.attempt = Some(attempt);
        step
    }
    /// Says AUTHENTICATE.
    fn authenticate(&mut self, signature: &str, extra: &[(&str, Value<'_>)]) -> Step {
        let mut random = |octets: &mut [u8]| self.random.fill(octets);
        let mut env = Env { unix_millis: self.now, random: &mut random };
        let attempt = self.attempt.as_mut().expect("HELLO comes first");
        attempt.authenticate(signature, &Dict::pairs(extra), &self.transport, &mut env)
    }
    fn answered(&mut self, answer: Answer<'_>) -> Step {
        let mut random = |octets: &mut [u8]| self.random.fill(octets);
        let mut env = Env { unix_millis: self.now, random: &mut random };
        self.attempt.as_mut().expect("HELLO comes first").answered(answer, &self.transport, &mut env)
    }
}

fn admitted(step: Step) -> Admission {
    match step {
        Step::Admit(admission) => *admission,
        other => panic!("not admitted: {other:?}"),
    }
}

fn refused(step: Step) -> Refusal {
    match step {
        Step::Refuse(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn challenged(step: Step) -> OwnedDict {
    match step {
        Step::Challenge { extra, .. } => extra,
        other => panic!("not challenged: {other:?}"),
    }
}

fn text(extra: &OwnedDict, key: &str) -> String {
    extra.as_dict().get(key).unwrap_or(Value::Null).as_str().unwrap_or_default().to_owned()
}

fn number(extra: &OwnedDict, key: &str) -> u64 {
    extra.as_dict().get(key).and_then(|value| value.as_u64()).unwrap_or_default()
}

fn empty() -> RealmAuthentication {
    RealmAuthentication::new(DecoySecret::new([9; 32]))
}

fn grant(role: &str) -> Grant {
    Grant::role(role).unwrap()
}

fn store(fill: impl FnOnce(&mut Principals)) -> Arc<PrincipalStore> {
    let mut principals = Principals::default();
    fill(&mut principals);
    Arc::new(PrincipalStore::new(principals))
}

/// The methods of static principals that prove something by a secret.
const PROVING: [Method; 5] =
    [Method::Ticket, Method::WampCra, Method::WampScram, Method::Scram, Method::Cryptosign];

/// joe is a principal of each of them, with the password `pencil` or the key of the seed `pencil`.
fn full_realm() -> RealmAuthentication {
    let principals = store(|principals| {
        principals.add_ticket("joe", Ticket::raw("pencil").unwrap(), grant("user")).unwrap();
        let salting = Salting::new("c2FsdHNhbHRzYWx0c2FsdA==", 1000, 32).unwrap();
        principals
            .add_wampcra("joe", CraSecret::password("pencil", salting).unwrap(), grant("user"))
            .unwrap();
        let pbkdf2 = Kdf::Pbkdf2 { iterations: 4096 };
        let record = ScramRecord::derive(Dialect::Specification, pbkdf2, &[1; 16], "pencil").unwrap();
        principals.add_scram("joe", record, grant("user")).unwrap();
        let argon2 = Kdf::Argon2id13 { iterations: 256, memory_kib: 64 };
        let record = ScramRecord::derive(Dialect::Crossbar, argon2, &[2; 16], "pencil").unwrap();
        principals.add_scram("joe", record, grant("user")).unwrap();
        principals.add_cryptosign("joe", &[key("pencil").public_key()], grant("user")).unwrap();
    });
    let mut realm = empty();
    for method in PROVING {
        realm.add_source(method, Source::Principals(principals.clone())).unwrap();
    }
    realm
}

/// The private key whose seed is the SHA-256 of this.
fn key(password: &str) -> RouterKey {
    RouterKey::from_hex(&hex::encode(&sha256(password.as_bytes()))).unwrap()
}

/// What `authextra` a client of the method sends.
fn extra_of(method: Method, password: &str) -> Vec<(&'static str, Value<'static>)> {
    match method {
        Method::WampScram | Method::Scram => vec![("nonce", Value::Str("egVDf3DMJh0=".into()))],
        Method::Cryptosign => vec![("pubkey", Value::Str(key(password).public_key().to_hex().into()))],
        _ => Vec::new(),
    }
}

/// What a client with this authid and password answers to a challenge, as the specification says or its library does.
fn answer_of(
    method: Method,
    authid: &str,
    password: &str,
    challenge: &OwnedDict,
) -> (String, Vec<(&'static str, Value<'static>)>) {
    match method {
        Method::WampCra => {
            let mut secret = password.as_bytes().to_vec();
            if challenge.as_dict().get("salt").is_some() {
                let mut key = vec![0; number(challenge, "keylen") as usize];
                let iterations = std::num::NonZeroU32::new(number(challenge, "iterations") as u32).unwrap();
                let salt = text(challenge, "salt");
                let algorithm = aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256;
                aws_lc_rs::pbkdf2::derive(algorithm, iterations, salt.as_bytes(), &secret, &mut key);
                secret = STANDARD.encode(key).into_bytes();
            }
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            (STANDARD.encode(hmac::sign(&key, text(challenge, "challenge").as_bytes())), Vec::new())
        }
        Method::WampScram | Method::Scram => {
            let salt = STANDARD.decode(text(challenge, "salt")).unwrap();
            let (nonce, iterations) = (text(challenge, "nonce"), number(challenge, "iterations"));
            let mut salted = vec![0; 32];
            if text(challenge, "kdf") == "pbkdf2" {
                let count = std::num::NonZeroU32::new(iterations as u32).unwrap();
                let algorithm = aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256;
                aws_lc_rs::pbkdf2::derive(algorithm, count, &salt, password.as_bytes(), &mut salted);
            } else {
                let memory = number(challenge, "memory") as u32;
                let params = argon2::Params::new(memory, iterations as u32, 1, Some(32)).unwrap();
                let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
                argon2.hash_password_into(password.as_bytes(), &salt, &mut salted).unwrap();
            }
            let mut channel = "biws";
            if method == Method::Scram {
                salted = STANDARD.encode(&salted).trim_end_matches('=').as_bytes().to_vec();
                channel = "";
            }
            let message = format!(
                "n={authid},r=egVDf3DMJh0=,r={nonce},s={},i={iterations},c={channel},r={nonce}",
                text(challenge, "salt")
            );
            let mut proof = hmac_sha256(&salted, b"Client Key");
            let signature = hmac_sha256(&sha256(&proof), message.as_bytes());
            proof.iter_mut().zip(signature).for_each(|(octet, other)| *octet ^= other);
            (STANDARD.encode(proof), vec![("nonce", Value::Str(nonce.into()))])
        }
        Method::Cryptosign => {
            let challenge = hex::decode::<32>(&text(challenge, "challenge")).unwrap();
            (key(password).sign(&challenge), Vec::new())
        }
        _ => (password.to_owned(), Vec::new()),
    }
}

/// One attempt by a static method with a password, all the way.
fn log_in(realm: &Arc<RealmAuthentication>, method: Method, authid: &str, password: &str) -> Step {
    let mut client = Client::new(realm);
    let challenge = challenged(client.hello(&[method.name()], authid, &extra_of(method, password)));
    let (signature, extra) = answer_of(method, authid, password, &challenge);
    client.authenticate(&signature, &extra)
}
