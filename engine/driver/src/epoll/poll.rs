//! A shard's epoll instance: what is ready, and the calls that move octets.
//!
//! Sockets are registered once, **edge-triggered**, when they are first read, and what an edge has told is kept here until
//! a call has found the kernel empty (or full). So a connection that is parked, or that starts and stops, costs no
//! `epoll_ctl`, and a connection that has been reported is not looked at again by the next `epoll_wait`, as it would be
//! level-triggered. A receive that does not fill the buffer has emptied the kernel, and the next octets make an edge, which
//! saves the call that would say so; except behind an end of stream, an error or an urgent octet, which have made their edge
//! already: from then on this socket is read until the kernel says that it is empty. Room to send is asked for only by a
//! connection that found none, and until room was reported that nobody wanted: a Unix socket tells of room each time its
//! peer reads.
//!
//! A turn asks the kernel once, hands out at most one buffer of each connection that has something (round robin: who has
//! more goes to the end of the queue) and 4 MiB in all, so that one busy connection starves nobody. There is one buffer per
//! shard, none per connection.
//!
//! Invariants: an output that is kept in `held` is named by the link of its connection, whose socket wants room; a
//! completion is handed out only if its operation has not been cancelled meanwhile; a token that leads nowhere any more is
//! passed over.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketFlags, accept_with, recv};
use rustix::time::Timespec;
use slab::Slab;
use socket2::SockRef;

use crate::conns::{Conn, Conns};
use crate::outgoing::{Outgoing, send_now};
use crate::port::{Completion, Port, Received};
use crate::sys::EventFd;
use crate::token::{Op, Token};

/// Newcomers of one turn, so that a burst of them does not keep everyone else waiting.
const ACCEPTS_PER_TURN: usize = 64;
/// Longer waits are cut into pieces: the kernel counts them in 31 bits of milliseconds.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// How large a poll is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollSize {
    /// Events per system call; what does not fit is told by the next one.
    pub(crate) events: usize,
    /// Octets of the receive buffer.
    pub(crate) buffer_octets: usize,
    /// Octets received in one turn, the last buffer aside.
    pub(crate) turn_octets: usize,
}

impl Default for PollSize {
    fn default() -> PollSize {
        PollSize { events: 1024, buffer_octets: 64 << 10, turn_octets: 4 << 20 }
    }
}

/// What the poll keeps of a connection.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// Its socket is registered.
    is_known: bool,
    /// It waits in the queue of those that are ready.
    is_listed: bool,
    /// The kernel may have octets, an end or an error for it.
    is_readable: bool,
    /// A receive that does not fill the buffer proves nothing.
    until_empty: bool,
    /// The kernel has no room for more of its octets.
    is_full: bool,
    /// Its socket is registered for room.
    wants_room: bool,
    /// The output that waits for room.
    held: Option<u32>,
}

/// How many octets of the buffer the last receive has filled.
#[derive(Debug)]
pub(crate) struct Filled(usize);

/// A listener that is registered.
#[derive(Debug)]
struct Station {
    socket: OwnedFd,
    accepting: bool,
    is_listed: bool,
    is_readable: bool,
}

/// What may have something for us.
#[derive(Clone, Copy, Debug)]
enum Ready {
    Listener(u16),
    Conn(Token),
}

/// See the module.
pub(crate) struct Poll<O> {
    epoll: OwnedFd,
    /// What the kernel has told and [`Poll::sort`] has not seen.
    events: Vec<Event>,
    /// The kernel has been asked since the last turn ended.
    has_looked: bool,
    /// This turn has begun to hand out.
    has_begun: bool,
    ready: VecDeque<Ready>,
    /// How many of `ready`, newcomers and octets this turn still hands out.
    ready_left: usize,
    accepts_left: usize,
    octets_left: usize,
    turn_octets: usize,
    buffer: Box<[u8]>,
    /// By index.
    stations: Vec<Option<Station>>,
    held: Slab<O>,
    /// Failures, to be told in the next turn.
    failed: VecDeque<Completion<O, Filled>>,
}

