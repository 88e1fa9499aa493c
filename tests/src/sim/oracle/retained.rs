//! Retained events.

use std::collections::BTreeSet;

use serde_json::Value;

use super::broker::{Membership, Publication};
use super::{Oracle, Session, SessionNo, Step, Verdict};

/// What a membership has got since it last asked for retained events.
pub(crate) struct Retained {
    /// When SUBSCRIBE was sent.
    asked_at: Step,
    /// Live events, by number.
    live: BTreeSet<usize>,
    /// Topics of which a retained event has come.
    topics: BTreeSet<String>,
    /// Topics of which a publication to be retained has come live.
    live_topics: BTreeSet<String>,
}

impl Retained {
    pub(super) fn new(asked_at: Step) -> Retained {
        Retained { asked_at, live: BTreeSet::new(), topics: BTreeSet::new(), live_topics: BTreeSet::new() }
    }

    pub(super) fn came_live(&mut self, number: usize, topic: String, options: &Value) {
        self.live.insert(number);
        if is_retained(options) {
            self.live_topics.insert(topic);
        }
    }
}

impl Publication {
    /// It takes the place of all earlier retained events of its topic.
    fn is_for_everybody(&self) -> bool {
        let lists = ["exclude", "exclude_authid", "eligible", "eligible_authid"];
        lists.iter().all(|list| self.options[list].is_null())
    }
}

impl Oracle {
    /// An event that is marked as retained: asked for, once per topic, not also live, and not known to be outdated.
    pub(super) fn retained_event(
        &mut self,
        session: SessionNo,
        id: u64,
        number: usize,
        message: &Value,
    ) -> Verdict {
        self.summary.retained += 1;
        let publication = &self.publications[number];
        let entry = &self.sessions[session];
        let Some(membership) = entry.memberships.get(&id) else { return Err("no such membership".into()) };
        let Some(retained) = &membership.retained else { return Err("not asked for".into()) };
        if !is_retained(&publication.options) {
            return Err("it was not to be retained".into());
        }
        if retained.live.contains(&number) {
            return Err("it has come live already".into());
        }
        self.judge_topic(session, id, number, message)?;
        let newer = self.publications.iter().enumerate().find(|(n, other)| {
            *n != number
                && other.topic == publication.topic
                && self.sessions[other.publisher].realm == entry.realm
                && self.is_in_force(other, retained.asked_at)
                && (other.is_for_everybody() || self.admits(other, session))
                && self.is_later((*n, other), (number, publication))
        });
        if let Some((newer, _)) = newer {
            return Err(format!("publication {newer} has taken its place"));
        }
        let topic = publication.topic.clone();
        let membership = self.sessions[session].memberships.get_mut(&id).expect("it has just been looked at");
        let retained = membership.retained.as_mut().expect("it has just been looked at");
        if !retained.topics.insert(topic) {
            return Err("a second retained event of its topic".into());
        }
        self.publication_id(number, &message[2])
    }

    /// Whoever asked for retained events has got one of every topic that had one for it.
    pub(super) fn check_retained(&self, n: SessionNo, session: &Session, membership: &Membership) -> Verdict {
        let Some(retained) = &membership.retained else { return Ok(()) };
        if self.may_cut {
            // What is too much for an outbox is left out.
            return Ok(());
        }
        let hidden = |topic: &str| {
            // Its own event may have taken the place of those that it could see.
            self.publications.iter().any(|other| {
                other.topic == topic
                    && is_retained(&other.options)
                    && other.is_for_everybody()
                    && !self.admits(other, n)
            })
        };
        let owed = self.publications.iter().enumerate().find(|(_, publication)| {
            self.is_in_force(publication, retained.asked_at)
                && membership.pattern.matches(&publication.topic)
                && self.sessions[publication.publisher].realm == session.realm
                && self.admits(publication, n)
                && !retained.topics.contains(&publication.topic)
                && !retained.live_topics.contains(&publication.topic)
                && !hidden(&publication.topic)
        });
        match owed {
            Some((number, _)) => Err(format!("at rest: s{n} has not got retained publication {number}")),
            None => Ok(()),
        }
    }

    /// It was retained for certain when somebody subscribed at this step.
    fn is_in_force(&self, publication: &Publication, at: Step) -> bool {
        publication.is_valid
            && is_retained(&publication.options)
            && publication.acknowledged_at.is_some_and(|acknowledged| acknowledged < at)
    }

    /// The home shard has heard of the first publication after the second for certain.
    fn is_later(&self, (n, first): (usize, &Publication), (m, second): (usize, &Publication)) -> bool {
        let is_same_publisher = first.publisher == second.publisher && n > m;
        is_same_publisher || second.acknowledged_at.is_some_and(|at| at < first.sent_at)
    }
}

fn is_retained(options: &Value) -> bool {
    options["retain"].as_bool() == Some(true)
}
