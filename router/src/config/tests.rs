//! Text in, rendered errors (or settings) out.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;
use wampline_driver::{DriverChoice, Endpoint};
use wampline_routing::Disclose;
use wampline_shard::{
    FeatureRules, Limits, MetaApi, RealmLimits, RequestIds, RetainedLimits, ShutdownMode, UriRules,
};
use wampline_transports::server::{CookieOptions, Origins, SameSite};
use wampline_wire::Serializer;

use super::*;

mod access;
mod limits;

fn with(text: &str, overrides: &Overrides) -> Result<Settings, Report> {
    let source = Source { name: "w.toml".into(), text: text.into() };
    parse(&source, Path::new("/etc/wampline"), overrides)
}

fn valid(text: &str) -> Settings {
    with(text, &Overrides::default()).unwrap_or_else(|report| panic!("{report}"))
}

/// The configuration `text` yields exactly these messages.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let report = with(text, &Overrides::default()).expect_err("the configuration is not valid");
    assert_eq!(report.lines, expected, "for:\n{text}");
}

fn listen(addresses: &[&str]) -> Overrides {
    let listen = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Overrides { listen, ..Overrides::default() }
}

#[test]
fn an_empty_file_is_the_builtin_configuration() {
    let settings = valid("");
    assert_eq!(settings.driver.endpoints, [Endpoint::Tcp("127.0.0.1:8080".parse().unwrap())]);
    assert_eq!((settings.driver.shards, settings.driver.pin), (None, true));
    assert_eq!((settings.driver.spin, settings.driver.driver), (Duration::ZERO, DriverChoice::Auto));
    assert_eq!(
        (settings.shutdown_mode, settings.shutdown_grace),
        (ShutdownMode::Goodbye, Duration::from_secs(3))
    );
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.engine.agent, format!("Wampline-{}", env!("CARGO_PKG_VERSION")));
    let [realm] = settings.engine.realms.as_slice() else { panic!("one realm") };
    assert_eq!(
        (realm.name.as_str(), realm.uri_rules, realm.request_ids),
        ("realm1", UriRules::Loose, RequestIds::Lenient)
    );
    let [listener] = settings.engine.listeners.as_slice() else { panic!("one listener") };
    assert!(listener.tls.is_none());
    assert_eq!(listener.ping_interval, Some(Duration::from_secs(30)));
    assert_eq!((listener.ping_timeout, listener.connections_max), (Duration::from_secs(10), None));
    let transport = &listener.transport;
    assert!(transport.websocket && transport.rawsocket && !transport.echo);
    assert_eq!(transport.serializers, Serializer::ALL);
    assert_eq!(transport.paths, ["/ws", "/"]);
    assert_eq!((&transport.origins, transport.assume_subprotocol), (&Origins::SameHostOrLoopback, None));
    assert_eq!(transport.message_bytes_max, (1 << 24) - 1);
}

#[test]
fn default_limits_are_those_of_the_engine() {
    let engine = valid("").engine;
    assert_eq!(format!("{:?}", engine.limits), format!("{:?}", Limits::default()));
    assert_eq!(engine.realms[0].limits, RealmLimits::default());
}

#[test]
fn the_schema_declares_the_defaults_that_hold() {
    let schema = schema();
    let text = format!(
        "{}\n[[listeners]]\nlisten = \"127.0.0.1:8080\"\n{}\n[[realms]]\nname = \"realm1\"\n{}",
        defaults(&schema["properties"]["router"], "router.")
            + &defaults(&schema["properties"]["router"]["properties"]["log"], "router.log.")
            + &defaults(&schema["properties"]["limits"], "limits."),
        defaults(&schema["properties"]["listeners"]["items"], ""),
        defaults(&schema["properties"]["realms"]["items"], ""),
    );
    assert!(text.contains("router.shutdown_grace = \"3s\"") && text.contains("ping_interval"), "{text}");
    assert_eq!(format!("{:?}", valid(&text)), format!("{:?}", valid("")), "{text}");
}

