//! Whatever comes, in whatever order: no panic, no admission without proof, and an end.

use proptest::prelude::*;

use super::*;

/// A realm with every method, and sources of every kind.
fn everything() -> RealmAuthentication {
    let mut realm = full_realm();
    for method in PROVING {
        realm.add_source(method, Source::Http(HookId(0))).unwrap();
    }
    realm.add_source(Method::Tls, Source::Http(HookId(0))).unwrap();
    realm.allow_cookies(Arc::new(CookieStore::new(4, 60).unwrap()));
    let address = |text| Address::from_text(text).unwrap();
    let (realm_address, issuer) =
        ("0xA6e693CC4A2b4F1400391a728D26369D9b82ef96", "0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57");
    realm
        .add_trust_root(TrustRoot::new(
            1,
            address(issuer),
            address(realm_address),
            address(issuer),
            grant("user"),
        ))
        .unwrap();
    let key = JwtKey::hs256(&[5; 32]).unwrap();
    realm.add_issuer(JwtIssuer::new(vec![key], JwtRole::fixed("user").unwrap()).unwrap());
    realm.set_router_key(super::key("router"));
    realm
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("joe".to_owned()),
        Just("egVDf3DMJh0=".to_owned()),
        Just("tls-exporter".to_owned()),
        Just("tls-unique".to_owned()),
        Just("0xf766Dc789CF04CD18aE75af2c5fAf2DA6650Ff57".to_owned()),
        "[0-9a-f]{64}",
        "[0-9a-fA-F]{192}",
        "[A-Za-z0-9+/]{43}=",
        "[A-Za-z0-9_-]{0,40}[.][A-Za-z0-9_-]{0,40}[.][A-Za-z0-9_-]{0,40}",
        ".{0,40}",
    ]
}

/// Names of entries that mean something, and others.
fn keys() -> impl Strategy<Value = String> {
    let names = vec![
        "nonce",
        "pubkey",
        "channel_binding",
        "challenge",
        "trustroot",
        "certificates",
        "token",
        "cbind_data",
        "role",
        "authid",
        "realm",
        "extra",
        "secret",
        "salt",
        "iterations",
        "keylen",
        "kdf",
        "memory",
        "stored-key",
        "server-key",
        "error",
        "authorized_keys",
        "primaryType",
        "message",
    ];
    prop_oneof![8 => proptest::sample::select(names).prop_map(str::to_owned), 1 => ".{0,5}"]
}

