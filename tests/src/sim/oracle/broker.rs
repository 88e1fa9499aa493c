//! Subscriptions, publications and events.

use std::collections::BTreeMap;

use serde_json::Value;

use super::meta::Told;
use super::removal::Taken;
use super::retained::Retained;
use super::{Hold, ID_MAX, Oracle, Pending, SessionNo, Step, Verdict, code};
use crate::sim::pool::{Pattern, Policy};
use crate::sim::roles::Permit;
use wampline_routing::authorization::Action;

/// What a SUBSCRIBE asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(super) pattern: Pattern,
    /// When it was sent.
    pub(super) at: Step,
    pub(super) get_retained: bool,
}

/// From SUBSCRIBED to UNSUBSCRIBED.
pub(crate) struct Membership {
    pub(super) pattern: Pattern,
    /// What has come of retained events, if it has asked for them.
    pub(super) retained: Option<Retained>,
    /// When SUBSCRIBE was sent: what the session itself publishes later waits for the answer.
    pub(super) asked_at: Step,
    /// When SUBSCRIBED was received.
    pub(super) since: Step,
    /// When UNSUBSCRIBE was sent.
    pub(super) ending_at: Option<Step>,
    /// How many of a publisher's publications have been accounted for.
    pub(super) seen: BTreeMap<SessionNo, usize>,
    /// How many testaments of a session have been accounted for.
    pub(super) wills: BTreeMap<SessionNo, usize>,
    /// What the router has told of its own accord.
    pub(super) told: Told,
}

pub(super) struct Publication {
    pub(super) publisher: SessionNo,
    pub(super) topic: String,
    pub(super) sent_at: Step,
    /// It may be published.
    pub(super) is_valid: bool,
    /// Its authorizer may fail: only what is acknowledged was published for certain.
    is_asked_about: bool,
    pub(super) excludes_publisher: bool,
    /// Its options.
    pub(super) options: Value,
    /// When PUBLISHED came.
    pub(super) acknowledged_at: Option<Step>,
    /// The node that has got it, by subscription, if it goes to one.
    nodes: BTreeMap<u64, SessionNo>,
    /// Its id, once somebody has learned it.
    id: Option<u64>,
    /// PUBLISHED has come.
    pub(super) is_acknowledged: bool,
    padding: usize,
}

impl Oracle {
    pub(super) fn subscribe(&mut self, session: SessionNo, request: u64, message: &Value) {
        let pattern = pattern_of(message);
        let pending = match is_valid_pattern(&pattern) {
            true => {
                let about = vec![(Action::Subscribe, pattern.clone())];
                self.wants(session, code::SUBSCRIBE, request, about);
                let get_retained = message[2]["get_retained"].as_bool() == Some(true);
                Pending::Subscribe(Asked { pattern, at: self.step, get_retained })
            }
            false => Pending::Refused,
        };
        self.sessions[session].pending.insert((code::SUBSCRIBE, request), pending);
    }

    pub(super) fn unsubscribe(&mut self, session: SessionNo, request: u64, message: &Value) {
        let id = message[2].as_u64().unwrap_or_default();
        let step = self.step;
        let entry = &mut self.sessions[session];
        entry.pending.insert((code::UNSUBSCRIBE, request), Pending::Unsubscribe(id, step));
        if let Some(membership) = entry.memberships.get_mut(&id) {
            membership.ending_at.get_or_insert(step);
        }
    }

    pub(super) fn publish(&mut self, session: SessionNo, request: u64, message: &Value) {
        let topic = message[3].as_str().unwrap_or_default().to_owned();
        let exact = Pattern { policy: Policy::Exact, uri: topic.clone() };
        let is_valid = is_valid_pattern(&exact) && !topic.starts_with("wamp.");
        let permit = self.permit(session, Action::Publish, &exact);
        let publication = Publication {
            publisher: session,
            is_valid: is_valid && permit.may(),
            is_asked_about: matches!(permit, Permit::Asked(_)),
            topic,
            sent_at: self.step,
            excludes_publisher: message[2]["exclude_me"].as_bool() != Some(false),
            options: message[2].clone(),
            acknowledged_at: None,
            nodes: BTreeMap::new(),
            id: None,
            is_acknowledged: false,
            padding: padding_of(&message[4]),
        };
        let number = self.publications.len();
        if is_valid && message[2]["acknowledge"].as_bool() == Some(true) {
            self.wants(session, code::PUBLISH, request, vec![(Action::Publish, exact)]);
        }
        let entry = &mut self.sessions[session];
        if message[2]["acknowledge"].as_bool() == Some(true) {
            let pending = if is_valid { Pending::Publish(number) } else { Pending::Refused };
            entry.pending.insert((code::PUBLISH, request), pending);
        }
        entry.published.push(number);
        self.publications.push(publication);
    }