/// One `key = default` line for each property of a table that has a default.
fn defaults(table: &Json, prefix: &str) -> String {
    let properties = table["properties"].as_object().unwrap();
    let lines = properties
        .iter()
        .filter_map(|(key, schema)| Some(format!("{prefix}{key} = {}\n", schema.get("default")?)));
    lines.collect()
}

#[test]
fn every_key_arrives() {
    let settings = valid(
        r#"
        [router]
        shards = 3
        pin = true
        spin = "50us"
        shutdown = "restart"
        shutdown_grace = "1m"
        log = { level = "debug", format = "json" }
        [limits]
        message_bytes_max = "1MiB"
        outbox_bytes_max = "8MiB"
        handshake_timeout = "1s"
        write_stall_timeout = "2s"
        rejoin_timeout = "3s"
        close_timeout = "4s"
        subscriptions_per_session_max = 5
        registrations_per_session_max = 6
        calls_per_session_max = 7
        invocations_per_session_max = 8
        sessions_per_realm_max = 9
        testaments_per_session_max = 10
        testament_bytes_per_session_max = "11KiB"
        calls_per_callee_queued_max = 10
        calls_per_callee_queued_bytes_max = "11KiB"
        rerouting_bytes_max = "12KiB"
        inputs_per_session_max = 13
        [[listeners]]
        listen = "[::1]:9000"
        protocols = ["websocket"]
        serializers = ["cbor", "json"]
        paths = ["/wamp"]
        origins = ["https://Example.com", "null"]
        assume_subprotocol = "wamp.2.cbor"
        message_bytes_max = 4194304
        ping_interval = "off"
        ping_timeout = "5s"
        connections_max = 100
        [[listeners]]
        listen = "unix:run/w.sock"
        protocols = ["rawsocket"]
        origins = ["*"]
        [[realms]]
        name = "com.example.one"
        uri_rules = "strict"
        request_ids = "strict"
        meta = "full"
        call_timeout = "5s"
        call_timeout_max = "1m"
        features = "strict"
        retained = { events_max = 5, bytes_max = "6KiB", ttl = "7s" }
        disclose = [{ uri = "com.", match = "prefix", publisher = "always", caller = "never" }]
        trust_levels = [{ uri = "com..x", match = "wildcard", role = "admin", publisher = 3, caller = 0 }]
        history = [{ uri = "com.log", events_max = 8, bytes_max = "9KiB" }]
        [[realms]]
        name = "Zwei"
        "#,
    );
    assert_eq!((settings.driver.shards, settings.driver.pin), (Some(3), true));
    assert_eq!(settings.driver.spin, Duration::from_micros(50));
    assert_eq!(
        (settings.shutdown_mode, settings.shutdown_grace),
        (ShutdownMode::Restart, Duration::from_secs(60))
    );
    assert_eq!(settings.log, LogSettings { filter: "debug".parse().unwrap(), format: LogFormat::Json });
    let expected = Limits {
        handshake_timeout: Duration::from_secs(1),
        write_stall_timeout: Duration::from_secs(2),
        outbox_bytes_max: 8 << 20,
        rejoin_timeout: Duration::from_secs(3),
        close_timeout: Duration::from_secs(4),
        rerouting_bytes_max: 12 << 10,
        ..Limits::default()
    };
    assert_eq!(format!("{:?}", settings.engine.limits), format!("{expected:?}"));
    let expected = RealmLimits {
        subscriptions_per_session_max: 5,
        registrations_per_session_max: 6,
        calls_per_session_max: 7,
        invocations_per_session_max: 8,
        sessions_max: 9,
        testaments_per_session_max: 10,
        testament_bytes_per_session_max: 11 << 10,
        calls_per_callee_queued_max: 10,
        calls_per_callee_queued_bytes_max: 11 << 10,
        inputs_per_session_max: 13,
        ..RealmLimits::default()
    };
    assert!(settings.engine.realms.iter().all(|realm| realm.limits == expected));
    let endpoints =
        [Endpoint::Tcp("[::1]:9000".parse().unwrap()), Endpoint::Unix("/etc/wampline/run/w.sock".into())];
    assert_eq!(settings.driver.endpoints, endpoints);
    let [web, local] = settings.engine.listeners.as_slice() else { panic!("two listeners") };
    assert!(web.transport.websocket && !web.transport.rawsocket);
    assert_eq!(web.transport.serializers, [Serializer::Cbor, Serializer::Json]);
    assert_eq!(web.transport.paths, ["/wamp"]);
    assert_eq!(web.transport.origins, Origins::Also(vec!["https://example.com".into(), "null".into()]));
    assert_eq!(web.transport.assume_subprotocol, Some(Serializer::Cbor));
    assert_eq!(web.transport.message_bytes_max, 4 << 20);
    assert_eq!((web.ping_interval, web.ping_timeout), (None, Duration::from_secs(5)));
    assert_eq!(web.connections_max, Some(100));
    assert!(!local.transport.websocket && local.transport.rawsocket);
    assert_eq!(local.transport.origins, Origins::Any);
    assert_eq!(local.transport.message_bytes_max, 1 << 20);
    let names: Vec<&str> = settings.engine.realms.iter().map(|realm| realm.name.as_str()).collect();
    assert_eq!(names, ["com.example.one", "Zwei"]);
    let [one, two] = settings.engine.realms.as_slice() else { panic!("two realms") };
    assert_eq!(one.request_ids, RequestIds::Strict);
    assert_eq!(one.call_timeout, Some(Duration::from_secs(5)));
    assert_eq!(one.call_timeout_max, Some(Duration::from_secs(60)));
    assert_eq!((two.call_timeout, two.call_timeout_max), (None, None));
    assert_eq!((one.features, two.features), (FeatureRules::Strict, FeatureRules::Lenient));
    let ttl = Some(Duration::from_secs(7));
    assert_eq!(one.retained, RetainedLimits { events_max: 5, octets_max: 6 << 10, ttl });
    assert_eq!(two.retained, RetainedLimits::default());
    assert_eq!(one.disclosure.publisher("com.a"), Disclose::Always);
    assert_eq!(
        (one.disclosure.caller("com.a"), two.disclosure.caller("com.a")),
        (Disclose::Never, Disclose::OnRequest)
    );
    assert_eq!(
        (one.trust_levels.publisher("com.a.x", "admin"), one.trust_levels.caller("com.a.x", "guest")),
        (Some(3), None)
    );
    assert_eq!(one.trust_levels.caller("com.a.x", "admin"), Some(0));
    let [history] = one.history.rules() else { panic!("one rule") };
    assert_eq!((&*history.uri, history.events_max, history.octets_max), ("com.log", 8, 9 << 10));
    assert!(two.history.rules().is_empty());
    assert_eq!((one.meta, two.meta), (MetaApi::Full, MetaApi::Read));
}

