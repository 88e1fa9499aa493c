//! From octets to messages to what they ask for: TLS, framing, parsing, and the dispatch by session state.

use wampline_routing::{RequestIds, error_uri};
use wampline_transports::server::{COOKIE_BYTES, Fault, FaultKind, Received, Server};
use wampline_transports::tls::TlsProgress;
use wampline_wire::{Message, RequestId, RequestType, Serializer};

use crate::asking::{Dispatch, is_dependent};
use crate::authorize::Flow;
use crate::connection::{Link, NEVER, Parked, STASH_PAUSE_BYTES};
use crate::counters::add;
use crate::session::SessionState;
use crate::shard::Shard;
use crate::{Action, ConnKey, Now};

/// How many pieces of TLS handshake are worked on in one turn: a key exchange and a signature cost as much as hundreds
/// of messages, and others must not wait for many of them.
pub(crate) const TLS_STEPS_PER_TURN: u32 = 4;

/// How many SUBSCRIBE, UNSUBSCRIBE, REGISTER and UNREGISTER of one session may wait for their answer; the next one
/// waits to be parsed.
const REQUESTS_PENDING_MAX: usize = 64;

/// How many members the publications of one turn may visit before further input waits for the next turn: some two milliseconds of
/// fan-out. A single publication is never divided.
pub(crate) const VISITS_PER_TURN: usize = 100_000;

impl Shard {
    /// Octets were received. They are parsed in place; what must be kept is copied.
    pub fn octets(&mut self, now: Now, key: ConnKey, octets: &mut [u8]) {
        self.now = now;
        if !self.is_live(key) || self.connections[key.slot].is_ending() {
            return;
        }
        self.heard_from(key.slot);
        let Some(tls) = self.connections[key.slot].tls.as_mut() else {
            return self.pump(key.slot, octets);
        };
        if tls.machine.progress() == TlsProgress::Handshaking {
            if self.tls_budget == 0 || !tls.waiting.is_empty() {
                tls.waiting.extend_from_slice(octets);
                self.tls_waiting.push_back(key);
                return;
            }
            self.tls_budget -= 1;
        }
        self.tls_octets(key.slot, octets);
    }

    /// Gives the handshakes that wait their share of a new turn.
    pub(crate) fn tls_turn(&mut self) {
        self.tls_budget = TLS_STEPS_PER_TURN;
        while self.tls_budget > 0
            && let Some(key) = self.tls_waiting.pop_front()
        {
            if !self.is_live(key) || self.connections[key.slot].is_ending() {
                continue;
            }
            let Some(tls) = self.connections[key.slot].tls.as_mut() else { continue };
            let octets = std::mem::take(&mut tls.waiting);
            if !octets.is_empty() {
                self.tls_budget -= 1;
                self.tls_octets(key.slot, &octets);
            }
        }
    }

    fn tls_octets(&mut self, slot: u32, octets: &[u8]) {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let Some(tls) = self.connections[slot].tls.as_mut() else { return };
        let before = tls.raw.len();
        let progress = tls.machine.receive(octets, &mut plain, &mut tls.raw);
        if tls.raw.len() > before {
            self.mark_dirty(slot);
        }
        if !plain.is_empty() {
            self.pump(slot, &mut plain);
        }
        self.plain = plain;
        match progress {
            Ok(TlsProgress::Handshaking | TlsProgress::Open) => {}
            Ok(TlsProgress::Closed) => {
                self.close_link(slot, None);
            }
            Err(fault) => {
                tracing::debug!(peer = %self.connections[slot].peer, fault = %fault.0, "TLS failed");
                add(&self.counters().transport_faults, 1);
                self.close_link(slot, None);
            }
        }
    }

