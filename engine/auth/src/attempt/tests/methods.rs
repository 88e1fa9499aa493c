//! Every method: right and wrong, used twice, swapped, and what must not lead in.

use super::*;

#[test]
fn every_method_admits_the_right_secret_and_no_other() {
    let realm = Arc::new(full_realm());
    for method in PROVING {
        let admission = admitted(log_in(&realm, method, "joe", "pencil"));
        assert_eq!((&*admission.authid, &*admission.authrole), ("joe", "user"), "{method}");
        assert_eq!((admission.authmethod, admission.authprovider), (method.name(), "static"));
        assert_eq!(admission.realm, None);
        let refusal = refused(log_in(&realm, method, "joe", "pen"));
        assert_eq!((refusal.reason, refusal.on_grid), ("wamp.error.authentication_denied", false));
        assert_eq!(refused(log_in(&realm, method, "jane", "pencil")), refusal, "{method}");
    }
}

#[test]
fn scram_proves_the_router_too() {
    let realm = Arc::new(full_realm());
    let extra = |method| admitted(log_in(&realm, method, "joe", "pencil")).authextra.unwrap();
    assert!(text(&extra(Method::WampScram), "verifier").starts_with("v="));
    assert_eq!(text(&extra(Method::Scram), "scram_server_signature").len(), 44);
}

#[test]
fn a_challenge_is_answered_once_and_in_its_own_attempt() {
    let realm = Arc::new(full_realm());
    for method in PROVING {
        let (mut one, mut other) = (Client::new(&realm), Client::new(&realm));
        other.random = fastrand::Rng::with_seed(8);
        let extra = extra_of(method, "pencil");
        let challenge = challenged(one.hello(&[method.name()], "joe", &extra));
        let swapped = challenged(other.hello(&[method.name()], "joe", &extra));
        let (signature, said) = answer_of(method, "joe", "pencil", &challenge);
        if method != Method::Ticket {
            assert_ne!(challenge, swapped, "{method}");
            refused(other.authenticate(&signature, &said));
            // The nonce of the other attempt with the proof of this one.
            refused(other.authenticate(&signature, &answer_of(method, "joe", "pencil", &swapped).1));
        }
        refused(one.authenticate("", &said));
        refused(one.authenticate(&signature, &said));
        let challenge = challenged(one.hello(&[method.name()], "joe", &extra));
        let (signature, said) = answer_of(method, "joe", "pencil", &challenge);
        admitted(one.authenticate(&signature, &said));
        refused(one.authenticate(&signature, &said));
    }
}

#[test]
fn a_principal_of_one_method_is_unknown_to_the_others() {
    for has in PROVING {
        let full = full_realm();
        let mut realm = empty();
        let nobody = store(|_| {});
        for method in PROVING {
            let sources = if method == has {
                full.sources(method)[0].clone()
            } else {
                Source::Principals(nobody.clone())
            };
            realm.add_source(method, sources).unwrap();
        }
        let realm = Arc::new(realm);
        for method in PROVING {
            let step = log_in(&realm, method, "joe", "pencil");
            assert_eq!(matches!(step, Step::Admit(_)), method == has, "{has} {method}");
        }
    }
}

#[test]
fn the_client_orders_and_the_realm_has() {
    let realm = Arc::new(full_realm());
    let mut client = Client::new(&realm);
    let nonce = extra_of(Method::WampScram, "");
    let method = |step: Step| match step {
        Step::Challenge { method, .. } => method,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        method(client.hello(&["anonymous", "x", "wamp-scram", "ticket"], "joe", &nonce)),
        "wamp-scram"
    );
    assert_eq!(method(client.hello(&["ticket", "wamp-scram"], "joe", &nonce)), "ticket");
    // Whether or not joe is known for it.
    assert_eq!(method(client.hello(&["ticket", "wamp-scram"], "jim", &nonce)), "ticket");
    let none = refused(client.hello(&["anonymous", "jwt", "cookie", "tls", "x"], "joe", &[]));
    assert_eq!(none.reason, "wamp.error.no_matching_auth_method");
    assert_eq!(refused(client.hello(&[], "joe", &[])).reason, "wamp.error.authentication_required");
    let hello = Hello {
        realm: "realm1",
        session: SessionId::new(5).unwrap(),
        authid: None,
        authmethods: None,
        authextra: None,
    };
    assert_eq!(refused(client.hello_of(hello)).reason, "wamp.error.authentication_required");
    let unlisted = [Value::Uint(5), Value::Null];
    let hello = Hello { authmethods: Some(List::items(&unlisted)), ..hello };
    assert_eq!(refused(client.hello_of(hello)).reason, "wamp.error.no_matching_auth_method");
}