#[test]
fn unknown_and_missing_keys_and_wrong_shapes() {
    check(
        "[router]\nshrads = 1",
        &[
            "w.toml:2:1: unknown field `shrads`, expected one of `driver`, `shards`, `pin`, `spin`, `shutdown`, `shutdown_grace`, `log`",
        ],
    );
    check("\n[[listeners]]\npaths = [\"/\"]", &["w.toml:2:1: missing field `listen`"]);
    check("[[realms]]\n", &["w.toml:1:1: missing field `name`"]);
    check("router = 3", &["w.toml:1:10: an integer is not valid here, expected a table"]);
    check(
        "[[listeners]]\nlisten = \"127.0.0.1:1\"\npaths = \"/\"",
        &["w.toml:3:9: a string is not valid here, expected a list"],
    );
    check("[router]\nshards = 1\nshards = 2", &["w.toml:3:1: duplicate key"]);
    check("[router", &["w.toml:1:8: unclosed table, expected `]`"]);
}

#[test]
fn values_are_checked_and_all_are_reported() {
    check(
        r#"[router]
shards = 0
pin = "yes"
spin = "1s"
shutdown = "drop"
shutdown_grace = 5
log = { level = "loud", format = "xml" }
[limits]
handshake_timeout = "5 s"
calls_per_session_max = -1
"#,
        &[
            r#"w.toml:2:10: 0 is out of range, expected an integer from 1 to 128, or "auto""#,
            r#"w.toml:3:7: "yes" is not valid here, expected true, false or "auto""#,
            r#"w.toml:4:8: "1s" is out of range, expected a duration from 0s to 100ms"#,
            r#"w.toml:5:12: "drop" is not valid here, expected "goodbye" or "restart""#,
            r#"w.toml:6:18: 5 is not valid here, expected a duration such as "5s" (units: us, ms, s, m, h)"#,
            concat!(
                r#"w.toml:7:17: "loud" is not a log level, expected off, error, warn, info, debug or trace, "#,
                r#"or a list such as "info,wampline_shard=debug""#
            ),
            r#"w.toml:7:34: "xml" is not valid here, expected "text" or "json""#,
            r#"w.toml:9:21: "5 s" is not valid here, expected a duration such as "5s" (units: us, ms, s, m, h)"#,
            "w.toml:10:25: -1 is out of range, expected an integer from 1 to 2147483648",
        ],
    );
}