impl<O: Outgoing> Poll<O> {
    /// An epoll instance that `eventfd` wakes.
    pub(crate) fn new(size: PollSize, eventfd: &EventFd) -> io::Result<Poll<O>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // Edge-triggered, it never has to be read; its counter does not overflow in 2^64 wake-ups.
        let wakes = EventData::new_u64(Op::Ignore.with_index(0));
        epoll::add(&epoll, eventfd.fd(), wakes, EventFlags::IN | EventFlags::ET)?;
        Ok(Poll {
            epoll,
            events: Vec::with_capacity(size.events),
            has_looked: false,
            has_begun: false,
            ready: VecDeque::new(),
            ready_left: 0,
            accepts_left: 0,
            octets_left: 0,
            turn_octets: size.turn_octets,
            buffer: vec![0; size.buffer_octets].into(),
            stations: Vec::new(),
            held: Slab::new(),
            failed: VecDeque::new(),
        })
    }

    /// Asks the kernel what is ready.
    pub(crate) fn look(&mut self) {
        self.wait(Some(Duration::ZERO));
    }

    /// Waits until something is ready, or for this long, rounded up to a millisecond.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) {
        if !self.events.is_empty() {
            return;
        }
        let timeout = timeout.map(|timeout| {
            let timeout = timeout.min(WAIT_MAX);
            Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) }
        });
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => self.has_looked = true,
            Err(error) => panic!("epoll_wait failed: {error}"),
        }
    }

    /// Begins to hand out: what the kernel tells, and the bounds of the turn.
    fn begin(&mut self, conns: &mut Conns<Link>) {
        if !self.has_looked {
            self.look();
        }
        self.sort(conns);
        self.has_begun = true;
        self.ready_left = self.ready.len();
        self.accepts_left = ACCEPTS_PER_TURN;
        self.octets_left = self.turn_octets;
    }

    /// Enters what the kernel has told into links and stations, and lists those that can go on.
    fn sort(&mut self, conns: &mut Conns<Link>) {
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            let (flags, data) = (event.flags, event.data);
            match Op::parse(data.u64()) {
                (Op::Accept, index, _) => self.on_listener(index as u16),
                (Op::Receive, _, token) => {
                    if let Some(conn) = conns.find(token) {
                        self.on_event(token, conn, flags);
                    }
                }
                _ => {}
            }
        }
        self.events = events;
    }

    fn on_listener(&mut self, index: u16) {
        if let Some(Some(station)) = self.stations.get_mut(usize::from(index)) {
            station.is_readable = true;
            self.list_listener(index);
        }
    }

    fn on_event(&mut self, token: Token, conn: &mut Conn<Link>, flags: EventFlags) {
        let last = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        conn.link.until_empty |= flags.intersects(last | EventFlags::PRI);
        conn.link.is_readable |= flags.intersects(EventFlags::IN | EventFlags::PRI | last);
        if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            conn.link.is_full = false;
        }
        if conn.link.wants_room && conn.link.held.is_none() && flags.contains(EventFlags::OUT) {
            // If that fails it goes on telling what nobody wants to know.
            conn.link.wants_room = self.register(token, conn, false).is_err();
        }
        self.list(token, conn);
    }

    /// Puts a connection that can go on into the queue.
    fn list(&mut self, token: Token, conn: &mut Conn<Link>) {
        let link = &mut conn.link;
        let can_go_on = conn.receiving && link.is_readable || link.held.is_some() && !link.is_full;
        if can_go_on && !link.is_listed {
            link.is_listed = true;
            self.ready.push_back(Ready::Conn(token));
        }
    }

    fn list_listener(&mut self, index: u16) {
        if let Some(Some(station)) = self.stations.get_mut(usize::from(index))
            && station.accepting
            && station.is_readable
            && !station.is_listed
        {
            station.is_listed = true;
            self.ready.push_back(Ready::Listener(index));
        }
    }

    /// Registers the socket of a connection, for room too or not.
    fn register(&self, token: Token, conn: &Conn<Link>, room: bool) -> Result<(), Errno> {
        let data = EventData::new_u64(Op::Receive.with_token(token));
        let mut flags = EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP | EventFlags::ET;
        flags.set(EventFlags::OUT, room);
        if conn.link.is_known {
            epoll::modify(&self.epoll, &conn.socket, data, flags)
        } else {
            epoll::add(&self.epoll, &conn.socket, data, flags)
        }
    }

    /// What a connection that was listed has, if it has something after all.
    fn go_on(&mut self, token: Token, conn: &mut Conn<Link>) -> Option<Completion<O, Filled>> {
        if !conn.link.is_full
            && let Some(held) = conn.link.held.take()
        {
            // Back to the front, because it may have something to read as well.
            conn.link.is_listed = true;
            self.ready.push_front(Ready::Conn(token));
            self.ready_left += 1;
            let output = self.held.remove(held as usize);
            let (output, octets) = Port::send(self, token, conn, output)?;
            return Some(Completion::Sent { token, output, result: Ok(octets) });
        }
        (conn.receiving && conn.link.is_readable).then(|| self.receive_now(token, conn)).flatten()
    }

    fn receive_now(&mut self, token: Token, conn: &mut Conn<Link>) -> Option<Completion<O, Filled>> {
        let received = loop {
            match recv(&conn.socket, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => break Received::End,
                Ok((octets, _)) => break Received::Octets(Filled(octets)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    conn.link.is_readable = false;
                    return None;
                }
                Err(error) => break Received::Failed(error.raw_os_error()),
            }
        };
        let Received::Octets(Filled(octets)) = received else {
            conn.link.is_readable = false;
            return Some(Completion::Received { token, received, more: false });
        };
        self.octets_left = self.octets_left.saturating_sub(octets);
        conn.link.is_readable = octets == self.buffer.len() || conn.link.until_empty;
        self.list(token, conn);
        Some(Completion::Received { token, received, more: true })
    }

    fn accept_now(&mut self, index: u16) -> Option<Completion<O, Filled>> {
        let Some(Some(station)) = self.stations.get_mut(usize::from(index)) else { return None };
        station.is_listed = false;
        if !station.accepting {
            return None;
        }
        let (result, more) = match accept_with(&station.socket, SocketFlags::CLOEXEC) {
            Ok(socket) => (Ok(socket), true),
            Err(Errno::AGAIN) => {
                station.is_readable = false;
                return None;
            }
            Err(error) => (Err(error.raw_os_error()), false),
        };
        if more {
            self.accepts_left = self.accepts_left.saturating_sub(1);
            station.is_listed = true;
            if self.accepts_left > 0 {
                self.ready.push_front(Ready::Listener(index));
                self.ready_left += 1;
            } else {
                self.ready.push_back(Ready::Listener(index));
            }
        } else {
            // What ended it may not have been the last one that waits.
            station.accepting = false;
        }
        Some(Completion::Accepted { listener: index, result, more })
    }

    /// Keeps an output until there is room for it.
    fn hold(&mut self, token: Token, conn: &mut Conn<Link>, output: O) {
        if !conn.link.wants_room {
            if let Err(error) = self.register(token, conn, true) {
                let result = Err(error.raw_os_error());
                self.failed.push_back(Completion::Sent { token, output, result });
                return;
            }
            (conn.link.is_known, conn.link.wants_room) = (true, true);
        }
        conn.link.held = Some(self.held.insert(output) as u32);
    }

    /// Whether the operation that has failed is still waited for.
    fn is_wanted(failed: &Completion<O, Filled>, conns: &mut Conns<Link>) -> bool {
        match failed {
            Completion::Sent { token, .. } => conns.find(*token).is_some_and(|conn| conn.sending),
            Completion::Received { token, .. } => conns.find(*token).is_some_and(|conn| conn.receiving),
            _ => true,
        }
    }
}