#[test]
fn anonymous_sessions_are_nobody() {
    let realm = Arc::new(RealmAuthentication::anonymous("guest"));
    let mut client = Client::new(&realm);
    let one = admitted(client.hello(&[], "root", &[("role", Value::Str("admin".into()))]));
    assert_eq!((&*one.authrole, one.authmethod, one.authprovider), ("guest", "anonymous", "static"));
    assert_eq!(one.authid.len(), 24);
    let other = admitted(client.hello(&["ticket", "anonymous"], "root", &[]));
    assert_ne!(one.authid, other.authid);
    let mut realm = empty();
    realm.allow_anonymous(AnonymousAccess::role("guest").unwrap().with_authid("visitor").unwrap()).unwrap();
    assert!(realm.allow_anonymous(AnonymousAccess::role("guest").unwrap()).is_err());
    let realm = Arc::new(realm);
    assert_eq!(&*admitted(Client::new(&realm).hello(&["anonymous"], "root", &[])).authid, "visitor");
}

#[test]
fn an_authid_must_be_given_and_an_empty_one_is_none() {
    let realm = Arc::new(full_realm());
    let mut client = Client::new(&realm);
    for method in [Method::Ticket, Method::WampCra, Method::WampScram, Method::Scram] {
        let refusal = refused(client.hello(&[method.name()], "", &extra_of(method, "pencil")));
        assert!(refusal.text.contains("needs an authid"), "{method}");
        let long = "j".repeat(256);
        let refusal = refused(client.hello(&[method.name()], &long, &extra_of(method, "pencil")));
        assert!(refusal.text.contains("255"), "{method}");
    }
    // Here the key says it.
    assert_eq!(&*admitted(log_in(&realm, Method::Cryptosign, "", "pencil")).authid, "joe");
    refused(log_in(&realm, Method::Cryptosign, "", "other"));
    refused(log_in(&realm, Method::Cryptosign, "jane", "pencil"));
}

#[test]
fn a_grant_may_choose_authid_realm_and_extra() {
    let extra = OwnedDict::of(&[("my", Value::Uint(1))]);
    let given = grant("user").with_authid("joseph").unwrap().with_realm("realm2").unwrap().with_extra(extra);
    let mut realm = empty();
    let principals = store(|principals| {
        let pbkdf2 = Kdf::Pbkdf2 { iterations: 4096 };
        let record = ScramRecord::derive(Dialect::Specification, pbkdf2, &[1; 16], "pencil").unwrap();
        principals.add_scram("joe", record, given).unwrap();
    });
    realm.add_source(Method::WampScram, Source::Principals(principals)).unwrap();
    let admission = admitted(log_in(&Arc::new(realm), Method::WampScram, "joe", "pencil"));
    assert_eq!((&*admission.authid, admission.realm.as_deref()), ("joseph", Some("realm2")));
    let extra = admission.authextra.unwrap();
    assert_eq!(number(&extra, "my"), 1);
    assert!(text(&extra, "verifier").starts_with("v="));
}

#[test]
fn the_first_source_that_knows_a_name_decides() {
    let first =
        store(|principals| principals.add_ticket("joe", Ticket::raw("a").unwrap(), grant("one")).unwrap());
    let second = store(|principals| {
        principals.add_ticket("joe", Ticket::raw("b").unwrap(), grant("two")).unwrap();
        principals.add_ticket("jane", Ticket::raw("b").unwrap(), grant("two")).unwrap();
    });
    let mut realm = empty();
    realm.add_source(Method::Ticket, Source::Principals(first.clone())).unwrap();
    realm.add_source(Method::Ticket, Source::Principals(second)).unwrap();
    let realm = Arc::new(realm);
    assert_eq!(&*admitted(log_in(&realm, Method::Ticket, "joe", "a")).authrole, "one");
    refused(log_in(&realm, Method::Ticket, "joe", "b"));
    assert_eq!(&*admitted(log_in(&realm, Method::Ticket, "jane", "b")).authrole, "two");
    // A file that was read again.
    first.replace(Principals::default());
    assert_eq!(&*admitted(log_in(&realm, Method::Ticket, "joe", "b")).authrole, "two");
}