#[test]
fn listeners_are_checked() {
    check(
        r#"[[listeners]]
listen = "8080"
protocols = ["websocket", "http"]
serializers = ["json", "json"]
paths = ["ws", "/a?b"]
origins = ["example.com"]
assume_subprotocol = "wamp.2.cbor"
ping_interval = 0
connections_max = "many"
"#,
        &[
            r#"w.toml:2:10: "8080" is not an address, expected "host:port", "[::1]:port" or "unix:PATH""#,
            r#"w.toml:3:27: "http" is not valid here, expected "websocket" or "rawsocket""#,
            r#"w.toml:4:24: "json" is in the list twice, expected it once"#,
            r#"w.toml:5:10: "ws" is not valid here, expected a path such as "/ws", without spaces, query and fragment"#,
            r#"w.toml:5:16: "/a?b" is not valid here, expected a path such as "/ws", without spaces, query and fragment"#,
            concat!(
                r#"w.toml:6:12: "example.com" is not valid here, expected an origin such as "https://example.com", "#,
                r#""https://*.example.com:8443", "null", or "*" for all"#
            ),
            r#"w.toml:7:22: "wamp.2.cbor" is not on offer here, expected one of this listener's serializers"#,
            r#"w.toml:8:17: 0 is not valid here, expected a duration such as "5s" (units: us, ms, s, m, h), or "off""#,
            r#"w.toml:9:19: "many" is not valid here, expected an integer from 1 to 2147483648, or "off""#,
        ],
    );
    check(
        "listeners = []\nrealms = []",
        &[
            "w.toml:1:13: the list is empty, expected at least one listener (or no such key)",
            "w.toml:2:10: the list is empty, expected at least one realm (or no such key)",
        ],
    );
    check(
        "[[listeners]]\nlisten = \"unix:/a\"\nprotocols = []",
        &["w.toml:3:13: the list is empty, expected at least one element (or no such key)"],
    );
    check(
        "listeners = [{ listen = \"127.0.0.1:80\" }, { listen = \"0.0.0.0:80\" }, { listen = \"127.0.0.1:80\" }]",
        &[
            "w.toml:1:54: 0.0.0.0:80 collides with the listener on 127.0.0.1:80, expected another address",
            "w.toml:1:81: 127.0.0.1:80 collides with the listener on 127.0.0.1:80, expected another address",
        ],
    );
    let many = "[[listeners]]\nlisten = \"127.0.0.1:0\"\n".repeat(65);
    let report = with(&many, &Overrides::default()).unwrap_err();
    assert!(report.lines[0].ends_with("65 listeners are too many, expected at most 64"), "{report}");
}

