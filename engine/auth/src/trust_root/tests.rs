//! The specification's example of a chain, and what is wrong with others.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::{Attempt, DecoySecret, Env, Hello, RealmAuthentication, Step, Transport, hex};
use vectors::CERTIFICATES;

#[path = "vectors.rs"]
mod vectors;

const KEY: &str = "12ae0184b180e9a9c5e45be4a1afbce3c6491320063701cd9c4011a777d04089";
const ISSUER: &str = "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57";
const DELEGATE: &str = "0xf5173a6111B2A6B3C20fceD53B2A8405EC142bF6";
const REALM: &str = "0xA6e693CC4A2b4F1400391a728D26369D9b82ef96";

fn address(text: &str) -> Address {
    Address::from_text(text).unwrap()
}

fn root() -> TrustRoot {
    let grant = Grant::role("user").unwrap();
    TrustRoot::new(1, address(ISSUER), address(REALM), address(ISSUER), grant)
}

/// What HELLO gets that brings these certificates for this key.
fn bring(root: TrustRoot, certificates: &[String], key: &str) -> Result<Option<Address>, &'static str> {
    let extra = format!(r#"[4,"",{{"trustroot":"{ISSUER}","certificates":[{}]}}]"#, certificates.join(","));
    let Ok(Message::Challenge { extra, .. }) = Message::parse(Serializer::Json, extra.as_bytes()) else {
        panic!("not a message: {extra}");
    };
    let roots = [root];
    let found = check(&roots, Some(&extra), &PublicKey::from_hex(key).unwrap());
    found.map(|found| found.map(|(_, delegate)| delegate))
}

fn certificates() -> Vec<String> {
    CERTIFICATES.map(str::to_owned).to_vec()
}

#[test]
fn the_specifications_chain_leads_to_its_root() {
    assert_eq!(bring(root(), &certificates(), KEY), Ok(Some(address(DELEGATE))));
    assert_eq!(bring(root().at_block(15_212_703), &certificates(), KEY), Ok(Some(address(DELEGATE))));
    assert!(bring(root().at_block(15_212_702), &certificates(), KEY).unwrap_err().starts_with("CCR-1"));
}

/// The specification's third example from HELLO to WELCOME, but for the name of the binding, which says nothing of the
/// octets that are bound.
#[test]
fn the_specifications_exchange_with_a_chain_and_a_bound_channel() {
    let signature = "16c89629e72aff3f44661e701341b2221a2fa9d93205826fad85e70d3a8dab70a8f54314c14d470ebeb77a0dd16c833928c01134\
                     a52b2e73862b7d3f258b600059ef9181d4370b6d19e7691e9a407f29784315dfc949d4696ce5e1f6535ba73d";
    let challenge: [u8; 32] =
        hex::decode("e4b40f72f9604754789d472225483bace926b9668d72c9122545e540d8d98f23").unwrap();
    let mut channel: [u8; 32] = hex::decode(&signature[128..]).unwrap();
    channel.iter_mut().zip(challenge).for_each(|(octet, other)| *octet ^= other);
    let mut realm = RealmAuthentication::new(DecoySecret::new([0; 32]));
    realm.add_trust_root(root()).unwrap();
    assert!(realm.add_trust_root(root()).is_err());
    let realm = Arc::new(realm);
    let extra = format!(
        r#"[4,"",{{"pubkey":"{KEY}","channel_binding":"tls-exporter","trustroot":"{ISSUER}","certificates":[{}]}}]"#,
        CERTIFICATES.join(",")
    );
    let Ok(Message::Challenge { extra, .. }) = Message::parse(Serializer::Json, extra.as_bytes()) else {
        panic!("not a message: {extra}");
    };
    let log_in = |authid: Option<&str>, signature: &str| {
        let methods = [Value::Str("cryptosign".into())];
        let hello = Hello {
            realm: "realm1",
            session: wampline_wire::SessionId::new(5).unwrap(),
            authid,
            authmethods: Some(List::items(&methods)),
            authextra: Some(extra),
        };
        let plain = Transport::plain("websocket", "cbor");
        let transport = Transport { is_tls: true, exporter: Some(channel), ..plain };
        let mut random = |octets: &mut [u8]| octets.copy_from_slice(&challenge);
        let mut env = Env { unix_millis: 0, random: &mut random };
        let (mut attempt, step) = Attempt::begin(&realm, &hello, &transport, &mut env);
        match step {
            Step::Challenge { .. } => attempt.authenticate(signature, &Dict::EMPTY, &transport, &mut env),
            other => other,
        }
    };
    for authid in [None, Some(DELEGATE)] {
        let Step::Admit(admission) = log_in(authid, signature) else { panic!("not admitted") };
        assert_eq!((&*admission.authid, &*admission.authrole), (DELEGATE, "user"));
    }
    assert!(matches!(log_in(None, &signature.replace("16c8", "16c9")), Step::Refuse(_)));
    assert!(matches!(log_in(Some("joe"), signature), Step::Refuse(_)));
}

