//! The official test vectors: every sample's octets are parsed and compared with the attributes that it
//! states, then written in every serializer and compared with the octets that it lists there. (The session
//! vector holds no octets.)
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::to_json;
use serde_json::{Value as Json, json};
use wampline_wire::{Dict, Message, Payload, Serializer};

#[test]
fn samples_parse_to_their_attributes_and_are_written_as_listed() {
    let mut parsed = 0;
    for (file, vector) in vectors() {
        for sample in vector["samples"].as_array().unwrap() {
            let Some(serializers) = sample.get("serializers") else { continue };
            let context = format!("{}: {}", file.display(), sample["description"]);
            for from in Serializer::ALL {
                for octets in variants(serializers, from) {
                    let message =
                        Message::parse(from, &octets).unwrap_or_else(|error| panic!("{context}: {error}"));
                    compare(&message, &sample["expected_attributes"], &context);
                    written_as_listed(&message, serializers, &context);
                    parsed += 1;
                }
            }
        }
    }
    assert!(parsed >= 80, "only {parsed} samples were found");
}

#[test]
fn message_lists_parse_whatever_their_options_say() {
    // What an option may be is not this crate's to judge, so the samples that are wrong only there parse.
    let mut parsed = 0;
    for (file, vector) in vectors() {
        for sample in vector["samples"].as_array().unwrap() {
            let Some(list) = sample.get("wmsg") else { continue };
            let octets = serde_json::to_vec(list).unwrap();
            let context = format!("{}: {}", file.display(), sample["description"]);
            let message =
                Message::parse(Serializer::Json, &octets).unwrap_or_else(|e| panic!("{context}: {e}"));
            let mut again = Vec::new();
            message.encode(Serializer::Json, &mut again).unwrap();
            assert_eq!(serde_json::from_slice::<Json>(&again).unwrap(), *list, "{context}");
            parsed += 1;
        }
    }
    assert!(parsed >= 60, "only {parsed} message lists were found");
}

fn vectors() -> Vec<(PathBuf, Json)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/singlemessage");
    let mut found = Vec::new();
    for profile in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(profile.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let vector = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            found.push((path, vector));
        }
    }
    found
}

fn variants(serializers: &Json, serializer: Serializer) -> Vec<Vec<u8>> {
    let listed = serializers[serializer.name()].as_array().expect("every sample lists every serializer");
    listed.iter().map(|variant| from_hex(variant["bytes_hex"].as_str().unwrap())).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn written_as_listed(message: &Message<'_>, serializers: &Json, context: &str) {
    for to in Serializer::ALL {
        let mut octets = b"before".to_vec();
        message.encode(to, &mut octets).unwrap();
        let octets = octets.strip_prefix(b"before").unwrap();
        let listed = variants(serializers, to);
        // Text that was passed through keeps the space that its sender wrote.
        let as_read = |octets: &[u8]| serde_json::from_slice::<Json>(octets).ok();
        let same = |variant: &Vec<u8>| {
            variant == octets || (to == Serializer::Json && as_read(variant) == as_read(octets))
        };
        assert!(listed.iter().any(same), "{context} in {}: {octets:02x?}", to.name());
    }
}

/// Compares each attribute that the vector names, and fails on a name that it does not know.
fn compare(message: &Message<'_>, expected: &Json, context: &str) {
    let actual = attributes(message);
    for (name, expected) in expected.as_object().unwrap() {
        assert_eq!(actual.get(name), Some(expected), "{context}: {name}");
    }
}

fn attributes(message: &Message<'_>) -> Json {
    let mut all = json!({ "message_type": message.message_type() as u16 });
    let mut set = |name: &str, value: Json| {
        all.as_object_mut().unwrap().insert(name.to_owned(), value);
    };
    let dict = |dict: &Dict<'_>| common::dict_to_json(dict);
    let payload_of = |payload: &Payload<'_>| {
        let opaque = payload.opaque();
        let args = payload.args().map_or(Json::Null, |list| list.iter().map(|v| to_json(&v)).collect());
        let hex = opaque.map(|octets| octets.iter().map(|o| format!("{o:02x}")).collect::<String>());
        [
            ("args", args),
            ("kwargs", payload.kwargs().map_or(Json::Null, |d| dict(&d))),
            ("payload", json!(hex)),
        ]
    };
    match message {
        Message::Hello { realm, details } => {
            set("realm", json!(realm));
            set("roles", to_json(&details.get("roles").unwrap()));
        }
        Message::Welcome { session, details } => {
            set("session_id", json!(session.get()));
            set("roles", to_json(&details.get("roles").unwrap()));
        }
        Message::Abort { details, reason, .. } | Message::Goodbye { details, reason } => {
            set("details", dict(details));
            set("reason", json!(reason));
        }
        Message::Challenge { method, extra } => {
            set("method", json!(method));
            set("extra", dict(extra));
        }
        Message::Authenticate { signature, extra } => {
            set("signature", json!(signature));
            set("extra", dict(extra));
        }
        Message::Error { request_type, request, details, error, payload } => {
            set("request_type", json!(*request_type as u8));
            set("request_id", json!(request.get()));
            set("details", dict(details));
            set("error", json!(error));
            payload_of(payload).into_iter().for_each(|(name, value)| set(name, value));
        }
        Message::Publish { request, options, topic: uri, payload }
        | Message::Call { request, options, procedure: uri, payload } => {
            set("request_id", json!(request.get()));
            set("options", dict(options));
            set("topic", json!(uri));
            set("procedure", json!(uri));
            payload_of(payload).into_iter().for_each(|(name, value)| set(name, value));
        }
        Message::Published { request, publication } => {
            set("request_id", json!(request.get()));
            set("publication_id", json!(publication.get()));
        }
        Message::Subscribe { request, options, topic: uri }
        | Message::Register { request, options, procedure: uri } => {
            set("request_id", json!(request.get()));
            set("options", dict(options));
            set("topic", json!(uri));
            set("procedure", json!(uri));
        }
        Message::Subscribed { request, subscription } | Message::Unsubscribe { request, subscription } => {
            set("request_id", json!(request.get()));
            set("subscription_id", json!(subscription.get()));
        }
        Message::Unsubscribed { request, .. } | Message::Unregistered { request, .. } => {
            set("request_id", json!(request.map(|r| r.get())));
        }
        Message::Event { subscription, publication, details, payload } => {
            set("subscription", json!(subscription.get()));
            set("publication", json!(publication.get()));
            set("details", dict(details));
            payload_of(payload).into_iter().for_each(|(name, value)| set(name, value));
        }
        Message::EventReceived { publication } => set("publication_id", json!(publication.get())),
        Message::Cancel { request, options } | Message::Interrupt { request, options } => {
            set("request_id", json!(request.get()));
            set("options", dict(options));
        }
        Message::Result { request, details: options, payload }
        | Message::Yield { request, options, payload } => {
            set("request_id", json!(request.get()));
            set("options", dict(options));
            set("details", dict(options));
            payload_of(payload).into_iter().for_each(|(name, value)| set(name, value));
        }
        Message::Registered { request, registration } | Message::Unregister { request, registration } => {
            set("request_id", json!(request.get()));
            set("registration_id", json!(registration.get()));
        }
        Message::Invocation { request, registration, details, payload } => {
            set("request_id", json!(request.get()));
            set("registration_id", json!(registration.get()));
            set("details", dict(details));
            payload_of(payload).into_iter().for_each(|(name, value)| set(name, value));
        }
    }
    all
}
