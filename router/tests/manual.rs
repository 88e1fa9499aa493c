//! `docs/configuration.md` and the JSON Schema against the program and against each other.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use support::{check, folder, wampline};

const MANUAL: &str = include_str!("../../docs/configuration.md");

/// The tables of the configuration, by their headings in the manual.
const TABLES: [&str; 35] = [
    "[router]",
    "[router.log]",
    "[limits]",
    "[[listeners]]",
    "[listeners.tls]",
    "[listeners.cookie]",
    "[[hooks]]",
    "[[realms]]",
    "[realms.retained]",
    "[realms.limits]",
    "[[realms.disclose]]",
    "[[realms.trust_levels]]",
    "[[realms.history]]",
    "[realms.authentication]",
    "[realms.authentication.anonymous]",
    "[realms.authentication.ticket]",
    "[realms.authentication.wampcra]",
    "[realms.authentication.wamp-scram]",
    "[realms.authentication.scram]",
    "[realms.authentication.cryptosign]",
    "[[realms.authentication.cryptosign.trust_roots]]",
    "[realms.authentication.tls]",
    "[[realms.authentication.tls.mappings]]",
    "[realms.authentication.cookie]",
    "[realms.authentication.jwt]",
    "[[realms.authentication.jwt.issuers]]",
    "[[realms.principals]]",
    "[realms.principals.wampcra]",
    "[realms.principals.wamp-scram]",
    "[realms.principals.scram]",
    "[realms.principals.tls]",
    "[[realms.roles]]",
    "[[realms.roles.permissions]]",
    "[realms.roles.permissions.validate]",
    "[realms.roles.authorizer]",
];

/// Keys that go in the place of others, which the example shows.
const ALTERNATIVES: [(&str, &str); 8] = [
    ("[realms.authentication.anonymous]", "authid"),
    ("[realms.authentication.anonymous]", "sources"),
    ("[[realms.authentication.jwt.issuers]]", "role"),
    ("[[realms.principals]]", "ticket_sha256"),
    ("[realms.principals.wampcra]", "secret"),
    ("[realms.principals.wampcra]", "password"),
    ("[realms.principals.wamp-scram]", "password"),
    ("[realms.principals.scram]", "password"),
];

/// Where the schema has the table of a heading.
fn pointer(heading: &str) -> String {
    let lists = [
        "listeners",
        "hooks",
        "realms",
        "disclose",
        "trust_levels",
        "history",
        "trust_roots",
        "mappings",
        "issuers",
        "principals",
        "roles",
        "permissions",
    ];
    let parts = heading.trim_matches(['[', ']']).split('.');
    let parts =
        parts.map(|part| format!("/properties/{part}{}", if lists.contains(&part) { "/items" } else { "" }));
    parts.collect()
}

/// The tables of a heading in the example.
fn shown<'a>(example: &'a Value, heading: &str) -> Vec<&'a Value> {
    let mut found = vec![example];
    for part in heading.trim_matches(['[', ']']).split('.') {
        found = found.into_iter().filter_map(|table| table.get(part)).collect();
        found = found
            .into_iter()
            .flat_map(|one| one.as_array().map_or(vec![one], |list| list.iter().collect()))
            .collect();
    }
    found
}

fn schema() -> Value {
    serde_json::from_str(&wampline(["schema"]).stdout).unwrap()
}

/// The example, as it stands in the manual.
fn example() -> &'static str {
    let (_, after) = MANUAL.split_once("```toml\n").unwrap();
    let (example, rest) = after.split_once("```").unwrap();
    assert!(!rest.contains("```toml"), "one example");
    example
}

fn example_as_json() -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(example()).unwrap()).unwrap()
}

/// Key, default and range of each row of the table under a heading.
fn rows(heading: &str) -> BTreeMap<&'static str, (&'static str, &'static str)> {
    let (_, section) =
        MANUAL.split_once(&format!("\n## `{heading}`\n")).unwrap_or_else(|| panic!("{heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "key, type, default, range, meaning and an end: {row}");
        assert!(!cells[1].is_empty() && !cells[4].is_empty(), "type and meaning: {row}");
        (cells[0].trim_end_matches('`'), (cells[2], cells[3]))
    });
    rows.collect()
}

#[test]
fn every_key_is_in_the_manual_with_its_default_and_range() {
    let schema = schema();
    for heading in TABLES {
        let table = schema.pointer(&pointer(heading)).unwrap_or_else(|| panic!("{heading}"));
        let mut rows = rows(heading);
        for (key, property) in table["properties"].as_object().unwrap() {
            if is_table(property) && heading == "[router]" {
                continue; // It has a section of its own.
            }
            let (default, range) =
                rows.remove(key.as_str()).unwrap_or_else(|| panic!("{heading} {key} is missing"));
            let expected = property.get("default").map(|default| format!("`{}`", spaced(default)));
            assert_eq!(default, expected.unwrap_or_default(), "default of {heading} {key}");
            let expected = property.get("x-range").and_then(Value::as_str).unwrap_or_default();
            assert_eq!(range, expected, "range of {heading} {key}");
        }
        assert!(rows.is_empty(), "{heading}: no such keys: {rows:?}");
    }
}

#[test]
fn no_table_of_the_schema_is_forgotten() {
    let schema = schema();
    let mut found = Vec::new();
    tables(&schema, String::new(), &mut found);
    found.sort();
    let mut expected: Vec<String> = TABLES.iter().map(|heading| pointer(heading)).collect();
    expected.sort();
    assert_eq!(found, expected);
}

