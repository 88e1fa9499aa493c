//! Whole paths on a [`Stage`]: from received octets to what is handed to the driver.
//!
//! A path is one step, repeated: a number of messages handed in as one receive, and all turns until they are
//! delivered. The steps of [`all`] are measured in time, in instructions and in allocations.

use std::borrow::Cow;

use wampline_wire::{Dict, Message, PayloadBuf, Serializer, Value};

use crate::stage::{Delivered, Framed, Stage, Visitor, request};
use crate::{TOPIC, payload};

const PROCEDURE: &str = "com.example.add";

/// A path and what it is measured with.
#[derive(Clone, Debug)]
pub struct Path {
    /// Unique.
    pub name: String,
    kind: Kind,
    shards: u16,
    framed: Framed,
    /// Of whoever sends.
    serializer: Serializer,
    /// Messages in one step.
    pub batch: u64,
    payload: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    /// PUBLISH to subscribers with these serializers, dealt in turn.
    Publish { to: usize, serializers: Vec<Serializer>, acknowledge: bool },
    /// CALL, INVOCATION, YIELD, RESULT.
    Call,
    /// HELLO, WELCOME, GOODBYE, GOODBYE, on a transport that is open.
    Join,
}

/// One step, ready to be repeated.
pub struct Step {
    stage: Stage,
    action: Action,
}

enum Action {
    Publish { publisher: Visitor, octets: Vec<u8> },
    Call(Box<Call>),
    Join { visitor: Visitor, hello: Vec<u8>, goodbye: Vec<u8> },
}

struct Call {
    caller: Visitor,
    callee: Visitor,
    calls: Vec<u8>,
    batch: u64,
    /// The id of the next invocation: those of the callee's session, from 1.
    invocation: u64,
    payload: PayloadBuf,
    yields: Vec<u8>,
}

/// Every path.
pub fn all() -> Vec<Path> {
    let mut paths = Vec::new();
    let publish = |to, serializers: &[Serializer], acknowledge| Kind::Publish {
        to,
        serializers: serializers.to_vec(),
        acknowledge,
    };
    for framed in Framed::ALL {
        for serializer in Serializer::ALL {
            let base = Path {
                name: String::new(),
                kind: Kind::Call,
                shards: 1,
                framed,
                serializer,
                batch: 1,
                payload: 64,
            };
            let mut add = |kind: Kind, shards, batch, payload| {
                let name = name(&kind, framed, serializer, shards, batch, payload);
                paths.push(Path { name, kind, shards, batch, payload, ..base.clone() });
            };
            for to in [1, 10, 1000] {
                add(publish(to, &[serializer], false), 1, 1, 64);
            }
            add(publish(10, &[serializer], false), 1, 16, 64);
            add(publish(10, &[serializer], true), 1, 1, 64);
            add(publish(10, &[serializer], false), 2, 1, 64);
            add(publish(10, &[serializer], false), 2, 16, 64);
            add(publish(10, &[serializer], false), 1, 1, 16 << 10);
            add(Kind::Call, 1, 1, 64);
            add(Kind::Call, 1, 16, 64);
            add(Kind::Call, 2, 1, 64);
            add(Kind::Call, 2, 16, 64);
            add(Kind::Call, 1, 1, 16 << 10);
            if framed == Framed::RawSocket {
                add(Kind::Join, 1, 1, 64);
                add(Kind::Join, 2, 1, 64);
                add(publish(12, &Serializer::ALL, false), 1, 1, 64);
                add(publish(12, &Serializer::ALL, false), 1, 16, 64);
            }
        }
    }
    paths
}

fn name(
    kind: &Kind,
    framed: Framed,
    serializer: Serializer,
    shards: u16,
    batch: u64,
    payload: usize,
) -> String {
    let mut name = match kind {
        Kind::Publish { to, serializers, acknowledge } => {
            let mixed = if serializers.len() > 1 { "_mixed" } else { "" };
            let acknowledged = if *acknowledge { "_acknowledged" } else { "" };
            format!("publish_{to}{mixed}{acknowledged}")
        }
        Kind::Call => "call".to_owned(),
        Kind::Join => "join_and_leave".to_owned(),
    };
    if shards > 1 {
        name.push_str("_across");
    }
    if batch > 1 {
        name.push_str(&format!("_batch_{batch}"));
    }
    if payload >= 1024 {
        name.push_str(&format!("_{}k", payload / 1024));
    }
    format!("{name}/{}/{}", framed.name(), serializer.name())
}

