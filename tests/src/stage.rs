//! Transcripts: who sends what, and who must then hear what and nothing else.
//!
//! ```text
//! a> [32, 1, {}, "com.topic"]            a sends; consecutive messages of one client go out in one write
//! a< [33, 1, $s]                         the next thing that a hears, exactly; $s is bound, and later compared
//! b> [16, 1, {"acknowledge": true}, "com.topic", [7]]
//! b< [17, 1, $p]
//! a< [36, $s, $p, {}, [7]]               {..., "k": 1} allows more keys; $_ is anything
//! ```
//!
//! A client joins `realm1` when it is first heard of; `$session_a` and `$authid_a` are then bound. Other lines:
//! `a joins [as AUTHROLE] [ROLE.FEATURE...]`, `a serves PROCEDURE [in REALM] [as AUTHROLE] [shared] [ROLE.FEATURE...]` (`$a` is then bound
//! to the registration), `a connects [json|msgpack|cbor] [rawsocket|websocket]
//! [length N] [from ADDRESS|unix]`, `a connected` (nothing has come, and it is still open), `a octets HEX` (past all framing), `a message HEX`, `a closed [CODE]`, `a eof`, `a breaks`, `a freezes`, `a thaws`,
//! `hook asked BODY`, `hook answers BODY`, `hook is dead`, `hook is slow`, `a pings`, `a pong`, `wait 500ms`, `shutdown goodbye|restart SPAN`, `counted NAME N`, `# comment`.
//!
//! Every transcript runs on one shard and on two, with its clients together and apart, in several serializers and transports. At its
//! end nobody may have heard anything more, and when all have left nothing may be left of them.

mod layout;
mod serving;
mod text;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use wampline_shard::{Config, Counters, HookFailure, Now, ShutdownMode};

use crate::config;
use crate::peer::{Heard, Peer};
use crate::world::{End, LaneBounds, LinkId, World};
pub use layout::Layout;

/// Plays a transcript in every layout.
///
/// # Panics
/// If something else happens than it says.
pub fn play(transcript: &str) {
    play_with(|_| {}, transcript);
}

/// Plays a transcript in every layout, with a configuration of its own.
///
/// # Panics
/// If something else happens than it says.
pub fn play_with(configure: impl Fn(&mut Config), transcript: &str) {
    for mut stage in stages(configure) {
        stage.play(transcript);
        stage.finish();
    }
}

/// A stage in every layout, for tests that are more than a transcript.
pub fn stages(configure: impl Fn(&mut Config)) -> impl Iterator<Item = Stage> {
    // Miri, which is a thousand times slower, has time for two: one shard and two, every serializer, both framings.
    let (first, step) = if cfg!(miri) { (1, 3) } else { (0, 1) };
    Layout::ALL.iter().skip(first).step_by(step).map(move |layout| {
        let mut config = config::config();
        configure(&mut config);
        Stage::new(layout, config)
    })
}

/// Shards and named clients.
#[derive(Debug)]
pub struct Stage {
    /// Where they are.
    pub world: World,
    /// Who is where, and what they speak.
    pub layout: &'static Layout,
    clients: BTreeMap<String, Client>,
    bound: BTreeMap<String, Value>,
    /// Whose messages are queued and not sent.
    writing: Option<String>,
    /// What is being played, for messages of failure.
    line: String,
}

#[derive(Debug)]
struct Client {
    peer: Peer,
    link: LinkId,
    inbox: VecDeque<Heard>,
    /// The end has been expected or brought about.
    is_over: bool,
}

/// Time given to peers that neither close nor read when a transcript ends.
const PATIENCE: Duration = Duration::from_secs(60);

impl Stage {
    /// An empty stage.
    pub fn new(layout: &'static Layout, config: Config) -> Stage {
        let bounds = LaneBounds { batches: layout.lane_batches, octets: 4 << 20 };
        Stage {
            world: World::new(config, layout.shards, bounds, 1),
            layout,
            clients: BTreeMap::new(),
            bound: BTreeMap::new(),
            writing: None,
            line: String::new(),
        }
    }

