//! Who may join and what they may do.

use std::path::PathBuf;

use wampline_auth::Method;
use wampline_routing::authorization::{Action, Verdict};
use wampline_routing::meta::MetaApi;
use wampline_routing::uri::MatchPolicy;

use super::*;

const KEY: &str = "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122";

/// A folder with some files, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Folder {
        let folder = std::env::temp_dir().join(format!("wampline-access-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            std::fs::write(folder.join(file), text).unwrap();
        }
        Folder(folder)
    }

    fn read(&self, text: &str) -> Result<Settings, Report> {
        let source = Source { name: "w.toml".into(), text: text.into() };
        parse(&source, &self.0, &Overrides::default())
    }

    /// As `check` of the other tests, with the folder's name taken out of the messages.
    #[track_caller]
    fn check(&self, text: &str, expected: &[&str]) {
        let report = self.read(text).expect_err("the configuration is not valid");
        let folder = self.0.display().to_string();
        let lines: Vec<String> = report.lines.iter().map(|line| line.replace(&folder, "FOLDER")).collect();
        assert_eq!(lines, expected, "for:\n{text}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn methods(settings: &Settings) -> Vec<Method> {
    settings.engine.realms[0].authentication.methods().collect()
}

#[test]
fn without_tables_sessions_prove_nothing_and_may_do_all() {
    for text in ["", "[[realms]]\nname = \"r\""] {
        let settings = valid(text);
        let realm = &settings.engine.realms[0];
        assert_eq!(methods(&settings), [Method::Anonymous]);
        assert!(realm.roles.is_empty() && realm.roles.resolve("anonymous").is_none());
        assert!(settings.engine.templates.is_empty() && settings.watched.is_empty());
        assert!(settings.driver.hooks.is_empty());
    }
}

#[test]
fn every_method_arrives() {
    let jwks = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"{}"}}]}}"#,
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    );
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = Folder::new(
        "methods",
        &[
            ("people.toml", "[[principal]]\nauthid = \"ann\"\nrole = \"user\"\nticket = \"another\"\n"),
            ("keys.json", &jwks),
            ("chain.pem", &made.cert.pem()),
            ("key.pem", &made.signing_key.serialize_pem()),
        ],
    );
    let settings = folder
        .read(&format!(
            r#"
            [[hooks]]
            name = "accounts"
            url = "http://127.0.0.1:9/x"
            token = "another-token"
            [[listeners]]
            listen = "127.0.0.1:0"
            cookie = {{ name = "w" }}
            [listeners.tls]
            certificate = "chain.pem"
            key = "key.pem"
            client_certificates = "optional"
            client_authorities = "chain.pem"
            [[realms]]
            name = "r"
            default_role = "user"
            [[realms.roles]]
            name = "user"
            [realms.authentication]
            anonymous = {{ role = "guest", networks = ["127.0.0.0/8", "unix"] }}
            ticket = {{ sources = ["principals", "file:people.toml", "procedure:com.example.auth", "hook:accounts"] }}
            wampcra = {{}}
            wamp-scram = {{}}
            scram = {{}}
            cryptosign = {{}}
            tls = {{ mappings = [{{ authid = "common_name", role = "device" }}] }}
            cookie = {{}}
            jwt = {{ issuers = [{{ jwks = "keys.json", role = "user" }}] }}
            [[realms.principals]]
            authid = "joe"
            role = "user"
            ticket = {{ env = "CARGO_PKG_NAME" }}
            cryptosign = ["{KEY}"]
            extra = {{ team = "x" }}
            wampcra = {{ password = "p", salt = "salt1234", iterations = 1000 }}
            wamp-scram = {{ kdf = "pbkdf2", iterations = 4096, salt = "W22ZaJ0SNY7soEsUEjb6gQ==", password = "p" }}
            scram = {{ kdf = "argon2id13", iterations = 256, memory = 64, salt = "5b6d99689d12358eeca04b141236fa81", password = "p" }}
            "#
        ))
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(methods(&settings), Method::ALL);
    assert_eq!((settings.watched.len(), settings.driver.hooks.len()), (1, 1));
    assert!(!format!("{settings:?}").contains("another"), "secrets are shown by nobody");
}

