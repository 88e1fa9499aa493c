//! The tools beside the router: keys, records of passwords, and what a configuration permits.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Ended, check, folder, wampline};

#[test]
fn keygen_writes_a_private_key_once_and_prints_the_public_one() {
    let folder = folder("keygen");
    let path = folder.join("joe.key");
    let made = wampline(["keygen", path.to_str().unwrap()]);
    assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""));
    let public = made.stdout.trim_end();
    assert!(public.len() == 64 && public.bytes().all(|digit| digit.is_ascii_hexdigit()), "{public}");
    let private = std::fs::read_to_string(&path).unwrap();
    assert_eq!((private.len(), private.ends_with('\n')), (65, true));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // The router reads both halves.
    let ended = check(
        &folder,
        &format!(
            "[[realms]]\nname = \"r\"\nauthentication.cryptosign = {{ router_key = {{ file = \"joe.key\" }} }}\n\
             principals = [{{ authid = \"joe\", role = \"user\", cryptosign = [\"{public}\"] }}]\n"
        ),
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let again = wampline(["keygen", path.to_str().unwrap()]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(1), ""));
    assert!(again.stderr.contains("the key cannot be written"), "{}", again.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), private, "what is there stays");
    let raw = folder.join("raw.key");
    assert_eq!(wampline(["keygen", "--form", "raw", raw.to_str().unwrap()]).code, Some(0));
    assert_eq!(std::fs::read(&raw).unwrap().len(), 32);
}

#[test]
fn hash_prints_what_a_configuration_takes() {
    let folder = folder("hash");
    let made = hash(&[], "a password\n");
    assert_eq!((made.code, made.stderr.as_str(), made.stdout.lines().count()), (Some(0), "", 3));
    assert!(!made.stdout.contains("a password"));
    let ended = check(
        &folder,
        &format!(
            "[[realms]]\nname = \"r\"\n[realms.authentication]\nwampcra = {{}}\nwamp-scram = {{}}\nscram = {{}}\n\
             [[realms.principals]]\nauthid = \"joe\"\nrole = \"user\"\n{}",
            made.stdout
        ),
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_ne!(hash(&[], "a password\n").stdout, made.stdout, "salts are drawn");
    let pbkdf2 = hash(&["--method", "wamp-scram", "--kdf", "pbkdf2", "--iterations", "4096"], "a password");
    assert!(
        pbkdf2.stdout.starts_with("wamp-scram = { kdf = \"pbkdf2\", iterations = 4096, salt = "),
        "{pbkdf2:?}"
    );
    for (line, password, part) in [
        (&[][..], "", "there is no password on standard input"),
        (&["--method", "wamp-scram", "--kdf", "pbkdf2", "--iterations", "10"][..], "p", "iterations is 10"),
        (&["--method", "scram", "--memory", "64", "--iterations", "1"][..], "p", "iterations times memory"),
    ] {
        let ended = hash(line, password);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{line:?}");
        assert!(ended.stderr.contains(part), "{line:?}: {}", ended.stderr);
    }
}

fn hash(arguments: &[&str], password: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wampline"));
    command.arg("hash").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn authz_check_explains_and_its_exit_code_decides() {
    let folder = folder("authz");
    let text = r#"
[[realms]]
name = "realm1"
default_role = "guest"
[[realms.roles]]
name = "guest"
permissions = [
  { uri = "com.example.", match = "prefix", allow = ["call", "subscribe"] },
  { uri = "com.example.secret", allow = [] },
]
[[realms.roles]]
name = "member"
authorizer = { procedure = "com.example.authorize" }
[[realms]]
name = "org.example."
match = "prefix"
"#;
    assert_eq!(check(&folder, text).code, Some(0));
    let ask = |realm: &str, role: &str, action: &str, uri: &str, more: &[&str]| {
        let config = folder.join("wampline.toml");
        authz(&config, &["--realm", realm, "--role", role, "--action", action, "--uri", uri], more)
    };
    for (role, action, uri, policy, code, part) in [
        ("guest", "call", "com.example.add", "exact", 0, "the prefix rule \"com.example.\" decides"),
        ("stranger", "call", "com.example.add", "exact", 0, "role \"guest\""),
        ("guest", "publish", "com.example.add", "exact", 4, "the prefix rule \"com.example.\" decides"),
        ("guest", "call", "com.example.secret", "exact", 4, "the exact rule \"com.example.secret\" decides"),
        ("guest", "subscribe", "com.example.", "prefix", 4, "denies some of what the pattern matches"),
        ("guest", "subscribe", "com.example.a.", "prefix", 0, "decides"),
        ("guest", "call", "wamp.session.kill", "exact", 4, "denied"),
        ("member", "call", "com.example.add", "exact", 3, "\"com.example.authorize\" is asked"),
    ] {
        let ended = ask("realm1", role, action, uri, &["--match", policy]);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(code), ""),
            "{role} {action} {uri}: {}",
            ended.stdout
        );
        assert!(ended.stdout.contains(part), "{role} {action} {uri}: {}", ended.stdout);
    }
    assert_eq!(ask("org.example.tenant", "anonymous", "call", "a.b", &[]).code, Some(0), "a template");
    let missing = ask("realm2", "guest", "call", "a.b", &[]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("there is no realm \"realm2\""), "{}", missing.stderr);
    assert_eq!(ask("realm1", "guest", "call", "a..b", &[]).code, Some(1), "no URI");
    assert_eq!(ask("realm1", "guest", "fly", "a.b", &[]).code, Some(64));
}

fn authz(config: &Path, arguments: &[&str], more: &[&str]) -> Ended {
    let mut line = vec!["authz", "check", "--config", config.to_str().unwrap()];
    line.extend(arguments);
    line.extend(more);
    wampline(line)
}

#[test]
fn secrets_are_in_no_message() {
    let folder = folder("secrets");
    for (table, shown) in [
        ("ticket = [\"hidden4711\"]", "this is no secret"),
        ("ticket_sha256 = \"hidden4711\"", "ticket_sha256 must be 64 hexadecimal digits"),
        ("wampcra = \"hidden4711\"", "a string is not valid here, expected a table"),
        ("wampcra = { password = \"hidden4711\", salt = \"s\" }", "the salt has 1 octets"),
        ("wampcra = { key = \"hidden4711\", salt = \"saltsalt\" }", "key must be the base64 text"),
        (
            "wamp-scram = { kdf = \"md5\", iterations = 1, salt = \"\", password = \"hidden4711\" }",
            "expected",
        ),
        ("ticket = \"hidden4711\n", "string"),
    ] {
        let text = format!(
            "[[realms]]\nname = \"r\"\n[realms.authentication.wampcra]\n[[realms.principals]]\nauthid = \"a\"\nrole = \"b\"\n{table}\n"
        );
        let ended = check(&folder, &text);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{table}");
        assert!(ended.stderr.contains(shown), "{table}: {}", ended.stderr);
        assert!(!ended.stderr.contains("4711"), "{table}: {}", ended.stderr);
    }
}