    /// Takes messages out of the stream until it is used up or the connection is parked; keeps the rest.
    fn pump(&mut self, slot: u32, octets: &mut [u8]) {
        let connection = &mut self.connections[slot];
        if connection.parked.any() || connection.held.is_some() || !connection.stash.is_empty() {
            return self.stash(slot, octets);
        }
        let Some(mut server) = connection.server.take() else { return };
        let mut control = std::mem::take(&mut connection.outbox.control);
        let mut rest = octets;
        let end = loop {
            match server.receive(&mut rest, &mut control) {
                Ok(Some(Received::Message { octets, text })) => self.received(slot, octets, text),
                Ok(Some(Received::Cookie { brought })) => {
                    if !brought.is_some_and(|brought| self.knows_cookie(brought)) {
                        let mut octets = [0; COOKIE_BYTES];
                        self.unguessable.fill(&mut octets);
                        server.set_cookie(octets);
                    }
                }
                Ok(Some(Received::Established(established))) => {
                    self.connections[slot].cookie = server.take_cookie();
                    self.connections[slot].establish(established);
                    if self.is_echo(slot) {
                        self.connections[slot].deadlines.hello = NEVER;
                    }
                    self.watch_liveness(slot);
                }
                Ok(Some(Received::Pong)) => {}
                Ok(Some(Received::Closed)) => break End::Closed,
                Ok(None) => break End::UsedUp,
                Err(fault) => break End::Fault(fault),
            }
            if self.visits >= VISITS_PER_TURN {
                self.postpone(slot);
            }
            let connection = &self.connections[slot];
            if connection.is_ending() || connection.parked.any() {
                break End::UsedUp;
            }
        };
        let has_control = !control.is_empty();
        self.restore(slot, server, control);
        if has_control {
            self.mark_dirty(slot);
        }
        match end {
            End::UsedUp => {
                if !rest.is_empty() && !self.connections[slot].is_ending() {
                    self.stash(slot, rest);
                }
            }
            End::Closed => {
                self.close_link(slot, None);
            }
            End::Fault(fault) => self.faulted(slot, fault),
        }
    }

    /// Goes on with a connection that is no longer parked.
    pub(crate) fn resume(&mut self, slot: u32) {
        if self.connections[slot].parked.any() || self.connections[slot].is_ending() {
            return;
        }
        if let Some(mut held) = self.connections[slot].held.take() {
            self.received_again(slot, &mut held, Dispatch::HELD);
        }
        self.deal_with_held(slot);
        let connection = &mut self.connections[slot];
        if connection.parked.any() || connection.is_ending() {
            return;
        }
        let mut stash = std::mem::take(&mut connection.stash);
        if !stash.is_empty() {
            self.pump(slot, &mut stash);
        }
        self.resume_reading(slot);
    }

    /// Stops taking messages from a connection, for a reason that ends with [`Shard::unpark`].
    pub(crate) fn park(&mut self, slot: u32, reason: Parked) {
        self.connections[slot].parked.set(reason);
    }

    /// Lets a connection's input wait for the next turn, so that what was delivered is sent first and others have their share.
    fn postpone(&mut self, slot: u32) {
        if !self.connections[slot].parked.has(Parked::TURN) {
            self.park(slot, Parked::TURN);
            let key = self.key(slot);
            self.postponed.push(key);
        }
    }

    /// One reason to wait is gone.
    pub(crate) fn unpark(&mut self, slot: u32, reason: Parked) {
        let connection = &mut self.connections[slot];
        if !connection.parked.has(reason) {
            return;
        }
        connection.parked.clear(reason);
        if !connection.parked.any() {
            let key = self.key(slot);
            self.resumable.push_back(key);
        }
    }

    fn stash(&mut self, slot: u32, octets: &[u8]) {
        let key = self.key(slot);
        let connection = &mut self.connections[slot];
        connection.stash.extend_from_slice(octets);
        if connection.stash.len() > STASH_PAUSE_BYTES && !connection.is_paused {
            connection.is_paused = true;
            self.actions.push_back(Action::PauseRead(key));
        }
    }

    fn resume_reading(&mut self, slot: u32) {
        let key = self.key(slot);
        let connection = &mut self.connections[slot];
        if connection.is_paused && !connection.parked.any() && connection.stash.is_empty() {
            connection.is_paused = false;
            self.actions.push_back(Action::ResumeRead(key));
        }
    }

    /// Puts the framing machine back after parsing. Control octets that were queued meanwhile come after its own.
    fn restore(&mut self, slot: u32, server: Box<Server>, mut control: Vec<u8>) {
        let connection = &mut self.connections[slot];
        control.append(&mut connection.outbox.control);
        connection.outbox.control = control;
        connection.server = Some(server);
    }