#[test]
fn a_delegate_alone_will_do_where_the_chain_is_configured() {
    let chain = format!("[{},{}]", CERTIFICATES[1], CERTIFICATES[2]);
    let with_chain = root().with_chain(&chain).unwrap();
    assert_eq!(bring(with_chain, &certificates()[..1], KEY), Ok(Some(address(DELEGATE))));
    assert!(bring(root(), &certificates()[..1], KEY).is_err());
    for wrong in ["[]", "{}", "[", "[[]]", CERTIFICATES[1], &format!("[{}]", CERTIFICATES[1])] {
        assert!(root().with_chain(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_rule_is_checked() {
    let breaks = |rule: &str, root: TrustRoot, certificates: &[String], key: &str| {
        let error = bring(root, certificates, key).unwrap_err();
        assert!(error.contains(rule), "{rule}: {error}");
    };
    let altered = |position: usize, from: &str, to: &str| {
        let mut certificates = certificates();
        assert!(certificates[position].contains(from), "{from}");
        certificates[position] = certificates[position].replace(from, to);
        certificates
    };
    let all = certificates();
    breaks("CCR-1", TrustRoot { chain_id: 5, ..root() }, &all, KEY);
    breaks("CCR-1", TrustRoot { contract: address(REALM), ..root() }, &all, KEY);
    breaks("CCR-2", TrustRoot { realm: address(ISSUER), ..root() }, &all, KEY);
    breaks("CCR-3", root(), &all[1..], KEY);
    breaks("CCR-3", root(), &[all[0].clone(), all[0].clone()], KEY);
    breaks("CCR-4", root(), &all[..2], KEY);
    breaks("trust root", TrustRoot { issuer: address(REALM), ..root() }, &all, KEY);
    breaks("no authority", root(), &all[..1], KEY);
    breaks("no certificates", root(), &[], KEY);
    let intermediate = altered(1, &format!(r#""issuer": "{ISSUER}""#), &format!(r#""issuer": "{DELEGATE}""#));
    breaks("CCR-5", root(), &intermediate, KEY);
    breaks("CCR-6", root(), &altered(1, "15212703", "15212702"), KEY);
    breaks("CCR-7", root(), &altered(1, r#""capabilities": 12"#, r#""capabilities": 64"#), KEY);
    breaks("CCR-8", root(), &[all[0].clone(), all[2].clone()], KEY);
    breaks("CCR-9", root(), &altered(0, "15212703", "15212702"), KEY);
    breaks("CCR-10", root(), &altered(2, r#""meta": """#, r#""meta": "x""#), KEY);
    breaks("CCR-11", root(), &altered(1, r#""capabilities": 12"#, r#""capabilities": 8"#), KEY);
    breaks("CCR-12", root(), &altered(0, r#""meta": """#, r#""meta": "x""#), KEY);
    breaks("another key", root(), &all, ISSUER_KEY);
    breaks("not a certificate", root(), &["5".into()], KEY);
    breaks("longer", root(), &[vec![all[0].clone()], vec![all[2].clone(); 9]].concat(), KEY);
}

const ISSUER_KEY: &str = "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122";

#[test]
fn whoever_brings_none_is_not_concerned() {
    let key = PublicKey::from_hex(KEY).unwrap();
    assert!(check(&[root()], None, &key).unwrap().is_none());
    assert!(check(&[root()], Some(&Dict::EMPTY), &key).unwrap().is_none());
    assert!(check(&[], Some(&Dict::EMPTY), &key).unwrap().is_none());
    let extra = [("certificates", Value::Uint(5))];
    assert!(check(&[root()], Some(&Dict::pairs(&extra)), &key).is_err());
}
