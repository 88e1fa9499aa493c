//! One WAMP session on one connection: HELLO to GOODBYE (basic profile, "Sessions").

use wampline_wire::{Dict, Message, Payload, RequestId, Value};

use crate::auth::Identity;
use crate::clock::Clock;
use crate::connection::{Connection, Form, Happening, Replies, Stream};
use crate::scenarios::Workload;

/// A session, from the first octet of its connection to the last.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) life: Life,
    /// Its socket has not been emptied and is to be read again.
    pub(crate) is_unread: bool,
}

/// Where a session stands.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) stage: Stage,
    /// When joining or leaving must be over ([`Clock`]).
    pub(crate) deadline: u64,
    /// The last request id that was used; ids count from 1 in session scope.
    last_request: u64,
}

/// The stages of a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The transport's handshake goes on.
    Opening,
    /// HELLO has been sent.
    Joining,
    /// WELCOME has come.
    Joined,
    /// GOODBYE has been sent.
    Leaving,
    /// The router has answered GOODBYE; the transport is being closed.
    Left,
}

/// What a joined session tells its workload.
pub(crate) enum News<'a> {
    /// WELCOME has come.
    Joined,
    /// Any other message but GOODBYE and ABORT, and its octets; from a bare forwarder with the number of the caller, if
    /// it comes with one, at the end.
    Message(Message<'a>, &'a [u8]),
}

impl Session {
    /// A session whose connection has just been begun, and which must have joined by `deadline`.
    pub(crate) fn new(connection: Connection, deadline: u64) -> Session {
        let life = Life { stage: Stage::Opening, deadline, last_request: 0 };
        Session { connection, life, is_unread: false }
    }

    /// Says GOODBYE. The router's answer, which must come by `deadline`, ends the session and closes the transport.
    pub(crate) fn leave(&mut self, deadline: u64) {
        self.connection.send(&goodbye(), None);
        self.life.stage = Stage::Leaving;
        self.life.deadline = deadline;
    }

    /// Reads what there is. The workload learns what concerns its joined session in slot `at`.
    pub(crate) fn receive<W: Workload>(
        &mut self,
        at: usize,
        workload: &mut W,
        identity: &Identity,
        clock: Clock,
        buffer: &mut [u8],
        replies: &mut Replies,
    ) -> Result<Stream, String> {
        let life = &mut self.life;
        let serializer = self.connection.serializer();
        let form = self.connection.form();
        let stream =
            self.connection.receive(clock, buffer, replies, |happening, now, replies| match happening {
                Happening::Established if form == Form::Wamp => {
                    identity.hello(|hello| replies.send(hello));
                    life.stage = Stage::Joining;
                    Ok(())
                }
                Happening::Established => {
                    life.stage = Stage::Joined;
                    workload.news(at, News::Joined, life, now, replies);
                    Ok(())
                }
                Happening::Message(octets)
                    if life.stage == Stage::Joined && workload.recognise(at, octets, now) =>
                {
                    Ok(())
                }
                Happening::Message(octets) => {
                    let end = octets.len().saturating_sub(usize::from(form == Form::FloorNumbered));
                    let message = Message::parse(serializer, &octets[..end])
                        .map_err(|error| format!("the router sent what is no WAMP message: {error}"))?;
                    if let (Stage::Joining, Message::Challenge { method, extra }) = (life.stage, &message) {
                        replies.send(&identity.answer(method, extra)?);
                    } else if let Some(news) = life.advance(message, octets)? {
                        workload.news(at, news, life, now, replies);
                    }
                    Ok(())
                }
            })?;
        match (stream, life.stage) {
            (Stream::Open | Stream::More, Stage::Left) => self.connection.close(),
            (Stream::Closed, Stage::Opening) => {
                return Err("the router closed during the handshake".to_owned());
            }
            (Stream::Closed, Stage::Joining) => {
                return Err("the router closed instead of answering HELLO".to_owned());
            }
            (Stream::Closed, Stage::Joined) => return Err("the router closed without GOODBYE".to_owned()),
            (Stream::Closed, Stage::Leaving) => {
                return Err("the router closed instead of answering GOODBYE".to_owned());
            }
            (Stream::Closed, Stage::Left) | (Stream::Open | Stream::More, _) => {}
        }
        Ok(stream)
    }
}

impl Life {
    /// The id of the next request.
    pub(crate) fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId::new(self.last_request).expect("a run has fewer than 2^53 requests")
    }

    /// Whether a request had this id.
    pub(crate) fn has_used(&self, request: RequestId) -> bool {
        request.get() <= self.last_request
    }

    /// Whether WELCOME has come.
    pub(crate) fn has_joined(&self) -> bool {
        self.stage >= Stage::Joined
    }

    /// What a message means to the session; returns what its workload is to know.
    fn advance<'a>(&mut self, message: Message<'a>, octets: &'a [u8]) -> Result<Option<News<'a>>, String> {
        match (self.stage, message) {
            (Stage::Joining, Message::Welcome { .. }) => {
                self.stage = Stage::Joined;
                Ok(Some(News::Joined))
            }
            (_, Message::Abort { details, reason, .. }) => {
                Err(format!("the router refused: {}", explained(&reason, details)))
            }
            (Stage::Leaving, Message::Goodbye { .. }) => {
                self.stage = Stage::Left;
                Ok(None)
            }
            (_, Message::Goodbye { details, reason }) => {
                Err(format!("the router ended the session: {}", explained(&reason, details)))
            }
            (Stage::Joined, message) => Ok(Some(News::Message(message, octets))),
            // What was on its way when GOODBYE was sent.
            (Stage::Leaving | Stage::Left, _) => Ok(None),
            (_, message) => Err(format!("the router answered HELLO with {:?}", message.message_type())),
        }
    }
}

/// An ERROR's URI with its first argument, if that is a text.
pub(crate) fn error_text(error: &str, payload: &Payload<'_>) -> String {
    let first = payload.args().and_then(|args| args.iter().next());
    match first.as_ref().and_then(Value::as_str) {
        Some(text) if !text.is_empty() => format!("{error} ({text})"),
        _ => error.to_owned(),
    }
}

/// The farewell of a client that leaves of its own accord.
pub(crate) fn goodbye() -> Message<'static> {
    Message::Goodbye { details: Dict::EMPTY, reason: "wamp.close.close_realm".into() }
}

/// Reason and explanation in one line.
fn explained(reason: &str, details: Dict<'_>) -> String {
    match details.get("message").as_ref().and_then(Value::as_str) {
        Some(text) if !text.is_empty() => format!("{reason} ({text})"),
        _ => reason.to_owned(),
    }
}
