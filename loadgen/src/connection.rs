//! One connection: socket, TLS if any, framing, and what waits to be written.
//!
//! Owns no WAMP state. What is sent is collected until [`Connection::flush`], so that one turn of the loop
//! costs one write however many messages it brought.

use std::convert::Infallible;
use std::io;

use mio::{Registry, Token};
use wampline_transports::client::{Client, Received};
use wampline_transports::tls::{ClientTls, TlsProgress};
use wampline_wire::{EncodeError, Message, Serializer};

use crate::clock::Clock;
use crate::forwarder::{Greeting, Role};
use crate::socket::Socket;
use crate::target::Target;

/// A connection to the router.
pub(crate) struct Connection {
    socket: Socket,
    client: Client,
    tls: Option<Box<Tls>>,
    serializer: Serializer,
    /// What is said to a bare forwarder instead of a handshake, until it has answered.
    greeting: Option<Greeting>,
    form: Form,
    /// What goes to the socket; the first `written` octets have gone.
    out: Vec<u8>,
    written: usize,
    closing: bool,
}

/// How a connection is to be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) serializer: Serializer,
    pub(crate) role: Role,
}

/// What the messages of a connection look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// WAMP, from HELLO to GOODBYE.
    Wamp,
    /// The bare messages that are forwarded.
    Floor,
    /// The same, with the number of the caller as last octet.
    FloorNumbered,
}

/// What a connection tells its owner.
pub(crate) enum Happening<'a> {
    /// The transport's handshake is over: WAMP may begin.
    Established,
    /// One message, not looked at yet.
    Message(&'a [u8]),
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Open,
    /// There may be more to read now, and nothing will be reported.
    More,
    /// The router has closed the transport.
    Closed,
}

/// Messages that answer a message while that is still being looked at.
pub(crate) struct Replies {
    /// Of the connection that is being read.
    serializer: Serializer,
    octets: Vec<u8>,
    ends: Vec<usize>,
}

struct Tls {
    machine: ClientTls,
    open: bool,
    plain_in: Vec<u8>,
    plain_out: Vec<u8>,
}

impl Connection {
    /// Begins to connect and queues the transport's handshake.
    pub(crate) fn open(
        target: &Target,
        Opening { serializer, role }: Opening,
        seed: u64,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Connection> {
        let mut socket = Socket::connect(&target.address)?;
        socket.register(registry, token)?;
        let mut out = Vec::new();
        let mut greeting = None;
        let (client, tls) = match &target.tls {
            None if target.is_floor => {
                let (said, client) = Greeting::new(role, serializer, &mut out);
                greeting = Some(said);
                (client, None)
            }
            None => (Client::new(&target.transport, serializer, seed, &mut out), None),
            Some((config, name)) => {
                let machine = ClientTls::new(config.clone(), name.clone(), &mut out)
                    .map_err(|fault| io::Error::other(fault.0))?;
                let mut plain_out = Vec::new();
                let client = Client::new(&target.transport, serializer, seed, &mut plain_out);
                (client, Some(Box::new(Tls { machine, open: false, plain_in: Vec::new(), plain_out })))
            }
        };
        let form = match (target.is_floor, role) {
            (false, _) => Form::Wamp,
            (true, Role::Caller | Role::Callee) => Form::FloorNumbered,
            (true, _) => Form::Floor,
        };
        Ok(Connection { socket, client, tls, serializer, greeting, form, out, written: 0, closing: false })
    }

    /// The serializer of its messages.
    pub(crate) fn serializer(&self) -> Serializer {
        self.serializer
    }

    /// What its messages look like.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Octets that wait to be written.
    pub(crate) fn backlog(&self) -> usize {
        self.out.len() - self.written + self.tls.as_ref().map_or(0, |tls| tls.plain_out.len())
    }

    /// Queues one message, followed by the number of a caller if the form asks for one.
    pub(crate) fn send(&mut self, message: &Message<'_>, number: Option<u8>) {
        let out = self.tls.as_mut().map_or(&mut self.out, |tls| &mut tls.plain_out);
        self.client
            .send(out, |out| {
                message.encode(self.serializer, out)?;
                out.extend(number);
                Ok::<(), EncodeError>(())
            })
            .expect("every serializer expresses what this generator sends");
    }

    /// Queues the transport's own farewell, if it has one; once all is written this direction is shut. The router
    /// is expected to close then.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        match &mut self.tls {
            None => self.client.close(&mut self.out),
            Some(tls) => {
                self.client.close(&mut tls.plain_out);
                tls.close(&mut self.out);
            }
        }
    }

    /// Reads until nothing is left, but not too much, and hands over what came, with the time at which it was read. `handler` may
    /// answer through its [`Replies`]; an error of its own ends the reading.
    pub(crate) fn receive(
        &mut self,
        clock: Clock,
        buffer: &mut [u8],
        replies: &mut Replies,
        mut handler: impl FnMut(Happening<'_>, u64, &mut Replies) -> Result<(), String>,
    ) -> Result<Stream, String> {
        replies.serializer = self.serializer;
        for _ in 0..READS_MAX {
            match self.socket.read(buffer).map_err(|error| error.to_string())? {
                None => return Ok(Stream::Open),
                Some(0) => return Ok(Stream::Closed),
                Some(count) => {
                    let now = clock.now();
                    let mut handler =
                        |happening: Happening<'_>, replies: &mut Replies| handler(happening, now, replies);
                    if self.deliver(&mut buffer[..count], replies, &mut handler)? == Stream::Closed {
                        return Ok(Stream::Closed);
                    }
                    // A short read has emptied the socket; what comes later is reported anew.
                    if count < buffer.len() {
                        return Ok(Stream::Open);
                    }
                }
            }
        }
        Ok(Stream::More)
    }

    /// Writes as much as the socket takes. What is left is written when the socket is reported writable.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        if let Some(tls) = &mut self.tls {
            tls.seal(&mut self.out)?;
        }
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]).map_err(|error| error.to_string())? {
                Some(count) => self.written += count,
                None => return Ok(()),
            }
        }
        if self.closing {
            // Fails if the router has closed already, which is as good.
            let _ = self.socket.shut_write();
        }
        self.written = 0;
        self.out.clear();
        if self.out.capacity() > KEPT_BYTES_MAX {
            self.out.shrink_to(KEPT_BYTES_MAX);
        }
        Ok(())
    }

    fn deliver(
        &mut self,
        octets: &mut [u8],
        replies: &mut Replies,
        handler: &mut impl FnMut(Happening<'_>, &mut Replies) -> Result<(), String>,
    ) -> Result<Stream, String> {
        let Some(tls) = &mut self.tls else {
            let mut octets = octets;
            if let Some(greeting) = &mut self.greeting {
                if !greeting.receive(&mut octets, &mut self.client)? {
                    return Ok(Stream::Open);
                }
                self.greeting = None;
                handler(Happening::Established, replies)?;
                replies.frame(&mut self.client, &mut self.out);
            }
            return unframe(&mut self.client, octets, &mut self.out, replies, handler);
        };
        let progress = tls
            .machine
            .receive(octets, &mut tls.plain_in, &mut self.out)
            .map_err(|fault| format!("TLS: {}", fault.0))?;
        tls.open |= progress == TlsProgress::Open;
        let stream = unframe(&mut self.client, &mut tls.plain_in, &mut tls.plain_out, replies, handler)?;
        tls.plain_in.clear();
        Ok(if progress == TlsProgress::Closed { Stream::Closed } else { stream })
    }
}

