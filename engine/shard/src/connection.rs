//! A connection: its framing, its outbox, what is known of its peer, and its deadlines.

use std::fmt;

use wampline_routing::ShardSet;
use wampline_routing::feature::{ClientFeature, ClientFeatures, ClientRole};
use wampline_transports::Framing;
use wampline_transports::server::{Cookie, Established, Server};
use wampline_transports::tls::ServerTls;

use crate::arena::Form;
use crate::authenticate::Authentication;
use crate::outbox::Outbox;
use crate::{ListenerId, Peer};

/// Stands for "no deadline", in nanoseconds.
pub(crate) const NEVER: u64 = u64::MAX;

/// A connection that is parked is not read once it holds this much that is not parsed, in octets.
pub(crate) const STASH_PAUSE_BYTES: usize = 16 << 10;

/// Laid out in this order: what an event looks at and changes on its way stands first, close together, because with many
/// recipients nothing else costs as much as to fetch it.
#[repr(C, align(64))]
pub(crate) struct Connection {
    /// The slot of its session, while it may be sent events: not before WELCOME, not after a GOODBYE of ours.
    pub(crate) receiver: Option<u32>,
    /// The longest message that the peer accepts, once the handshake is over, in octets.
    pub(crate) peer_bytes_max: usize,
    pub(crate) guard: u32,
    /// Form of outgoing messages, once the handshake is over.
    pub(crate) form: Form,
    pub(crate) link: Link,
    pub(crate) is_dirty: bool,
    pub(crate) parked: Parked,
    /// Whether its client reads MessagePack with extension types that it does not know; see [`reads_extensions`].
    pub(crate) reads_extensions: bool,
    pub(crate) is_paused: bool,
    /// Its session has been killed, and GOODBYE is queued: everything but GOODBYE and ABORT is ignored.
    pub(crate) is_dismissed: bool,
    /// Whether a session was open on this transport before.
    pub(crate) had_session: bool,
    pub(crate) outbox: Outbox,
    pub(crate) tls: Option<Box<Tls>>,
    pub(crate) deadlines: Deadlines,
    /// The slot of its session, while that is joining, open or closing.
    pub(crate) session: Option<u32>,
    /// The WebSocket close code that must still be written behind what is queued.
    pub(crate) close_code: Option<u16>,
    pub(crate) listener: ListenerId,
    /// The slot of the session that has said GOODBYE and has no answer yet.
    pub(crate) leaving: Option<u32>,
    /// While its client authenticates.
    pub(crate) authentication: Option<Box<Authentication>>,
    /// The lanes that it waits for.
    pub(crate) waits_for: ShardSet,
    /// `None` only while octets are being parsed.
    pub(crate) server: Option<Box<Server>>,
    /// The cookie of a browser, where the listener has one.
    pub(crate) cookie: Option<Box<Cookie>>,
    /// A message that waits until earlier requests are answered.
    pub(crate) held: Option<Box<[u8]>>,
    /// Octets received and not parsed, because the connection is parked.
    pub(crate) stash: Vec<u8>,
    pub(crate) peer: Peer,
    /// The newest invocation id of earlier sessions on this transport: late answers to them are ignored.
    pub(crate) past_invocations: u64,
}

/// Whether a client that says this of itself in HELLO goes on when it meets an extension type of MessagePack that it does not
/// know. Two that are widely used do not: Wampy.js, which says its name, and the JavaScript Autobahn, which does not, and is known
/// by a set of features that no other client announces. They are spared such payloads, as clients of other serializers are.
pub(crate) fn reads_extensions(agent: Option<&str>, features: ClientFeatures) -> bool {
    let callee = |feature| features.has(ClientRole::Callee, feature);
    let is_autobahn_js = agent.is_none()
        && callee(ClientFeature::ProgressiveCallResults)
        && callee(ClientFeature::RegistrationRevocation)
        && callee(ClientFeature::SharedRegistration)
        && !callee(ClientFeature::CallCanceling);
    !is_autobahn_js && !agent.is_some_and(|agent| agent.starts_with("Wampy.js"))
}

