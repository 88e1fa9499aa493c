//! What is told of a session or a URI is what was last written, from when its writer has the answer; and every definition of a
//! URI is told once to those who listen.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Ask, Oracle, Session, SessionNo, Step, Verdict};
use crate::sim::pool::Policy;

/// What was written and read.
#[derive(Default)]
pub(super) struct Details {
    /// By the number in it.
    written: Vec<Written>,
    asked: Vec<(Subject, Step)>,
    /// Which definitions a membership has been told of: the session, the subscription, when it began, the number.
    told: BTreeSet<(SessionNo, u64, Step, usize)>,
}

/// What something is written about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// The session of this id, as a session of this realm sees it.
    Session(String, u64),
    /// A URI in a realm.
    Uri(String, String),
}

struct Written {
    subject: Subject,
    at: Step,
    /// When the writer had its answer.
    done_at: Option<Step>,
    has_failed: bool,
}

impl Oracle {
    /// The number that is to be written next.
    pub(crate) fn next_tag(&self) -> usize {
        self.details.written.len()
    }

    /// A meta call that writes or reads details, if it is one.
    pub(super) fn details(&mut self, caller: SessionNo, procedure: &str, message: &Value) -> Option<Ask> {
        let (realm, arguments) = (self.sessions[caller].realm.clone(), &message[4]);
        let subject = match procedure {
            "wamp.session.modify_details" | "wamp.session.get" => {
                Subject::Session(realm, arguments[0].as_u64()?)
            }
            "wamp.reflect.define" | "wamp.reflection.procedure.describe" => {
                Subject::Uri(realm, arguments[0].as_str()?.to_owned())
            }
            _ => return None,
        };
        let at = self.step;
        if arguments[1].is_object() {
            self.details.written.push(Written { subject, at, done_at: None, has_failed: false });
            return Some(Ask::Write(self.details.written.len() - 1));
        }
        self.details.asked.push((subject, at));
        Some(Ask::Read(self.details.asked.len() - 1))
    }

    pub(super) fn written(&mut self, number: usize, has_failed: bool) -> Verdict {
        let step = self.step;
        let written = &mut self.details.written[number];
        (written.done_at, written.has_failed) = (Some(step), has_failed);
        let is_there = match &self.details.written[number].subject {
            Subject::Session(realm, id) => self
                .session_of(*id)
                .is_some_and(|n| self.sessions[n].ending_at.is_none() && self.sessions[n].realm == *realm),
            Subject::Uri(..) => true,
        };
        if has_failed && is_there && self.going_down.is_none() { Err("it is there".into()) } else { Ok(()) }
    }

    /// The answer to the question of this number.
    pub(super) fn read(&self, number: usize, value: &Value) -> Verdict {
        let (subject, asked_at) = &self.details.asked[number];
        let tag = match subject {
            Subject::Session(_, id) if value["session"].as_u64() != Some(*id) => {
                return Err("the details of another session".into());
            }
            Subject::Session(..) => &value["tag"],
            Subject::Uri(_, uri) if !value.is_null() && value["uri"].as_str() != Some(uri) => {
                return Err("the description of another URI".into());
            }
            Subject::Uri(..) => &value["description"]["tag"],
        };
        let of_subject =
            |written: &&Written| written.subject == *subject && !written.has_failed && written.at < self.step;
        let mut done_at = 0;
        if let Some(tag) = tag.as_u64() {
            let read = self.details.written.get(tag as usize).filter(of_subject);
            done_at = read.ok_or("nobody has written this")?.done_at.unwrap_or(Step::MAX);
        }
        let newer = self
            .details
            .written
            .iter()
            .filter(of_subject)
            .find(|other| other.at > done_at && other.done_at.is_some_and(|at| at < *asked_at));
        if newer.is_some() { Err("something newer has taken its place".into()) } else { Ok(()) }
    }

    /// `wamp.reflect.on_define`.
    pub(super) fn told_of_definition(&mut self, session: SessionNo, id: u64, arguments: &Value) -> Verdict {
        let entry = &self.sessions[session];
        let since = entry.memberships.get(&id).ok_or("no such membership")?.since;
        let tag = arguments[2]["tag"].as_u64().ok_or("nothing that was defined")? as usize;
        let uri = arguments[0].as_str().ok_or("no URI")?;
        let subject = Subject::Uri(entry.realm.clone(), uri.to_owned());
        let written = self.details.written.get(tag).filter(|written| written.subject == subject);
        written.ok_or("nobody has defined this")?;
        match self.details.told.insert((session, id, since, tag)) {
            true => Ok(()),
            false => Err("for the second time".into()),
        }
    }

    /// At rest: who listens to definitions has been told of all that began after that.
    pub(super) fn check_definitions(&self, n: SessionNo, session: &Session) -> Verdict {
        let listening = session.memberships.iter().filter(|(_, membership)| {
            membership.ending_at.is_none()
                && membership.pattern.policy == Policy::Exact
                && membership.pattern.uri == "wamp.reflect.on_define"
        });
        for (id, membership) in listening {
            let missing = self.details.written.iter().enumerate().find(|(tag, written)| {
                let is_definition =
                    matches!(&written.subject, Subject::Uri(realm, _) if *realm == session.realm);
                is_definition
                    && written.done_at.is_some()
                    && !written.has_failed
                    && written.at > membership.since
                    && !self.details.told.contains(&(n, *id, membership.since, *tag))
            });
            if let Some((tag, _)) = missing {
                return Err(format!("at rest: s{n} was not told of definition {tag}"));
            }
        }
        Ok(())
    }
}
