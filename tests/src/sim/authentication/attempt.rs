//! What is owed to a client for one HELLO: WELCOME or ABORT, one of them, the right one, in time.

use serde_json::Value;

use super::{GRID, TIMEOUT};

/// Names an attempt in the order of the HELLOs.
pub(super) type AttemptNo = usize;

/// One HELLO of a client, and all that it led to.
#[derive(Debug)]
pub(super) struct Attempt {
    /// How it proves itself: `ticket` or `wampcra`.
    pub(super) method: &'static str,
    /// The router knows the principal itself; otherwise an authenticator is asked.
    pub(super) is_static: bool,
    /// It will prove itself rightly.
    pub(super) is_right: bool,
    pub(super) authid: String,
    /// When HELLO was sent, in nanoseconds.
    pub(super) hello_at: u64,
    /// When AUTHENTICATE was sent.
    pub(super) authenticated_at: Option<u64>,
    pub(super) is_challenged: bool,
    /// What the authenticator has said, and when.
    pub(super) decision: Option<(Decision, u64)>,
    /// The authenticator has left since: what it has said may be lost.
    pub(super) is_unsure: bool,
    /// How often it was put to an authenticator.
    pub(super) asked: u32,
    /// How often an authenticator has asked for another one to be asked.
    pub(super) passed_on: u32,
    pub(super) end: Option<End>,
    /// The client has given up, or broken the protocol: nothing is owed.
    pub(super) is_given_up: bool,
    /// The client has broken the protocol, and the router has not yet ended the connection.
    pub(super) must_end: bool,
}

/// What an authenticator says of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Accept,
    Refuse,
    /// It could not say.
    Fail,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Welcome,
    Abort,
    /// Turned away without a word.
    Closed,
}

impl Attempt {
    /// WELCOME has come.
    pub(super) fn welcome(&mut self, details: &Value) -> Result<(), String> {
        self.finish(End::Welcome)?;
        if self.authenticated_at.is_none() || !self.is_right {
            return Err(format!("welcomed without proof: {self:?}"));
        }
        if !self.is_static && !matches!(self.decision, Some((Decision::Accept, _))) {
            return Err(format!("welcomed though nobody has accepted it: {self:?}"));
        }
        let role = if self.is_static { "user" } else { "guest" };
        let of = |key: &str| super::text(details, key).to_owned();
        if (of("authid"), of("authrole"), of("authmethod"))
            != (self.authid.clone(), role.into(), self.method.into())
        {
            return Err(format!("welcomed as somebody else: {details}, {self:?}"));
        }
        Ok(())
    }

    /// ABORT has come.
    pub(super) fn abort(&mut self, reason: &str, now: u64) -> Result<(), String> {
        self.finish(End::Abort)?;
        let is_late = now >= self.hello_at + TIMEOUT.as_nanos() as u64;
        match reason {
            "wamp.error.authentication_denied" => {}
            "wamp.error.authentication_failed" if is_late => return Ok(()),
            "wamp.error.authentication_failed" if !self.is_static && !self.is_clear() => {}
            other => return Err(format!("refused for {other} at {now}: {self:?}")),
        }
        if self.is_right && self.is_accepted() && self.authenticated_at.is_some() && !is_late {
            return Err(format!("refused though it is right and accepted, at {now}: {self:?}"));
        }
        let since = self.authenticated_at.unwrap_or(self.hello_at);
        if now < since + GRID.as_nanos() as u64 {
            return Err(format!("refused before the grid, at {now}: {self:?}"));
        }
        Ok(())
    }

    /// The authenticator has said yes or no.
    fn is_clear(&self) -> bool {
        !self.is_unsure && matches!(self.decision, Some((Decision::Accept | Decision::Refuse, _)))
    }

    /// Nothing more may come of it.
    pub(super) fn finish(&mut self, end: End) -> Result<(), String> {
        match self.end.replace(end) {
            None => Ok(()),
            Some(before) => Err(format!("{end:?} after {before:?}: {self:?}")),
        }
    }

    /// An authenticator is asked.
    pub(super) fn asked(&mut self) -> Result<(), String> {
        self.asked += 1;
        let is_again = self.asked > 1 + self.passed_on;
        if is_again || self.is_static {
            return Err(format!("an authenticator is asked once too often: {self:?}"));
        }
        if self.method == "ticket" && self.authenticated_at.is_none() {
            return Err(format!("an authenticator is asked before there is a ticket: {self:?}"));
        }
        Ok(())
    }

    /// Everything has arrived that can.
    pub(super) fn check_at_rest(&self, now: u64) -> Result<(), String> {
        if self.must_end {
            return Err(format!("at rest: it has authenticated twice and goes on: {self:?}"));
        }
        if self.end.is_some() || self.is_given_up {
            return Ok(());
        }
        let is_in_time = now < self.hello_at + TIMEOUT.as_nanos() as u64;
        if self.is_right && self.is_accepted() && self.authenticated_at.is_some() && is_in_time {
            return Err(format!("at rest: not welcomed though it is right and accepted: {self:?}"));
        }
        Ok(())
    }

    /// Everything has arrived, and so much time has passed since then that all must be over that began before.
    pub(super) fn check_after_all(&self, now: u64) -> Result<(), String> {
        match self.end {
            None if !self.is_given_up => Err(format!("there is no end at {now}: {self:?}")),
            _ => Ok(()),
        }
    }

    fn is_accepted(&self) -> bool {
        self.is_static || (!self.is_unsure && matches!(self.decision, Some((Decision::Accept, _))))
    }
}
