//! A small router that breaks one rule, once: JSON over RawSocket, a thread per connection, one lock.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// The one thing that the router does wrong, when it comes to the tenth occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misbehaviour {
    None,
    LoseResult,
    DuplicateResult,
    AlterResult,
    ErrorInsteadOfResult,
    /// The result comes with a request id that was never used.
    ForeignRequest,
    DuplicateInvocation,
    SwapInvocations,
    LoseEvent,
    DuplicateEvent,
    SwapEvents,
    AlterEvent,
    /// The event comes under another subscription.
    ForeignSubscription,
    LosePublished,
    LoseUnsubscribed,
    DuplicateSubscribed,
    ErrorInsteadOfUnregistered,
    /// Every HELLO is refused.
    Abort,
    /// HELLO is never answered.
    Silence,
    /// The connection of a caller is closed.
    CutSession,
}

/// A router that runs until the process ends.
pub(crate) struct StubRouter {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl StubRouter {
    pub(crate) fn start(misbehaviour: Misbehaviour) -> StubRouter {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(State::new(misbehaviour)));
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for (id, stream) in listener.incoming().enumerate() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&state));
                thread::spawn(move || {
                    let _ = serve(stream, id, &state);
                    state.lock().unwrap().peers.remove(&id);
                });
            }
        });
        StubRouter { address, state: shared }
    }

    /// How many different topics and patterns have ever been subscribed to.
    pub(crate) fn subscriptions(&self) -> usize {
        self.state.lock().unwrap().topics.len()
    }

    pub(crate) fn url(&self) -> String {
        format!("rs://{}", self.address)
    }
}

struct State {
    misbehaviour: Misbehaviour,
    occasions: u32,
    peers: HashMap<usize, TcpStream>,
    /// Topic and subscribers; the subscription id is the index + 1.
    topics: Vec<(String, Vec<usize>)>,
    /// Procedure and callee; the registration id is the index + 1.
    procedures: Vec<(String, usize)>,
    /// Caller and its request; the invocation id is the index + 1.
    calls: Vec<(usize, Value)>,
    publications: u64,
    /// What is sent after its successor: the successor's key, the receiver, the message.
    held: Option<(usize, usize, Value)>,
}

fn serve(mut stream: TcpStream, id: usize, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    assert_eq!(head, [0x7f, 0xf1, 0, 0], "RawSocket, 2^24 octets, JSON");
    stream.write_all(&head)?;
    state.lock().unwrap().peers.insert(id, stream.try_clone()?);
    // Ends with an error when the client has closed.
    loop {
        stream.read_exact(&mut head)?;
        assert_eq!(head[0], 0, "a regular message");
        let mut body = vec![0; u32::from_be_bytes(head) as usize];
        stream.read_exact(&mut body)?;
        let message: Value = serde_json::from_slice(&body).unwrap();
        state.lock().unwrap().handle(id, &message);
    }
}

impl State {
    fn new(misbehaviour: Misbehaviour) -> State {
        State {
            misbehaviour,
            occasions: 0,
            peers: HashMap::new(),
            topics: Vec::new(),
            procedures: Vec::new(),
            calls: Vec::new(),
            publications: 0,
            held: None,
        }
    }

    fn handle(&mut self, from: usize, message: &Value) {
        match message[0].as_u64().unwrap() {
            1 => self.hello(from),
            6 => self.send(from, &json!([6, {}, "wamp.close.goodbye_and_out"])),
            16 => self.publish(from, message),
            32 => {
                let topic = message[3].as_str().unwrap().to_owned();
                let index =
                    self.topics.iter().position(|(name, _)| *name == topic).unwrap_or(self.topics.len());
                if index == self.topics.len() {
                    self.topics.push((topic, Vec::new()));
                }
                self.topics[index].1.push(from);
                self.send(from, &json!([33, message[1], index + 1]));
                if self.is_time_for(Misbehaviour::DuplicateSubscribed) {
                    self.send(from, &json!([33, message[1], index + 1]));
                }
            }
            34 => {
                let index = message[2].as_u64().unwrap() as usize - 1;
                self.topics[index].1.retain(|&subscriber| subscriber != from);
                if !self.is_time_for(Misbehaviour::LoseUnsubscribed) {
                    self.send(from, &json!([35, message[1]]));
                }
            }
            48 => self.call(from, message),
            64 => {
                self.procedures.push((message[3].as_str().unwrap().to_owned(), from));
                self.send(from, &json!([65, message[1], self.procedures.len()]));
            }
            66 if self.is_time_for(Misbehaviour::ErrorInsteadOfUnregistered) => {
                self.send(from, &json!([8, 66, message[1], {}, "wamp.error.stub", ["on purpose"]]));
            }
            66 => self.send(from, &json!([67, message[1]])),
            70 => self.yielded(message),
            code => panic!("unexpected message {code}"),
        }
    }

