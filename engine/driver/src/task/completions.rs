//! What the kernel has completed.

use wampline_shard::Now;

use super::Task;
use crate::conns::Stage;
use crate::counters::DriverCounters;
use crate::outgoing::Outgoing;
use crate::port::{Completion, Port, Received};
use crate::seam::Core;
use crate::token::Token;

/// The most completions of one turn, so that sends and other shards are not kept waiting.
const COMPLETIONS_PER_TURN: usize = 4096;

impl<C: Core, P: Port<C::Output>> Task<C, P> {
    /// Handles the completions that are there.
    pub(crate) fn handle_completions(&mut self, now: Now) {
        let mut handled = 0;
        while handled < COMPLETIONS_PER_TURN
            && let Some(completion) = self.port.next(&mut self.conns)
        {
            handled += 1;
            match completion {
                Completion::Accepted { listener, result, more } => {
                    self.on_accepted(now, listener, result, more)
                }
                Completion::Received { token, received, more } => {
                    self.on_received(now, token, received, more)
                }
                Completion::Sent { token, output, result } => self.on_sent(now, token, output, result),
                Completion::Cancelled { token } => {
                    self.conns.get(token).cancelling -= 1;
                    self.reap(token);
                }
                Completion::Done => {}
            }
        }
        DriverCounters::add(&self.counters().completions, handled as u64);
    }

    fn on_received(&mut self, now: Now, token: Token, received: Received<P::Chunk>, more: bool) {
        let conn = self.conns.get(token);
        let (key, is_open) = (conn.key, conn.stage == Stage::Open);
        if !more {
            conn.receiving = false;
            conn.stopping = false;
        }
        match received {
            Received::Octets(chunk) => {
                let core = &mut self.core;
                self.port.consume(chunk, |octets| {
                    if is_open {
                        core.octets(now, key, octets);
                    }
                });
            }
            Received::End | Received::Failed(_) => {
                let broken = match received {
                    Received::Failed(error) => {
                        tracing::debug!(shard = self.id, token.slot, error, "a socket has failed");
                        true
                    }
                    _ => false,
                };
                conn.read_ended = true;
                conn.broken |= broken;
                self.on_read_ended(now, token, broken);
            }
            Received::NoBuffers => DriverCounters::count(&self.counters().receive_buffers_short),
            Received::Stopped => {}
        }
        if !more {
            self.to_receive.push(token);
            self.reap(token);
        }
    }

    fn on_read_ended(&mut self, now: Now, token: Token, broken: bool) {
        let conn = self.conns.get(token);
        match conn.stage {
            Stage::Open => {
                let key = conn.key;
                self.core.read_ended(now, key, broken);
            }
            Stage::Lingering if broken || !conn.sending => self.begin_ending(token),
            Stage::Lingering | Stage::Ending => {}
        }
    }

    /// The kernel has taken some octets of an output, or refused them.
    pub(super) fn on_sent(&mut self, now: Now, token: Token, output: C::Output, result: Result<usize, i32>) {
        match result {
            Ok(octets) => self.go_on_sending(now, token, output, octets),
            Err(libc::EINTR | libc::EAGAIN) => self.go_on_sending(now, token, output, 0),
            Err(_) => {
                let conn = self.conns.get(token);
                conn.sending = false;
                let was_broken = std::mem::replace(&mut conn.broken, true);
                conn.read_ended = true;
                if !was_broken {
                    self.on_read_ended(now, token, true);
                }
                self.reap(token);
            }
        }
    }

    /// Sends the rest, as long as the port takes some of it at once, and tells the core what was taken.
    pub(super) fn go_on_sending(&mut self, now: Now, token: Token, mut output: C::Output, mut octets: usize) {
        loop {
            let conn = self.conns.get(token);
            output.advance(octets);
            if output.is_empty() || conn.stage == Stage::Ending {
                break;
            }
            if conn.stage == Stage::Open && octets > 0 {
                self.core.sent(now, conn.key, octets);
            }
            match self.port.send(token, conn, output) {
                Some(taken) => (output, octets) = taken,
                None => return,
            }
        }
        let conn = self.conns.get(token);
        conn.sending = false;
        match conn.stage {
            Stage::Open => self.core.send_done(now, conn.key, output),
            Stage::Lingering => self.finish_sending(token),
            Stage::Ending => self.reap(token),
        }
    }
}
