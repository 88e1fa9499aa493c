//! Known and unknown principals look the same: steps, texts, shapes, and the work that can be counted.

use super::*;

/// What an attempt shows: the steps with their keys, the lengths of their texts, and the ABORT.
fn shown(realm: &Arc<RealmAuthentication>, method: Method, authid: &str) -> Vec<String> {
    let mut client = Client::new(realm);
    let step = client.hello(&[method.name()], authid, &extra_of(method, "wrong"));
    let Step::Challenge { method: name, ref extra, on_grid } = step else { panic!("{step:?}") };
    let mut shown = vec![format!("CHALLENGE {name} {on_grid}")];
    for (key, value) in extra.as_dict().iter() {
        shown.push(match value {
            Value::Str(text) if key == "challenge" && method == Method::WampCra => {
                let mut object: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(object["authid"], authid);
                object["authid"] = "".into();
                object["nonce"] = "".into();
                format!("{key} {object}")
            }
            Value::Str(text) if ["kdf", "channel_binding"].contains(&&*key) => format!("{key} {text}"),
            Value::Str(text) => format!("{key} {}", text.len()),
            other => format!("{key} {other:?}"),
        });
    }
    let (signature, said) = answer_of(method, authid, "wrong", extra);
    shown.push(format!("{:?}", client.authenticate(&signature, &said)));
    shown
}

#[test]
fn steps_texts_and_shapes_are_the_same() {
    let realm = Arc::new(full_realm());
    for method in PROVING {
        let known = shown(&realm, method, "joe");
        for authid in ["jane", "jo", "joe ", "root"] {
            assert_eq!(shown(&realm, method, authid), known, "{method} {authid}");
        }
    }
}

#[test]
fn salts_of_unknown_principals_stay_the_same_and_are_their_own() {
    let realm = Arc::new(full_realm());
    let salt = |method: Method, authid: &str| {
        let mut client = Client::new(&realm);
        client.random = fastrand::Rng::new();
        text(&challenged(client.hello(&[method.name()], authid, &extra_of(method, "x"))), "salt")
    };
    for method in [Method::WampCra, Method::WampScram, Method::Scram] {
        let mut salts: Vec<String> = ["joe", "jane", "jim"].map(|authid| salt(method, authid)).to_vec();
        assert_eq!(salts, ["joe", "jane", "jim"].map(|authid| salt(method, authid)));
        salts.dedup();
        assert_eq!(salts.len(), 3, "{method}");
    }
}

/// The randomness that is drawn and the octets of every step are what can be counted here; times are measured by the
/// example `timing`.
#[test]
fn the_work_that_can_be_counted_is_the_same() {
    let realm = Arc::new(full_realm());
    let work = |method: Method, authid: &str| {
        let mut drawn = 0;
        let mut random = |octets: &mut [u8]| {
            drawn += octets.len();
            octets.fill(drawn as u8);
        };
        let mut env = Env { unix_millis: NOW, random: &mut random };
        let transport = Transport::plain("websocket", "json");
        let methods = [Value::Str(method.name().into())];
        let extra = extra_of(method, "wrong");
        let hello = Hello {
            realm: "realm1",
            session: SessionId::new(5).unwrap(),
            authid: Some(authid),
            authmethods: Some(List::items(&methods)),
            authextra: Some(Dict::pairs(&extra)),
        };
        let (mut attempt, step) = Attempt::begin(&realm, &hello, &transport, &mut env);
        let challenge = challenged(step);
        let (signature, said) = answer_of(method, authid, "wrong", &challenge);
        attempt.authenticate(&signature, &Dict::pairs(&said), &transport, &mut env);
        (drawn, challenge.len())
    };
    for method in PROVING {
        assert_eq!(work(method, "joe"), work(method, "jim"), "{method}");
    }
}

#[test]
fn with_a_source_outside_all_is_on_the_grid() {
    let full = full_realm();
    let mut realm = empty();
    for method in PROVING {
        realm.add_source(method, full.sources(method)[0].clone()).unwrap();
        realm.add_source(method, Source::Http(HookId(0))).unwrap();
    }
    let realm = Arc::new(realm);
    for method in PROVING {
        let known = |realm| {
            let mut client = Client::new(realm);
            let step = client.hello(&[method.name()], "joe", &extra_of(method, "wrong"));
            let Step::Challenge { on_grid, ref extra, .. } = step else { panic!("{step:?}") };
            let (signature, said) = answer_of(method, "joe", "wrong", extra);
            (on_grid, refused(client.authenticate(&signature, &said)))
        };
        let unknown = |realm| {
            let mut client = Client::new(realm);
            let mut step = client.hello(&[method.name()], "jim", &extra_of(method, "wrong"));
            let no = Answer::HttpBody(b"null");
            if matches!(step, Step::Ask(_)) {
                step = client.answered(no);
            }
            let Step::Challenge { on_grid, ref extra, .. } = step else { panic!("{step:?}") };
            let (signature, said) = answer_of(method, "jim", "wrong", extra);
            let mut step = client.authenticate(&signature, &said);
            if matches!(step, Step::Ask(_)) {
                step = client.answered(no);
            }
            (on_grid, refused(step))
        };
        let (on_grid, refusal) = known(&realm);
        assert!(refusal.on_grid);
        assert_eq!(on_grid, method != Method::Ticket);
        assert_eq!(unknown(&realm), (on_grid, refusal), "{method}");
    }
}

/// Where nobody is salted no decoy is either, and where some are both kinds are shown.
#[test]
fn decoys_are_salted_as_principals_are() {
    let realm_of = |salted: usize, unsalted: usize| {
        let principals = store(|principals| {
            for number in 0..salted {
                let salting = Salting::new(&format!("salt of {number:08}"), 1000, 32).unwrap();
                let secret = CraSecret::password("x", salting).unwrap();
                principals.add_wampcra(&format!("salted{number}"), secret, grant("user")).unwrap();
            }
            for number in 0..unsalted {
                let secret = CraSecret::unsalted("x").unwrap();
                principals.add_wampcra(&format!("unsalted{number}"), secret, grant("user")).unwrap();
            }
        });
        let mut realm = empty();
        realm.add_source(Method::WampCra, Source::Principals(principals)).unwrap();
        Arc::new(realm)
    };
    let salted = |realm: &Arc<RealmAuthentication>| {
        (0..64)
            .filter(|number| {
                let mut client = Client::new(realm);
                let challenge = challenged(client.hello(&["wampcra"], &format!("nobody{number}"), &[]));
                challenge.as_dict().get("salt").is_some()
            })
            .count()
    };
    assert_eq!(salted(&realm_of(0, 2)), 0);
    assert_eq!(salted(&realm_of(2, 0)), 64);
    assert!((10..54).contains(&salted(&realm_of(2, 2))));
    // A realm with nobody in it shows what the tools make.
    assert_eq!(salted(&realm_of(0, 0)), 64);
}
