//! Calls in chunks ("Progressive Call Invocations").

use serde_json::json;

use super::{Actor, Oracle, Phase, SessionNo, World};

/// Calls that a client may be in the middle of.
const STREAMS_MAX: usize = 3;

/// A call whose last chunk has not been sent, whether it has been answered or not.
pub(super) struct Stream {
    request: u64,
    /// Which call it is.
    number: usize,
    procedure: &'static str,
    /// The number of the next chunk.
    next: usize,
}

impl Actor {
    /// Begins a call in chunks or goes on with one. Returns whether it did.
    pub(super) fn stream(&mut self, session: SessionNo, oracle: &mut Oracle) -> bool {
        match self.random.u8(..8) {
            0..=1 if self.streams.len() < STREAMS_MAX => self.begin_stream(session, oracle),
            2..=5 if !self.streams.is_empty() => {
                for _ in 0..self.random.usize(1..4) {
                    let ends = self.random.u8(..5) == 0;
                    self.send_chunk(session, ends, oracle);
                    if ends {
                        break;
                    }
                }
            }
            _ => return false,
        }
        true
    }

    /// Sends the last chunks of most calls. Returns whether there was one.
    pub(in crate::sim) fn finish_streams(&mut self, world: &mut World, oracle: &mut Oracle) -> bool {
        let (Phase::InSession, Some(session)) = (self.phase, self.session) else { return false };
        if self.streams.is_empty() || self.random.u8(..4) == 0 {
            return false;
        }
        while !self.streams.is_empty() {
            let ends = self.random.bool();
            self.send_chunk(session, ends, oracle);
        }
        self.flush(world);
        true
    }

    fn begin_stream(&mut self, session: SessionNo, oracle: &mut Oracle) {
        let bad = self.random.u8(..30) == 0;
        let procedure = if bad { "a..b" } else { self.pool.uri(&mut self.random) };
        let (request, number, padding) = (self.request(), oracle.next_numbers().1, self.padding());
        let mut options = json!({"progress": true});
        if self.random.bool() {
            options["receive_progress"] = json!(true);
        }
        self.add_timeout(&mut options);
        self.called.push(request);
        self.streams.push(Stream { request, number, procedure, next: 1 });
        self.send(session, &json!([48, request, options, procedure, [number, padding, 0]]), oracle);
    }

    fn send_chunk(&mut self, session: SessionNo, ends: bool, oracle: &mut Oracle) {
        let (at, padding) = (self.random.usize(..self.streams.len()), self.padding());
        let stream = &mut self.streams[at];
        let (request, procedure) = (stream.request, stream.procedure);
        let arguments = json!([stream.number, padding, stream.next]);
        stream.next += 1;
        if ends {
            self.streams.swap_remove(at);
        }
        let options = if ends { json!({}) } else { json!({"progress": true}) };
        self.send(session, &json!([48, request, options, procedure, arguments]), oracle);
    }
}
