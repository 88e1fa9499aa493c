//! Dynamic authenticators and HTTP hooks.

use super::*;

fn with_source(method: Method, source: Source) -> RealmAuthentication {
    let mut realm = empty();
    realm.add_source(method, source).unwrap();
    realm
}

fn procedure() -> Source {
    let source = ProcedureSource { realm: Some("auth".into()), procedure: "com.example.authenticate".into() };
    Source::Procedure(Arc::new(source))
}

/// The RESULT of a procedure with this one argument.
fn result(argument: Value<'_>) -> PayloadBuf {
    PayloadBuf::from_values(wampline_wire::Serializer::MsgPack, &[argument], &[]).unwrap()
}

use wampline_wire::PayloadBuf;

fn asked(step: Step) -> (String, Vec<String>) {
    let Step::Ask(Question::Procedure { realm, procedure, arguments }) = step else { panic!("{step:?}") };
    assert_eq!(realm.as_deref(), Some("auth"));
    let arguments = arguments.as_payload().args().unwrap();
    (procedure.into(), arguments.iter().map(|argument| argument.as_str().unwrap_or("-").to_owned()).collect())
}

#[test]
fn a_procedure_sees_the_ticket_and_decides() {
    let realm = Arc::new(with_source(Method::Ticket, procedure()));
    let mut client = Client::new(&realm);
    let ask = |client: &mut Client<'_>| {
        assert!(matches!(client.hello(&["ticket"], "joe", &[]), Step::Challenge { on_grid: false, .. }));
        let step = client.authenticate("secret!!!", &[]);
        let Step::Ask(Question::Procedure { ref arguments, .. }) = step else { panic!("{step:?}") };
        let details = arguments.as_payload().args().unwrap().iter().nth(2).unwrap().as_dict().unwrap();
        assert_eq!(details.get("ticket").unwrap().as_str(), Some("secret!!!"));
        assert_eq!(
            asked(step),
            ("com.example.authenticate".into(), vec!["realm1".into(), "joe".into(), "-".into()])
        );
    };
    ask(&mut client);
    let answer = result(Value::Str("operator".into()));
    let admission = admitted(client.answered(Answer::Result(answer.as_payload())));
    assert_eq!(
        (&*admission.authid, &*admission.authrole, admission.authprovider),
        ("joe", "operator", "dynamic")
    );
    ask(&mut client);
    let inner = [("my", Value::Uint(3))];
    let chosen = [
        ("role", Value::Str("r".into())),
        ("authid", Value::Str("joseph".into())),
        ("realm", Value::Str("realm2".into())),
        ("extra", Value::Dict(Dict::pairs(&inner))),
    ];
    let answer = result(Value::Dict(Dict::pairs(&chosen)));
    let admission = admitted(client.answered(Answer::Result(answer.as_payload())));
    assert_eq!((&*admission.authid, admission.realm.as_deref()), ("joseph", Some("realm2")));
    assert_eq!(number(&admission.authextra.unwrap(), "my"), 3);
    let answers = [
        (Answer::Failed { error: "com.example.invalid_ticket" }, "wamp.error.authentication_denied"),
        (Answer::Failed { error: "wamp.error.no_such_procedure" }, "wamp.error.authentication_failed"),
        (Answer::Failed { error: "wamp.error.no_such_principal" }, "wamp.error.authentication_denied"),
        (Answer::TimedOut, "wamp.error.authentication_failed"),
        (Answer::HttpBody(b"{"), "wamp.error.authentication_failed"),
    ];
    for (answer, reason) in answers {
        ask(&mut client);
        let refusal = refused(client.answered(answer));
        assert_eq!((refusal.reason, refusal.on_grid), (reason, true));
        // It was the last word.
        assert!(matches!(client.answered(Answer::HttpBody(b"\"operator\"")), Step::Refuse(_)));
    }
}