impl<O: Outgoing> Port<O> for Poll<O> {
    type Link = Link;
    type Chunk = Filled;

    fn accept(&mut self, socket: BorrowedFd<'_>, listener: u16) {
        let index = usize::from(listener);
        if self.stations.len() <= index {
            self.stations.resize_with(index + 1, || None);
        }
        if self.stations[index].is_none() {
            match station(&self.epoll, socket, listener) {
                Ok(station) => self.stations[index] = Some(station),
                Err(error) => {
                    let result = Err(error.raw_os_error().unwrap_or(libc::EIO));
                    self.failed.push_back(Completion::Accepted { listener, result, more: false });
                    return;
                }
            }
        }
        if let Some(station) = &mut self.stations[index] {
            station.accepting = true;
        }
        self.list_listener(listener);
    }

    fn cancel_accept(&mut self, _socket: BorrowedFd<'_>, listener: u16) -> bool {
        if let Some(station) = self.stations.get_mut(usize::from(listener)).and_then(Option::take) {
            // Dropping the duplicate alone would leave it registered as long as the listener is open.
            let _ = epoll::delete(&self.epoll, &station.socket);
        }
        true
    }

    fn receive(&mut self, token: Token, conn: &mut Conn<Link>) {
        if !conn.link.is_known {
            if let Err(error) = self.register(token, conn, false) {
                let received = Received::Failed(error.raw_os_error());
                self.failed.push_back(Completion::Received { token, received, more: false });
                return;
            }
            conn.link.is_known = true;
        }
        self.list(token, conn);
    }

