//! From validated JSON to what another writer writes.
//!
//! The text is copied, because simd-json works in place, and its tape, which knows the length of each list
//! and dict, is walked once. What the tape cannot hold, integers beyond 64 bits, makes the whole value take
//! the second path: two passes over the text itself, one that counts and one that writes.

use std::cell::RefCell;

use simd_json::{Buffers, Node, StaticNode, Tape};

use super::{
    number::{self, Number},
    read,
    scan::{Scanner, after_literal},
    string::{self, Span},
};
use crate::{
    EncodeError, bignum,
    nesting::{Frame, FrameKind, Frames},
    writer::Writer,
};

/// Text that validation would have refused: none that a message holds.
const INVALID: EncodeError = EncodeError("malformed JSON");

/// Working memory above this many octets of text is given back after use.
const KEPT_OCTETS_MAX: usize = 1 << 18;

/// What simd-json works in, kept from value to value.
struct Workspace {
    text: Vec<u8>,
    buffers: Buffers,
    tape: Option<Tape<'static>>,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> =
        RefCell::new(Workspace { text: Vec::new(), buffers: Buffers::new(0), tape: None });
}

/// Appends the value that `octets` are.
pub(crate) fn transcode<W: Writer>(octets: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    WORKSPACE.with_borrow_mut(|workspace| {
        let Workspace { text, buffers, tape: kept } = workspace;
        text.clear();
        text.extend_from_slice(octets);
        let mut tape = kept.take().unwrap_or_else(Tape::null).reset();
        let written = match simd_json::fill_tape(text, buffers, &mut tape) {
            Ok(()) => write_tape::<W>(&tape.0, out),
            Err(_) => write_text::<W>(octets, out),
        };
        *kept = Some(tape.reset());
        if octets.len() > KEPT_OCTETS_MAX {
            *workspace = Workspace { text: Vec::new(), buffers: Buffers::new(0), tape: None };
        }
        written
    })
}