#[test]
fn channels_are_bound_or_refused() {
    let realm = Arc::new(full_realm());
    let mut client = Client::new(&realm);
    client.transport.is_tls = true;
    client.transport.exporter = Some([3; 32]);
    let with = |name: &'static str| {
        let mut extra = extra_of(Method::Cryptosign, "pencil");
        extra.push(("channel_binding", Value::Str(name.into())));
        extra
    };
    let challenge = challenged(client.hello(&["cryptosign"], "joe", &with("tls-exporter")));
    assert_eq!(text(&challenge, "channel_binding"), "tls-exporter");
    let mut message = hex::decode::<32>(&text(&challenge, "challenge")).unwrap();
    // Unbound it is not the message to be signed.
    refused(client.authenticate(&key("pencil").sign(&message), &[]));
    let challenge = challenged(client.hello(&["cryptosign"], "joe", &with("tls-exporter")));
    message = hex::decode::<32>(&text(&challenge, "challenge")).unwrap();
    message.iter_mut().for_each(|octet| *octet ^= 3);
    admitted(client.authenticate(&key("pencil").sign(&message), &[]));
    let unique = refused(client.hello(&["cryptosign"], "joe", &with("tls-unique")));
    assert!(unique.text.contains("tls-unique") && unique.text.contains("tls-exporter"));
    let mut extra = extra_of(Method::WampScram, "pencil");
    extra.push(("channel_binding", Value::Str("tls-unique".into())));
    assert_eq!(refused(client.hello(&["wamp-scram"], "joe", &extra)).text, unique.text);
    client.transport.is_tls = false;
    client.transport.exporter = None;
    let refusal = refused(client.hello(&["cryptosign"], "joe", &with("tls-exporter")));
    assert!(refusal.text.contains("not encrypted"));
}

#[test]
fn the_extra_of_an_answer_counts_for_scram_alone() {
    let realm = Arc::new(full_realm());
    for method in PROVING {
        let mut client = Client::new(&realm);
        let challenge = challenged(client.hello(&[method.name()], "joe", &extra_of(method, "pencil")));
        let (signature, mut said) = answer_of(method, "joe", "pencil", &challenge);
        for key in ["authid", "role", "pubkey", "x"] {
            said.push((key, Value::Str("root".into())));
        }
        assert_eq!(&*admitted(client.authenticate(&signature, &said)).authid, "joe", "{method}");
    }
    let extra =
        [("nonce", Value::Str("egVDf3DMJh0=".into())), ("channel_binding", Value::Str("tls-unique".into()))];
    refused(Client::new(&realm).hello(&["scram"], "joe", &extra));
}

fn certificate(name: &str) -> ClientCertificate {
    ClientCertificate {
        sha256: sha256(name.as_bytes()),
        subject: format!("CN={name},O=Example").into(),
        common_names: [name.into()].into(),
        alternative_names: [AlternativeName::Dns(format!("{name}.Example").into())].into(),
    }
}

#[test]
fn certificates_stand_for_whom_they_are_mapped_to() {
    let gate = certificate("gate");
    let principals = store(|principals| {
        let print = CertificateName::sha256(&hex::encode(&gate.sha256)).unwrap();
        principals.add_certificate("by-print", print, grant("a")).unwrap();
        principals
            .add_certificate("by-dns", CertificateName::dns("door.example").unwrap(), grant("b"))
            .unwrap();
        let subject = CertificateName::subject("CN=wall,O=Example").unwrap();
        principals.add_certificate("by-subject", subject, grant("c")).unwrap();
        principals
            .add_certificate("by-cn", CertificateName::common_name("gate").unwrap(), grant("d"))
            .unwrap();
        let again = CertificateName::dns("DOOR.example").unwrap();
        assert!(principals.add_certificate("x", again, grant("b")).is_err());
    });
    let mut realm = empty();
    realm.add_source(Method::Tls, Source::Principals(principals.clone())).unwrap();
    realm.add_source(Method::Ticket, full_realm().sources(Method::Ticket)[0].clone()).unwrap();
    let realm = Arc::new(realm);
    let join = |certificate: Option<&ClientCertificate>, authid: &str, methods: &[&str]| {
        let mut client = Client::new(&realm);
        client.transport = Transport { certificate, ..Transport::plain("rawsocket", "cbor") };
        client.hello(methods, authid, &[])
    };
    for (name, authid) in [("gate", "by-print"), ("door", "by-dns"), ("wall", "by-subject")] {
        let admission = admitted(join(Some(&certificate(name)), "", &["tls"]));
        assert_eq!((&*admission.authid, admission.authmethod), (authid, "tls"));
    }
    admitted(join(Some(&gate), "by-print", &["tls"]));
    refused(join(Some(&gate), "root", &["tls"]));
    assert_eq!(refused(join(None, "", &["tls"])), refused(join(Some(&certificate("hill")), "", &["tls"])));
    challenged(join(None, "joe", &["tls", "ticket"]));
    challenged(join(Some(&certificate("hill")), "joe", &["tls", "ticket"]));

    let mut realm = empty();
    let mapping = CertificateMapping { field: CertificateField::CommonName, grant: grant("device") };
    realm.add_certificate_mapping(mapping);
    let realm = Arc::new(realm);
    let mut client = Client::new(&realm);
    client.transport.certificate = Some(&gate);
    let admission = admitted(client.hello(&["tls"], "", &[]));
    assert_eq!((&*admission.authid, &*admission.authrole), ("gate", "device"));
    let mut two = certificate("gate");
    two.common_names = ["gate".into(), "root".into()].into();
    let mut client = Client::new(&realm);
    client.transport.certificate = Some(&two);
    refused(client.hello(&["tls"], "", &[]));
}