    fn hello(&mut self, from: usize) {
        match self.misbehaviour {
            Misbehaviour::Silence => {}
            Misbehaviour::Abort => {
                let details = json!({"message": "there is no such realm"});
                self.send(from, &json!([3, details, "wamp.error.no_such_realm"]));
            }
            _ => self.send(from, &json!([2, from + 1, {"roles": {"broker": {}, "dealer": {}}}])),
        }
    }

    fn call(&mut self, from: usize, message: &Value) {
        if self.is_time_for(Misbehaviour::CutSession) {
            let _ = self.peers[&from].shutdown(std::net::Shutdown::Both);
            return;
        }
        let procedure = message[3].as_str().unwrap();
        let index = self.procedures.iter().position(|(name, _)| name == procedure).unwrap();
        let callee = self.procedures[index].1;
        self.calls.push((from, message[1].clone()));
        let invocation = json!([68, self.calls.len(), index + 1, {}, message[4]]);
        if self.is_time_for(Misbehaviour::DuplicateInvocation) {
            self.send(callee, &invocation);
            // Its answer goes nowhere: to a second invocation id without a caller.
            self.calls.push((usize::MAX, Value::Null));
            self.send(callee, &json!([68, self.calls.len(), index + 1, {}, message[4]]));
        } else if self.is_time_for(Misbehaviour::SwapInvocations) {
            self.held = Some((from, callee, invocation));
        } else {
            self.send(callee, &invocation);
            self.release(from);
        }
    }

    fn yielded(&mut self, message: &Value) {
        let (caller, request) = self.calls[message[1].as_u64().unwrap() as usize - 1].clone();
        let result = json!([50, request, {}, message[3]]);
        if self.is_time_for(Misbehaviour::LoseResult) {
        } else if self.is_time_for(Misbehaviour::DuplicateResult) {
            self.send(caller, &result);
            self.send(caller, &result);
        } else if self.is_time_for(Misbehaviour::AlterResult) {
            self.send(caller, &json!([50, request, {}, altered(&message[3])]));
        } else if self.is_time_for(Misbehaviour::ForeignRequest) {
            self.send(caller, &json!([50, 1_u64 << 50, {}, message[3]]));
        } else if self.is_time_for(Misbehaviour::ErrorInsteadOfResult) {
            self.send(caller, &json!([8, 48, request, {}, "wamp.error.stub", ["on purpose"]]));
        } else {
            self.send(caller, &result);
        }
    }

    fn publish(&mut self, from: usize, message: &Value) {
        self.publications += 1;
        let publication = self.publications;
        let index = self.topics.iter().position(|(name, _)| message[3] == **name).unwrap();
        let event = json!([36, index + 1, publication, {}, message[4]]);
        for receiver in self.topics[index].1.clone() {
            if self.is_time_for(Misbehaviour::LoseEvent) {
            } else if self.is_time_for(Misbehaviour::DuplicateEvent) {
                self.send(receiver, &event);
                self.send(receiver, &event);
            } else if self.is_time_for(Misbehaviour::AlterEvent) {
                self.send(receiver, &json!([36, index + 1, publication, {}, altered(&message[4])]));
            } else if self.is_time_for(Misbehaviour::ForeignSubscription) {
                self.send(receiver, &json!([36, index + 2, publication, {}, message[4]]));
            } else if self.is_time_for(Misbehaviour::SwapEvents) {
                self.held = Some((receiver, receiver, event.clone()));
            } else {
                self.send(receiver, &event);
                self.release(receiver);
            }
        }
        if message[2]["acknowledge"] == true && !self.is_time_for(Misbehaviour::LosePublished) {
            self.send(from, &json!([17, message[1], publication]));
        }
    }

    /// Whether this is the tenth time that the router could misbehave in its way.
    fn is_time_for(&mut self, misbehaviour: Misbehaviour) -> bool {
        if self.misbehaviour == misbehaviour {
            self.occasions += 1;
        }
        self.misbehaviour == misbehaviour && self.occasions == 10
    }

    /// Sends what was held back until this caller's, or this receiver's, next message.
    fn release(&mut self, key: usize) {
        if let Some((_, receiver, message)) = self.held.take_if(|(held, ..)| *held == key) {
            self.send(receiver, &message);
        }
    }

    fn send(&mut self, to: usize, message: &Value) {
        let body = serde_json::to_vec(message).unwrap();
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        if let Some(peer) = self.peers.get_mut(&to) {
            let _ = peer.write_all(&frame);
        }
    }
}

/// The same arguments with one character of the padding changed.
fn altered(arguments: &Value) -> Value {
    let text = arguments[0].as_str().unwrap();
    json!([text.replacen('w', "W", 1)])
}
