//! `docs/configuration.md` and the JSON Schema against the program and against each other.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use support::{check, folder, wampline};

const MANUAL: &str = include_str!("../../docs/configuration.md");

/// The tables of the configuration: heading in the manual, where the schema has it.
const TABLES: [(&str, &str); 11] = [
    ("[router]", "/properties/router"),
    ("[router.log]", "/properties/router/properties/log"),
    ("[limits]", "/properties/limits"),
    ("[[listeners]]", "/properties/listeners/items"),
    ("[listeners.tls]", "/properties/listeners/items/properties/tls"),
    ("[listeners.cookie]", "/properties/listeners/items/properties/cookie"),
    ("[[realms]]", "/properties/realms/items"),
    ("[realms.retained]", "/properties/realms/items/properties/retained"),
    ("[[realms.disclose]]", "/properties/realms/items/properties/disclose/items"),
    ("[[realms.trust_levels]]", "/properties/realms/items/properties/trust_levels/items"),
    ("[[realms.history]]", "/properties/realms/items/properties/history/items"),
];

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
    for (heading, pointer) in TABLES {
        let table = schema.pointer(pointer).unwrap_or_else(|| panic!("{heading}"));
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
    let mut expected: Vec<String> = TABLES.iter().map(|(_, pointer)| (*pointer).to_owned()).collect();
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
    let ended = check(&folder, example());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.ends_with("OK: 2 listeners, 2 realms\n"), "{}", ended.stdout);
}

#[test]
fn the_example_shows_every_key() {
    let (schema, example) = (schema(), example_as_json());
    for (heading, pointer) in TABLES {
        let shown = match heading {
            "[listeners.tls]" => &example["listeners"][0]["tls"],
            "[listeners.cookie]" => &example["listeners"][0]["cookie"],
            "[[listeners]]" => &example["listeners"][0],
            "[[realms]]" => &example["realms"][0],
            "[realms.retained]" => &example["realms"][0]["retained"],
            "[[realms.disclose]]" => &example["realms"][0]["disclose"][0],
            "[[realms.trust_levels]]" => &example["realms"][0]["trust_levels"][0],
            "[[realms.history]]" => &example["realms"][0]["history"][0],
            "[router.log]" => &example["router"]["log"],
            plain => &example[plain.trim_matches(['[', ']'])],
        };
        for key in schema.pointer(pointer).unwrap()["properties"].as_object().unwrap().keys() {
            assert!(shown.get(key).is_some(), "{heading} {key}");
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