    fn faulted(&mut self, slot: u32, fault: Fault) {
        let connection = &self.connections[slot];
        tracing::debug!(peer = %connection.peer, reason = fault.reason, "transport fault");
        add(&self.counters().transport_faults, 1);
        let is_websocket = connection.link == Link::Open
            && connection.form.framing() == wampline_transports::Framing::WebSocket;
        if self.connections[slot].session.is_some() && !is_websocket && fault.kind != FaultKind::Handshake {
            return self.violation(slot, fault.reason);
        }
        self.close_link(slot, None);
    }

    fn received(&mut self, slot: u32, octets: &mut [u8], text: bool) {
        if self.is_echo(slot) {
            return self.echo(slot, octets, text);
        }
        let serializer = self.connections[slot].form.serializer();
        match Message::parse(serializer, octets) {
            Ok(message) => self.dispatch(slot, octets, message),
            Err(error) => self.violation(slot, &error.to_string()),
        }
    }

    /// Deals with a message that has waited.
    pub(crate) fn received_again(&mut self, slot: u32, octets: &mut [u8], how: Dispatch) {
        self.dispatch = how;
        self.received(slot, octets, false);
        self.dispatch = Dispatch::New;
    }

    fn echo(&mut self, slot: u32, octets: &[u8], text: bool) {
        let serializer = if text { Serializer::Json } else { Serializer::MsgPack };
        let framing = self.connections[slot].form.framing();
        // The bound of the listener's outbox is checked as for messages.
        let _ = self.queue(slot, octets.len(), None, |buffer| {
            let body = |buffer: &mut Vec<u8>| {
                buffer.extend_from_slice(octets);
                Ok::<(), wampline_wire::EncodeError>(())
            };
            framing.frame(serializer, buffer, octets.len(), body)
        });
    }

    fn is_echo(&self, slot: u32) -> bool {
        let listener = self.connections[slot].listener;
        self.shared.config.listeners[listener.0 as usize].transport.echo
    }

    fn dispatch(&mut self, slot: u32, octets: &[u8], message: Message<'_>) {
        let Some(session) = self.connections[slot].session else {
            if self.connections[slot].authentication.is_some() {
                return self.dispatch_authenticating(slot, message);
            }
            return self.dispatch_outside(slot, message);
        };
        match self.sessions[session].state {
            SessionState::Open => self.dispatch_open(slot, session, octets, message),
            SessionState::Closing => match message {
                Message::Goodbye { .. } | Message::Abort { .. } => {
                    self.close_link(slot, Some(crate::leave::CLOSE_GOING_AWAY));
                }
                _ => {}
            },
            SessionState::Joining | SessionState::Left { .. } => {}
        }
    }

    /// Before the first session on a transport, or between two.
    fn dispatch_outside(&mut self, slot: u32, message: Message<'_>) {
        if self.connections[slot].is_dismissed {
            if let Message::Goodbye { .. } | Message::Abort { .. } = message {
                self.close_link(slot, Some(crate::leave::CLOSE_GOING_AWAY));
            }
            return;
        }
        let had_session = self.connections[slot].had_session;
        match message {
            Message::Hello { realm, details } => self.hello(slot, &realm, details),
            Message::Abort { .. } => self.close_link(slot, Some(crate::leave::CLOSE_NORMAL)),
            // Late words of a session that has ended.
            Message::Goodbye { .. } | Message::Yield { .. } | Message::Cancel { .. } if had_session => {}
            Message::Error { request_type: RequestType::Invocation, .. } if had_session => {}
            other => {
                let text =
                    format!("received {:?} message before a session was established", other.message_type());
                self.violation(slot, &text);
            }
        }
    }