/// Appends the value that the tape holds.
fn write_tape<W: Writer>(tape: &[Node<'_>], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut open = Frames::new();
    let mut frame = Frame::WRAPPER;
    for node in tape {
        let step = frame.take();
        if !step.first && (step.key || frame.kind == FrameKind::List) {
            W::separator(out);
        }
        let inner = match *node {
            Node::String(key) if step.key => {
                W::key(out, key.as_bytes())?;
                None
            }
            Node::String(text) => {
                write_string::<W>(text, out)?;
                None
            }
            Node::Static(value) => {
                match value {
                    StaticNode::Null => W::null(out),
                    StaticNode::Bool(value) => W::bool(out, value),
                    StaticNode::I64(value) => W::int(out, value),
                    StaticNode::U64(value) => W::uint(out, value),
                    StaticNode::F64(value) => W::f64(out, value)?,
                }
                None
            }
            Node::Array { len, .. } => {
                W::begin_list(out, len)?;
                Some(Frame::list(len as u64))
            }
            Node::Object { len, .. } => {
                W::begin_dict(out, len)?;
                Some(Frame::dict(len as u64))
            }
        };
        if let Some(inner) = inner {
            open.push(frame);
            frame = inner;
        }
        while frame.is_done() {
            end::<W>(&frame, out);
            match open.pop() {
                Some(outer) => frame = outer,
                None => return Ok(()),
            }
        }
    }
    Err(INVALID)
}

#[inline]
fn end<W: Writer>(frame: &Frame, out: &mut Vec<u8>) {
    match frame.kind {
        FrameKind::List => W::end_list(out),
        FrameKind::Dict => W::end_dict(out),
        FrameKind::Wrapper => {}
    }
}

/// Appends a string, or the octets that it stands for.
#[inline]
fn write_string<W: Writer>(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match read::binary(text) {
        Some(octets) => W::bytes(out, &octets),
        None => W::string(out, text.as_bytes()),
    }
}

/// A piece of validated text.
enum Token {
    Open(FrameKind),
    Close,
    String(Span),
    Number,
    True,
    False,
    Null,
}

/// Moves past the next token and what separates it from the one before. The text is validated, so that
/// commas and colons need no look.
fn next_token(scanner: &mut Scanner<'_>) -> Result<Token, EncodeError> {
    while matches!(scanner.peek(), b' ' | b'\n' | b'\t' | b'\r' | b',' | b':') {
        scanner.at += 1;
    }
    let token = match scanner.peek() {
        b'"' => return Ok(Token::String(string::scan(scanner)?)),
        b'-' | b'0'..=b'9' => return Ok(Token::Number),
        b'[' => Token::Open(FrameKind::List),
        b'{' => Token::Open(FrameKind::Dict),
        b']' | b'}' => Token::Close,
        b't' => Token::True,
        b'f' => Token::False,
        b'n' => Token::Null,
        _ => return Err(INVALID),
    };
    scanner.at = match token {
        Token::True | Token::False | Token::Null => after_literal(scanner.octets, scanner.at)?,
        _ => scanner.at + 1,
    };
    Ok(token)
}

/// Appends the value that `octets` are, without the tape.
fn write_text<W: Writer>(octets: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut counts = counts(octets)?.into_iter();
    let mut scanner = Scanner::new(octets, 0);
    let mut open = Frames::new();
    let mut frame = Frame::WRAPPER;
    loop {
        let token = next_token(&mut scanner)?;
        if matches!(token, Token::Close) {
            end::<W>(&frame, out);
            frame = open.pop().ok_or(INVALID)?;
        } else {
            let step = frame.take();
            if !step.first && (step.key || frame.kind == FrameKind::List) {
                W::separator(out);
            }
            match token {
                Token::Open(kind) => {
                    let count = counts.next().ok_or(INVALID)?;
                    match kind {
                        FrameKind::Dict => W::begin_dict(out, count)?,
                        _ => W::begin_list(out, count)?,
                    }
                    open.push(frame);
                    frame = Frame::until_break(kind);
                }
                Token::String(span) => {
                    let text = read::text(&octets[span.start..span.end], span.escaped);
                    if step.key { W::key(out, text.as_bytes())? } else { write_string::<W>(&text, out)? }
                }
                Token::Number => write_number::<W>(&mut scanner, out)?,
                Token::True => W::bool(out, true),
                Token::False => W::bool(out, false),
                Token::Null | Token::Close => W::null(out),
            }
        }
        if frame.is_done() {
            return Ok(());
        }
    }
}

fn write_number<W: Writer>(scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = scanner.at;
    match number::read(scanner)? {
        Number::Uint(value) => W::uint(out, value),
        Number::Int(value) => W::int(out, value),
        Number::Float(value) => W::f64(out, value)?,
        Number::Huge => {
            let (negative, magnitude) = bignum::from_decimal(&scanner.octets[start..scanner.at]);
            W::bignum(out, negative, &magnitude)?;
        }
    }
    Ok(())
}

/// How many values or entries the lists and dicts have, in the order in which they begin.
fn counts(octets: &[u8]) -> Result<Vec<usize>, EncodeError> {
    let mut counts = Vec::new();
    // Where the counts of the open lists and dicts are, and which are dicts.
    let mut open: Vec<(usize, FrameKind)> = Vec::new();
    let mut scanner = Scanner::new(octets, 0);
    loop {
        let token = next_token(&mut scanner)?;
        if let (Some((slot, _)), false) = (open.last(), matches!(token, Token::Close)) {
            counts[*slot] += 1;
        }
        match token {
            Token::Open(kind) => {
                open.push((counts.len(), kind));
                counts.push(0);
            }
            Token::Close => {
                if let Some((slot, FrameKind::Dict)) = open.pop() {
                    counts[slot] /= 2;
                }
            }
            Token::Number => drop(number::read(&mut scanner)?),
            Token::String(_) | Token::True | Token::False | Token::Null => {}
        }
        if open.is_empty() {
            return Ok(counts);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;
    use crate::{cbor::CborWriter, msgpack::MsgPackWriter};

    fn any_json() -> impl Strategy<Value = Json> {
        let text = prop_oneof![
            prop::collection::vec(any::<char>(), 0..12)
                .prop_map(|text| String::from_iter(text).trim_start_matches('\0').to_owned()),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(|o| {
                use base64::Engine as _;
                format!("\0{}", base64::engine::general_purpose::STANDARD.encode(o))
            }),
        ];
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            prop::num::f64::NORMAL.prop_map(Json::from),
            prop::num::f64::SUBNORMAL.prop_map(Json::from),
            text.clone().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::vec((text.clone(), inner), 0..6)
                    .prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        })
    }

    fn by_tape<W: Writer>(text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        let tape = simd_json::to_tape(&mut text).unwrap();
        let mut out = Vec::new();
        write_tape::<W>(&tape.0, &mut out).unwrap();
        out
    }

    fn by_text<W: Writer>(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_text::<W>(text, &mut out).unwrap();
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_paths_write_the_same(json in any_json(), pretty in any::<bool>()) {
            let write = if pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
            let text = write(&json).unwrap();
            prop_assert_eq!(by_tape::<MsgPackWriter>(&text), by_text::<MsgPackWriter>(&text));
            prop_assert_eq!(by_tape::<CborWriter>(&text), by_text::<CborWriter>(&text));
        }

        #[test]
        fn the_tape_reads_decimal_floats_as_the_standard_library_does(
            digits in "-?(0|[1-9][0-9]{0,24})\\.[0-9]{1,24}(e-?[0-9]{1,3})?"
        ) {
            prop_assume!(digits.parse::<f64>().unwrap().is_finite());
            prop_assert_eq!(by_tape::<MsgPackWriter>(digits.as_bytes()), by_text::<MsgPackWriter>(digits.as_bytes()));
        }
    }

    #[test]
    fn the_tape_takes_every_number_that_the_scanner_accepts_or_leaves_it_to_the_text() {
        for number in [
            "0",
            "-0",
            "-0.0",
            "1e5",
            "1E+05",
            "9223372036854775807",
            "-9223372036854775808",
            "1e-400",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890.5",
            "2.2250738585072011e-308",
            "1.7976931348623157e308",
            "0.000000000000000000000000000000000000000001e42",
        ] {
            let mut out = Vec::new();
            transcode::<CborWriter>(number.as_bytes(), &mut out).unwrap();
            assert_eq!(out, by_text::<CborWriter>(number.as_bytes()), "{number}");
        }
    }

    #[cfg(not(miri))] // For its size.
    #[test]
    fn working_memory_is_given_back_after_large_values() {
        let large = format!("[{}1]", "1,".repeat(KEPT_OCTETS_MAX));
        let mut out = Vec::new();
        transcode::<MsgPackWriter>(large.as_bytes(), &mut out).unwrap();
        assert_eq!(out.len(), 5 + KEPT_OCTETS_MAX + 1);
        WORKSPACE
            .with_borrow(|workspace| assert!(workspace.text.capacity() == 0 && workspace.tape.is_none()));
        transcode::<MsgPackWriter>(b"[1]", &mut out).unwrap();
        WORKSPACE.with_borrow(|workspace| assert!(workspace.tape.is_some()));
    }
}