#[test]
fn realms_are_checked() {
    check(
        r##"[[realms]]
name = "a..b"
[[realms]]
name = "Ok.Name"
uri_rules = "strict"
[[realms]]
name = "r"
[[realms]]
name = "r"
request_ids = "exact"
[[realms]]
name = "wamp.realm"
[[realms]]
name = ""
[[realms]]
name = "a b"
[[realms]]
name = "a#b"
"##,
        &[
            r#"w.toml:2:8: "a..b" is not a realm URI: a component is empty, expected names joined by single dots"#,
            concat!(
                r#"w.toml:4:8: "Ok.Name" is not a realm URI: 'O' is not allowed with strict rules, "#,
                "expected lower-case letters, digits and '_'"
            ),
            r#"w.toml:9:8: the realm "r" is there already, expected another name"#,
            r#"w.toml:10:15: "exact" is not valid here, expected "lenient" or "strict""#,
            concat!(
                r#"w.toml:12:8: "wamp.realm" is not a realm URI: names that begin with "wamp" belong to the protocol, "#,
                "expected another"
            ),
            r#"w.toml:14:8: "" is not valid here, expected a string that is not empty"#,
            r#"w.toml:16:8: "a b" is not a realm URI: it holds white space, expected none"#,
            r##"w.toml:18:8: "a#b" is not a realm URI: it holds '#', expected none"##,
        ],
    );
}

#[test]
fn the_command_line_replaces_addresses_in_order() {
    let text = "[[listeners]]\nlisten = \"127.0.0.1:1\"\nmessage_bytes_max = 5000\n\
                [[listeners]]\nlisten = \"127.0.0.1:2\"\nmessage_bytes_max = 6000\n";
    let limits = |addresses: &[&str]| -> Vec<(String, usize)> {
        let settings = with(text, &listen(addresses)).unwrap();
        let endpoints =
            settings.driver.endpoints.iter().map(|endpoint| display_endpoint(endpoint).to_string());
        endpoints.zip(settings.engine.listeners.iter().map(|one| one.transport.message_bytes_max)).collect()
    };
    assert_eq!(limits(&["127.0.0.1:9"]), [("127.0.0.1:9".into(), 5000)]);
    assert_eq!(
        limits(&["127.0.0.1:0", "unix:w.sock", "127.0.0.1:0"]),
        [("127.0.0.1:0".into(), 5000), ("unix:w.sock".into(), 6000), ("127.0.0.1:0".into(), 6000)]
    );
    let report = with(text, &listen(&["127.0.0.1:7", "127.0.0.1:7"])).unwrap_err();
    let expected =
        "--listen: 127.0.0.1:7 collides with the listener on 127.0.0.1:7, expected another address";
    assert_eq!(report.lines, [expected]);
}

#[test]
fn the_command_line_overrides_driver_shards_and_log() {
    let overrides = Overrides {
        driver: Some(DriverChoice::Epoll),
        shards: Some(2),
        log_filter: Some("trace".parse().unwrap()),
        log_format: Some(LogFormat::Json),
        ..Overrides::default()
    };
    let settings =
        with("[router]\ndriver = \"uring\"\nshards = 5\nlog = { level = \"off\" }", &overrides).unwrap();
    assert_eq!((settings.driver.shards, settings.driver.pin), (Some(2), false));
    assert_eq!(settings.driver.driver, DriverChoice::Epoll);
    assert_eq!(settings.log, LogSettings { filter: "trace".parse().unwrap(), format: LogFormat::Json });
}

