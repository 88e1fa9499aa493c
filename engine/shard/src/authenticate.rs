//! Sessions that authenticate: from HELLO to who they are, or to ABORT.
//!
//! ```text
//!  HELLO --> begin --+--> admitted (join.rs) ............. most: nothing has to be proved or asked
//!                    +--(CHALLENGE)--> Authenticate --(AUTHENTICATE)--+
//!                    +--> Procedure, Hook --(answer)------------------+--> each of these again
//!                    +--> Release --(its time)--> CHALLENGE, or ABORT
//! ```
//!
//! What a principal proves itself by is the business of [`Attempt`]; here is who waits for what, and how long. Until it is
//! admitted a client has no session: no other shard knows of it, and it is in no count but that of those who authenticate.
//!
//! Invariants: whoever waits here has a deadline, counted from HELLO; their number is bounded, and who comes beyond it is
//! turned away like by a full router. When the connection ends so does the attempt, and its question is withdrawn. Until WELCOME
//! a client may say AUTHENTICATE once for each CHALLENGE, and ABORT; anything else is a protocol violation.
//!
//! **The grid.** Where somebody outside is asked, how long the answer took would tell what they know of a principal. So what
//! follows from it (ABORT, or a CHALLENGE) is held until a multiple of a fixed span has passed since the message of the client
//! that began it. (Not multiples on the shard's clock: a client could send its message just before one of those, and see
//! on which side of it an answer falls.)

use std::borrow::Cow;
use std::time::Duration;

use wampline_auth::{Answer, Attempt, Env, Hello, Method, Question, Refusal, Step};
use wampline_routing::error_uri;
use wampline_routing::feature::ClientFeatures;
use wampline_wire::{Dict, List, Message, SessionId, Value};

use crate::connection::NEVER;
use crate::counters::{add, set};
use crate::facts::Facts;
use crate::question::{Purpose, QuestionAnswer, QuestionId};
use crate::realms::Destination;
use crate::shard::Shard;
use crate::throttle::Failed;
use crate::{ConnKey, HookFailure, Now};

/// Octets of a CHALLENGE beside its extra, about.
const CHALLENGE_BYTES: usize = 64;

/// The error of a hook that gave no answer.
const HOOK_FAILED: &str = "wampline.error.hook_failed";

/// What HELLO has said, as far as it matters after that.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    /// The realm that it asked for.
    pub(crate) realm: Destination,
    /// The id that the session is to have.
    pub(crate) session: SessionId,
    pub(crate) features: ClientFeatures,
    pub(crate) reads_extensions: bool,
}

/// One client that authenticates.
#[derive(Debug)]
pub(crate) struct Authentication {
    joining: Joining,
    attempt: Attempt,
    waits: Waits,
    /// When the client's last message came: the grid begins there.
    since: Now,
    /// When all must be over, in nanoseconds.
    by: u64,
    /// Somebody outside was asked.
    has_asked: bool,
}

/// What is waited for.
#[derive(Debug)]
enum Waits {
    /// AUTHENTICATE.
    Authenticate,
    /// The answer of an authenticator.
    Procedure(QuestionId),
    /// The answer of a hook.
    Hook(u64),
    /// The time to do what is decided.
    Release { at: u64, step: Step },
}

