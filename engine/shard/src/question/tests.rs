//! Questions to procedures, asked of real shards whose callees speak JSON over RawSocket.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wampline_routing::ShardId;
use wampline_transports::server::{Options, Origins};
use wampline_wire::{Message, Serializer, Value};

use super::*;
use crate::{Action, Batch, Config, Lanes, Limits, Listener, ListenerId, Peer, Realm, Shared, ShutdownMode};

const REALM: RealmId = RealmId(0);
const SPAN: Duration = Duration::from_secs(5);

/// Two shards; the questions are asked on the first.
struct Pair {
    shards: Vec<Shard>,
    batches: VecDeque<(ShardId, ShardId, Batch)>,
    now: Now,
}

struct Row<'a>(ShardId, &'a mut VecDeque<(ShardId, ShardId, Batch)>);

impl Lanes for Row<'_> {
    fn push(&mut self, to: ShardId, batch: Batch) -> Result<(), Batch> {
        self.1.push_back((self.0, to, batch));
        Ok(())
    }
}

/// A client of a shard, and what it has been sent.
struct Client {
    shard: usize,
    key: ConnKey,
    heard: VecDeque<String>,
}

impl Pair {
    fn new(limits: Limits) -> Pair {
        let transport = Options {
            rawsocket: true,
            websocket: false,
            serializers: vec![Serializer::Json],
            paths: Vec::new(),
            origins: Origins::Any,
            assume_subprotocol: None,
            echo: false,
            cookie: None,
            message_bytes_max: 1 << 20,
        };
        let listener = Listener {
            transport: Arc::new(transport),
            tls: None,
            channel_binding: false,
            ping_interval: None,
            ping_timeout: SPAN,
            connections_max: None,
        };
        let (listeners, realms) = (vec![listener], vec![Realm::new("realm1")]);
        let templates = Vec::new();
        let config = Config { listeners, realms, templates, limits, agent: "test".into() };
        let shared = Shared::new(config, 2);
        let shards = (0..2).map(|n| Shard::new(ShardId(n), shared.clone(), u64::from(n), Now(0))).collect();
        Pair { shards, batches: VecDeque::new(), now: Now(0) }
    }

    /// Turns until nothing moves; what comes out for `client` is remembered.
    fn run(&mut self, clients: &mut [&mut Client]) {
        loop {
            let mut is_idle = true;
            for shard in 0..2 {
                for _ in 0..self.batches.len() {
                    let (from, to, batch) = self.batches.pop_front().unwrap();
                    if to.index() == shard {
                        self.shards[shard].batch(self.now, from, batch);
                        is_idle = false;
                    } else {
                        self.batches.push_back((from, to, batch));
                    }
                }
                let core = &mut self.shards[shard];
                core.expire(self.now);
                is_idle &= !core.end_turn(self.now);
                core.flush_lanes(&mut Row(ShardId(shard as u16), &mut self.batches));
                while let Some(action) = core.action(self.now) {
                    let Action::Send(key, output) = action else { continue };
                    let octets: Vec<u8> = output.slices().flatten().copied().collect();
                    let client = clients.iter_mut().find(|client| (client.shard, client.key) == (shard, key));
                    client.unwrap().take(&octets);
                    core.send_done(self.now, key, output);
                    is_idle = false;
                }
            }
            if is_idle && self.batches.is_empty() {
                return;
            }
        }
    }

    fn join(&mut self, shard: usize) -> Client {
        let key = self.shards[shard].accept(self.now, ListenerId(0), Peer::Unix);
        self.shards[shard].octets(self.now, key, &mut [0x7f, 0xf1, 0, 0]);
        let mut client = Client { shard, key, heard: VecDeque::new() };
        self.say(
            &mut client,
            r#"[1,"realm1",{"roles":{"callee":{"features":{"call_canceling":true}},"caller":{}}}]"#,
        );
        self.run(&mut [&mut client]);
        assert!(client.heard.pop_front().unwrap().starts_with("[2,"));
        client
    }

