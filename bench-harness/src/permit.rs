//! Sessions that publish under rules, and under what an authorizer has answered: what a permission is measured on.
//!
//! Owns: a role with rules of every kind and an authorizer, its answers, topics that each of them is about. What is measured is
//! [`DecisionMemo::decide`], which a shard asks for each PUBLISH and CALL of a session with a role, with the hash that it has of
//! the topic for matching.

use wampline_routing::RealmId;
use wampline_routing::authorization::{
    Action, AnswerCache, Asked, Authorizer, CachedAnswer, DecisionMemo, RoleId, Roles, Rule, Verdict,
};
use wampline_routing::pattern::{UriHash, UriHasher};
use wampline_routing::uri::MatchPolicy;
use wampline_wire::SessionId;

/// What decides about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An exact rule.
    Exact,
    /// A prefix.
    Prefix,
    /// A wildcard.
    Wildcard,
    /// What an authorizer has answered.
    Answer,
}

/// A shard's part in permissions, for one role.
#[derive(Debug)]
pub struct Permits {
    roles: Roles,
    role: RoleId,
    answers: AnswerCache,
    memo: DecisionMemo,
    entries: usize,
}

/// A topic with its hash.
#[derive(Clone, Debug)]
pub struct Topic {
    uri: String,
    hash: UriHash,
}

impl By {
    /// All of them.
    pub const ALL: [By; 4] = [By::Exact, By::Prefix, By::Wildcard, By::Answer];

    /// As in the names of benches.
    pub fn name(self) -> &'static str {
        match self {
            By::Exact => "exact",
            By::Prefix => "prefix",
            By::Wildcard => "wildcard",
            By::Answer => "answer",
        }
    }

    fn uri(self, n: usize) -> String {
        match self {
            By::Exact => format!("com.example.exact.t{n}"),
            By::Prefix => format!("com.example.prefix.p{n}.temperature"),
            By::Wildcard => format!("com.example.wildcard.w{n}.temperature"),
            By::Answer => format!("org.example.sensors.t{n}"),
        }
    }
}

impl Permits {
    /// With this many rules of each policy, and as many answers.
    ///
    /// # Panics
    /// Never: rules and authorizer are good.
    pub fn new(entries: usize) -> Permits {
        let mut roles = Roles::default();
        let role = roles.add_role("user").expect("a new role");
        for n in 0..entries {
            for (policy, uri) in [
                (MatchPolicy::Exact, By::Exact.uri(n)),
                (MatchPolicy::Prefix, format!("com.example.prefix.p{n}.")),
                (MatchPolicy::Wildcard, format!("com.example..w{n}.")),
            ] {
                roles.add_rule(role, policy, &uri, Rule::allowing([Action::Publish])).expect("a good rule");
            }
        }
        let authorizer = Authorizer { procedure: "com.example.authorize".into(), ..Authorizer::default() };
        roles.set_authorizer(role, authorizer).expect("the first one");
        let answers = AnswerCache::new(2 * entries);
        let mut permits = Permits { roles, role, answers, memo: DecisionMemo::default(), entries };
        for n in 0..entries {
            let topic = Topic::new(By::Answer.uri(n));
            let question = permits.asked(&topic).question(&permits.roles);
            let answer = CachedAnswer { allow: true, disclose: None };
            permits.answers.put(u64::MAX, topic.hash, &question, answer);
        }
        permits
    }

    /// A topic that this decides about.
    pub fn topic(&self, by: By) -> Topic {
        Topic::new(by.uri(self.entries - 1))
    }

    /// What a PUBLISH asks.
    pub fn decide(&mut self, topic: &Topic) -> Verdict {
        let asked = self.asked(topic);
        self.memo.decide(&self.roles, &mut self.answers, 1, &asked)
    }

    /// The rules alone; nothing is remembered.
    pub fn decide_cold(&self, topic: &Topic) -> Verdict {
        self.roles.decide(self.role, Action::Publish, MatchPolicy::Exact, &topic.uri)
    }

    fn asked<'a>(&self, topic: &'a Topic) -> Asked<'a> {
        let session = SessionId::new(4_429_313_566_921_331).expect("an id");
        let Topic { uri, hash } = topic;
        Asked { realm: RealmId(0), role: self.role, session, action: Action::Publish, uri, hash: *hash }
    }
}

impl Topic {
    /// Any topic.
    pub fn new(uri: String) -> Topic {
        let hash = UriHasher::with_seed(1).hash(&uri);
        Topic { uri, hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_is_decided_by_what_it_says() {
        let mut permits = Permits::new(10);
        for by in By::ALL {
            let topic = permits.topic(by);
            let cold = if by == By::Answer { Verdict::Ask } else { Verdict::Allowed(None) };
            assert_eq!(permits.decide_cold(&topic), cold, "{by:?}");
            for _ in 0..2 {
                assert_eq!(permits.decide(&topic), Verdict::Allowed(None), "{by:?}");
            }
        }
        assert_eq!(permits.decide(&Topic::new("org.example.other".into())), Verdict::Ask);
    }
}
