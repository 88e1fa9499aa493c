//! What is told of a session or a URI is what was last written, from when its writer has the answer; and every definition of a
//! URI is told once to those who listen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Ask, Oracle, Session, SessionNo, Step, Verdict};
use crate::sim::pool::Policy;

/// What was written and read.
#[derive(Default)]
pub(super) struct Details {
    /// By the number in it.
    written: Vec<Written>,
    asked: Vec<(SessionNo, Subject, Step)>,
    /// Which definitions a membership has been told of: the session, the subscription, when it began, the number.
    told: BTreeSet<(SessionNo, u64, Step, usize)>,
    /// How often it has been told that a URI is defined no more, and whether that was the last it has heard of it.
    told_ends: BTreeMap<(SessionNo, u64, Step, String), (usize, bool)>,
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
    writer: SessionNo,
    subject: Subject,
    /// A definition is taken back.
    is_end: bool,
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
        let is_end = procedure == "wamp.reflect.define" && arguments[1].is_null();
        if arguments[1].is_object() || is_end {
            let (writer, done_at) = (caller, None);
            self.details.written.push(Written { writer, subject, is_end, at, done_at, has_failed: false });
            return Some(Ask::Write(self.details.written.len() - 1));
        }
        self.details.asked.push((caller, subject, at));
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
        let (asker, subject, asked_at) = &self.details.asked[number];
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
        let written = &self.details.written;
        let of_subject =
            |written: &&Written| written.subject == *subject && !written.has_failed && written.at < self.step;
        // It was written after that (or after the beginning), and before the question.
        let has_newer = |base: Option<&Written>| {
            written.iter().filter(of_subject).any(|other| {
                let is_known = other.done_at.is_some_and(|at| at < *asked_at)
                    || (other.writer == *asker && other.at < *asked_at);
                is_known && base.is_none_or(|base| base.precedes(other))
            })
        };
        let is_current = match tag.as_u64() {
            Some(tag) => {
                let read = written.get(tag as usize).filter(of_subject).filter(|read| !read.is_end);
                !has_newer(Some(read.ok_or("nobody has written this")?))
            }
            None => {
                let mut ends = written.iter().filter(of_subject).filter(|written| written.is_end);
                !has_newer(None) || ends.any(|end| !has_newer(Some(end)))
            }
        };
        if is_current { Ok(()) } else { Err("something newer has taken its place".into()) }
    }

    /// `wamp.reflect.on_define`.
    pub(super) fn told_of_definition(&mut self, session: SessionNo, id: u64, arguments: &Value) -> Verdict {
        let entry = &self.sessions[session];
        let since = entry.memberships.get(&id).ok_or("no such membership")?.since;
        let tag = arguments[2]["tag"].as_u64().ok_or("nothing that was defined")? as usize;
        let uri = arguments[0].as_str().ok_or("no URI")?;
        let subject = Subject::Uri(entry.realm.clone(), uri.to_owned());
        let written = self.details.written.get(tag).filter(|written| written.subject == subject);
        written.filter(|written| !written.is_end).ok_or("nobody has defined this")?;
        if let Some((_, is_last)) = self.details.told_ends.get_mut(&(session, id, since, uri.to_owned())) {
            *is_last = false;
        }
        match self.details.told.insert((session, id, since, tag)) {
            true => Ok(()),
            false => Err("for the second time".into()),
        }
    }

    /// `wamp.reflect.on_undefine`.
    pub(super) fn told_of_end(&mut self, session: SessionNo, id: u64, arguments: &Value) -> Verdict {
        let entry = &self.sessions[session];
        let membership = entry.memberships.get(&id).ok_or("no such membership")?;
        let hears_all = membership.pattern.policy != Policy::Exact;
        let uri = arguments[0].as_str().ok_or("no URI")?.to_owned();
        let subject = Subject::Uri(entry.realm.clone(), uri.clone());
        let of_subject = self.details.written.iter().filter(|written| written.subject == subject);
        let ends = of_subject.clone().filter(|written| written.is_end).count();
        let most = ends.min(of_subject.count() - ends);
        let (count, is_last) =
            self.details.told_ends.entry((session, id, membership.since, uri)).or_insert((0, false));
        *count += 1;
        let was_defined = !std::mem::replace(is_last, true) || !hears_all;
        match *count <= most && was_defined {
            true => Ok(()),
            false => Err("more often than it has ended".into()),
        }
    }

    /// At rest: who listens to the ends of definitions has been told of all those that certainly ended one.
    pub(super) fn check_ends(&self, n: SessionNo, session: &Session) -> Verdict {
        let listening = session.memberships.iter().filter(|(_, membership)| {
            membership.ending_at.is_none()
                && membership.pattern.policy == Policy::Exact
                && membership.pattern.uri == "wamp.reflect.on_undefine"
        });
        for (id, membership) in listening {
            let mut due: BTreeMap<&str, usize> = BTreeMap::new();
            for end in &self.details.written {
                let since = if end.writer == n { membership.asked_at } else { membership.since };
                if end.at <= since {
                    continue;
                }
                if let Subject::Uri(realm, uri) = &end.subject
                    && *realm == session.realm
                    && self.ends_for_certain(end)
                {
                    *due.entry(uri).or_default() += 1;
                }
            }
            for (uri, due) in due {
                let key = (n, *id, membership.since, uri.to_owned());
                let told = self.details.told_ends.get(&key).map_or(0, |(told, _)| *told);
                if told < due {
                    return Err(format!("at rest: s{n} was told {told} of {due} ends of {uri}"));
                }
            }
        }
        Ok(())
    }

    /// Something was defined before, and nobody else can have taken that back.
    fn ends_for_certain(&self, end: &Written) -> bool {
        if !end.is_end || end.has_failed || end.done_at.is_none() {
            return false;
        }
        let of_subject = || self.details.written.iter().filter(|other| other.subject == end.subject);
        of_subject().filter(|other| !other.is_end && other.precedes(end)).any(|definition| {
            let mut others = of_subject().filter(|other| other.is_end && other.at != end.at);
            others.all(|other| other.precedes(definition) || end.precedes(other))
        })
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
                    && !written.is_end
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

impl Written {
    /// Whether it was done before the other one, for certain: what one session asks for is done in its order.
    fn precedes(&self, other: &Written) -> bool {
        self.done_at.is_some_and(|at| at < other.at) || (self.writer == other.writer && self.at < other.at)
    }
}
