//! The examples of RFC 7515 and RFC 8037, and what tokens must not get through with.

#![allow(clippy::unwrap_used)]

use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::json;

use super::*;
use crate::secret::hmac_sha256;

const HS256_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL\
     -yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEM\
     a2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb5\
     4h4FRWyuXpoQ";
const PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const HS256_SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const RS256_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcA\
     cQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHW\
     EsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const ES256_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/// A moment before the examples of RFC 7515 end, in milliseconds.
const THEN: u64 = 1_300_819_379_999;

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn hs256() -> JwtKey {
    JwtKey::hs256(&decoded(HS256_KEY)).unwrap()
}

fn issuer(keys: Vec<JwtKey>) -> JwtIssuer {
    JwtIssuer::new(keys, JwtRole::fixed("user").unwrap()).unwrap()
}

/// A token with these parts, signed with the HMAC key of RFC 7515.
fn token(header: &Value, claims: &Value) -> String {
    signed(header, claims, |message| hmac_sha256(&decoded(HS256_KEY), message).to_vec())
}

fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// Whether a token with these claims is good for `issuer` at 1,000,000 s.
fn admits(issuer: &JwtIssuer, claims: Value) -> bool {
    issuer.check(&token(&json!({ "alg": "HS256" }), &claims), "realm1", 1_000_000_000).is_some()
}