/// JSON values of all kinds.
fn json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        texts().prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::hash_map(keys(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn objects() -> impl Strategy<Value = serde_json::Value> {
    prop::collection::hash_map(keys(), json(3), 0..6)
        .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
}

/// Reads an object as the extra of a message.
fn with_dict<T>(object: &serde_json::Value, read: impl FnOnce(Dict<'_>) -> T) -> Option<T> {
    let message = format!("[4,\"\",{object}]");
    match wampline_wire::Message::parse(wampline_wire::Serializer::Json, message.as_bytes()) {
        Ok(wampline_wire::Message::Challenge { extra, .. }) => Some(read(extra)),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_input_panics_or_admits(
        methods in prop::collection::vec(prop_oneof![
            9 => (1_usize..9).prop_map(|position| Method::ALL[position].name().to_owned()), 1 => texts()
        ], 0..4),
        authid in prop_oneof![1 => Just(None), 4 => texts().prop_map(Some)],
        hello_extra in objects(),
        signature in texts(),
        extra in objects(),
        answers in prop::collection::vec(json(3), 3),
        raw in prop::collection::vec(any::<u8>(), 0..60),
        is_tls in any::<bool>(),
    ) {
        // Made once: its secrets take long to derive.
        static REALM: std::sync::LazyLock<Arc<RealmAuthentication>> =
            std::sync::LazyLock::new(|| Arc::new(everything()));
        let mut client = Client::new(&REALM);
        client.transport.is_tls = is_tls;
        client.transport.exporter = is_tls.then_some([1; 32]);
        client.transport.cookie = Some("brought");
        let names: Vec<Value<'_>> = methods.iter().map(|name| Value::Str(name.as_str().into())).collect();
        let step = with_dict(&hello_extra, |extra| client.hello_of(Hello {
            realm: "realm1",
            session: SessionId::new(5).unwrap(),
            authid: authid.as_deref(),
            authmethods: Some(List::items(&names)),
            authextra: Some(extra),
        }));
        let Some(mut step) = step else { return Ok(()) };
        let mut has_known = false;
        for answer in &answers {
            step = match step {
                Step::Challenge { .. } => with_dict(&extra, |extra| {
                    let pairs: Vec<_> = extra.iter().collect();
                    let pairs: Vec<(&str, Value<'_>)> =
                        pairs.iter().map(|(key, value)| (&**key, value.clone())).collect();
                    client.authenticate(&signature, &pairs)
                }).unwrap_or_else(|| client.authenticate(&signature, &[])),
                Step::Ask(_) => {
                    // A hook may admit whom it likes, by ticket and certificate.
                    has_known = true;
                    let body = answer.to_string();
                    let body = if body.len() % 3 == 0 { &raw } else { body.as_bytes() };
                    client.answered(Answer::HttpBody(body))
                }
                Step::Admit(admission) => {
                    prop_assert!(has_known, "{admission:?}");
                    prop_assert!(["ticket", "tls"].contains(&admission.authmethod), "{admission:?}");
                    prop_assert!(!admission.authid.is_empty() && !admission.authrole.is_empty());
                    return Ok(());
                }
                Step::Refuse(refusal) => {
                    prop_assert!(refusal.reason.starts_with("wamp.error."));
                    return Ok(());
                }
            };
        }
    }
}

proptest! {
    #[test]
    fn no_token_panics_or_admits(
        parts in prop::collection::vec(prop_oneof![
            objects().prop_map(|object| object.to_string()),
            Just(r#"{"alg":"HS256"}"#.to_owned()),
            Just(r#"{"sub":"joe","exp":1e300}"#.to_owned()),
            ".{0,20}",
        ], 0..5),
        as_text in any::<bool>(),
    ) {
        let key = JwtKey::hs256(&[5; 32]).unwrap();
        let issuer = JwtIssuer::new(vec![key], JwtRole::fixed("user").unwrap()).unwrap();
        let part = |text: &String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let parts: Vec<String> = parts.iter().map(|text| if as_text { text.clone() } else { part(text) }).collect();
        prop_assert!(issuer.check(&parts.join("."), "realm1", NOW).is_none());
    }

    #[test]
    fn no_file_of_principals_panics(
        lines in prop::collection::vec(prop_oneof![
            Just("[[principal]]".to_owned()),
            Just("authid = \"joe\"".to_owned()),
            Just("role = \"user\"".to_owned()),
            Just("[principal.wampcra]".to_owned()),
            Just("[principal.tls]".to_owned()),
            ("(ticket|secret|password|key|salt|kdf|dns|sha256|extra|é)", texts())
                .prop_map(|(key, value)| format!("{key} = {value:?}")),
            ("(iterations|keylen|memory|ip)", any::<i64>()).prop_map(|(key, value)| format!("{key} = {value}")),
            ".{0,30}",
        ], 0..10),
    ) {
        if let Err(error) = Principals::from_toml(&lines.join("\n")) {
            prop_assert!(error.line >= 1 && error.line <= lines.len().max(1) && error.column >= 1, "{error}");
        }
    }
}

#[test]
fn out_of_order_is_refused() {
    let realm = Arc::new(everything());
    let mut client = Client::new(&realm);
    let steps = |client: &mut Client<'_>| {
        challenged(client.hello(&["ticket"], "joe", &[]));
        refused(client.answered(Answer::HttpBody(b"\"user\"")));
        refused(client.authenticate("pencil", &[]));
        assert!(matches!(client.hello(&["wampcra"], "jim", &[]), Step::Ask(_)));
        refused(client.authenticate("pencil", &[]));
        refused(client.answered(Answer::HttpBody(b"\"user\"")));
    };
    steps(&mut client);
    assert!(!format!("{:?}", client.attempt).contains("pencil"));
}