/// What goes into an attempt.
enum Input<'a> {
    Authenticate { signature: &'a str, extra: &'a Dict<'a> },
    Answer(Answer<'a>),
}

impl Shard {
    /// A client wants to join, and its HELLO is in order.
    pub(crate) fn authenticate(&mut self, slot: u32, joining: Joining, hello: Hello<'_>) {
        let realm = self.settings(&joining.realm);
        let peer = &self.connections[slot].peer;
        if !realm.sources.admits(peer) {
            return self.refused(slot, &joining.realm, &Refusal::denied(false));
        }
        if realm.sources.are_methods_free() {
            return self.begin_attempt(slot, joining, &hello);
        }
        let admits = |method: &str| realm.sources.admits_method(method, peer);
        let listed = hello.authmethods.filter(|listed| !listed.is_empty());
        if listed.is_none() && !admits(Method::Anonymous.name()) {
            return self.refused(slot, &joining.realm, &Refusal::required());
        }
        // A name that no method has stands for each that is closed to the peer.
        let names = listed.iter().flat_map(List::iter);
        let open = |name: Value<'_>| name.as_str().is_some_and(admits);
        let names: Vec<Value<'_>> =
            names.map(|name| if open(name.clone()) { name } else { Value::Str(Cow::Borrowed("")) }).collect();
        let authmethods = listed.is_some().then(|| List::items(&names));
        self.begin_attempt(slot, joining, &Hello { authmethods, ..hello });
    }

    /// A message of a client that authenticates.
    pub(crate) fn dispatch_authenticating(&mut self, slot: u32, message: Message<'_>) {
        let authentication = self.connections[slot].authentication.as_ref();
        let is_challenged = authentication.is_some_and(|found| matches!(found.waits, Waits::Authenticate));
        match message {
            Message::Authenticate { signature, extra } if is_challenged => {
                self.authenticated(slot, &signature, &extra);
            }
            Message::Abort { .. } => self.close_link(slot, Some(crate::leave::CLOSE_NORMAL)),
            other => {
                let text = format!("received {:?} message while authenticating", other.message_type());
                self.violation(slot, &text);
            }
        }
    }

    /// An authenticator has answered, or will not.
    pub(crate) fn authenticator_answered(&mut self, connection: ConnKey, answer: &QuestionAnswer) {
        if !self.is_live(connection) {
            return;
        }
        let slot = connection.slot;
        let found = self.connections[slot].authentication.as_ref();
        if !found.is_some_and(|found| matches!(found.waits, Waits::Procedure(_))) {
            return; // The time was over when the answer was on its way.
        }
        let answer = match answer {
            QuestionAnswer::Result(payload) => Answer::Result(payload.as_payload()),
            QuestionAnswer::Failed { error } => Answer::Failed { error },
            QuestionAnswer::TimedOut => Answer::TimedOut,
            QuestionAnswer::NobodyThere => Answer::Failed { error: error_uri::NO_SUCH_PROCEDURE },
        };
        self.input(slot, Input::Answer(answer));
    }

    /// A hook has answered a question about a connection, or will not.
    pub(crate) fn authentication_hook_answered(
        &mut self,
        connection: ConnKey,
        answer: &Result<Vec<u8>, HookFailure>,
    ) {
        if !self.is_live(connection) {
            return;
        }
        let answer = match answer {
            Ok(body) => Answer::HttpBody(body),
            Err(HookFailure::TimedOut) => Answer::TimedOut,
            Err(failure) => {
                tracing::info!(?failure, "a hook gave no answer");
                Answer::Failed { error: HOOK_FAILED }
            }
        };
        self.input(connection.slot, Input::Answer(answer));
    }

    /// The time of a client that authenticates is up, or that of what is decided about it has come.
    pub(crate) fn authentication_due(&mut self, slot: u32) {
        let now = self.now.0;
        let Some(mut authentication) = self.take_authentication(slot) else { return };
        match authentication.waits {
            Waits::Release { at, step } if at <= now => {
                authentication.waits = Waits::Authenticate;
                self.release(slot, authentication, step);
            }
            // What was decided stands.
            Waits::Release { step: Step::Refuse(_), .. } => self.keep_authentication(slot, authentication),
            _ if authentication.by > now => self.keep_authentication(slot, authentication),
            Waits::Authenticate | Waits::Release { .. } => self.too_late(slot, &authentication.joining.realm),
            Waits::Procedure(_) | Waits::Hook(_) => {
                self.withdraw_question(&authentication);
                let step = self.step(slot, &mut authentication, Input::Answer(Answer::TimedOut));
                self.proceed(slot, authentication, step);
            }
        }
    }

    /// Whether somebody has authenticated with this cookie and still is known by it: then the browser keeps it.
    pub(crate) fn knows_cookie(&self, cookie: &str) -> bool {
        let millis = self.shared.wall_millis(self.now);
        self.shared.realms.cookie_stores().iter().any(|store| store.knows(cookie, millis))
    }

    /// The connection ends: nobody waits for anything.
    pub(crate) fn end_authentication(&mut self, slot: u32) {
        if let Some(authentication) = self.take_authentication(slot) {
            self.withdraw_question(&authentication);
        }
    }

    fn begin_attempt(&mut self, slot: u32, joining: Joining, hello: &Hello<'_>) {
        let authentication = self.settings(&joining.realm).authentication.clone();
        let mut random = |octets: &mut [u8]| self.unguessable.fill(octets);
        let mut env = Env { unix_millis: self.shared.wall_millis(self.now), random: &mut random };
        let connection = &self.connections[slot];
        let facts = Facts::of(connection, &authentication);
        let transport = facts.transport(connection);
        let (attempt, step) = Attempt::begin(&authentication, hello, &transport, &mut env);
        let is_anonymous = matches!(&step, Step::Admit(admission) if admission.authmethod == ANONYMOUS);
        if !is_anonymous && self.is_blocked(slot) {
            return self.turn_away(slot);
        }
        if let Step::Admit(admission) = step {
            let admitted = self.admitted(slot, &joining, *admission);
            return admitted.unwrap_or_else(|refusal| self.refused(slot, &joining.realm, &refusal));
        }
        let limits = &self.shared.config.limits;
        let share = (limits.authenticating_max / usize::from(self.shared.shards)).max(1);
        if self.authenticating >= share {
            add(&self.counters().refused_authenticating, 1);
            return self.turn_away(slot);
        }
        let by = self.now.after(limits.authentication_timeout);
        let (since, waits) = (self.now, Waits::Authenticate);
        let authentication = Authentication { joining, attempt, waits, since, by, has_asked: false };
        self.proceed(slot, Box::new(authentication), step);
    }

    /// AUTHENTICATE.
    fn authenticated(&mut self, slot: u32, signature: &str, extra: &Dict<'_>) {
        // It may have been challenged before its source was blocked.
        if self.is_blocked(slot) {
            return self.turn_away(slot);
        }
        if let Some(authentication) = self.connections[slot].authentication.as_mut() {
            authentication.since = self.now;
        }
        self.input(slot, Input::Authenticate { signature, extra });
    }

    fn input(&mut self, slot: u32, input: Input<'_>) {
        if let Some(mut authentication) = self.take_authentication(slot) {
            let step = self.step(slot, &mut authentication, input);
            self.proceed(slot, authentication, step);
        }
    }

    fn step(&mut self, slot: u32, authentication: &mut Authentication, input: Input<'_>) -> Step {
        let methods = self.settings(&authentication.joining.realm).authentication.clone();
        let mut random = |octets: &mut [u8]| self.unguessable.fill(octets);
        let mut env = Env { unix_millis: self.shared.wall_millis(self.now), random: &mut random };
        let connection = &self.connections[slot];
        let facts = Facts::of(connection, &methods);
        let transport = facts.transport(connection);
        let attempt = &mut authentication.attempt;
        match input {
            Input::Authenticate { signature, extra } => {
                attempt.authenticate(signature, extra, &transport, &mut env)
            }
            Input::Answer(answer) => attempt.answered(answer, &transport, &mut env),
        }
    }

    /// Does what an attempt wants done next.
    fn proceed(&mut self, slot: u32, mut authentication: Box<Authentication>, mut step: Step) {
        let asked = loop {
            match step {
                Step::Ask(question) => match self.put(slot, &authentication, question) {
                    Ok(waits) => break waits,
                    Err(answer) => step = self.step(slot, &mut authentication, Input::Answer(answer)),
                },
                Step::Admit(admission) => match self.admitted(slot, &authentication.joining, *admission) {
                    Ok(()) => return,
                    Err(refusal) => {
                        let on_grid = authentication.has_asked || refusal.on_grid;
                        step = Step::Refuse(Refusal { on_grid, ..refusal });
                    }
                },
                Step::Challenge { .. } if self.now.0 >= authentication.by => {
                    return self.too_late(slot, &authentication.joining.realm);
                }
                Step::Challenge { on_grid, .. } => return self.hold(slot, authentication, step, on_grid),
                Step::Refuse(Refusal { reason, on_grid, .. }) => {
                    if reason == error_uri::AUTHENTICATION_DENIED {
                        self.count_failure(slot);
                    }
                    return self.hold(slot, authentication, step, on_grid);
                }
            }
        };
        authentication.has_asked = true;
        authentication.waits = asked;
        self.keep_authentication(slot, authentication);
    }

    /// Puts a question to somebody outside. The error is what to go on with if that cannot be done.
    fn put(
        &mut self,
        slot: u32,
        authentication: &Authentication,
        question: Question,
    ) -> Result<Waits, Answer<'static>> {
        let left = authentication.by.saturating_sub(self.now.0);
        if left == 0 {
            return Err(Answer::TimedOut);
        }
        let connection = self.key(slot);
        match question {
            Question::Procedure { realm, procedure, arguments } => {
                let realm = match realm {
                    None => authentication.joining.realm.is_there(),
                    Some(name) => self.realm_named(&name),
                };
                let Some(realm) = realm else {
                    return Err(Answer::Failed { error: error_uri::NO_SUCH_REALM });
                };
                let (purpose, timeout) = (Purpose::Authentication { connection }, Duration::from_nanos(left));
                let question = self.ask(realm, &procedure, arguments.as_payload(), timeout, purpose);
                Ok(Waits::Procedure(question))
            }
            Question::Http { hook, body } => {
                let question = self.ask_hook(hook.0, body, connection);
                question.map(Waits::Hook).ok_or(Answer::Failed { error: HOOK_FAILED })
            }
        }
    }

    /// Does what is decided: at once, or on the grid.
    fn hold(&mut self, slot: u32, mut authentication: Box<Authentication>, step: Step, on_grid: bool) {
        let grid = self.shared.config.limits.authentication_grid;
        match next_on_grid(authentication.since, self.now, grid).filter(|_| on_grid) {
            Some(at) => {
                authentication.waits = Waits::Release { at, step };
                self.keep_authentication(slot, authentication);
            }
            None => self.release(slot, authentication, step),
        }
    }

    /// Sends what is decided.
    fn release(&mut self, slot: u32, mut authentication: Box<Authentication>, step: Step) {
        match step {
            Step::Challenge { method, extra, .. } => {
                let message = Message::Challenge { method: Cow::Borrowed(method), extra: extra.as_dict() };
                if self.post(slot, &message, CHALLENGE_BYTES + extra.len()).is_err() {
                    return self.close_link(slot, Some(crate::leave::CLOSE_TRY_AGAIN));
                }
                authentication.waits = Waits::Authenticate;
                self.keep_authentication(slot, authentication);
            }
            Step::Refuse(refusal) => self.refused(slot, &authentication.joining.realm, &refusal),
            Step::Ask(_) | Step::Admit(_) => unreachable!("invariant: only these are held"),
        }
    }

    /// Answers HELLO or AUTHENTICATE with ABORT.
    pub(crate) fn refused(&mut self, slot: u32, realm: &Destination, refusal: &Refusal) {
        let Refusal { reason, text, .. } = refusal;
        add(&self.counters().refused_sessions, 1);
        let realm = &*self.settings(realm).name;
        tracing::debug!(peer = %self.connections[slot].peer, realm, reason, %text, "session refused");
        self.abort(slot, reason, text);
        self.close_link(slot, Some(crate::leave::CLOSE_NORMAL));
    }

    fn too_late(&mut self, slot: u32, realm: &Destination) {
        add(&self.counters().authentications_timed_out, 1);
        let text = Cow::Borrowed("authentication took longer than it may");
        let reason = error_uri::AUTHENTICATION_FAILED;
        self.refused(slot, realm, &Refusal { reason, text, on_grid: false });
    }

    /// Closes a connection without saying no: its client may try again later, and others at its address need not suffer for
    /// it. (After ABORT many clients do not come back.)
    fn turn_away(&mut self, slot: u32) {
        add(&self.counters().refused_sessions, 1);
        self.close_link(slot, Some(crate::leave::CLOSE_TRY_AGAIN));
    }

    fn is_blocked(&self, slot: u32) -> bool {
        let is_blocked = self.shared.throttle.is_blocked(&self.connections[slot].peer, self.now);
        if is_blocked {
            add(&self.counters().refused_blocked, 1);
        }
        is_blocked
    }

    fn count_failure(&self, slot: u32) {
        add(&self.counters().authentications_denied, 1);
        let peer = &self.connections[slot].peer;
        match self.shared.throttle.failed(peer, self.now, &self.shared.config.limits.throttle) {
            Failed::Counted => {}
            Failed::Blocked => {
                add(&self.counters().sources_blocked, 1);
                tracing::warn!(%peer, "too many failed authentications, source turned away for a while");
            }
            Failed::Unwatched => add(&self.counters().sources_unwatched, 1),
        }
    }

    fn withdraw_question(&mut self, authentication: &Authentication) {
        match authentication.waits {
            Waits::Procedure(question) => self.withdraw(question),
            Waits::Hook(question) => self.withdraw_hook(question),
            Waits::Authenticate | Waits::Release { .. } => {}
        }
    }

    fn take_authentication(&mut self, slot: u32) -> Option<Box<Authentication>> {
        let connection = &mut self.connections[slot];
        let authentication = connection.authentication.take()?;
        connection.deadlines.authentication = NEVER;
        self.authenticating -= 1;
        set(&self.counters().authenticating, self.authenticating);
        Some(authentication)
    }

    fn keep_authentication(&mut self, slot: u32, authentication: Box<Authentication>) {
        let connection = &mut self.connections[slot];
        connection.deadlines.authentication = match &authentication.waits {
            Waits::Release { at, step: Step::Refuse(_) } => *at,
            Waits::Release { at, .. } => authentication.by.min(*at),
            _ => authentication.by,
        };
        connection.authentication = Some(authentication);
        self.authenticating += 1;
        set(&self.counters().authenticating, self.authenticating);
        self.arm(slot);
    }
}

