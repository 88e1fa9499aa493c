//! The meta API: what the router tells of sessions, subscriptions and registrations is what clients have seen.
//!
//! What one membership is told must be consistent in itself, whatever it began to listen to in the middle of: ends follow
//! beginnings, and nothing follows the end. At rest, what is subscribed to by its very name must have been told in full.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use wampline_routing::authorization::Action;

use super::removal::Taken;
use super::{Membership, Oracle, Pending, Session, SessionNo, State, Step, Verdict};
use crate::sim::pool::Policy;

/// A meta call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Count,
    Own,
    Kill(u64),
    /// The session's testament of this number.
    Will(usize),
    /// The removal of this number since this rest.
    Removal(usize, Step),
    /// The detail of this number is written.
    Write(usize),
    /// The details of this number are asked for.
    Read(usize),
    /// It does nothing that the oracle follows.
    Other,
}

/// What is to be published when a session ends.
#[derive(Debug)]
pub(crate) struct Will {
    topic: String,
    /// The router has said so.
    is_kept: bool,
}

/// What one membership has been told.
#[derive(Debug, Default)]
pub(super) struct Told {
    joined: BTreeSet<u64>,
    left: BTreeSet<u64>,
    subscriptions: Table,
    registrations: Table,
}

#[derive(Debug, Default)]
struct Table {
    created: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
    /// Members, with whether they are still there.
    members: BTreeMap<(u64, u64), bool>,
}

impl Oracle {
    pub(super) fn meta_call(&mut self, session: SessionNo, message: &Value) -> Pending {
        let ask = match message[3].as_str().unwrap_or_default() {
            "wamp.session.count" => Ask::Count,
            "wamp.session.self" => Ask::Own,
            "wamp.session.kill" => {
                let target = message[4][0].as_u64().unwrap_or_default();
                let permit = self.permit_uri(session, Action::Call, "wamp.session.kill");
                if let Some(n) = self.session_of(target).filter(|n| *n != session && permit.may()) {
                    self.sessions[n].kill_sent = true;
                    self.ending(n);
                }
                Ask::Kill(target)
            }
            "wamp.session.add_testament" => {
                let topic = message[4][0].as_str().unwrap_or_default().to_owned();
                let wills = &mut self.sessions[session].wills;
                wills.push(Will { topic, is_kept: false });
                Ask::Will(wills.len() - 1)
            }
            // What it may not do has no effect that could be waited for.
            other if !self.permit_uri(session, Action::Call, other).may() => Ask::Other,
            other => {
                let removal = self.removal(session, other, message);
                removal.or_else(|| self.details(session, other, message)).unwrap_or(Ask::Other)
            }
        };
        Pending::Meta(ask)
    }

    pub(super) fn meta_result(&mut self, session: SessionNo, ask: Ask, message: &Value) -> Verdict {
        let value = &message[3][0];
        let id = self.sessions[session].id;
        match ask {
            Ask::Count => match value.as_u64() {
                // More may be there than have heard of it, and those who have gone may not be released.
                Some(count) if count >= 1 && count <= self.sessions.len() as u64 => Ok(()),
                _ => Err("not a count of sessions".into()),
            },
            Ask::Own if value["session"].as_u64() != id => Err("not its own details".into()),
            Ask::Kill(target) if Some(target) == id => Err("it has killed itself".into()),
            Ask::Kill(target) => {
                if let Some(n) = self.session_of(target) {
                    self.sessions[n].is_killed = true;
                }
                Ok(())
            }
            Ask::Will(number) => {
                self.sessions[session].wills[number].is_kept = true;
                Ok(())
            }
            Ask::Removal(number, since) => self.removed(number, since, true),
            Ask::Write(number) => self.written(number, false),
            Ask::Read(number) => self.read(number, value),
            Ask::Own | Ask::Other => Ok(()),
        }
    }