    pub(super) fn published(&mut self, _: SessionNo, pending: Pending, message: &Value) -> Verdict {
        let Pending::Publish(number) = pending else { return Err("the topic is not valid".into()) };
        self.publications[number].is_acknowledged = true;
        self.publications[number].acknowledged_at = Some(self.step);
        self.publication_id(number, &message[2])
    }

    pub(super) fn subscribed(&mut self, session: SessionNo, pending: Pending, message: &Value) -> Verdict {
        let Pending::Subscribe(asked) = pending else {
            return Err("the pattern is not valid".into());
        };
        let retained = asked.get_retained.then(|| Retained::new(asked.at));
        let (pattern, asked_at) = (asked.pattern, asked.at);
        let id = message[2].as_u64().filter(|id| (1..=ID_MAX).contains(id)).ok_or("id out of range")?;
        let since = self.step;
        self.subscribed_again(session, id, &pattern);
        let entry = &mut self.sessions[session];
        if let Some(known) = entry.memberships.get_mut(&id) {
            if retained.is_some() {
                known.retained = retained;
            }
            return match known.pattern == pattern {
                true => Ok(()),
                false => Err("the id of another subscription".into()),
            };
        }
        if entry.memberships.values().any(|known| known.pattern == pattern) {
            return Err("a second id for the same subscription".into());
        }
        let under_way = entry.pending.values().find_map(|pending| match pending {
            Pending::Unsubscribe(ending, sent_at) if *ending == id => Some(*sent_at),
            _ => None,
        });
        let under_way = under_way.or_else(|| self.lost_already(Taken::Subscription, session, id));
        let membership = Membership {
            pattern,
            retained,
            asked_at,
            since,
            ending_at: under_way,
            seen: BTreeMap::new(),
            wills: BTreeMap::new(),
            told: Told::default(),
        };
        self.sessions[session].memberships.insert(id, membership);
        Ok(())
    }

    pub(super) fn unsubscribed(&mut self, session: SessionNo, pending: Pending) -> Verdict {
        let Pending::Unsubscribe(id, _) = pending else { return Err("not asked for".into()) };
        match self.sessions[session].memberships.remove(&id) {
            Some(_) => Ok(()),
            None if self.was_lost(Taken::Subscription, session, id) => Ok(()),
            None if !self.can_lose(session, Taken::Subscription) => Ok(()),
            None => Err("there was no such subscription".into()),
        }
    }

    pub(super) fn event(&mut self, session: SessionNo, message: &Value) -> Verdict {
        self.summary.events += 1;
        let id = message[1].as_u64().ok_or("no subscription id")?;
        let named = message[3]["topic"].as_str();
        let membership = self.sessions[session].memberships.get(&id).ok_or("no such membership")?;
        let topic = named.unwrap_or(&membership.pattern.uri).to_owned();
        if topic.starts_with("wamp.") {
            let is_named = (membership.pattern.policy != Policy::Exact) == named.is_some();
            if !is_named || !membership.pattern.matches(&topic) {
                return Err("the topic is wrong".into());
            }
            return self.meta_event(session, id, &topic, &message[4]);
        }
        if message[4][0] == "will" {
            return self.will_event(session, id, message);
        }
        let number = message[4][0].as_u64().ok_or("not one of our publications")? as usize;
        let publication = self.publications.get(number).ok_or("nobody has published this")?;
        let publisher = publication.publisher;
        if publication.padding != padding_of(&message[4]) {
            return Err("the payload has changed".into());
        }
        let same_realm = self.sessions[publisher].realm == self.sessions[session].realm;
        if !publication.is_valid || !same_realm || !self.admits(publication, session) {
            return Err("it should not have been delivered".into());
        }
        if message[3]["retained"].as_bool() == Some(true) {
            return self.retained_event(session, id, number, message);
        }
        let entry = &mut self.sessions[session];
        let last = entry.last_seen.entry(publisher).or_insert(number);
        if *last > number {
            return Err(format!("events of s{publisher} out of order: {last} came before {number}"));
        }
        *last = number;
        let Some(membership) = entry.memberships.get_mut(&id) else {
            return Err("no such membership".into());
        };
        if let Some(retained) = &mut membership.retained {
            retained.came_live(
                number,
                self.publications[number].topic.clone(),
                &self.publications[number].options,
            );
        }
        self.judge_topic(session, id, number, message)?;
        if self.publications[number].options["rkey"].is_string() && Oracle::is_node(session) {
            let node = *self.publications[number].nodes.entry(id).or_insert(session);
            if node != session {
                return Err(format!("node s{node} has got it already"));
            }
        }
        self.account(session, id, publisher, number)?;
        self.publication_id(number, &message[2])
    }