#[test]
fn a_hook_gives_what_a_challenge_needs() {
    for method in [Method::WampCra, Method::WampScram, Method::Scram, Method::Cryptosign] {
        let realm = Arc::new(with_source(method, Source::Http(HookId(3))));
        let body = match method {
            Method::WampCra => r#"{"role":"r","secret":"pencil"}"#.to_owned(),
            Method::Cryptosign => {
                format!(r#"{{"role":"r","pubkey":"{}"}}"#, key("pencil").public_key().to_hex())
            }
            _ => {
                let (dialect, kdf) = match method {
                    Method::Scram => (Dialect::Crossbar, Kdf::Argon2id13 { iterations: 256, memory_kib: 64 }),
                    _ => (Dialect::Specification, Kdf::Pbkdf2 { iterations: 4096 }),
                };
                let record = ScramRecord::derive(dialect, kdf, &[4; 16], "pencil").unwrap();
                serde_json::json!({
                    "role": "r", "kdf": kdf.name(dialect), "iterations": kdf.iterations(), "memory": kdf.memory_kib(),
                    "salt": record.salt_text(), "stored-key": *record.stored_key_text(),
                    "server-key": *record.server_key_text(),
                })
                .to_string()
            }
        };
        let log_in = |authid: &str, password: &str, body: &str| {
            let mut client = Client::new(&realm);
            let step = client.hello(&[method.name()], authid, &extra_of(method, password));
            assert!(matches!(step, Step::Ask(Question::Http { hook: HookId(3), .. })), "{method}");
            let step = client.answered(Answer::HttpBody(body.as_bytes()));
            let Step::Challenge { on_grid: true, extra, .. } = step else { return step };
            let (signature, said) = answer_of(method, authid, password, &extra);
            client.authenticate(&signature, &said)
        };
        let admission = admitted(log_in("joe", "pencil", &body));
        assert_eq!((&*admission.authid, admission.authprovider), ("joe", "http"), "{method}");
        let wrong = refused(log_in("joe", "pen", &body));
        assert!(wrong.on_grid);
        // Unknown and denied run to the end on decoys.
        assert_eq!(refused(log_in("joe", "pencil", "null")), wrong, "{method}");
        assert_eq!(refused(log_in("joe", "pencil", r#"{"error":"com.example.no"}"#)), wrong, "{method}");
        assert_eq!(
            refused(log_in("joe", "pencil", "{}")).reason,
            "wamp.error.authentication_failed",
            "{method}"
        );
        if method == Method::Cryptosign {
            assert_eq!(&*admitted(log_in("", "pencil", &body)).authid, key("pencil").public_key().to_hex());
        }
    }
}

#[test]
fn decoys_look_like_what_a_source_outside_has_answered() {
    let realm = Arc::new(with_source(Method::WampCra, Source::Http(HookId(0))));
    let ask = |authid: &str, body: &str| {
        let mut client = Client::new(&realm);
        assert!(matches!(client.hello(&["wampcra"], authid, &[]), Step::Ask(_)));
        challenged(client.answered(Answer::HttpBody(body.as_bytes())))
    };
    let body = r#"{"role":"operator","secret":"x","salt":"0123456789ab","iterations":2000,"keylen":24}"#;
    ask("joe", body);
    let decoy = ask("jim", "null");
    assert_eq!((number(&decoy, "iterations"), number(&decoy, "keylen")), (2000, 24));
    assert!(text(&decoy, "challenge").contains(r#""authrole":"operator""#));
    assert_eq!(text(&decoy, "salt").len(), 12);
}

#[test]
fn sources_are_asked_in_order_and_once() {
    let inside = store(|principals| {
        principals.add_ticket("inside", Ticket::raw("a").unwrap(), grant("one")).unwrap();
    });
    let last = store(|principals| {
        principals.add_ticket("last", Ticket::raw("a").unwrap(), grant("last")).unwrap();
    });
    let mut realm = empty();
    realm.add_source(Method::Ticket, Source::Principals(inside)).unwrap();
    realm.add_source(Method::Ticket, procedure()).unwrap();
    realm.add_source(Method::Ticket, Source::Http(HookId(1))).unwrap();
    realm.add_source(Method::Ticket, Source::Principals(last)).unwrap();
    let realm = Arc::new(realm);
    let mut client = Client::new(&realm);
    let unknown = Answer::Failed { error: "wamp.error.no_such_principal" };
    let begin = |client: &mut Client<'_>, authid: &str| {
        challenged(client.hello(&["ticket"], authid, &[]));
        client.authenticate("a", &[])
    };
    assert_eq!(&*admitted(begin(&mut client, "inside")).authrole, "one");
    assert!(matches!(begin(&mut client, "last"), Step::Ask(Question::Procedure { .. })));
    assert!(matches!(client.answered(unknown), Step::Ask(Question::Http { .. })));
    assert_eq!(&*admitted(client.answered(Answer::HttpBody(b"null"))).authrole, "last");
    // What denies has known the principal.
    assert!(matches!(begin(&mut client, "last"), Step::Ask(Question::Procedure { .. })));
    refused(client.answered(Answer::Failed { error: "com.example.no" }));
    assert!(matches!(begin(&mut client, "nobody"), Step::Ask(Question::Procedure { .. })));
    assert!(matches!(client.answered(unknown), Step::Ask(Question::Http { .. })));
    assert!(refused(client.answered(Answer::HttpBody(b"null"))).on_grid);
}

#[test]
fn anonymous_sessions_and_certificates_may_be_decided_outside() {
    let realm = Arc::new(with_source(Method::Anonymous, procedure()));
    let mut client = Client::new(&realm);
    let (_, arguments) = asked(client.hello(&[], "root", &[]));
    assert_eq!(arguments[1].len(), 24);
    let answer = result(Value::Str("guest".into()));
    let admission = admitted(client.answered(Answer::Result(answer.as_payload())));
    assert_eq!((&*admission.authid, &*admission.authrole), (&*arguments[1], "guest"));
    asked(client.hello(&[], "root", &[]));
    refused(client.answered(Answer::Failed { error: "com.example.no" }));

    let certificate = ClientCertificate {
        sha256: [1; 32],
        subject: "CN=gate".into(),
        common_names: ["gate".into()].into(),
        alternative_names: [].into(),
    };
    let realm = Arc::new(with_source(Method::Tls, procedure()));
    let mut client = Client::new(&realm);
    refused(client.hello(&["tls"], "", &[]));
    client.transport.certificate = Some(&certificate);
    asked(client.hello(&["tls"], "", &[]));
    let answer = [("role", Value::Str("device".into())), ("authid", Value::Str("gate7".into()))];
    let answer = result(Value::Dict(Dict::pairs(&answer)));
    assert_eq!(&*admitted(client.answered(Answer::Result(answer.as_payload()))).authid, "gate7");
    // A session without any name joins under none.
    asked(client.hello(&["tls"], "", &[]));
    let answer = result(Value::Str("device".into()));
    let refusal = refused(client.answered(Answer::Result(answer.as_payload())));
    assert_eq!(refusal.reason, "wamp.error.authentication_failed");
}

#[test]
fn an_authextra_that_cannot_be_handed_on_is_refused() {
    let realm = Arc::new(with_source(Method::Ticket, Source::Http(HookId(0))));
    let mut client = Client::new(&realm);
    let long = "x".repeat(20_000);
    let refusal = refused(client.hello(&["ticket"], "joe", &[("a", Value::Str(long.into()))]));
    assert!(refusal.text.contains("authextra"));
    challenged(client.hello(&["ticket"], "joe", &[("a", Value::Float(f64::NAN))]));
    assert!(refused(client.authenticate("x", &[])).text.contains("authextra"));
    // Nobody outside is asked: then it does not matter.
    let realm = Arc::new(full_realm());
    let long = "x".repeat(20_000);
    challenged(Client::new(&realm).hello(&["ticket"], "joe", &[("a", Value::Str(long.into()))]));
}