#[test]
fn the_driver_is_chosen_by_name() {
    for (text, expected) in [
        ("", DriverChoice::Auto),
        ("[router]\ndriver = \"auto\"", DriverChoice::Auto),
        ("[router]\ndriver = \"uring\"", DriverChoice::Uring),
        ("[router]\ndriver = \"epoll\"", DriverChoice::Epoll),
    ] {
        assert_eq!(with(text, &Overrides::default()).unwrap().driver.driver, expected, "{text}");
    }
    let report = with("[router]\ndriver = \"select\"", &Overrides::default()).unwrap_err().to_string();
    assert!(report.contains("expected \"auto\" or \"uring\" or \"epoll\""), "{report}");
}

#[test]
fn files_that_cannot_be_read_are_reported() {
    let report = load(Some(Path::new("/nonexistent/w.toml")), &Overrides::default()).unwrap_err();
    assert!(report.to_string().starts_with("/nonexistent/w.toml: cannot be read: "), "{report}");
}

#[test]
fn no_text_makes_the_reader_panic() {
    let manual = include_str!("../../../docs/configuration.md");
    let (_, example) = manual.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let values =
        ["-1", "\"\"", "{}", "[[]]", "1e400", "nan", "true", "1979-05-27", "\"é\"", "9223372036854775807"];
    for (at, _) in example.char_indices() {
        let report = |text: &str| {
            with(text, &Overrides::default()).map_err(|report| assert!(!report.lines.is_empty()))
        };
        let _ = report(&example[..at]);
        let line_end = at + example[at..].find('\n').unwrap_or(0);
        let _ = report(&format!("{}{}{}", &example[..at], values[at % values.len()], &example[line_end..]));
    }
}

#[test]
fn rules_by_uri_are_checked() {
    check(
        r#"[[realms]]
name = "one"
disclose = [{ uri = "a..b" }, { uri = "a", caller = "perhaps" }, { uri = "c" }, { uri = "c" }]
trust_levels = [{ uri = "a b", match = "prefix" }, { uri = 7 }, { uri = "a", publisher = -1 }]
history = [{ uri = "", match = "prefix" }, { uri = "", match = "prefix" }]
"#,
        &[
            "w.toml:3:21: \"a..b\" cannot be matched as exact: invalid URI: an empty component at octet 2",
            "w.toml:3:53: \"perhaps\" is not valid here, expected \"on_request\" or \"always\" or \"never\"",
            "w.toml:3:89: there is a rule for \"c\" already, expected one",
            "w.toml:4:25: \"a b\" cannot be matched as prefix: invalid URI: whitespace at octet 1",
            "w.toml:4:60: 7 is not valid here, expected a URI or pattern",
            "w.toml:4:90: -1 is out of range, expected an integer from 0 to 2147483648, or \"off\"",
            "w.toml:5:52: \"\" has a history already, expected one",
        ],
    );
}

#[test]
fn cookies() {
    let listener = "[[listeners]]\nlisten = \"127.0.0.1:8080\"\n[listeners.cookie]\n";
    let settings = valid(&format!("{listener}name = \"sid\"\nmax_age = \"2h\"\nsame_site = \"lax\""));
    let expected = CookieOptions::new("sid", Duration::from_secs(7200), SameSite::Lax, false);
    assert_eq!(settings.engine.listeners[0].transport.cookie, expected.ok());
    let settings = valid(&format!("{listener}name = \"sid\""));
    let expected = CookieOptions::new("sid", Duration::from_secs(86_400), SameSite::Strict, false);
    assert_eq!(settings.engine.listeners[0].transport.cookie, expected.ok());
    assert_eq!(valid("").engine.listeners[0].transport.cookie, None);
    for (text, at, why) in [
        (
            "name = \"a b\"",
            "4:8",
            "expected a name of letters, digits and \"-_.!#$%&'*+^`|~\", at most 64 of them",
        ),
        ("name = \"__Host-a\"", "4:8", "names that begin with __Host- or __Secure- take a listener with TLS"),
        ("name = \"a\"\nsame_site = \"none\"", "5:13", "same_site = \"none\" takes a listener with TLS"),
    ] {
        let message = format!("w.toml:{at}: browsers would not take this cookie: {why}");
        check(&format!("{listener}{text}"), &[&message]);
    }
}