    /// The membership matches the topic, and the event names it if it must.
    pub(super) fn judge_topic(&self, session: SessionNo, id: u64, number: usize, message: &Value) -> Verdict {
        let membership = &self.sessions[session].memberships[&id];
        let topic = self.publications[number].topic.as_str();
        let named = message[3]["topic"].as_str();
        let names_topic = membership.pattern.policy != Policy::Exact;
        if !membership.pattern.matches(topic) || named != names_topic.then_some(topic) {
            return Err("the topic is wrong".into());
        }
        Ok(())
    }

    /// Whether a session subscribes with a node key.
    pub(crate) fn is_node(session: SessionNo) -> bool {
        session.is_multiple_of(3)
    }

    /// Whether a session may receive a publication: by its lists, and as its publisher.
    pub(super) fn admits(&self, publication: &Publication, session: SessionNo) -> bool {
        let Some((id, authid)) = &self.sessions[session].identity else { return false };
        let names = |option: &str, value: Value| {
            let list = publication.options[option].as_array();
            list.map(|list| list.contains(&value))
        };
        let (id, authid) = (Value::from(*id), Value::from(authid.as_str()));
        !(publication.publisher == session && publication.excludes_publisher)
            && names("exclude", id.clone()) != Some(true)
            && names("exclude_authid", authid.clone()) != Some(true)
            && names("eligible", id) != Some(false)
            && names("eligible_authid", authid) != Some(false)
    }

    /// All that was owed before this event has come before it, and this one for the first time.
    fn account(&mut self, session: SessionNo, id: u64, publisher: SessionNo, number: usize) -> Verdict {
        let membership = &self.sessions[session].memberships[&id];
        let published = &self.sessions[publisher].published;
        let seen = membership.seen.get(&publisher).copied().unwrap_or(0);
        let at = published.binary_search(&number).map_err(|_| "published by somebody else")?;
        if at < seen {
            return Err("for the second time".into());
        }
        let stays = membership.ending_at.is_none() && self.sessions[session].ending_at.is_none();
        if stays && let Some(&lost) = published[seen..at].iter().find(|&&n| self.owes(session, membership, n))
        {
            return Err(format!("publication {lost} of s{publisher} was owed before it"));
        }
        let membership = self.sessions[session].memberships.get_mut(&id).expect("it has just been looked at");
        membership.seen.insert(publisher, at + 1);
        Ok(())
    }

    /// Whether a membership must get this publication, once it has been dealt with.
    pub(super) fn owes(&self, session: SessionNo, membership: &Membership, number: usize) -> bool {
        let publication = &self.publications[number];
        let since = if publication.publisher == session { membership.asked_at } else { membership.since };
        publication.is_valid
            && (!publication.is_asked_about || publication.is_acknowledged)
            && publication.sent_at > since
            && membership.pattern.matches(&publication.topic)
            && self.sessions[publication.publisher].realm == self.sessions[session].realm
            && self.admits(publication, session)
            // Which node of a ring is owed it depends on what its publisher's shard knew of the ring.
            && !(publication.options["rkey"].is_string() && Oracle::is_node(session))
    }

    /// Everybody learns the same id of a publication, and no two have the same.
    pub(super) fn publication_id(&mut self, number: usize, id: &Value) -> Verdict {
        let id = id.as_u64().filter(|id| (1..=ID_MAX).contains(id)).ok_or("publication id out of range")?;
        let known = self.publications[number].id.get_or_insert(id);
        if *known != id || *self.publication_ids.entry(id).or_insert(number) != number {
            return Err("the id of another publication".into());
        }
        Ok(())
    }

    pub(super) fn hold(&mut self, session: SessionNo, pattern: Pattern, invoke: String) -> usize {
        let realm = self.sessions[session].realm.clone();
        let (from, until) = (self.step, None);
        self.holds.push(Hold { session, realm, pattern, invoke, forwards_timeout: false, from, until });
        self.holds.len() - 1
    }
}

pub(super) fn pattern_of(message: &Value) -> Pattern {
    let uri = message[3].as_str().unwrap_or_default().to_owned();
    Pattern { policy: Policy::of_options(&message[2]), uri }
}

/// The loose rules, word by word.
pub(super) fn is_valid_pattern(pattern: &Pattern) -> bool {
    let components: Vec<&str> = pattern.uri.split('.').collect();
    let last = components.len() - 1;
    let clean = |component: &str| !component.contains(|c: char| c.is_whitespace() || c == '#');
    components.iter().enumerate().all(|(n, component)| {
        let may_be_empty = match pattern.policy {
            Policy::Exact => false,
            Policy::Prefix => n == last,
            Policy::Wildcard => true,
        };
        clean(component) && (may_be_empty || !component.is_empty())
    })
}

pub(super) fn padding_of(arguments: &Value) -> usize {
    arguments[1].as_str().map_or(0, str::len)
}