    fn say(&mut self, client: &mut Client, text: &str) {
        let mut octets = (text.len() as u32).to_be_bytes().to_vec();
        octets.extend_from_slice(text.as_bytes());
        self.shards[client.shard].octets(self.now, client.key, &mut octets);
    }

    /// A client on each of `shards` that has registered `com.auth`.
    fn callees<const N: usize>(&mut self, shards: [usize; N], options: &str) -> [Client; N] {
        shards.map(|shard| {
            let mut client = self.join(shard);
            self.say(&mut client, &format!(r#"[64,1,{options},"com.auth"]"#));
            self.run(&mut [&mut client]);
            assert!(client.heard.pop_front().unwrap().starts_with("[65,1,"));
            client
        })
    }

    fn ask(&mut self, number: u32) -> QuestionId {
        let arguments = PayloadBuf::from_values(Serializer::Json, &[Value::Uint(7)], &[]).unwrap();
        let purpose = Purpose::Test(number);
        let question = self.shards[0].ask(REALM, "com.auth", arguments.as_payload(), SPAN, purpose);
        assert!(self.shards[0].test_answers.is_empty(), "never before it has been asked");
        question
    }

    fn answers(&mut self) -> Vec<String> {
        let answers = std::mem::take(&mut self.shards[0].test_answers);
        answers.into_iter().map(|(number, answer)| format!("{number} {}", text(&answer))).collect()
    }

    /// Everybody goes; nothing is left.
    fn finish<const N: usize>(mut self, mut clients: [Client; N]) {
        for client in &mut clients {
            self.shards[client.shard].read_ended(self.now, client.key, true);
        }
        self.run(&mut clients.iter_mut().collect::<Vec<_>>());
        for shard in &self.shards {
            assert_eq!(shard.residue(), Vec::<String>::new());
            let counters = shard.counters();
            assert_eq!(counters.calls.load(Ordering::Relaxed), 0, "questions are no calls of sessions");
            assert_eq!(counters.call_errors.load(Ordering::Relaxed), 0);
            assert_eq!(counters.results.load(Ordering::Relaxed), 0);
            assert_eq!(counters.calls_timed_out.load(Ordering::Relaxed), 0);
            assert_eq!(counters.calls_pending.load(Ordering::Relaxed), 0);
        }
        assert!(self.answers().is_empty(), "each has one answer");
    }
}

impl Client {
    fn take(&mut self, mut octets: &[u8]) {
        if octets.starts_with(&[0x7f]) {
            octets = &octets[4..];
        }
        while let [0, a, b, c, rest @ ..] = octets {
            let (message, rest) = rest.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
            self.heard.push_back(String::from_utf8(message.to_vec()).unwrap());
            octets = rest;
        }
    }

    /// The request id of the INVOCATION that has come.
    fn invoked(&mut self) -> u64 {
        let text = self.heard.pop_front().expect("it is invoked");
        assert!(!text.contains("caller"), "{text}");
        let octets = text.clone().into_bytes();
        match Message::parse(Serializer::Json, &octets).unwrap() {
            Message::Invocation { request, payload, .. } => {
                let args: Vec<_> = payload.args().unwrap().iter().map(|value| value.as_u64()).collect();
                assert_eq!(args, [Some(7)]);
                request.get()
            }
            _ => panic!("{text}"),
        }
    }
}

fn text(answer: &QuestionAnswer) -> String {
    match answer {
        QuestionAnswer::Result(payload) => {
            let args = payload.as_payload().args();
            let args =
                args.iter().flat_map(|args| args.iter()).map(|value| value.as_str().unwrap().to_owned());
            format!("result {}", args.collect::<Vec<_>>().join(" "))
        }
        QuestionAnswer::Failed { error } => format!("failed {error}"),
        QuestionAnswer::TimedOut => "timed out".into(),
        QuestionAnswer::NobodyThere => "nobody there".into(),
    }
}

#[test]
fn a_question_has_the_result_of_its_callee() {
    for shard in 0..2 {
        let mut pair = Pair::new(Limits::default());
        let [mut callee] = pair.callees([shard], r#"{"disclose_caller":true}"#);
        pair.ask(1);
        pair.run(&mut [&mut callee]);
        assert!(pair.answers().is_empty());
        let request = callee.invoked();
        pair.say(&mut callee, &format!(r#"[70,{request},{{}},["yes"]]"#));
        pair.run(&mut [&mut callee]);
        assert_eq!(pair.answers(), ["1 result yes"]);
        pair.finish([callee]);
    }
}

#[test]
fn a_question_has_the_error_of_its_callee() {
    for shard in 0..2 {
        let mut pair = Pair::new(Limits::default());
        let [mut callee] = pair.callees([shard], "{}");
        pair.ask(1);
        pair.run(&mut [&mut callee]);
        let request = callee.invoked();
        pair.say(&mut callee, &format!(r#"[8,68,{request},{{}},"com.no"]"#));
        pair.run(&mut [&mut callee]);
        assert_eq!(pair.answers(), ["1 failed com.no"]);
        pair.finish([callee]);
    }
}

#[test]
fn a_question_that_nobody_answers_ends() {
    let mut pair = Pair::new(Limits::default());
    pair.ask(1);
    pair.run(&mut []);
    assert_eq!(pair.answers(), ["1 nobody there"]);
    pair.shards[0].ask(REALM, "wamp.session.list", Payload::NONE, SPAN, Purpose::Test(2));
    pair.run(&mut []);
    assert_eq!(pair.answers(), ["2 nobody there"]);
    pair.finish([]);
}

#[test]
fn a_question_ends_with_its_time_and_the_callee_is_told() {
    for shard in 0..2 {
        let mut pair = Pair::new(Limits::default());
        let [mut callee] = pair.callees([shard], "{}");
        pair.ask(1);
        pair.run(&mut [&mut callee]);
        let request = callee.invoked();
        pair.now = Now(SPAN.as_nanos() as u64 - 1);
        pair.run(&mut [&mut callee]);
        assert!(pair.answers().is_empty());
        pair.now = Now(SPAN.as_nanos() as u64);
        pair.run(&mut [&mut callee]);
        assert_eq!(pair.answers(), ["1 timed out"]);
        assert_eq!(callee.heard.pop_front().unwrap(), format!(r#"[69,{request},{{"mode":"killnowait"}}]"#));
        pair.say(&mut callee, &format!(r#"[70,{request},{{}},["late"]]"#));
        pair.run(&mut [&mut callee]);
        pair.finish([callee]);
    }
}

#[test]
fn a_question_ends_when_its_callee_leaves() {
    for shard in 0..2 {
        let mut pair = Pair::new(Limits::default());
        let [mut callee] = pair.callees([shard], "{}");
        pair.ask(1);
        pair.run(&mut [&mut callee]);
        pair.shards[shard].read_ended(pair.now, callee.key, true);
        pair.run(&mut [&mut callee]);
        assert_eq!(pair.answers(), ["1 failed wamp.error.canceled"]);
        pair.finish([]);
    }
}

#[test]
fn a_question_goes_to_another_callee() {
    for shards in [[0, 0], [0, 1], [1, 0], [1, 1]] {
        let mut pair = Pair::new(Limits::default());
        let [mut first, mut second] = pair.callees(shards, r#"{"invoke":"first"}"#);
        pair.ask(1);
        pair.run(&mut [&mut first, &mut second]);
        let request = first.invoked();
        pair.say(&mut first, &format!(r#"[8,68,{request},{{}},"wamp.error.unavailable"]"#));
        pair.run(&mut [&mut first, &mut second]);
        assert!(pair.answers().is_empty());
        let request = second.invoked();
        pair.say(&mut second, &format!(r#"[70,{request},{{}},["second"]]"#));
        pair.run(&mut [&mut first, &mut second]);
        assert_eq!(pair.answers(), ["1 result second"]);
        pair.finish([first, second]);
    }
}

#[test]
fn a_question_waits_for_a_callee_that_takes_one_at_a_time() {
    for shard in 0..2 {
        let mut pair = Pair::new(Limits::default());
        let [mut callee] = pair.callees([shard], r#"{"concurrency":1}"#);
        pair.ask(1);
        pair.ask(2);
        pair.run(&mut [&mut callee]);
        for number in 1..=2 {
            let request = callee.invoked();
            assert!(callee.heard.is_empty());
            pair.say(&mut callee, &format!(r#"[70,{request},{{}},["done"]]"#));
            pair.run(&mut [&mut callee]);
            assert_eq!(pair.answers(), [format!("{number} result done")]);
        }
        pair.finish([callee]);
    }
}

#[test]
fn a_question_that_is_withdrawn_has_no_answer() {
    for shard in 0..2 {
        let mut pair = Pair::new(Limits::default());
        let [mut callee] = pair.callees([shard], "{}");
        let question = pair.ask(1);
        pair.run(&mut [&mut callee]);
        let request = callee.invoked();
        pair.shards[0].withdraw(question);
        pair.shards[0].withdraw(question);
        pair.run(&mut [&mut callee]);
        assert_eq!(callee.heard.pop_front().unwrap(), format!(r#"[69,{request},{{"mode":"killnowait"}}]"#));
        // Another one uses the slot; who withdraws the first once more does not meet it.
        pair.ask(2);
        pair.shards[0].withdraw(question);
        pair.say(&mut callee, &format!(r#"[70,{request},{{}},["late"]]"#));
        pair.run(&mut [&mut callee]);
        let request = callee.invoked();
        pair.say(&mut callee, &format!(r#"[70,{request},{{}},["yes"]]"#));
        pair.run(&mut [&mut callee]);
        assert_eq!(pair.answers(), ["2 result yes"]);
        pair.finish([callee]);
    }
}

#[test]
fn questions_are_bounded() {
    let mut pair = Pair::new(Limits { questions_per_shard_max: 2, ..Limits::default() });
    let [mut callee] = pair.callees([1], "{}");
    let questions = [pair.ask(1), pair.ask(2), pair.ask(3)];
    let connection = ConnKey { slot: 0, guard: 0 };
    assert_eq!(pair.shards[0].ask_hook(0, Vec::new(), connection), None);
    pair.run(&mut [&mut callee]);
    assert_eq!(pair.answers(), ["3 failed wampline.error.limit_exceeded"]);
    for question in questions {
        pair.shards[0].withdraw(question);
    }
    assert!(pair.shards[0].ask_hook(0, Vec::new(), connection).is_some());
    pair.shards[0].hook_answered(pair.now, 1, Err(HookFailure::Unreachable));
    pair.run(&mut [&mut callee]);
    pair.finish([callee]);
}

#[test]
fn a_router_that_goes_down_asks_nothing() {
    let mut pair = Pair::new(Limits::default());
    let [mut callee] = pair.callees([1], "{}");
    pair.ask(1);
    pair.run(&mut [&mut callee]);
    let request = callee.invoked();
    for shard in &mut pair.shards {
        shard.shutdown(Now(0), ShutdownMode::Goodbye, SPAN);
    }
    pair.ask(2);
    pair.run(&mut [&mut callee]);
    assert_eq!(pair.answers(), ["2 failed wamp.error.canceled"]);
    // What was asked before still has its answer.
    pair.say(&mut callee, &format!(r#"[70,{request},{{}},["yes"]]"#));
    pair.run(&mut [&mut callee]);
    assert_eq!(pair.answers(), ["1 result yes"]);
    pair.finish([callee]);
}