#[test]
fn sources_that_are_none() {
    let folder = Folder::new(
        "sources",
        &[
            ("bad.toml", "[[principal]]\nauthid = \"ann\"\nrole = \"user\"\n"),
            ("role.toml", "[[principal]]\nauthid = \"ann\"\nrole = \"ghost\"\nticket = \"t1cket\"\n"),
        ],
    );
    let with =
        |ticket: &str| format!("[[realms]]\nname = \"r\"\n[realms.authentication]\nticket = {ticket}\n");
    let form = r#""principals", "file:PATH", "procedure:URI" or "hook:NAME""#;
    folder.check(
        &with("{ sources = [] }"),
        &["w.toml:4:22: the list is empty, expected at least one element (or no such key)"],
    );
    folder.check(
        &with("{ sources = [\"ldap:x\", 3, \"hook:\"] }"),
        &[
            &format!("w.toml:4:23: \"ldap:x\" is not valid here, expected {form}"),
            &format!("w.toml:4:33: 3 is not valid here, expected {form}"),
            &format!("w.toml:4:36: \"hook:\" is not valid here, expected {form}"),
        ],
    );
    folder.check(
        &with("{ sources = [\"file:none.toml\", \"file:bad.toml\", \"hook:none\", \"procedure:wamp.x\"] }"),
        &[
            "w.toml:4:23: \"FOLDER/none.toml\" cannot be read: No such file or directory (os error 2)",
            "w.toml:4:41: FOLDER/bad.toml:1:1: principal \"ann\": a method that the principal may use is missing",
            "w.toml:4:58: there is no hook \"none\", expected one of [[hooks]]",
            "w.toml:4:71: \"wamp.x\" cannot answer questions: procedures that begin with wamp. are the router's own",
        ],
    );
    folder.check(
        &with("{}"),
        &[concat!(
            "w.toml:3:1: no principal of this realm can join by ticket, expected one in [[realms.principals]] or ",
            "other sources"
        )],
    );
    folder.check(
        &(with("{ sources = [\"file:role.toml\"] }") + "[[realms.roles]]\nname = \"user\"\n"),
        &[concat!(
            "w.toml:4:23: there is no role \"ghost\" in this realm, expected one of [[realms.roles]], or a ",
            "default_role"
        )],
    );
    folder.check(
        &(with("{ sources = [\"procedure:com.example.a\"] }").replace(
            "ticket",
            "authenticator_realm = \"other\"\nticket",
        )),
        &["w.toml:5:23: there is no realm \"other\" to call \"com.example.a\" in, expected one of [[realms]]"],
    );
}

#[test]
fn methods_that_are_none() {
    let with = |table: &str| format!("[[realms]]\nname = \"r\"\n[realms.authentication]\n{table}\n");
    let report = parse(
        &Source { name: "w.toml".into(), text: with("kerberos = {}") },
        Path::new(""),
        &Overrides::default(),
    )
    .unwrap_err();
    assert!(
        report.lines[0]
            .starts_with("w.toml:4:1: unknown field `kerberos`, expected one of `anonymous`, `ticket`"),
        "{report}"
    );
    check(&with(""), &["w.toml:3:1: there is no method, expected at least one (or no such table)"]);
    check(
        &with("cookie = {}"),
        &[concat!(
            "w.toml:3:1: no listener gives cookies to browsers, expected a table [listeners.cookie] (or no method ",
            "cookie)"
        )],
    );
    check(
        &with("tls = { mappings = [{ authid = \"dns\", role = \"device\" }] }"),
        &[concat!(
            "w.toml:3:1: no listener asks clients for certificates, expected client_certificates in a table ",
            "[listeners.tls] (or no method tls)"
        )],
    );
    check(&with("jwt = { issuers = [] }"), &["w.toml:4:19: the list is empty, expected at least one issuer"]);
    check(
        &with("anonymous = { role = \"a\", sources = [\"principals\"] }"),
        &[
            "w.toml:4:37: a procedure or hook decides about role and authid, expected it or them",
            concat!(
                "w.toml:4:38: no principal of this realm can join by anonymous, expected one in ",
                "[[realms.principals]] or other sources"
            ),
            "w.toml:4:38: method anonymous takes no sources of this kind",
        ],
    );
}