impl Path {
    /// Sessions, subscriptions, registrations: everything before the first step. With more than one shard, who receives
    /// is on another shard than who sends.
    pub fn prepare(&self) -> Step {
        let mut stage = Stage::new(self.shards);
        let far = usize::from(self.shards) - 1;
        let payload = payload(self.serializer, self.payload);
        let action = match &self.kind {
            Kind::Publish { to, serializers, acknowledge } => {
                for n in 0..*to {
                    let serializer = serializers[n % serializers.len()];
                    let mut subscriber = stage.join(far, self.framed, serializer);
                    stage.subscribe(&mut subscriber, TOPIC, Dict::EMPTY);
                }
                let mut publisher = stage.join(0, self.framed, self.serializer);
                let options = [("acknowledge", Value::Bool(true))];
                let options = if *acknowledge { Dict::pairs(&options) } else { Dict::EMPTY };
                let (request, topic) = (request(1), Cow::Borrowed(TOPIC));
                let message = Message::Publish { request, options, topic, payload: payload.as_payload() };
                let mut octets = Vec::new();
                (0..self.batch).for_each(|_| publisher.write(&message, &mut octets));
                Action::Publish { publisher, octets }
            }
            Kind::Call => {
                let mut callee = stage.join(far, self.framed, self.serializer);
                stage.register(&mut callee, PROCEDURE);
                let mut caller = stage.join(0, self.framed, self.serializer);
                let mut calls = Vec::new();
                for n in 1..=self.batch {
                    let (request, options) = (request(n), Dict::EMPTY);
                    let (procedure, payload) = (Cow::Borrowed(PROCEDURE), payload.as_payload());
                    caller.write(&Message::Call { request, options, procedure, payload }, &mut calls);
                }
                let (batch, invocation, yields) = (self.batch, 1, Vec::new());
                Action::Call(Box::new(Call { caller, callee, calls, batch, invocation, payload, yields }))
            }
            Kind::Join => {
                let mut visitor = stage.open(far, self.framed, self.serializer);
                let (mut hello, mut goodbye) = (Vec::new(), Vec::new());
                visitor.write_hello(&mut hello);
                let reason = Cow::Borrowed("wamp.close.close_realm");
                visitor.write(&Message::Goodbye { details: Dict::EMPTY, reason }, &mut goodbye);
                Action::Join { visitor, hello, goodbye }
            }
        };
        Step { stage, action }
    }

    /// Events or results of one step.
    pub fn deliveries(&self) -> u64 {
        match &self.kind {
            Kind::Publish { to, .. } => self.batch * *to as u64,
            Kind::Call | Kind::Join => self.batch,
        }
    }

    /// Sends that one step must cause.
    pub fn sends(&self) -> u64 {
        match &self.kind {
            // A batch leaves in one send per connection.
            Kind::Publish { to, acknowledge, .. } => *to as u64 + u64::from(*acknowledge),
            Kind::Call | Kind::Join => 2,
        }
    }
}

impl Step {
    /// Once more. Gives what was delivered.
    pub fn run(&mut self) -> Delivered {
        let stage = &mut self.stage;
        match &mut self.action {
            Action::Publish { publisher, octets } => {
                stage.receive(publisher, octets);
                stage.settle()
            }
            Action::Call(call) => call.run(stage),
            Action::Join { visitor, hello, goodbye } => {
                stage.receive(visitor, hello);
                let welcomed = stage.settle();
                stage.receive(visitor, goodbye);
                let left = stage.settle();
                Delivered { sends: welcomed.sends + left.sends, octets: welcomed.octets + left.octets }
            }
        }
    }
}

impl Call {
    fn run(&mut self, stage: &mut Stage) -> Delivered {
        stage.receive(&self.caller, &self.calls);
        let invoked = stage.settle();
        self.yields.clear();
        for _ in 0..self.batch {
            let (request, options) = (request(self.invocation), Dict::EMPTY);
            let message = Message::Yield { request, options, payload: self.payload.as_payload() };
            self.callee.write(&message, &mut self.yields);
            self.invocation += 1;
        }
        stage.receive(&self.callee, &self.yields);
        let answered = stage.settle();
        Delivered { sends: invoked.sends + answered.sends, octets: invoked.octets + answered.octets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_delivers_the_same_again() {
        let paths = all();
        let mut names: Vec<&str> = paths.iter().map(|path| path.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), paths.len(), "names are unique");
        for path in &paths {
            let mut step = path.prepare();
            let first = step.run();
            assert_eq!(first.sends, path.sends(), "{}", path.name);
            let at_least = path.sends() * path.batch * path.payload as u64 / 3;
            assert!(first.octets > at_least, "{}: {first:?}", path.name);
            assert_eq!(step.run().sends, path.sends(), "{}", path.name);
        }
    }
}