    /// The testament of a session: `["will", session, number]`.
    pub(super) fn will_event(&mut self, session: SessionNo, id: u64, message: &Value) -> Verdict {
        self.summary.wills += 1;
        let number = |n: usize| message[4][n].as_u64().map(|n| n as usize).ok_or("not one of our testaments");
        let (publisher, number) = (number(1)?, number(2)?);
        let will = self.sessions.get(publisher).and_then(|other| other.wills.get(number));
        let topic = will.ok_or("nobody has left this")?.topic.clone();
        if self.sessions[publisher].ending_at.is_none() && self.going_down.is_none() {
            return Err("of a session that has not ended".into());
        }
        if self.sessions[publisher].realm != self.sessions[session].realm {
            return Err("from another realm".into());
        }
        let entry = &mut self.sessions[session];
        // Nothing that it publishes comes after it.
        entry.last_seen.insert(publisher, usize::MAX);
        let membership = entry.memberships.get_mut(&id).ok_or("no such membership")?;
        let names_topic = membership.pattern.policy != Policy::Exact;
        if !membership.pattern.matches(&topic)
            || message[3]["topic"].as_str() != names_topic.then_some(topic.as_str())
        {
            return Err("the topic is wrong".into());
        }
        if membership.wills.insert(publisher, number + 1).is_some_and(|seen| seen > number) {
            return Err("out of order, or for the second time".into());
        }
        Ok(())
    }