#[test]
fn principals_are_checked() {
    let with = |rest: &str| {
        format!(
            "[[realms]]\nname = \"r\"\nauthentication = {{ ticket = {{}}, wampcra = {{}}, cryptosign = {{}} }}\n\
             principals = [\n\
             {{ authid = \"joe\", role = \"user\", ticket = \"t1cket\", wampcra = {{ secret = \"s3cret\" }}, cryptosign = [\"{KEY}\"] }},\n\
             {rest}\n]\n"
        )
    };
    for (principal, expected) in [
        (
            r#"{ authid = "joe", role = "user", ticket = "xx" }"#,
            r#"6:12: principal "joe" is there twice for method ticket"#,
        ),
        (
            r#"{ authid = "ann", role = "user", wampcra = { password = "hidden", salt = "short", iterations = 1000 } }"#,
            "6:74: the salt has 5 octets: expected 8 at least, drawn at random for each principal",
        ),
        (
            r#"{ authid = "ann", role = "user", wampcra = { password = "hidden", salt = "saltsalt", iterations = 10 } }"#,
            "6:99: 10 is out of range, expected an integer from 1000 to 10000000",
        ),
        (r#"{ authid = "ann", role = "user", wampcra = { password = "hidden" } }"#, "6:44: salt is missing"),
        (
            r#"{ authid = "ann", role = "user", cryptosign = ["nokey"] }"#,
            "6:48: key must be 64 hexadecimal digits, an ed25519 public key",
        ),
        (
            r#"{ authid = "ann", role = "user", cryptosign = ["545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"] }"#,
            concat!(
                "6:12: principal \"545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122\" is there twice ",
                "for method cryptosign"
            ),
        ),
        (
            r#"{ authid = "ann", role = "user" }"#,
            concat!(
                "6:1: the principal \"ann\" can prove itself by nothing, expected ticket, wampcra, wamp-scram, scram, ",
                "cryptosign or tls"
            ),
        ),
        (
            r#"{ authid = "ann", role = "user", ticket = { env = "WAMPLINE_NONE" } }"#,
            "6:43: the environment variable \"WAMPLINE_NONE\" is not set, expected a secret in it",
        ),
        (
            r#"{ authid = "ann", role = "user", ticket = 4711 }"#,
            r#"6:43: this is no secret, expected a string that is not empty, { env = "NAME" } or { file = "PATH" }"#,
        ),
        (
            r#"{ authid = "ann", role = "user", ticket_sha256 = "hidden" }"#,
            "6:50: ticket_sha256 must be 64 hexadecimal digits, the SHA-256 of the ticket",
        ),
        (
            r#"{ authid = "ann", role = "user", wampcra = "hidden" }"#,
            "6:44: a string is not valid here, expected a table",
        ),
        (
            r#"{ authid = "ann", role = "user", tls = { dns = ["a.example.com"] } }"#,
            concat!(
                "6:49: nobody can join by tls here, expected a table [realms.authentication.tls] whose sources hold ",
                "\"principals\""
            ),
        ),
        (
            r#"{ authid = "ann", role = "user", tls = { ip = ["localhost"] } }"#,
            "6:48: \"localhost\" is no IP address, expected one",
        ),
    ] {
        let source = Source { name: "w.toml".into(), text: with(principal) };
        let report = parse(&source, Path::new(""), &Overrides::default()).expect_err(principal);
        assert_eq!(report.lines[0], format!("w.toml:{expected}"), "{principal}");
        assert!(!report.to_string().contains("hidden"), "{report}");
    }
}

#[test]
fn roles_are_checked() {
    let with = |rest: &str| format!("[[realms]]\nname = \"r\"\n{rest}");
    check(
        &with(
            r#"
[[realms.roles]]
name = "anonymous"
permissions = [{ uri = "a..b", allow = ["call"] }, { uri = "a.*", match = "prefix", allow = ["call", "fly"] }]
[[realms.roles]]
name = "anonymous"
"#,
        ),
        &[
            r#"w.toml:6:24: "a..b": invalid URI: an empty component at octet 2"#,
            concat!(
                r#"w.toml:6:60: "a.*": a star stands for nothing; use the match policy prefix with a URI that ends in "#,
                "a dot, or the policy wildcard with an empty component"
            ),
            r#"w.toml:6:102: "fly" is not valid here, expected "call" or "register" or "publish" or "subscribe""#,
            r#"w.toml:8:8: there are two roles named "anonymous""#,
        ],
    );
    check(
        &with("default_role = \"ghost\"\nroles = [{ name = \"user\" }]"),
        &["w.toml:3:16: there is no role \"ghost\""],
    );
    check(
        &with("roles = [{ name = \"user\" }]"),
        &[concat!(
            "w.toml:2:8: there is no role \"anonymous\" in this realm, expected one of [[realms.roles]], or a ",
            "default_role"
        )],
    );
    check(
        &with(
            "authentication.anonymous = { role = \"guest\" }\nroles = [{ name = \"user\", authorizer = { procedure = \"a b\" } }]",
        ),
        &[
            concat!(
                "w.toml:3:37: there is no role \"guest\" in this realm, expected one of [[realms.roles]], or a ",
                "default_role"
            ),
            "w.toml:4:54: \"a b\": invalid URI: whitespace at octet 1",
        ],
    );
}

#[test]
fn rules_arrive() {
    let settings = valid(
        r#"
        [[realms]]
        name = "r"
        default_role = "guest"
        [[realms.roles]]
        name = "anonymous"
        allow_by_default = true
        permissions = [
          { uri = "com.example.", match = "prefix", allow = ["subscribe"] },
          { uri = "com.example.add", allow = ["call"], disclose_caller = "always" },
          { uri = "com..secret", match = "wildcard" },
        ]
        [[realms.roles]]
        name = "guest"
        authorizer = { procedure = "com.example.authorize", timeout = "2s", cache_for = "role", denied_ttl = "off" }
        "#,
    );
    let roles = &settings.engine.realms[0].roles;
    let decide = |role: &str, action, uri| {
        let explanation = roles.explain(role, action, MatchPolicy::Exact, uri, MetaApi::Read).unwrap();
        explanation.verdict
    };
    assert_eq!(
        decide("anonymous", Action::Call, "com.example.add"),
        Verdict::Allowed(Some(Disclose::Always))
    );
    assert_eq!(decide("anonymous", Action::Subscribe, "com.example.add"), Verdict::Denied);
    assert_eq!(decide("anonymous", Action::Call, "com.example.sub"), Verdict::Denied);
    assert_eq!(decide("anonymous", Action::Call, "com.other.secret"), Verdict::Denied);
    assert_eq!(decide("anonymous", Action::Call, "org.example"), Verdict::Allowed(None));
    assert_eq!(decide("stranger", Action::Call, "org.example"), Verdict::Ask);
    let authorizer = roles.resolve("stranger").and_then(|role| roles.authorizer(role)).unwrap();
    assert_eq!((authorizer.timeout, authorizer.denied_for), (Duration::from_secs(2), Duration::ZERO));
}

#[test]
fn networks_are_checked() {
    let form = r#"an address, a network such as "10.0.0.0/8", or "unix""#;
    check(
        "[[realms]]\nname = \"r\"\nnetworks = [\"10.0.0.1/8\", \"localhost\", 7]\nauthentication.anonymous.networks = []\n",
        &[
            &format!(
                "w.toml:3:13: 10.0.0.1/8 has bits beyond its prefix: is 10.0.0.0/8 meant?, expected {form}"
            ),
            &format!(
                "w.toml:3:27: \"localhost\" is neither an address, nor a network such as 10.0.0.0/8, nor \"unix\", expected {form}"
            ),
            &format!("w.toml:3:40: 7 is not valid here, expected {form}"),
            "w.toml:4:37: the list is empty, expected at least one element (or no such key)",
        ],
    );
}

#[test]
fn keys_are_checked() {
    let folder = Folder::new("keys", &[("empty.pem", ""), ("key.txt", "not a key\n"), ("keys.json", "{}")]);
    let with = |table: &str| format!("[[realms]]\nname = \"r\"\n[realms.authentication]\n{table}\n");
    let issuer = |rest: &str| with(&format!("jwt = {{ issuers = [{{ {rest} }}] }}"));
    folder.check(
        &issuer("role = \"user\""),
        &["w.toml:4:20: there is no key, expected jwks, public_key or secret"],
    );
    folder.check(
        &issuer("role = \"user\", secret = \"short\""),
        &["w.toml:4:46: HS256 secret must be 32 octets or more, drawn at random"],
    );
    let long = "0123456789abcdef0123456789abcdef";
    folder.check(
        &issuer(&format!("secret = \"{long}\"")),
        &["w.toml:4:20: which role tokens give is open, expected role alone, or role_claim with roles"],
    );
    folder.check(
        &issuer("role = \"user\", public_key = \"empty.pem\""),
        &["w.toml:4:50: which algorithm the key is for is open, expected algorithm beside it"],
    );
    let report = folder
        .read(&issuer("role = \"user\", public_key = \"empty.pem\", algorithm = \"RS256\""))
        .unwrap_err();
    assert!(report.lines[0].starts_with("w.toml:4:50: \""), "{report}");
    let report = folder.read(&issuer("role = \"user\", jwks = \"keys.json\"")).unwrap_err();
    assert!(report.lines[0].contains("JWKS document must be"), "{report}");
    folder.check(
        &with("anonymous = {}\ncryptosign = { router_key = { file = \"key.txt\" }, sources = [\"procedure:a.b\"] }"),
        &["w.toml:5:29: router key must be 64 hexadecimal digits, an ed25519 private key"],
    );
}

#[test]
fn schemas_of_payloads_arrive() {
    let folder = Folder::new(
        "schemas",
        &[
            ("one.json", r#"{"properties": {"args": {"maxItems": 1}}}"#),
            ("far.json", r#"{"$ref": "http://x/y"}"#),
        ],
    );
    let rule = |validate: &str| {
        format!(
            "[[realms]]\nname = \"r\"\n[[realms.roles]]\nname = \"anonymous\"\n[[realms.roles.permissions]]\n\
             uri = \"a\"\nallow = [\"call\", \"publish\"]\nvalidate = {{ {validate} }}\n"
        )
    };
    let settings = folder.read(&rule("call = \"one.json\", event = \"one.json\"")).unwrap();
    let roles = &settings.engine.realms[0].roles;
    let role = roles.resolve("anonymous").unwrap();
    let found = roles.validation(role, Action::Call, "a").unwrap();
    assert!(found.call.is_some() && found.call == found.event && found.call_result.is_none());
    assert!(roles.validation(role, Action::Publish, "b").is_none());
    let far = folder.read(&rule("call = \"none.json\", event = \"far.json\"")).unwrap_err().lines;
    assert!(far[0].starts_with("w.toml:8:21: \"none.json\": cannot be read: "), "{far:?}");
    let expected = "w.toml:8:42: \"far.json\": is no JSON Schema for payloads: ";
    assert!(far[1].starts_with(expected) && far.len() == 2, "{far:?}");
    folder.check(
        &rule("call_error = \"one.json\""),
        &["w.toml:8:14: unknown field `call_error`, expected one of `call`, `call_result`, `event`"],
    );
}

#[test]
fn templates_and_hooks() {
    let settings = valid(
        "[[realms]]\nname = \"com.example.\"\nmatch = \"prefix\"\n[[realms]]\nname = \"r\"\nmatch = \"exact\"\n",
    );
    assert_eq!((settings.engine.realms.len(), settings.engine.templates.len()), (1, 1));
    let template = &settings.engine.templates[0];
    assert_eq!((template.policy, template.settings.name.as_str()), (MatchPolicy::Prefix, "com.example."));
    check(
        "[[hooks]]\nname = \"a\"\nurl = \"http://127.0.0.1:1/\"\n[[hooks]]\nname = \"a\"\nurl = \"ftp://hidden\"\n",
        &[
            "w.toml:5:8: the hook \"a\" is there already, expected another name",
            concat!(
                "w.toml:6:7: expected http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH], without user and ",
                "fragment"
            ),
        ],
    );
    check(
        "[[hooks]]\nname = \"a\"\nurl = \"http://127.0.0.1:1/\"\ntoken = \"not shown\"\n",
        &["w.toml:4:9: the token cannot stand in a header, expected letters, digits and marks of ASCII"],
    );
}