    fn dispatch_open(&mut self, slot: u32, session: u32, octets: &[u8], message: Message<'_>) {
        let call = if let Message::Call { request, .. } = message { Some(request) } else { None };
        let entry = &self.sessions[session];
        let pending = entry.requests.pending_len();
        if entry.asking.is_some() && self.dispatch == Dispatch::New && is_dependent(&message) {
            return self.hold_behind(slot, session, octets, call);
        }
        let waits = match message {
            Message::Publish { .. } | Message::Call { .. } => pending > 0,
            Message::Subscribe { .. }
            | Message::Unsubscribe { .. }
            | Message::Register { .. }
            | Message::Unregister { .. } => pending >= REQUESTS_PENDING_MAX,
            _ => false,
        };
        if waits {
            // What was asked for before must be in force when this is matched.
            self.connections[slot].held = Some(octets.into());
            return self.park(slot, Parked::REQUEST);
        }
        let flow = match message {
            Message::Publish { request, options, topic, payload } => {
                if !self.request(slot, session, RequestType::Publish, request) {
                    return;
                }
                self.publish(slot, session, request, options, &topic, payload)
            }
            Message::Call { request, options, procedure, payload } => {
                let waiting = self.sessions[session].calls.get(&request).copied();
                if let Some(call) = waiting {
                    return self.call_again(slot, call, request, options, &procedure, payload);
                }
                if self.is_late_chunk(session, request, &options)
                    || !self.request(slot, session, RequestType::Call, request)
                {
                    return;
                }
                if self.dispatch.is_canceled() {
                    return self.call_canceled(slot, session, request, &options);
                }
                self.call(slot, session, request, options, &procedure, payload)
            }
            Message::Yield { request, options, payload } => {
                return self.yielded(slot, session, request, options, payload);
            }
            Message::Error { request_type: RequestType::Invocation, request, details, error, payload } => {
                return self.invocation_failed(slot, session, request, details, &error, payload);
            }
            Message::Subscribe { request, options, topic } => {
                if !self.request(slot, session, RequestType::Subscribe, request) {
                    return;
                }
                self.subscribe(slot, session, request, options, &topic)
            }
            Message::Unsubscribe { request, subscription } => {
                if self.request(slot, session, RequestType::Unsubscribe, request) {
                    self.unsubscribe(slot, session, request, subscription);
                }
                return;
            }
            Message::Register { request, options, procedure } => {
                if !self.request(slot, session, RequestType::Register, request) {
                    return;
                }
                self.register(slot, session, request, options, &procedure)
            }
            Message::Unregister { request, registration } => {
                if self.request(slot, session, RequestType::Unregister, request) {
                    self.unregister(slot, session, request, registration);
                }
                return;
            }
            Message::Goodbye { .. } => return self.goodbye(slot, session),
            Message::Abort { .. } => return self.close_link(slot, Some(crate::leave::CLOSE_NORMAL)),
            Message::Cancel { request, options } => return self.cancel(session, request, &options),
            other => {
                let text = format!(
                    "received unexpected {:?} message in an established session",
                    other.message_type()
                );
                return self.violation(slot, &text);
            }
        };
        if flow == Flow::Waits {
            self.hold_first(slot, session, octets, call);
        }
    }

    /// Checks a request id. On a violation the session has been aborted.
    fn request(&mut self, slot: u32, session: u32, kind: RequestType, id: RequestId) -> bool {
        let entry = &mut self.sessions[session];
        let mode: RequestIds = self.shared.realm(entry.realm).request_ids;
        let in_progress = match kind {
            // A CALL with the id of one in progress has been taken for another chunk of it.
            RequestType::Call | RequestType::Publish => false,
            _ => entry.requests.is_pending(kind, id),
        };
        match entry.requests.arrived(mode, id, in_progress) {
            Ok(()) => true,
            Err(_) if self.dispatch.is_counted() => true,
            Err(error) => {
                self.violation(slot, &error.to_string());
                false
            }
        }
    }

    /// Ends the session (if there is one) and the connection for breaking the protocol.
    pub(crate) fn violation(&mut self, slot: u32, text: &str) {
        add(&self.counters().protocol_violations, 1);
        tracing::debug!(peer = %self.connections[slot].peer, text, "protocol violation");
        self.abort(slot, error_uri::PROTOCOL_VIOLATION, text);
        self.close_link(slot, Some(crate::leave::CLOSE_PROTOCOL_ERROR));
    }
}

/// Why parsing stopped.
enum End {
    UsedUp,
    Closed,
    Fault(Fault),
}