    /// At rest: the testaments of who has ended have come to who was there before that.
    pub(super) fn check_wills(&self, n: SessionNo, session: &Session) -> Verdict {
        for membership in session.memberships.values().filter(|m| m.ending_at.is_none()) {
            for (publisher, other) in self.sessions.iter().enumerate() {
                let was_before = other.ending_at.is_some_and(|end| end > membership.since);
                if other.state != State::Ended || !was_before || other.realm != session.realm {
                    continue;
                }
                let mut kept = other.wills.iter().enumerate().filter(|(_, will)| will.is_kept);
                let owed = kept.rfind(|(_, will)| membership.pattern.matches(&will.topic));
                let seen = membership.wills.get(&publisher).copied().unwrap_or(0);
                if let Some((number, _)) = owed.filter(|(number, _)| *number >= seen) {
                    return Err(format!("at rest: s{n} has not got testament {number} of s{publisher}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn meta_error(&mut self, ask: Ask, uri: &str) -> Verdict {
        match (ask, uri) {
            (Ask::Kill(_), "wamp.error.no_such_session") => Ok(()),
            (_, "wamp.error.canceled") if self.going_down.is_some() => Ok(()),
            (Ask::Removal(number, since), "wamp.error.no_such_session")
            | (Ask::Removal(number, since), "wamp.error.no_such_subscription")
            | (Ask::Removal(number, since), "wamp.error.no_such_registration") => {
                self.removed(number, since, false)
            }
            (Ask::Write(number), "wamp.error.no_such_session") => self.written(number, true),
            (Ask::Read(..), "wamp.error.no_such_session") | (Ask::Other, _) => Ok(()),
            _ => Err("a meta call that cannot fail".into()),
        }
    }

    /// An event whose topic is the router's own.
    pub(super) fn meta_event(
        &mut self,
        session: SessionNo,
        membership: u64,
        topic: &str,
        arguments: &Value,
    ) -> Verdict {
        self.summary.meta_events += 1;
        if self.may_be_gone((Taken::Subscription, session, membership)) {
            return Ok(()); // It may have missed what was told meanwhile.
        }
        match topic {
            "wamp.reflect.on_define" => return self.told_of_definition(session, membership, arguments),
            "wamp.reflect.on_undefine" => return self.told_of_end(session, membership, arguments),
            _ => {}
        }
        let membership =
            self.sessions[session].memberships.get_mut(&membership).ok_or("no such membership")?;
        // Who listens to beginnings alone hears of two of them where an end lies between, and the other way round.
        let is_partial = membership.pattern.policy == Policy::Exact;
        let told = &mut membership.told;
        let number = |n: usize| arguments[n].as_u64().ok_or("an argument is no id");
        let (kind, what) = topic.rsplit_once('.').unwrap_or_default();
        let table = match kind {
            "wamp.session" => {
                let id = arguments[0]["session"].as_u64().or(arguments[0].as_u64()).ok_or("no session id")?;
                let is_new = match what {
                    "on_join" => !told.left.contains(&id) && told.joined.insert(id),
                    "on_leave" if arguments.as_array().map(Vec::len) != Some(3) => false,
                    "on_leave" => told.left.insert(id),
                    "on_cut" => !told.left.contains(&id),
                    _ => false,
                };
                return if is_new { Ok(()) } else { Err("not true any more, or told before".into()) };
            }
            "wamp.subscription" => &mut told.subscriptions,
            "wamp.registration" => &mut told.registrations,
            _ => return Err("not a meta topic".into()),
        };
        let who = number(0)?;
        if told.left.contains(&who) {
            return Err("of a session that has left".into());
        }
        let is_consistent = match what {
            "on_create" => {
                let id = arguments[1]["id"].as_u64().ok_or("no id")?;
                !table.deleted.contains(&id) && table.created.insert(id)
            }
            "on_subscribe" | "on_register" => {
                let id = number(1)?;
                let before = table.members.insert((id, who), true);
                !table.deleted.contains(&id) && (is_partial || before != Some(true))
            }
            "on_unsubscribe" | "on_unregister" => {
                let id = number(1)?;
                let before = table.members.insert((id, who), false);
                !table.deleted.contains(&id) && (is_partial || before != Some(false))
            }
            "on_delete" => {
                let id = number(1)?;
                table.deleted.insert(id)
            }
            _ => false,
        };
        if is_consistent { Ok(()) } else { Err("it does not fit what was told before".into()) }
    }

    /// At rest: whoever listens to a topic by its name has been told of everything that began after that.
    pub(super) fn check_told(&self, n: SessionNo, session: &Session) -> Verdict {
        let exact = |m: &&Membership| m.ending_at.is_none() && m.pattern.policy == Policy::Exact;
        for membership in session.memberships.values().filter(exact) {
            let others = self.sessions.iter().filter(|other| other.realm == session.realm);
            for other in others.filter(|other| other.id.is_some()) {
                if let Some(missing) = untold(membership, other, n) {
                    return Err(format!("at rest: s{n} was not told {missing}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn session_of(&self, id: u64) -> Option<SessionNo> {
        self.sessions.iter().position(|session| session.id == Some(id))
    }
}

fn untold(membership: &Membership, other: &Session, n: SessionNo) -> Option<String> {
    let (told, since) = (&membership.told, membership.since);
    let id = other.id?;
    let after = |step: Step| step > since;
    match membership.pattern.uri.as_str() {
        "wamp.session.on_join" => {
            let is_due = after(other.hello_at) && !told.joined.contains(&id);
            is_due.then(|| format!("(s{n}) that session {id} joined"))
        }
        "wamp.session.on_leave" => {
            let has_left = other.state == State::Ended && other.ending_at.is_some_and(after);
            (has_left && !told.left.contains(&id)).then(|| format!("that session {id} left"))
        }
        "wamp.subscription.on_subscribe" => {
            let mut due = other.memberships.iter().filter(|(_, m)| after(m.asked_at));
            let missing = due.find(|(sub, _)| !told.subscriptions.members.contains_key(&(**sub, id)));
            missing.map(|(sub, _)| format!("that session {id} subscribed to {sub}"))
        }
        "wamp.registration.on_register" => {
            let mut due = other.registrations.iter().filter(|(_, r)| after(r.asked_at));
            let missing = due.find(|(reg, _)| !told.registrations.members.contains_key(&(**reg, id)));
            missing.map(|(reg, _)| format!("that session {id} registered {reg}"))
        }
        _ => None,
    }
}
