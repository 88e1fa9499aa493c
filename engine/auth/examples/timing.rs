//! How long attempts take: known and unknown principals side by side, and an anonymous join.
//!
//! `cargo run --release -p wampline-auth --example timing`. It reports; nothing depends on what it says.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wampline_auth::{
    Attempt, CraSecret, DecoySecret, Dialect, Env, Grant, Hello, Kdf, Method, PrincipalStore, Principals,
    PublicKey, RealmAuthentication, Salting, ScramRecord, Source, Step, Ticket, Transport,
};
use wampline_wire::{Dict, List, SessionId, Value};

/// Attempts of each kind.
const ATTEMPTS: usize = 2000;
const KEY: &str = "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122";
const METHODS: [Method; 5] =
    [Method::Ticket, Method::WampCra, Method::WampScram, Method::Scram, Method::Cryptosign];

fn main() -> Result<(), Box<dyn Error>> {
    let realm = Arc::new(realm()?);
    println!("median of {ATTEMPTS} attempts with a wrong secret, HELLO to ABORT, in microseconds");
    println!("{:<12}{:>10}{:>10}{:>12}", "method", "known", "unknown", "difference");
    for method in METHODS {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for number in 0..ATTEMPTS {
            known.push(attempt(&realm, method, &format!("user{}", number % 1000))?);
            unknown.push(attempt(&realm, method, &format!("nobody{}", number % 1000))?);
        }
        let (known, unknown) = (median(&mut known), median(&mut unknown));
        println!("{:<12}{known:>10.2}{unknown:>10.2}{:>12.2}", method.name(), known - unknown);
    }
    let open = Arc::new(RealmAuthentication::anonymous("anonymous"));
    let rounds = 200_000;
    let begun = Instant::now();
    for _ in 0..rounds {
        black_box(anonymous(black_box(&open))?);
    }
    println!(
        "anonymous, HELLO to admission: {:.0} ns",
        begun.elapsed().as_nanos() as f64 / f64::from(rounds)
    );
    Ok(())
}

/// A thousand principals of every method.
fn realm() -> Result<RealmAuthentication, Box<dyn Error>> {
    let mut principals = Principals::default();
    for number in 0..1000_u32 {
        let authid = format!("user{number}");
        let grant = Grant::role("user")?;
        principals.add_ticket(&authid, Ticket::raw("right")?, grant.clone())?;
        let salting = Salting::new(&format!("{number:016x}"), 1000, 32)?;
        principals.add_wampcra(&authid, CraSecret::password("right", salting)?, grant.clone())?;
        let salt = u128::from(number).to_be_bytes();
        let mut stored_key = [0; 32];
        stored_key[..4].copy_from_slice(&number.to_be_bytes());
        for dialect in [Dialect::Specification, Dialect::Crossbar] {
            let record = ScramRecord::new(dialect, Kdf::DEFAULT, &salt, stored_key, stored_key)?;
            principals.add_scram(&authid, record, grant.clone())?;
        }
        let key = PublicKey::from_hex(&format!("{number:064x}"))?;
        principals.add_cryptosign(&authid, &[key], grant)?;
    }
    let store = Arc::new(PrincipalStore::new(principals));
    let mut realm = RealmAuthentication::new(DecoySecret::new([7; 32]));
    for method in METHODS {
        realm.add_source(method, Source::Principals(store.clone()))?;
    }
    Ok(realm)
}

/// HELLO, CHALLENGE, AUTHENTICATE with something wrong, ABORT.
fn attempt(
    realm: &Arc<RealmAuthentication>,
    method: Method,
    authid: &str,
) -> Result<Duration, Box<dyn Error>> {
    let names = [Value::Str(method.name().into())];
    let extra = [("nonce", Value::Str("egVDf3DMJh0=".into())), ("pubkey", Value::Str(KEY.into()))];
    let hello = hello(Some(authid), Some(List::items(&names)), Dict::pairs(&extra))?;
    let transport = Transport::plain("websocket", "json");
    let mut random = |octets: &mut [u8]| fastrand::fill(octets);
    let mut env = Env { unix_millis: 0, random: &mut random };
    let begun = Instant::now();
    let (mut attempt, step) = Attempt::begin(realm, &hello, &transport, &mut env);
    let Step::Challenge { extra: challenge, .. } = step else { return Err("no challenge".into()) };
    let nonce = challenge.as_dict().get("nonce").unwrap_or(Value::Null);
    let said = [("nonce", nonce)];
    let signature = "ab".repeat(96);
    let step = attempt.authenticate(&signature, &Dict::pairs(&said), &transport, &mut env);
    let taken = begun.elapsed();
    if matches!(step, Step::Refuse(_)) { Ok(taken) } else { Err("not refused".into()) }
}

fn anonymous(realm: &Arc<RealmAuthentication>) -> Result<Step, Box<dyn Error>> {
    let mut random = |octets: &mut [u8]| fastrand::fill(octets);
    let mut env = Env { unix_millis: 0, random: &mut random };
    let transport = Transport::plain("websocket", "json");
    Ok(Attempt::begin(realm, &hello(None, None, Dict::EMPTY)?, &transport, &mut env).1)
}

fn hello<'a>(
    authid: Option<&'a str>,
    authmethods: Option<List<'a>>,
    authextra: Dict<'a>,
) -> Result<Hello<'a>, Box<dyn Error>> {
    let session = SessionId::new(5).ok_or("not an id")?;
    Ok(Hello { realm: "realm1", session, authid, authmethods, authextra: Some(authextra) })
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / 1000.0
}