/// RFC 7515, appendix A.1 to A.3; its keys as JWKS, in PEM and raw.
#[test]
fn the_examples_of_rfc_7515() {
    let jwks = json!({ "keys": [
        { "kty": "oct", "alg": "HS256", "k": HS256_KEY },
        { "kty": "RSA", "n": RSA_N, "e": "AQAB", "kid": "r" },
        { "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
          "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" },
        { "kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA" },
        { "kty": "RSA", "n": RSA_N, "e": "AQAB", "use": "enc" },
        { "kty": "RSA", "n": RSA_N, "e": "AQAB", "alg": "RS512" },
    ]});
    let keys = JwtKey::from_jwks(jwks.to_string().as_bytes()).unwrap();
    assert_eq!(keys.len(), 3);
    let pems = [(JwtAlgorithm::Rs256, super::pems::RSA), (JwtAlgorithm::Es256, super::pems::P256)];
    let pems = pems.map(|(algorithm, pem)| JwtKey::from_pem(algorithm, pem.as_bytes()).unwrap());
    let read = [hs256()].into_iter().chain(pems).collect();
    for keys in [keys, read] {
        let issuer = issuer(keys).with_issuer("joe").unwrap().with_authid_claim("iss").unwrap();
        for (header, signature) in [
            ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", HS256_SIGNATURE),
            ("eyJhbGciOiJSUzI1NiJ9", RS256_SIGNATURE),
            ("eyJhbGciOiJFUzI1NiJ9", ES256_SIGNATURE),
        ] {
            let token = format!("{header}.{PAYLOAD}.{signature}");
            let bearer = issuer.check(&token, "realm1", THEN).unwrap();
            assert_eq!((&*bearer.authid, bearer.until), ("joe", Some(1_300_819_380_000)));
            assert!(issuer.check(&token, "realm1", THEN + 1).is_none());
            let mut octets = decoded(signature);
            octets[7] ^= 1;
            let altered = format!("{header}.{PAYLOAD}.{}", URL_SAFE_NO_PAD.encode(octets));
            assert!(issuer.check(&altered, "realm1", THEN).is_none());
            let other = format!("{}.{PAYLOAD}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
            assert!(issuer.check(&other, "realm1", THEN).is_none());
        }
    }
}

/// RFC 8037, appendix A.4. Its payload is no JSON, so only the signature counts.
#[test]
fn the_example_of_rfc_8037() {
    let key = JwtKey::ed25519(&decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")).unwrap();
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(key.verifies(message, signature));
    assert!(!key.verifies(&message[1..], signature));
    assert!(issuer(vec![key]).check(&format!("{message}.{signature}"), "realm1", 0).is_none());
    let pem = JwtKey::from_pem(JwtAlgorithm::EdDsa, super::pems::ED25519.as_bytes()).unwrap();
    assert!(pem.verifies(message, signature));
}

#[test]
fn the_algorithm_is_the_keys_own() {
    let claims = json!({ "sub": "joe", "exp": 2_000_000 });
    let public = decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let now = 1_000_000_000;
    let of_ed25519 = issuer(vec![JwtKey::ed25519(&public).unwrap()]);
    // The public key taken for an HMAC secret.
    for name in ["HS256", "EdDSA", "none", "None", "NONE", "hs256", "RS256", ""] {
        let forged =
            signed(&json!({ "alg": name }), &claims, |message| hmac_sha256(&public, message).to_vec());
        assert!(of_ed25519.check(&forged, "realm1", now).is_none(), "{name}");
    }
    let pem = super::pems::RSA.as_bytes();
    let of_rsa = issuer(vec![JwtKey::from_pem(JwtAlgorithm::Rs256, pem).unwrap()]);
    let forged = signed(&json!({ "alg": "HS256" }), &claims, |message| hmac_sha256(pem, message).to_vec());
    assert!(of_rsa.check(&forged, "realm1", now).is_none());
    let of_hmac = issuer(vec![hs256()]);
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS384" }),
        json!({ "alg": null }),
        json!({}),
        json!({ "alg": "HS256", "crit": ["exp"] }),
        json!("HS256"),
        json!([]),
    ] {
        assert!(of_hmac.check(&token(&header, &claims), "realm1", now).is_none(), "{header}");
    }
    let good = token(&json!({ "alg": "HS256" }), &claims);
    assert!(of_hmac.check(&good, "realm1", now).is_some());
    let (message, _) = good.rsplit_once('.').unwrap();
    for forged in [format!("{message}."), message.to_owned(), format!("{good}."), format!(".{good}")] {
        assert!(of_hmac.check(&forged, "realm1", now).is_none(), "{forged}");
    }
}

#[test]
fn a_token_may_name_its_key() {
    let issuer = issuer(vec![hs256().with_id("a")]);
    let claims = json!({ "sub": "joe", "exp": 2_000_000 });
    let check = |header: Value| issuer.check(&token(&header, &claims), "realm1", 1_000_000_000).is_some();
    assert!(check(json!({ "alg": "HS256", "kid": "a" })));
    assert!(check(json!({ "alg": "HS256" })));
    assert!(!check(json!({ "alg": "HS256", "kid": "b" })));
}

#[test]
fn times_are_kept() {
    let strict = issuer(vec![hs256()]);
    let lenient = issuer(vec![hs256()]).with_leeway(10).unwrap();
    assert!(admits(&strict, json!({ "sub": "joe", "exp": 1_000_001 })));
    assert!(!admits(&strict, json!({ "sub": "joe", "exp": 1_000_000 })));
    assert!(admits(&strict, json!({ "sub": "joe", "exp": 1_000_000.5 })));
    assert!(admits(&lenient, json!({ "sub": "joe", "exp": 999_991 })));
    assert!(!admits(&lenient, json!({ "sub": "joe", "exp": 999_990 })));
    assert!(admits(&strict, json!({ "sub": "joe", "exp": 2_000_000, "nbf": 1_000_000 })));
    assert!(!admits(&strict, json!({ "sub": "joe", "exp": 2_000_000, "nbf": 1_000_001 })));
    assert!(admits(&lenient, json!({ "sub": "joe", "exp": 2_000_000, "nbf": 1_000_010 })));
    for wrong in [json!("2000000"), json!(null), json!([2_000_000]), json!(-1)] {
        assert!(!admits(&strict, json!({ "sub": "joe", "exp": wrong })), "{wrong}");
        assert!(
            wrong == json!(-1) || !admits(&strict, json!({ "sub": "joe", "exp": 2_000_000, "nbf": wrong }))
        );
    }
    assert!(!admits(&strict, json!({ "sub": "joe" })));
    assert!(admits(&strict.without_expiry(), json!({ "sub": "joe" })));
}

#[test]
fn a_token_is_for_us_by_the_right_issuer() {
    let ours =
        issuer(vec![hs256()]).with_issuer("https://id.example").unwrap().with_audience("wamp").unwrap();
    let claims =
        |issuer: Value, audience: Value| json!({ "sub": "joe", "exp": 2e6, "iss": issuer, "aud": audience });
    assert!(admits(&ours, claims(json!("https://id.example"), json!("wamp"))));
    assert!(admits(&ours, claims(json!("https://id.example"), json!(["web", "wamp"]))));
    for (issuer, audience) in [
        (json!("https://id.example/"), json!("wamp")),
        (json!(null), json!("wamp")),
        (json!("https://id.example"), json!("web")),
        (json!("https://id.example"), json!([])),
        (json!("https://id.example"), json!({ "wamp": 1 })),
    ] {
        assert!(!admits(&ours, claims(issuer.clone(), audience.clone())), "{issuer} {audience}");
    }
    assert!(!admits(&ours, json!({ "sub": "joe", "exp": 2e6, "iss": "https://id.example" })));
    // A token for others is not for those who name no audience (RFC 7519, section 4.1.3).
    assert!(!admits(&issuer(vec![hs256()]), json!({ "sub": "joe", "exp": 2e6, "aud": "web" })));
}

#[test]
fn claims_give_authid_role_and_realm() {
    let roles = JwtRole::claim("/realm_access/roles", ["admin", "user"]).unwrap();
    let issuer = JwtIssuer::new(vec![hs256()], roles).unwrap().with_realm_claim("https://x/realm").unwrap();
    let issuer = issuer.with_authid_claim("/user/0/name").unwrap();
    let check = |roles: Value, name: Value, realm: &str| {
        let claims = json!({ "exp": 2e6, "realm_access": { "roles": roles }, "user": [{ "name": name }],
                             "https://x/realm": realm });
        let token = token(&json!({ "alg": "HS256" }), &claims);
        let bearer = issuer.check(&token, "realm1", 1_000_000_000)?;
        Some((bearer.authid.to_string(), bearer.grant.role.to_string()))
    };
    let joe = |role: &str| Some(("joe".to_owned(), role.to_owned()));
    assert_eq!(check(json!(["user", "admin"]), json!("joe"), "realm1"), joe("admin"));
    assert_eq!(check(json!(["user"]), json!("joe"), "realm1"), joe("user"));
    assert_eq!(check(json!("user"), json!("joe"), "realm1"), joe("user"));
    for (roles, name, realm) in [
        (json!(["root"]), json!("joe"), "realm1"),
        (json!({ "user": true }), json!("joe"), "realm1"),
        (json!(["user"]), json!(""), "realm1"),
        (json!(["user"]), json!(5), "realm1"),
        (json!(["user"]), json!("j".repeat(256)), "realm1"),
        (json!(["user"]), json!("joe"), "realm2"),
    ] {
        assert_eq!(check(roles.clone(), name.clone(), realm), None, "{roles} {name} {realm}");
    }
}

#[test]
fn ed25519_tokens_are_checked() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    let claims = json!({ "sub": "joe", "exp": 2e6 });
    let token = signed(&json!({ "alg": "EdDSA" }), &claims, |message| pair.sign(message).as_ref().to_vec());
    assert!(issuer(vec![JwtKey::ed25519(&public).unwrap()]).check(&token, "r", 1_000_000_000).is_some());
    assert!(issuer(vec![hs256()]).check(&token, "r", 1_000_000_000).is_none());
}