#[test]
fn a_cookie_admits_whom_another_method_admitted() {
    let cookies = Arc::new(CookieStore::new(10, 60).unwrap());
    let mut realm = full_realm();
    realm.allow_cookies(cookies.clone());
    let principals = match &realm.sources(Method::Ticket)[0] {
        Source::Principals(store) => store.clone(),
        _ => unreachable!("full_realm has static principals"),
    };
    let realm = Arc::new(realm);
    let log_in = |cookie: Option<&'static str>, issued: Option<&'static str>, password: &str| {
        let mut client = Client::new(&realm);
        client.transport.cookie = cookie;
        client.transport.issued_cookie = issued;
        challenged(client.hello(&["cookie", "ticket"], "joe", &[]));
        client.authenticate(password, &[])
    };
    refused(log_in(None, Some("issued"), "wrong"));
    assert!(cookies.is_empty());
    // A value that the client brought was never issued.
    admitted(log_in(Some("planted"), None, "pencil"));
    assert!(cookies.is_empty());
    admitted(log_in(None, Some("issued"), "pencil"));
    assert!(cookies.knows("issued", NOW));
    let come_back = |cookie: &'static str, authid: &str, realm_name: &str, now: u64| {
        let mut client = Client::new(&realm);
        client.transport.cookie = Some(cookie);
        client.now = now;
        let methods = [Value::Str("cookie".into())];
        client.hello_of(Hello {
            realm: realm_name,
            session: SessionId::new(5).unwrap(),
            authid: Some(authid),
            authmethods: Some(List::items(&methods)),
            authextra: None,
        })
    };
    let admission = admitted(come_back("issued", "", "realm1", NOW + 59_999));
    assert_eq!((&*admission.authid, &*admission.authrole), ("joe", "user"));
    assert_eq!((admission.authmethod, admission.authprovider), ("cookie", "static"));
    admitted(come_back("issued", "joe", "realm1", NOW));
    refused(come_back("issued", "jane", "realm1", NOW));
    refused(come_back("issued", "", "realm2", NOW));
    refused(come_back("issue", "", "realm1", NOW));
    refused(come_back("issued", "", "realm1", NOW + 60_000));
    // Another role, and gone.
    let mut changed = Principals::default();
    changed.add_ticket("joe", Ticket::raw("x").unwrap(), grant("less")).unwrap();
    principals.replace(changed);
    assert_eq!(&*admitted(come_back("issued", "", "realm1", NOW)).authrole, "less");
    principals.replace(Principals::default());
    refused(come_back("issued", "", "realm1", NOW));
}

#[test]
fn a_cookie_of_somebody_else_takes_no_login() {
    let cookies = Arc::new(CookieStore::new(10, 60).unwrap());
    let mut realm = empty();
    realm.allow_cookies(cookies.clone());
    let tickets = store(|principals| {
        for name in ["eve", "joe"] {
            principals.add_ticket(name, Ticket::raw(name).unwrap(), grant("user")).unwrap();
        }
    });
    realm.add_source(Method::Ticket, Source::Principals(tickets)).unwrap();
    let realm = Arc::new(realm);
    let log_in = |name: &'static str, cookie, issued| {
        let mut client = Client::new(&realm);
        (client.transport.cookie, client.transport.issued_cookie) = (cookie, issued);
        challenged(client.hello(&["ticket"], name, &[]));
        admitted(client.authenticate(name, &[]));
    };
    let whose = |cookie| cookies.find(cookie, NOW).map(|record| record.authid.to_string());
    log_in("eve", None, Some("planted"));
    log_in("joe", Some("planted"), None);
    assert_eq!(whose("planted").as_deref(), Some("eve"), "joe's browser has eve's cookie");
    log_in("eve", Some("planted"), None);
    assert_eq!(whose("planted").as_deref(), Some("eve"));
}

