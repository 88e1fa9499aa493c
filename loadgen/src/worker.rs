//! One thread's event loop over its sessions.
//!
//! A turn: open sessions that are due, let the workload act, write each connection that has something to say
//! once, wait, read what came. The loop owns the sessions ([`Links`]); what they say is the [`Workload`]'s.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use crate::auth::Identity;
use crate::clock::nanos;
use crate::connection::{Connection, Form, Opening, Replies, Stream};
use crate::control::Control;
use crate::scenarios::Workload;
use crate::session::{Session, Stage};
use crate::sys::{self, Timer};
use crate::target::Target;

/// What every worker of a run is told.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) identity: Identity,
    /// The number of this worker.
    pub(crate) worker: usize,
    /// The core that it is bound to.
    pub(crate) core: Option<usize>,
    /// It never sleeps.
    pub(crate) is_busy: bool,
    /// How long a join or a farewell may take.
    pub(crate) timeout: Duration,
    /// Sessions of this worker on their way in at the same time.
    pub(crate) concurrency: usize,
    /// Start of the sequence from which connections take their masking keys.
    pub(crate) seed: u64,
}

/// A thread's loop, ready to run.
pub(crate) struct Worker<W> {
    poll: Poll,
    /// Wakes the loop when the workload is due.
    timer: Timer,
    /// For when the timer was last set.
    timer_at: u64,
    control: Arc<Control>,
    links: Links,
    workload: W,
    buffer: Box<[u8]>,
    replies: Replies,
    /// Slots whose sockets have not been emptied.
    unread: Vec<usize>,
    expired_at: u64,
}

/// The sessions of one worker, by slot. A slot is used again once its session has ended.
pub(crate) struct Links {
    plan: Plan,
    registry: Registry,
    slots: Vec<Option<Session>>,
    free: Vec<usize>,
    /// Slots that may have something to write.
    dirty: Vec<usize>,
    /// Sessions that have not joined yet.
    opening: usize,
    opened: u64,
}

impl<W: Workload> Worker<W> {
    /// A worker and the handle that wakes it.
    pub(crate) fn new(plan: Plan, control: Arc<Control>, workload: W) -> io::Result<(Worker<W>, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let links = Links {
            registry: poll.registry().try_clone()?,
            slots: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            opening: 0,
            opened: 0,
            plan,
        };
        let timer = Timer::new()?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let replies = Replies::new();
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        let worker = Worker {
            poll,
            timer,
            timer_at: 0,
            control,
            links,
            workload,
            buffer,
            replies,
            unread: Vec::new(),
            expired_at: 0,
        };
        Ok((worker, waker))
    }

    /// Runs until the workload is finished or the run is stopped, and gives the workload back.
    pub(crate) fn run(mut self) -> W {
        if let Some(core) = self.links.plan.core
            && let Err(error) = sys::pin_thread(core)
        {
            self.control.fail(format!("cannot bind a thread to core {core}: {error}"));
        }
        let is_busy = self.links.plan.is_busy;
        let mut events = Events::with_capacity(1024);
        let mut worked = 0;
        let mut woken_at = None;
        while !self.control.is_stopped() {
            self.open_sessions();
            self.workload.turn(&mut self.links, self.control.clock.now());
            self.flush_dirty();
            if self.workload.is_finished(&self.links) {
                break;
            }
            let timeout =
                if is_busy || !self.unread.is_empty() { Duration::ZERO } else { self.time_to_sleep() };
            if let Some(woken_at) = woken_at.take() {
                worked += self.control.clock.now() - woken_at;
                self.control.set_worked(self.links.plan.worker, worked);
            }
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {
                    let unread = std::mem::take(&mut self.unread);
                    if is_busy && !(events.is_empty() && unread.is_empty()) {
                        woken_at = Some(self.control.clock.now());
                    }
                    events.iter().for_each(|event| self.handle(event));
                    for at in unread {
                        if let Some(session) = self.links.session(at) {
                            session.is_unread = false;
                            self.receive(at);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.control.fail(format!("cannot wait for events: {error}")),
            }
            self.expire();
        }
        self.workload
    }

    /// How long to wait at most; the timer wakes the loop when the workload is due before that.
    fn time_to_sleep(&mut self) -> Duration {
        let Some(due) = self.workload.next_due() else { return TURN_MAX };
        let left = due.saturating_sub(self.control.clock.now());
        if left == 0 {
            // A join that is due may have to wait for others.
            let is_full = self.links.opening >= self.links.plan.concurrency;
            return if is_full { TURN_MAX } else { Duration::ZERO };
        }
        if left < nanos(TURN_MAX) && self.timer_at != due {
            match self.timer.set(Duration::from_nanos(left)) {
                Ok(()) => self.timer_at = due,
                Err(error) => self.control.fail(format!("cannot set a timer: {error}")),
            }
        }
        TURN_MAX
    }

    fn open_sessions(&mut self) {
        while self.links.opening < self.links.plan.concurrency {
            let Some(opening) = self.workload.wants_session() else { return };
            let now = self.control.clock.now();
            match self.links.open(opening, now) {
                Ok(at) => self.workload.opened(at),
                Err(error) => {
                    self.control.fail(self.links.unreachable(&error));
                    return;
                }
            }
        }
    }

    fn handle(&mut self, event: &Event) {
        let at = event.token().0;
        if [WAKER, TIMER].contains(&event.token()) || self.links.session(at).is_none() {
            return;
        }
        if event.is_writable() {
            self.links.dirty.push(at);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.receive(at);
        }
    }

    fn receive(&mut self, at: usize) {
        let Worker { links, workload, control, buffer, replies, .. } = self;
        let Some(session) = links.slots.get_mut(at).and_then(Option::as_mut) else { return };
        let before = session.life.stage;
        let outcome = session.receive(at, workload, &links.plan.identity, control.clock, buffer, replies);
        links.opening -= usize::from(before < Stage::Joined && session.life.stage >= Stage::Joined);
        links.dirty.push(at);
        match outcome {
            Ok(Stream::Open) => {}
            Ok(Stream::More) => {
                if !std::mem::replace(&mut session.is_unread, true) {
                    self.unread.push(at);
                }
            }
            Ok(Stream::Closed) => self.end(at, Ok(())),
            Err(reason) => self.end(at, Err(reason)),
        }
    }

    fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.links.dirty);
        for at in dirty.drain(..) {
            let Some(session) = self.links.session(at) else { continue };
            if let Err(reason) = session.connection.flush() {
                self.end(at, Err(reason));
            }
        }
        self.links.dirty = dirty;
    }

