//! Property tests against libraries that are not ours: serde_json, rmpv and minicbor.
#![allow(clippy::unwrap_used)]

mod common;

use std::borrow::Cow;

use common::{Tree, any_entries, any_tree, call, decode, encode, from_dict, from_list};
use proptest::prelude::*;
use wampline_wire::{Dict, List, Message, PayloadBuf, RequestId, Serializer, Value};

fn any_serializer() -> impl Strategy<Value = Serializer> {
    prop::sample::select(Serializer::ALL.to_vec())
}

fn any_arguments() -> impl Strategy<Value = (Vec<Tree>, Vec<(String, Tree)>)> {
    (prop::collection::vec(any_tree(), 0..4), any_entries(any_tree()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_others_write_we_read_the_same((args, kwargs) in any_arguments(), from in any_serializer()) {
        let octets = encode(&call(args.clone(), kwargs.clone()), from);
        let Ok(Message::Call { payload, options, .. }) = Message::parse(from, &octets) else {
            panic!("refused: {:?}", Message::parse(from, &octets));
        };
        prop_assert!(options.is_empty());
        prop_assert_eq!(from_list(&payload.args().unwrap()).unwrap(), Tree::List(args));
        prop_assert_eq!(from_dict(&payload.kwargs().unwrap()).unwrap(), Tree::Dict(kwargs));
    }

    #[test]
    fn what_we_transcode_others_read_the_same(
        (args, kwargs) in any_arguments(), from in any_serializer(), to in any_serializer()
    ) {
        let tree = call(args, kwargs);
        let octets = encode(&tree, from);
        let message = Message::parse(from, &octets).unwrap();
        let mut written = Vec::new();
        message.encode(to, &mut written).unwrap();
        prop_assert_eq!(decode(&written, to).expect("another library reads it"), tree);
        // What was written is a message again, to us as well.
        prop_assert!(Message::parse(to, &written).is_ok());
        // A payload that waits becomes the same octets.
        let Message::Call { payload, .. } = message else { unreachable!() };
        let waited = payload.to_buf().transcode(to).unwrap();
        let mut again = Vec::new();
        with_payload(&waited).encode(to, &mut again).unwrap();
        prop_assert_eq!(again, written);
    }

    #[test]
    fn values_that_we_write_others_read_the_same((args, kwargs) in any_arguments(), to in any_serializer()) {
        let values: Vec<Built<'_>> = args.iter().map(Built::new).collect();
        let args_values: Vec<Value<'_>> = values.iter().map(Built::value).collect();
        let entries: Vec<(&str, Built<'_>)> = kwargs.iter().map(|(k, v)| (k.as_str(), Built::new(v))).collect();
        let kwargs_values: Vec<(&str, Value<'_>)> = entries.iter().map(|(k, v)| (*k, v.value())).collect();
        let payload = PayloadBuf::from_values(to, &args_values, &kwargs_values).unwrap();
        let mut written = Vec::new();
        with_payload(&payload).encode(to, &mut written).unwrap();
        let Tree::List(mut expected) = call(args.clone(), kwargs.clone()) else { unreachable!() };
        if kwargs.is_empty() {
            expected.pop();
            if args_values.is_empty() {
                expected.pop();
            }
        }
        prop_assert_eq!(decode(&written, to).unwrap(), Tree::List(expected));
    }

    #[test]
    fn options_are_read_and_rewritten_the_same(entries in any_entries(any_tree()), from in any_serializer(),
        to in any_serializer()) {
        let tree = Tree::List(vec![
            Tree::Uint(64), Tree::Uint(1), Tree::Dict(entries.clone()), Tree::Str("a.b".to_owned()),
        ]);
        let octets = encode(&tree, from);
        let message = Message::parse(from, &octets).unwrap();
        let Message::Register { options, .. } = &message else { panic!("another message") };
        for (key, value) in &entries {
            let found = options.get(key).map(|found| common::from_value(&found).unwrap());
            prop_assert_eq!(found.unwrap_or(Tree::Null), value.clone());
        }
        prop_assert_eq!(options.is_empty(), entries.is_empty());
        let mut written = Vec::new();
        message.encode(to, &mut written).unwrap();
        prop_assert_eq!(decode(&written, to).unwrap(), tree);
    }

    #[test]
    fn arbitrary_octets_never_panic_and_are_judged_as_others_judge_them(
        octets in prop::collection::vec(any::<u8>(), 0..200), serializer in any_serializer()
    ) {
        if Message::parse(serializer, &octets).is_ok() {
            prop_assert!(decode(&octets, serializer).is_some());
        }
    }

    #[test]
    fn text_made_of_json_pieces_never_panics_and_is_judged_as_others_judge_it(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "[", "]", "{", "}", ",", ":", " ", "\"a\"", "\"\\ud800\"", "\"\\ud83d\\ude00\"", "1", "-0", "1.5e3", "1e999",
            "01", "true", "null", "nul", "\"", "\\", "\u{7f}", "é",
        ]), 0..30)
    ) {
        let text = format!("[16,1,{{}},\"a.b\",[{}]]", pieces.concat());
        if Message::parse(Serializer::Json, text.as_bytes()).is_ok() {
            prop_assert!(decode(text.as_bytes(), Serializer::Json).is_some(), "{}", text);
        }
    }
}

/// The message that [`call`] builds, with another payload.
fn with_payload(payload: &PayloadBuf) -> Message<'_> {
    Message::Call {
        request: RequestId::new(7_814_135).unwrap(),
        options: Dict::EMPTY,
        procedure: Cow::Borrowed("com.myapp.myprocedure1"),
        payload: payload.as_payload(),
    }
}

/// What a [`Value`] of a tree borrows: the values inside.
enum Built<'a> {
    Leaf(Value<'a>),
    List(Vec<Value<'a>>),
    Dict(Vec<(&'a str, Value<'a>)>),
}

impl<'a> Built<'a> {
    fn new(tree: &'a Tree) -> Built<'a> {
        // Values inside are leaked: they are borrowed by each other, and a test ends soon.
        match tree {
            Tree::Null => Built::Leaf(Value::Null),
            Tree::Bool(value) => Built::Leaf(Value::Bool(*value)),
            Tree::Uint(value) => Built::Leaf(Value::Uint(*value)),
            Tree::Int(value) => Built::Leaf(Value::Int(*value)),
            Tree::Float(value) => Built::Leaf(Value::Float(*value)),
            Tree::Str(text) => Built::Leaf(Value::Str(Cow::Borrowed(text))),
            Tree::Bytes(octets) => Built::Leaf(Value::Bytes(Cow::Borrowed(octets))),
            Tree::List(items) => Built::List(items.iter().map(Built::leaked).collect()),
            Tree::Dict(entries) => {
                Built::Dict(entries.iter().map(|(k, v)| (k.as_str(), Built::leaked(v))).collect())
            }
        }
    }

    fn leaked(tree: &'a Tree) -> Value<'a> {
        Box::leak(Box::new(Built::new(tree))).value()
    }

    fn value<'b>(&'b self) -> Value<'b> {
        match self {
            Built::Leaf(value) => value.clone(),
            Built::List(items) => Value::List(List::items(items)),
            Built::Dict(pairs) => Value::Dict(Dict::pairs(pairs)),
        }
    }
}