/// The role and method of sessions that have proved nothing.
pub(crate) const ANONYMOUS: &str = Method::Anonymous.name();

/// The first multiple of `grid` after `since` that has not passed, in nanoseconds; `None` if there is no grid, or it is now.
fn next_on_grid(since: Now, now: Now, grid: Duration) -> Option<u64> {
    let grid = u64::try_from(grid.as_nanos()).unwrap_or(u64::MAX);
    let passed = now.0.saturating_sub(since.0);
    let multiples = passed.checked_div(grid)? + u64::from(passed == 0 || !passed.is_multiple_of(grid));
    Some(since.0.saturating_add(multiples.saturating_mul(grid))).filter(|at| *at > now.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_begins_with_the_message() {
        let grid = Duration::from_nanos(100);
        for (since, now, at) in [
            (7, 7, Some(107)),
            (7, 8, Some(107)),
            (7, 106, Some(107)),
            (7, 107, None),
            (7, 108, Some(207)),
            (7, 1_000, Some(1_007)),
        ] {
            assert_eq!(next_on_grid(Now(since), Now(now), grid), at, "{since} {now}");
        }
        assert_eq!(next_on_grid(Now(7), Now(9), Duration::ZERO), None);
        assert_eq!(next_on_grid(Now(7), Now(9), Duration::MAX), Some(u64::MAX));
    }
}