/// How far the transport is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// The handshake is not over.
    Opening,
    /// Messages flow.
    Open,
    /// Nothing more is parsed; what is queued is flushed, then the socket is closed.
    Closing,
    /// The socket is to be closed at once.
    Cut,
}

/// Why a connection's input waits; several reasons may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parked(u8);

impl Parked {
    /// A session is joining: the home shard has not answered.
    pub(crate) const JOINING: Parked = Parked(1);
    /// A PUBLISH or CALL waits for the answer to an earlier SUBSCRIBE, REGISTER, UNSUBSCRIBE or UNREGISTER.
    pub(crate) const REQUEST: Parked = Parked(2);
    /// A message of this connection is in the overflow list of a lane.
    pub(crate) const LANE: Parked = Parked(4);
    /// The connection's own outbox is over half full.
    pub(crate) const OUTBOX: Parked = Parked(8);
    /// GOODBYE has come and is not answered yet.
    pub(crate) const LEAVING: Parked = Parked(16);
    /// This turn has delivered enough: the rest of the input goes on in the next one.
    pub(crate) const TURN: Parked = Parked(32);
    /// More requests than may be held wait for an authorizer.
    pub(crate) const AUTHORIZER: Parked = Parked(64);

    pub(crate) fn any(self) -> bool {
        self.0 != 0
    }

    pub(crate) fn has(self, reason: Parked) -> bool {
        self.0 & reason.0 != 0
    }

    pub(crate) fn set(&mut self, reason: Parked) {
        self.0 |= reason.0;
    }

    pub(crate) fn clear(&mut self, reason: Parked) {
        self.0 &= !reason.0;
    }
}

/// TLS of a connection, with the handshake octets that must go out before anything sealed.
pub(crate) struct Tls {
    pub(crate) machine: ServerTls,
    pub(crate) raw: Vec<u8>,
    /// Handshake octets received beyond this turn's share of handshake work.
    pub(crate) waiting: Vec<u8>,
    /// close_notify has been written.
    pub(crate) is_closed: bool,
}

/// When something must have happened, in nanoseconds; [`NEVER`] where nothing must.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Deadlines {
    /// The kernel takes some of the output under way.
    pub(crate) stall: u64,
    /// The earliest entry for this connection in the shard's queue of deadlines.
    pub(crate) armed: u64,
    /// HELLO.
    pub(crate) hello: u64,
    /// A client that authenticates is looked at.
    pub(crate) authentication: u64,
    /// The peer closes, or our queue is flushed.
    pub(crate) close: u64,
    /// The home shard releases what a leaving session owned.
    pub(crate) goodbye: u64,
    /// A ping is sent.
    pub(crate) ping: u64,
    /// The ping is answered.
    pub(crate) pong: u64,
}

impl Deadlines {
    pub(crate) fn hello_by(at: u64) -> Deadlines {
        Deadlines {
            hello: at,
            authentication: NEVER,
            close: NEVER,
            goodbye: NEVER,
            stall: NEVER,
            ping: NEVER,
            pong: NEVER,
            armed: NEVER,
        }
    }

    pub(crate) fn earliest(&self) -> u64 {
        [self.hello, self.authentication, self.close, self.goodbye, self.stall, self.ping, self.pong]
            .into_iter()
            .min()
            .unwrap_or(NEVER)
    }
}

impl Connection {
    pub(crate) fn establish(&mut self, established: Established) {
        self.link = Link::Open;
        self.form = Form::new(established.serializer, established.framing);
        self.peer_bytes_max = established.peer_bytes_max;
    }

    /// What kind of transport it is, as the meta API and authenticators are told.
    pub(crate) fn kind(&self) -> &'static str {
        match self.form.framing() {
            Framing::WebSocket => "websocket",
            Framing::RawSocket => "rawsocket",
        }
    }

    /// Whether there is something to send or to close when nothing is under way.
    pub(crate) fn has_more_to_do(&self) -> bool {
        self.outbox.has_queued() || self.tls.is_some() || self.link != Link::Open
    }

    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.link, Link::Closing | Link::Cut)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("guard", &self.guard)
            .field("session", &self.session)
            .field("link", &self.link)
            .field("parked", &self.parked)
            .field("queued", &self.outbox.len())
            .finish_non_exhaustive()
    }
}