#[test]
fn a_token_admits_its_bearer() {
    let secret = b"0123456789abcdef0123456789abcdef";
    let issuer =
        JwtIssuer::new(vec![JwtKey::hs256(secret).unwrap()], JwtRole::fixed("user").unwrap()).unwrap();
    let mut realm = empty();
    realm.add_issuer(issuer);
    let cookies = Arc::new(CookieStore::new(10, 60).unwrap());
    realm.allow_cookies(cookies.clone());
    let realm = Arc::new(realm);
    let part = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let expiry = NOW / 1000 + 5;
    let claims = format!(r#"{{"sub":"joe","exp":{expiry}}}"#);
    let message = format!("{}.{}", part(r#"{"alg":"HS256"}"#.into()), part(claims));
    let signature = hmac_sha256(secret, message.as_bytes());
    let token = format!("{message}.{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature));

    let mut client = Client::new(&realm);
    client.transport.issued_cookie = Some("issued");
    assert!(challenged(client.hello(&["jwt"], "", &[])).as_dict().is_empty());
    let admission = admitted(client.authenticate(&token, &[]));
    assert_eq!((&*admission.authid, admission.authmethod), ("joe", "jwt"));
    // The cookie ends with the token.
    assert!(cookies.knows("issued", NOW + 4_000));
    assert!(!cookies.knows("issued", NOW + 6_000));
    let in_hello = [("token", Value::Str((&*token).into()))];
    admitted(client.hello(&["jwt"], "joe", &in_hello));
    refused(client.hello(&["jwt"], "jane", &in_hello));
    refused(client.hello(&["jwt"], "", &[("token", Value::Str((&token[1..]).into()))]));
    challenged(client.hello(&["jwt"], "", &[]));
    refused(client.authenticate(&token[..token.len() - 1], &[]));
    client.now = expiry * 1000;
    challenged(client.hello(&["jwt"], "", &[]));
    refused(client.authenticate(&token, &[]));
}

#[test]
fn a_realm_refuses_what_it_cannot_do() {
    let source = || Source::Principals(store(|_| {}));
    let mut realm = empty();
    for method in [Method::Anonymous, Method::Cookie, Method::Jwt] {
        assert_eq!(realm.add_source(method, source()), Err(ConfigError::Source { method }));
    }
    let outside = || Source::Http(HookId(0));
    for method in [Method::Cookie, Method::Jwt] {
        assert_eq!(realm.add_source(method, outside()), Err(ConfigError::Source { method }));
    }
    realm.add_source(Method::Anonymous, outside()).unwrap();
    assert!(realm.add_source(Method::Anonymous, outside()).is_err());
    assert!(realm.allow_anonymous(AnonymousAccess::role("guest").unwrap()).is_err());
    let mut realm = RealmAuthentication::anonymous("guest");
    assert!(matches!(realm.add_source(Method::Ticket, source()), Err(ConfigError::Missing { .. })));
    let mut principals = Principals::default();
    let ticket = || Ticket::raw("x").unwrap();
    principals.add_ticket("joe", ticket(), grant("a")).unwrap();
    let twice = principals.add_ticket("joe", ticket(), grant("a")).unwrap_err();
    assert_eq!(twice.to_string(), "principal \"joe\" is there twice for method ticket");
    assert!(principals.add_ticket("", ticket(), grant("a")).is_err());
    principals.add_cryptosign("joe", &[key("a").public_key()], grant("a")).unwrap();
    assert!(principals.add_cryptosign("jane", &[key("a").public_key()], grant("a")).is_err());
    assert!(principals.add_cryptosign("jane", &[], grant("a")).is_err());
    assert!(
        Grant::role("").is_err() && grant("a").with_authid("").is_err() && grant("a").with_realm("").is_err()
    );
    assert_eq!(principals.methods().collect::<Vec<_>>(), [Method::Ticket, Method::Cryptosign]);
}
