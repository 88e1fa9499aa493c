//! The specification's example of a chain, and what is wrong with others.

#![allow(clippy::unwrap_used)]

use super::*;
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
