//! What the core wants done, and the end of a connection.

use std::net::Shutdown as Direction;
use std::time::Duration;

use socket2::SockRef;
use wampline_shard::{ConnKey, HookQuestion, Now};

use super::Task;
use crate::conns::Stage;
use crate::counters::DriverCounters;
use crate::hooks::HookAnswer;
use crate::outgoing::Outgoing;
use crate::port::Port;
use crate::seam::{Act, Core};
use crate::token::Token;

/// How long a closed connection waits for the peer's end of stream, at most.
const LINGER: Duration = Duration::from_secs(1);

impl<C: Core, P: Port<C::Output>> Task<C, P> {
    /// Carries out the core's actions.
    pub(super) fn act(&mut self, now: Now) {
        while let Some(action) = self.core.action(now) {
            match action {
                Act::Send(key, output) => self.send(now, key, output),
                Act::PauseRead(key) => self.pause(key),
                Act::ResumeRead(key) => self.resume(key),
                Act::Close { key, abort } => self.close(now, key, abort),
                Act::Ask(question) => self.ask(now, question),
            }
        }
    }

    fn ask(&mut self, now: Now, question: HookQuestion) {
        DriverCounters::count(&self.counters().hook_questions);
        let id = question.id;
        if let Err(failure) = self.hooks.ask(self.id, question) {
            DriverCounters::count(&self.counters().hook_failures);
            self.core.hook_answered(now, id, Err(failure));
            self.has_told = true;
        }
    }

    /// Hands over what hooks have answered.
    pub(super) fn take_answers(&mut self, now: Now) {
        while let Some(HookAnswer { id, result }) = self.common.desks[self.id].answers.pop() {
            if result.is_err() {
                DriverCounters::count(&self.counters().hook_failures);
            }
            self.core.hook_answered(now, id, result);
        }
    }

    fn send(&mut self, now: Now, key: ConnKey, output: C::Output) {
        let Some((token, conn)) = self.conns.by_key(key) else { return };
        debug_assert!(!conn.sending, "at most one output per connection is under way");
        if conn.broken {
            return;
        }
        if output.is_empty() {
            self.core.send_done(now, key, output);
            return;
        }
        conn.sending = true;
        if let Some((output, octets)) = self.port.send(token, conn, output) {
            self.has_told = true;
            self.go_on_sending(now, token, output, octets);
        }
    }

    fn pause(&mut self, key: ConnKey) {
        let Some((token, conn)) = self.conns.by_key(key) else { return };
        conn.wants_octets = false;
        if !conn.receiving || conn.stopping {
            return;
        }
        if self.port.cancel_receive(token, conn) {
            conn.receiving = false;
        } else {
            conn.stopping = true;
            conn.cancelling += 1;
        }
    }

    fn resume(&mut self, key: ConnKey) {
        let Some((token, conn)) = self.conns.by_key(key) else { return };
        conn.wants_octets = true;
        // If a receive is still being cancelled its last completion starts the next one.
        self.to_receive.push(token);
    }

    fn close(&mut self, now: Now, key: ConnKey, abort: bool) {
        let Some((token, conn)) = self.conns.by_key(key) else { return };
        if abort || conn.broken {
            self.abort(token);
            return;
        }
        conn.stage = Stage::Lingering;
        conn.wants_octets = true;
        self.conns.forget_key(key);
        self.lingering.push_back((Now(now.0 + LINGER.as_nanos() as u64), token));
        self.finish_sending(token);
        self.to_receive.push(token);
    }

    /// Starts the receives that this turn has asked for.
    pub(super) fn start_receiving(&mut self) {
        while let Some(token) = self.to_receive.pop() {
            if let Some(conn) = self.conns.find(token)
                && conn.should_receive()
            {
                conn.receiving = true;
                self.port.receive(token, conn);
            }
        }
    }

    /// Gives up on a connection: what is queued is dropped and the peer sees a reset.
    pub(super) fn abort(&mut self, token: Token) {
        let conn = self.conns.get(token);
        if conn.stage == Stage::Ending {
            return;
        }
        // So that the kernel drops what it has queued instead of keeping it for a peer that may never take it.
        let _ = SockRef::from(&conn.socket).set_linger(Some(Duration::ZERO));
        self.begin_ending(token);
    }

    /// A lingering connection whose last send is through: ends our direction of the stream.
    pub(super) fn finish_sending(&mut self, token: Token) {
        let conn = self.conns.get(token);
        if conn.sending {
            return;
        }
        let _ = SockRef::from(&conn.socket).shutdown(Direction::Write);
        if conn.read_ended {
            self.begin_ending(token);
        }
    }

    /// Lingering connections whose time is up are closed.
    pub(super) fn end_lingering(&mut self, now: Now) {
        while let Some(&(deadline, token)) = self.lingering.front() {
            let is_over = match self.conns.find(token) {
                Some(conn) => conn.stage != Stage::Lingering,
                None => true,
            };
            if !is_over && deadline > now {
                return;
            }
            self.lingering.pop_front();
            if !is_over {
                self.begin_ending(token);
            }
        }
    }

    /// Cancels what is outstanding; the socket closes as soon as nothing is.
    pub(super) fn begin_ending(&mut self, token: Token) {
        let conn = self.conns.get(token);
        let (key, was) = (conn.key, std::mem::replace(&mut conn.stage, Stage::Ending));
        if conn.receiving || conn.sending {
            if self.port.cancel_all(token, conn) {
                (conn.receiving, conn.sending) = (false, false);
            } else {
                conn.cancelling += 1;
            }
        }
        if was == Stage::Open {
            self.conns.forget_key(key);
        }
        self.reap(token);
    }

    /// Closes the socket of a connection that has ended and has nothing outstanding; the token may be outdated.
    pub(super) fn reap(&mut self, token: Token) {
        if self.conns.find(token).is_some_and(|conn| conn.stage == Stage::Ending && conn.is_quiet()) {
            let conn = self.conns.remove(token);
            self.uncount(conn.listener);
        }
    }
}