impl Replies {
    /// No replies.
    pub(crate) fn new() -> Replies {
        Replies { serializer: Serializer::MsgPack, octets: Vec::new(), ends: Vec::new() }
    }

    /// Adds a message to be sent on the connection that is being read.
    pub(crate) fn send(&mut self, message: &Message<'_>) {
        self.send_numbered(message, None);
    }

    /// Adds a message, followed by the number of a caller if the form of the connection asks for one.
    pub(crate) fn send_numbered(&mut self, message: &Message<'_>, number: Option<u8>) {
        message
            .encode(self.serializer, &mut self.octets)
            .expect("every serializer expresses what this generator sends");
        self.octets.extend(number);
        self.ends.push(self.octets.len());
    }

    fn frame(&mut self, client: &mut Client, out: &mut Vec<u8>) {
        let mut start = 0;
        for &end in &self.ends {
            let Ok(()) = client.send::<Infallible>(out, |out| {
                out.extend_from_slice(&self.octets[start..end]);
                Ok(())
            });
            start = end;
        }
        self.octets.clear();
        self.ends.clear();
    }
}

impl Tls {
    /// Moves what waits in the clear into records, once the handshake is over.
    fn seal(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        if self.open && !self.plain_out.is_empty() {
            self.machine.seal(&self.plain_out, out).map_err(|fault| format!("TLS: {}", fault.0))?;
            self.plain_out.clear();
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open && self.seal(out).is_ok() {
            self.machine.close(out);
        }
    }
}

/// Full buffers that are read in one go. Under overload others would starve beside a connection that is refilled while it is
/// read, and a router would take them for slow.
const READS_MAX: usize = 2;

/// What an idle connection may keep of its output buffer.
const KEPT_BYTES_MAX: usize = 64 * 1024;

fn unframe(
    client: &mut Client,
    octets: &mut [u8],
    out: &mut Vec<u8>,
    replies: &mut Replies,
    handler: &mut impl FnMut(Happening<'_>, &mut Replies) -> Result<(), String>,
) -> Result<Stream, String> {
    let mut at = 0;
    loop {
        let mut rest = &mut octets[at..];
        let before = rest.len();
        let received = client.receive(&mut rest, out).map_err(|fault| fault.reason.to_owned())?;
        at += before - rest.len();
        match received {
            None => return Ok(Stream::Open),
            Some(Received::Closed) => return Ok(Stream::Closed),
            Some(Received::Established) => handler(Happening::Established, replies)?,
            Some(Received::Message(octets)) => handler(Happening::Message(octets), replies)?,
        }
        replies.frame(client, out);
    }
}