fn tables(schema: &Value, pointer: String, found: &mut Vec<String>) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{pointer}/properties/{key}");
        let at = if property["items"]["properties"].is_object() { at + "/items" } else { at };
        let table = if at.ends_with("/items") { &property["items"] } else { property };
        if is_table(table) {
            found.push(at.clone());
            tables(table, at, found);
        }
    }
}

fn is_table(schema: &Value) -> bool {
    schema["properties"].is_object()
}

/// A JSON value with a space after each comma, as people write lists.
fn spaced(value: &Value) -> String {
    value.to_string().replace("\",\"", "\", \"")
}

#[test]
fn the_example_is_valid() {
    let folder = folder("manual");
    let key = KeyPair::generate().unwrap();
    let chain = CertificateParams::new(vec!["example.com".into()]).unwrap().self_signed(&key).unwrap();
    std::fs::create_dir_all(folder.join("tls")).unwrap();
    std::fs::write(folder.join("tls/chain.pem"), chain.pem()).unwrap();
    std::fs::write(folder.join("tls/key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("tls/devices.pem"), chain.pem()).unwrap();
    std::fs::create_dir_all(folder.join("secrets")).unwrap();
    std::fs::create_dir_all(folder.join("schemas")).unwrap();
    let seed = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    for (file, text) in [
        ("secrets/accounts.url", "https://accounts.example.com/authenticate\n"),
        ("secrets/accounts.token", "s3cret\n"),
        ("secrets/router.key", seed),
        ("secrets/joe", "a ticket\n"),
        ("secrets/token", "a secret that the issuer shares with us\n"),
        ("people.toml", "[[principal]]\nauthid = \"ann\"\nrole = \"guest\"\nticket = \"another ticket\"\n"),
        (
            "keys.json",
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
        ),
        (
            "issuer.pem",
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n",
        ),
        ("authorities.json", include_str!("authorities.json")),
        ("schemas/payment.json", "{}"),
        ("schemas/receipt.json", r#"{"properties": {"args": {"minItems": 1}}}"#),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    let ended = check(&folder, example());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.ends_with("OK: 2 listeners, 2 realms\n"), "{}", ended.stdout);
}

#[test]
fn the_example_shows_every_key() {
    let (schema, example) = (schema(), example_as_json());
    for heading in TABLES {
        let shown = shown(&example, heading);
        for key in schema.pointer(&pointer(heading)).unwrap()["properties"].as_object().unwrap().keys() {
            if ALTERNATIVES.contains(&(heading, key)) {
                continue;
            }
            assert!(shown.iter().any(|table| table.get(key).is_some()), "{heading} {key}");
        }
    }
}

#[test]
fn the_schema_accepts_the_example_and_refuses_variations() {
    let (schema, example) = (schema(), example_as_json());
    accepts(&schema, &example).unwrap();
    accepts(&schema, &json!({})).unwrap();
    for (pointer, value) in [
        ("/router/shards", json!(0)),
        ("/router/shards", json!("two")),
        ("/router/driver", json!("kqueue")),
        ("/router/pin", json!("yes")),
        ("/router/spin", json!(5)),
        ("/router/log/format", json!("xml")),
        ("/limits/message_bytes_max", json!(1)),
        ("/limits/calls_per_session_max", json!("many")),
        ("/listeners", json!([])),
        ("/listeners/0", json!({ "paths": ["/"] })),
        ("/listeners/0/protocols", json!(["http"])),
        ("/listeners/0/protocols", json!(["rawsocket", "rawsocket"])),
        ("/listeners/0/serializers", json!([])),
        ("/listeners/0/tls", json!({ "certificate": "a" })),
        ("/listeners/0/tls/channel_binding", json!("yes")),
        ("/listeners/0/cookie/same_site", json!("always")),
        ("/realms/0", json!({ "name": "a", "colour": "red" })),
        ("/realms/0/name", json!("")),
    ] {
        let mut wrong = example.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        accepts(&schema, &wrong).expect_err(pointer);
    }
}

/// As much of JSON Schema as the configuration's schema uses; a keyword that is not known here fails the test.
/// Patterns are not evaluated.
fn accepts(schema: &Value, value: &Value) -> Result<(), String> {
    let number = value.as_u64();
    for (keyword, wanted) in schema.as_object().unwrap() {
        let ok = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "x-range" | "pattern" | "format" => true,
            "type" => match wanted.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("unknown type {other}"),
            },
            "minimum" => number >= wanted.as_u64(),
            "maximum" => number <= wanted.as_u64(),
            "minLength" => value.as_str().is_some_and(|text| text.len() as u64 >= wanted.as_u64().unwrap()),
            "minItems" => value.as_array().is_some_and(|list| list.len() as u64 >= wanted.as_u64().unwrap()),
            "uniqueItems" => {
                let list = value.as_array().unwrap();
                list.iter().enumerate().all(|(i, one)| !list[..i].contains(one))
            }
            "items" => value.as_array().into_iter().flatten().all(|item| accepts(wanted, item).is_ok()),
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "anyOf" => wanted.as_array().unwrap().iter().any(|choice| accepts(choice, value).is_ok()),
            "required" => {
                wanted.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "additionalProperties" => {
                assert_eq!(wanted, false);
                let known = schema["properties"].as_object().unwrap();
                value.as_object().is_some_and(|table| table.keys().all(|key| known.contains_key(key)))
            }
            "properties" => wanted
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, schema)| value.get(key).is_none_or(|value| accepts(schema, value).is_ok())),
            other => panic!("unknown keyword {other}"),
        };
        if !ok {
            return Err(format!("{keyword} {wanted}: {value}"));
        }
    }
    Ok(())
}