    fn cancel_receive(&mut self, _token: Token, _conn: &mut Conn<Link>) -> bool {
        true
    }

    fn send(&mut self, token: Token, conn: &mut Conn<Link>, output: O) -> Option<(O, usize)> {
        if conn.link.is_full {
            self.hold(token, conn, output);
            return None;
        }
        match send_now(conn.socket.as_fd(), &output) {
            Ok((taken, offered)) => {
                conn.link.is_full = taken < offered;
                return Some((output, taken));
            }
            Err(Errno::AGAIN) => {
                conn.link.is_full = true;
                self.hold(token, conn, output);
            }
            Err(error) => {
                let result = Err(error.raw_os_error());
                self.failed.push_back(Completion::Sent { token, output, result });
            }
        }
        None
    }

    fn cancel_all(&mut self, _token: Token, conn: &mut Conn<Link>) -> bool {
        if let Some(held) = conn.link.held.take() {
            self.held.remove(held as usize);
        }
        true
    }

    fn next(&mut self, conns: &mut Conns<Link>) -> Option<Completion<O, Filled>> {
        if !self.has_begun {
            self.begin(conns);
        }
        while let Some(failed) = self.failed.pop_front() {
            if Self::is_wanted(&failed, conns) {
                return Some(failed);
            }
        }
        while self.ready_left > 0 && self.octets_left > 0 {
            let Some(ready) = self.ready.pop_front() else { break };
            self.ready_left -= 1;
            let completion = match ready {
                Ready::Listener(index) => self.accept_now(index),
                Ready::Conn(token) => match conns.find(token) {
                    Some(conn) => {
                        conn.link.is_listed = false;
                        self.go_on(token, conn)
                    }
                    None => None,
                },
            };
            if completion.is_some() {
                return completion;
            }
        }
        None
    }

    fn consume<R>(&mut self, chunk: Filled, read: impl FnOnce(&mut [u8]) -> R) -> R {
        read(&mut self.buffer[..chunk.0])
    }

    /// Everything has been done already: the next turn may ask the kernel again.
    fn end_turn(&mut self) {
        (self.has_looked, self.has_begun) = (false, false);
    }

    fn has_work(&mut self) -> bool {
        !self.events.is_empty() || !self.ready.is_empty() || !self.failed.is_empty()
    }
}

/// Registers a listener under a descriptor of the poll's own.
fn station(epoll: &OwnedFd, socket: BorrowedFd<'_>, listener: u16) -> io::Result<Station> {
    let socket = socket.try_clone_to_owned()?;
    SockRef::from(&socket).set_nonblocking(true)?;
    let data = EventData::new_u64(Op::Accept.with_index(u32::from(listener)));
    epoll::add(epoll, &socket, data, EventFlags::IN | EventFlags::ET)?;
    Ok(Station { socket, accepting: false, is_listed: false, is_readable: false })
}