    /// Plays lines.
    ///
    /// # Panics
    /// If something else happens than they say.
    pub fn play(&mut self, transcript: &str) {
        for line in
            transcript.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            self.line = line.to_owned();
            self.play_line(line);
        }
        self.flush();
    }

    /// The value that a name is bound to.
    ///
    /// # Panics
    /// If it is not bound.
    pub fn bound(&self, name: &str) -> u64 {
        self.bound
            .get(name)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| self.fail(&format!("{name} is not bound")))
    }

    /// Takes the next message that a client has heard.
    pub fn hear(&mut self, name: &str) -> Option<Value> {
        self.flush();
        match self.client(name).inbox.pop_front() {
            Some(Heard::Message(message)) => Some(message),
            Some(other) => self.fail(&format!("{name} heard {other:?}")),
            None => None,
        }
    }

    /// A client sends a message.
    pub fn say(&mut self, name: &str, message: &Value) {
        if self.writing.as_deref() != Some(name) {
            self.flush();
        }
        self.appear(name, &[]);
        self.client(name).peer.send(message);
        self.writing = Some(name.to_owned());
    }

    /// The connection of a client.
    pub fn link(&mut self, name: &str) -> LinkId {
        self.client(name).link
    }

    /// A counter, over all shards.
    pub fn counted(&self, which: impl Fn(&Counters) -> u64) -> u64 {
        self.world.shared.counters.iter().map(which).sum()
    }

    /// Nobody has heard anything more; when all have left, nothing is left.
    ///
    /// # Panics
    /// If that is not so.
    pub fn finish(mut self) {
        self.line = "the end".into();
        self.flush();
        let names: Vec<String> = self.clients.keys().cloned().collect();
        for name in &names {
            let client = &self.clients[name];
            if !client.inbox.is_empty() {
                self.fail(&format!("{name} has heard more: {:?}", client.inbox));
            }
            if !client.is_over && self.world.links[client.link].closed.is_some() {
                self.fail(&format!("the connection of {name} is closed"));
            }
        }
        for name in &names {
            let link = self.clients[name].link;
            self.world.links[link].credit = None;
            self.world.end(link, End::Eof);
        }
        self.pass(PATIENCE);
        for (id, shard) in self.world.shards.iter().enumerate() {
            let residue = shard.residue();
            if !residue.is_empty() {
                self.fail(&format!("residue on shard {id}: {residue:?}"));
            }
        }
    }

    /// Sends what is queued and lets everything arrive.
    pub fn flush(&mut self) {
        self.writing = None;
        loop {
            for client in self.clients.values_mut() {
                let octets = client.peer.take_output();
                self.world.send(client.link, &octets);
            }
            self.settle();
            if !self.collect() {
                return;
            }
        }
    }

    /// Lets time pass; clients read and answer whenever a deadline comes up.
    ///
    /// # Panics
    /// If the world does not come to rest.
    pub fn pass(&mut self, span: Duration) {
        self.flush();
        let until = self.world.now + span.as_nanos() as u64;
        while let Some(next) = self.world.next_deadline().filter(|next| *next <= until) {
            self.world.now = next.max(self.world.now);
            self.flush();
        }
        self.world.now = until;
        self.flush();
    }

    fn settle(&mut self) {
        // For Miri a tenth is enough.
        for _ in 0..if cfg!(miri) { self.layout.disorder / 10 } else { self.layout.disorder } {
            let shard = self.world.random.usize(..self.world.shards.len());
            self.world.chaotic_turn(shard);
        }
        if let Err(error) = self.world.settle() {
            self.fail(&error);
        }
    }

    /// Reads what has arrived at the clients. Returns whether one of them has something to send because of it.
    fn collect(&mut self) -> bool {
        let mut answers = false;
        let mut failure = None;
        for (name, client) in &mut self.clients {
            match client.peer.receive(&self.world.read(client.link)) {
                Ok(heard) => client.inbox.extend(heard.into_iter().filter(|heard| *heard != Heard::Open)),
                Err(error) => failure = Some(format!("{name}: {error}")),
            }
            answers |= client.peer.has_output() && self.world.links[client.link].closed.is_none();
        }
        if let Some(failure) = failure {
            self.fail(&failure);
        }
        answers
    }

    fn play_line(&mut self, line: &str) {
        if let Some((name, message)) = line.split_once("> ").filter(|(name, _)| !name.contains(' ')) {
            let message = self.fill(text::parse(message).unwrap_or_else(|error| self.fail(&error)));
            return self.say(name, &message);
        }
        if let Some((name, message)) = line.split_once("< ").filter(|(name, _)| !name.contains(' ')) {
            let expected = text::parse(message).unwrap_or_else(|error| self.fail(&error));
            return self.expect(name, &expected);
        }
        self.flush();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["wait", span] => self.pass(self.span(span)),
            ["shutdown", mode, span] => self.shutdown(mode, self.span(span)),
            ["hook", "asked", ..] => self.expect_question(line),
            ["hook", "answers", ..] => {
                let body = line.split_once("answers ").map_or("", |(_, body)| body);
                self.answer_hook(Ok(body.into()));
            }
            ["hook", "is", "dead"] => self.answer_hook(Err(HookFailure::Unreachable)),
            ["hook", "is", "slow"] => self.answer_hook(Err(HookFailure::TimedOut)),
            ["counted", name, count] => self.check_counter(name, count),
            [name, "joins", "as", role, ref features @ ..] => {
                self.appear_as(name, "realm1", Some(role), features);
            }
            [name, "joins", ref features @ ..] => self.appear(name, features),
            [name, "serves", procedure, ref words @ ..] => self.serve(name, procedure, words),
            [name, "connects", ..] => self.connect(name, &words[2..]),
            [name, "octets", hex] => self.client(name).peer.send_raw(&text::hex(hex)),
            [name, "message", hex] => self.client(name).peer.send_octets(&text::hex(hex)),
            [name, "connected"] => self.expect_connected(name),
            [name, "closed", ..] => self.expect_closed(name, words.get(2).copied()),
            [name, "eof"] => self.end(name, End::Eof),
            [name, "breaks"] => self.end(name, End::Broken),
            [name, "freezes"] => self.credit(name, Some(0)),
            [name, "thaws"] => self.credit(name, None),
            [name, "pings"] => self.client(name).peer.ping(b"beat"),
            [name, "pong"] => self.expect_pong(name),
            _ => self.fail("this line is not understood"),
        }
    }

    fn expect(&mut self, name: &str, expected: &Value) {
        self.flush();
        let heard = self.client(name).inbox.pop_front();
        let Some(Heard::Message(message)) = heard else {
            let closed = self.world.links[self.clients[name].link].closed;
            self.fail(&format!("{name} heard {heard:?} (closed: {closed:?})"));
        };
        let mut bound = std::mem::take(&mut self.bound);
        let matches = text::matches(expected, &message, &mut bound);
        self.bound = bound;
        if !matches {
            self.fail(&format!("{name} heard {message}"));
        }
    }

    /// The oldest question to a hook that has no answer has this body.
    fn expect_question(&mut self, line: &str) {
        let expected = line.split_once("asked ").map_or("", |(_, body)| body);
        let expected = text::parse(expected).unwrap_or_else(|error| self.fail(&error));
        let Some((_, question)) = self.world.asked.first() else { self.fail("no hook is asked") };
        let body: Value = serde_json::from_slice(&question.body).unwrap_or_default();
        let mut bound = std::mem::take(&mut self.bound);
        let matches = text::matches(&expected, &body, &mut bound);
        self.bound = bound;
        if !matches {
            self.fail(&format!("hook {} is asked {body}", question.hook));
        }
    }

    fn answer_hook(&mut self, answer: Result<Vec<u8>, HookFailure>) {
        if self.world.asked.is_empty() {
            self.fail("no hook is asked");
        }
        let (shard, question) = self.world.asked.remove(0);
        let now = Now(self.world.now);
        self.world.shards[shard].hook_answered(now, question.id, answer);
        self.flush();
    }

    fn expect_connected(&mut self, name: &str) {
        let client = self.client(name);
        let (link, heard) = (client.link, client.inbox.clone());
        if !heard.is_empty() || self.world.links[link].closed.is_some() {
            self.fail(&format!("{name} heard {heard:?}, closed: {:?}", self.world.links[link].closed));
        }
    }

    fn expect_pong(&mut self, name: &str) {
        match self.client(name).inbox.pop_front() {
            Some(Heard::Pong(payload)) if payload == b"beat" => {}
            other => self.fail(&format!("{name} heard {other:?}")),
        }
    }

    fn expect_closed(&mut self, name: &str, code: Option<&str>) {
        let client = self.client(name);
        client.is_over = true;
        let link = client.link;
        let heard: Vec<Heard> = client.inbox.drain(..).collect();
        let is_rawsocket = client.peer.is_rawsocket();
        let code = code.map(|code| code.parse::<u16>().unwrap_or_default());
        let as_expected = match &heard[..] {
            [] => code.is_none() || is_rawsocket,
            [Heard::Closed(found)] => code.is_none_or(|code| *found == Some(code)),
            _ => false,
        };
        if !as_expected || self.world.links[link].closed.is_none() {
            let closed = self.world.links[link].closed;
            self.fail(&format!("{name} heard {heard:?}, closed: {closed:?}"));
        }
    }

    fn check_counter(&self, name: &str, expected: &str) {
        let load =
            |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        let found = self.counted(|counters| match name {
            "protocol_violations" => load(&counters.protocol_violations),
            "handshake_timeouts" => load(&counters.handshake_timeouts),
            "refused_sessions" => load(&counters.refused_sessions),
            "cut_outbox_full" => load(&counters.cut_outbox_full),
            "cut_stalled" => load(&counters.cut_stalled),
            "cut_silent" => load(&counters.cut_silent),
            "events_too_long" => load(&counters.events_too_long),
            "events_inexpressible" => load(&counters.events_inexpressible),
            "retained_evicted" => load(&counters.retained_evicted),
            "retained_omitted" => load(&counters.retained_omitted),
            "publications_dropped" => load(&counters.publications_dropped),
            "not_authorized" => load(&counters.not_authorized),
            "authorizations_failed" => load(&counters.authorizations_failed),
            "questions" => load(&counters.questions),
            "answers_dropped" => load(&counters.answers_dropped),
            "goodbye_early" => load(&counters.goodbye_early),
            "calls_canceled" => load(&counters.calls_canceled),
            "calls_timed_out" => load(&counters.calls_timed_out),
            "calls_rerouted" => load(&counters.calls_rerouted),
            "calls_queued" => load(&counters.calls_queued),
            "authentications_denied" => load(&counters.authentications_denied),
            "authentications_timed_out" => load(&counters.authentications_timed_out),
            "refused_authenticating" => load(&counters.refused_authenticating),
            "refused_blocked" => load(&counters.refused_blocked),
            "sources_blocked" => load(&counters.sources_blocked),
            "questions_unanswered" => load(&counters.questions_unanswered),
            "chunks_dropped" => load(&counters.chunks_dropped),
            "payloads_invalid" => load(&counters.payloads_invalid),
            _ => self.fail("no such counter"),
        });
        if found.to_string() != expected {
            self.fail(&format!("{name} is {found}"));
        }
    }

    fn shutdown(&mut self, mode: &str, grace: Duration) {
        let mode = match mode {
            "goodbye" => ShutdownMode::Goodbye,
            "restart" => ShutdownMode::Restart,
            _ => self.fail("no such mode"),
        };
        let now = Now(self.world.now);
        self.world.shards.iter_mut().for_each(|shard| shard.shutdown(now, mode, grace));
        self.flush();
    }

    fn end(&mut self, name: &str, end: End) {
        let client = self.client(name);
        client.is_over = true;
        let link = client.link;
        self.world.end(link, end);
        self.flush();
    }

    fn credit(&mut self, name: &str, credit: Option<usize>) {
        let link = self.client(name).link;
        self.world.links[link].credit = credit;
        self.flush();
    }

    /// Joins a client that is not there yet, with features that are given as `role.feature`.
    fn appear(&mut self, name: &str, features: &[&str]) {
        self.appear_as(name, "realm1", None, features);
    }

    /// The same, in a realm and perhaps in a role (see [`config::with_tickets`]).
    fn appear_as(&mut self, name: &str, realm: &str, role: Option<&str>, features: &[&str]) {
        if self.clients.contains_key(name) {
            return;
        }
        self.connect(name, &[]);
        let mut roles = json!({"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}});
        for feature in features {
            let Some((role, feature)) = feature.split_once('.') else { self.fail("expected role.feature") };
            roles[role]["features"][feature] = json!(true);
        }
        let mut details = json!({"roles": roles});
        if let Some(role) = role {
            details["authid"] = json!(role);
            details["authmethods"] = json!(["ticket"]);
        }
        self.client(name).peer.send(&json!([1, realm, details]));
        self.flush();
        if let Some(role) = role {
            match self.hear(name) {
                Some(message) if message[0] == 4 => self.client(name).peer.send(&json!([5, role, {}])),
                other => self.fail(&format!("{name} is not asked for its ticket: {other:?}")),
            }
            self.flush();
        }
        match self.hear(name) {
            Some(message) if message[0] == 2 => {
                self.bound.insert(format!("$session_{name}"), message[1].clone());
                self.bound.insert(format!("$authid_{name}"), message[2]["authid"].clone());
            }
            other => self.fail(&format!("{name} is not welcome: {other:?}")),
        }
    }

    fn connect(&mut self, name: &str, words: &[&str]) {
        let number = self.clients.len();
        let (words, address) = match words {
            [words @ .., "from", "unix"] => (words, None),
            [words @ .., "from", address] => {
                (words, Some(address.parse().unwrap_or_else(|_| self.fail("not an address"))))
            }
            words => (words, Some([127, 0, 0, 1].into())),
        };
        let peer = self.layout.peer(number, words).unwrap_or_else(|error| self.fail(&error));
        let link = self.world.connect_from(self.layout.shard_of(number), 0, address);
        let client = Client { peer, link, inbox: VecDeque::new(), is_over: false };
        if self.clients.insert(name.to_owned(), client).is_some() {
            self.fail("this client is connected already");
        }
        self.flush();
    }

    fn client(&mut self, name: &str) -> &mut Client {
        if !self.clients.contains_key(name) {
            self.fail(&format!("there is no client {name}"));
        }
        self.clients.get_mut(name).expect("it is there")
    }

    fn fill(&self, message: Value) -> Value {
        text::fill(message, &self.bound).unwrap_or_else(|name| self.fail(&format!("{name} is not bound")))
    }

    fn span(&self, text: &str) -> Duration {
        text::span(text).unwrap_or_else(|| self.fail("not a span of time"))
    }

    fn fail(&self, what: &str) -> ! {
        panic!("in layout {:?}\nat: {}\n{what}", self.layout, self.line)
    }
}