    /// Ends sessions whose deadline has passed.
    fn expire(&mut self) {
        let now = self.control.clock.now();
        if now < self.expired_at + nanos(EXPIRY_INTERVAL) {
            return;
        }
        self.expired_at = now;
        for at in 0..self.links.slots.len() {
            let Some(session) = self.links.session(at) else { continue };
            let missing = match session.life.stage {
                Stage::Opening => "no answer to the handshake",
                Stage::Joining => "no answer to HELLO",
                Stage::Joined => continue,
                Stage::Leaving => "no answer to GOODBYE",
                Stage::Left => "the router did not close after GOODBYE",
            };
            if now >= session.life.deadline {
                let timeout = self.links.plan.timeout.as_secs_f64();
                self.end(at, Err(format!("{missing} within {timeout} s")));
            }
        }
    }

    fn end(&mut self, at: usize, outcome: Result<(), String>) {
        let Some(session) = self.links.remove(at) else { return };
        let outcome = match outcome {
            Err(reason) if session.life.stage == Stage::Opening => Err(self.links.unreachable(&reason)),
            outcome => outcome,
        };
        self.workload.ended(at, &session.life, outcome, self.control.clock.now());
    }
}

impl Links {
    /// The session in this slot.
    pub(crate) fn session(&mut self, at: usize) -> Option<&mut Session> {
        self.slots.get_mut(at).and_then(Option::as_mut)
    }

    /// Notes that the session in this slot may have something to write.
    pub(crate) fn touch(&mut self, at: usize) {
        if self.dirty.last() != Some(&at) {
            self.dirty.push(at);
        }
    }

    /// Has the session in this slot say GOODBYE; closes the connection to a bare forwarder.
    pub(crate) fn leave(&mut self, at: usize, now: u64) {
        let deadline = now + nanos(self.plan.timeout);
        let Some(session) = self.slots.get_mut(at).and_then(Option::as_mut) else { return };
        if session.connection.form() != Form::Wamp {
            self.remove(at);
        } else if session.life.stage == Stage::Joined {
            session.leave(deadline);
            self.dirty.push(at);
        }
    }

    /// Has all sessions say GOODBYE and drops those that have not joined.
    pub(crate) fn leave_all(&mut self, now: u64) {
        for at in 0..self.slots.len() {
            if self.session(at).is_some_and(|session| session.life.stage < Stage::Joined) {
                self.remove(at);
            }
            self.leave(at, now);
        }
    }

    /// Drops the connection in this slot without a word.
    pub(crate) fn remove(&mut self, at: usize) -> Option<Session> {
        let session = self.slots.get_mut(at)?.take()?;
        self.opening -= usize::from(session.life.stage < Stage::Joined);
        self.free.push(at);
        Some(session)
    }

    /// Whether no session is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    fn open(&mut self, opening: Opening, now: u64) -> io::Result<usize> {
        let at = self.free.last().copied().unwrap_or(self.slots.len());
        let seed = self.plan.seed.wrapping_add(self.opened);
        let plan = &self.plan;
        let connection = Connection::open(&plan.target, opening, seed, &self.registry, Token(at))?;
        let session = Session::new(connection, now + nanos(plan.timeout));
        self.opened += 1;
        self.opening += 1;
        self.dirty.push(at);
        match self.free.pop() {
            Some(_) => self.slots[at] = Some(session),
            None => self.slots.push(Some(session)),
        }
        Ok(at)
    }

    fn unreachable(&self, reason: &impl std::fmt::Display) -> String {
        format!("cannot reach {}: {reason}", self.plan.target.url)
    }
}

const WAKER: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);

/// One read takes this much; a fan-out fills it, and it fits the second-level cache.
const READ_BYTES: usize = 256 * 1024;

/// A turn comes at least this often.
const TURN_MAX: Duration = Duration::from_millis(50);

const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);