#[test]
fn weak_and_unreadable_keys_are_refused() {
    let malformed =
        |result: Result<JwtKey, ConfigError>| matches!(result, Err(ConfigError::Malformed { .. }));
    assert!(malformed(JwtKey::hs256(&[1; 31])));
    assert!(malformed(JwtKey::ed25519(&[1; 31])));
    for algorithm in [JwtAlgorithm::Hs256, JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa] {
        for pem in [super::pems::RSA_1024, super::pems::P384, "", "nonsense", "-----BEGIN PUBLIC KEY-----"] {
            assert!(malformed(JwtKey::from_pem(algorithm, pem.as_bytes())), "{algorithm:?} {pem}");
        }
    }
    assert!(malformed(JwtKey::from_pem(JwtAlgorithm::Es256, super::pems::RSA.as_bytes())));
    assert!(malformed(JwtKey::from_pem(JwtAlgorithm::Rs256, super::pems::P256.as_bytes())));
    let jwks = |key: Value| JwtKey::from_jwks(json!({ "keys": [key] }).to_string().as_bytes());
    assert!(matches!(
        jwks(json!({ "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA" })),
        Err(ConfigError::Missing { .. })
    ));
    for key in [
        json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }),
        json!({ "kty": "oct", "alg": "HS256", "k": "AAAA" }),
    ] {
        assert!(matches!(jwks(key.clone()), Err(ConfigError::Malformed { .. })), "{key}");
    }
    // A secret without an algorithm may be meant for anything.
    assert!(jwks(json!({ "kty": "oct", "k": HS256_KEY })).is_err());
    assert!(JwtKey::from_jwks(b"{").is_err());
    assert!(JwtIssuer::new(Vec::new(), JwtRole::fixed("user").unwrap()).is_err());
    assert!(JwtRole::fixed("").is_err());
    assert!(JwtRole::claim("role", [""]).is_err());
    assert!(JwtRole::claim("role", Vec::<String>::new()).is_err());
    assert!(!format!("{:?}", hs256()).contains("AyM1"));
}
