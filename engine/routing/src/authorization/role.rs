//! One role: its rules, and what follows from them.

use std::sync::Arc;

use super::cover::{Denials, Governing};
use super::{Action, Actions, Authorizer, Reason, RoleError, Rule, Validation, Verdict};
use crate::pattern::PatternTable;
use crate::uri::{MatchPolicy, is_reserved};

#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: Box<str>,
    rules: PatternTable<Rule>,
    /// The rules that deny what patterns can ask for.
    denies_register: Denials,
    denies_subscribe: Denials,
    /// What holds where no rule matches.
    pub(super) otherwise: Rule,
    /// The actions whose payloads some rule says something of.
    validates: Actions,
    pub(super) authorizer: Option<Authorizer>,
    /// Its sessions may register what answers questions: nobody is asked about them.
    pub(super) is_serving: bool,
}

impl Role {
    pub(super) fn new(name: &str) -> Role {
        Role {
            name: name.into(),
            rules: PatternTable::new(),
            denies_register: Denials::default(),
            denies_subscribe: Denials::default(),
            otherwise: Rule::default(),
            validates: Actions::NONE,
            authorizer: None,
            is_serving: false,
        }
    }

    pub(super) fn add_rule(&mut self, policy: MatchPolicy, uri: &str, rule: Rule) -> Result<(), RoleError> {
        if self.rules.get(policy, uri).is_some() {
            return Err(RoleError::DuplicateRule { policy, uri: uri.into() });
        }
        self.rules.admits(policy, uri).map_err(|error| RoleError::Pattern { uri: uri.into(), error })?;
        self.note_validation(&rule);
        let shared: Arc<str> = uri.into();
        if !rule.allow.contains(Action::Register) {
            self.denies_register.add(policy, shared.clone());
        }
        if !rule.allow.contains(Action::Subscribe) {
            self.denies_subscribe.add(policy, shared);
        }
        self.rules
            .insert(policy, uri, rule)
            .map_err(|error| RoleError::Pattern { uri: uri.into(), error })?;
        Ok(())
    }

    fn note_validation(&mut self, rule: &Rule) {
        let Some(validation) = &rule.validate else { return };
        if validation.call.is_some() || validation.call_result.is_some() {
            self.validates = self.validates.with(Action::Call);
        }
        if validation.event.is_some() {
            self.validates = self.validates.with(Action::Publish);
        }
    }

    pub(super) fn validates(&self, action: Action) -> bool {
        self.validates.contains(action)
    }

    /// See [`super::Roles::validation`].
    pub(super) fn validation(&self, action: Action, uri: &str) -> Option<&Arc<Validation>> {
        if !self.validates.contains(action) {
            return None;
        }
        self.rules.best_match(uri).and_then(|(_, rule)| rule.validate.as_ref())
    }

    /// Whether its sessions may do everything that the realm offers.
    pub(super) fn is_unrestricted(&self) -> bool {
        let permits_all = Action::ALL.into_iter().all(|action| self.otherwise.allow.contains(action));
        let disclose = self.otherwise.disclose;
        self.has_no_rules() && permits_all && disclose.caller.is_none() && disclose.publisher.is_none()
    }

    /// Its authorizer, if that is ever asked.
    pub(super) fn asks(&self) -> Option<&Authorizer> {
        self.authorizer.as_ref().filter(|_| !self.is_serving)
    }

    /// Whether a rule (and not what holds where there is none) permits this.
    pub(super) fn permits_by_rule(&self, action: Action, uri: &str) -> bool {
        self.rules.best_match(uri).is_some_and(|(_, rule)| rule.allow.contains(action))
    }

    /// See [`super::Roles::decide`].
    pub(super) fn judge<'a>(
        &'a self,
        action: Action,
        policy: MatchPolicy,
        uri: &'a str,
    ) -> (Verdict, Reason<'a>) {
        let is_pattern = match policy {
            MatchPolicy::Exact => false,
            MatchPolicy::Prefix => true,
            MatchPolicy::Wildcard => uri.split('.').any(str::is_empty),
        };
        if is_pattern {
            return self.judge_pattern(action, policy, uri);
        }
        match self.rules.matches(uri).next() {
            Some((policy, pattern, rule)) => (rule.verdict(action), Reason::Rule { policy, uri: pattern }),
            None => self.judge_unmatched(action),
        }
    }

    /// See [`super::Roles::decide_meta`].
    pub(super) fn judge_destructive(&self, uri: &str, is_offered: bool) -> (Verdict, Reason<'_>) {
        match self.rules.matches(uri).next() {
            Some((policy, pattern, rule)) if is_reserved(pattern) => {
                (rule.verdict(Action::Call), Reason::Rule { policy, uri: pattern })
            }
            Some((policy, pattern, _)) => (Verdict::Denied, Reason::TooBroad { policy, uri: pattern }),
            None if is_offered && self.has_no_rules() => {
                (self.otherwise.verdict(Action::Call), Reason::Defaults)
            }
            None => (Verdict::Denied, Reason::NotByUri),
        }
    }

    fn judge_unmatched(&self, action: Action) -> (Verdict, Reason<'_>) {
        match self.asks() {
            Some(authorizer) => (Verdict::Ask, Reason::Authorizer { procedure: &authorizer.procedure }),
            None => (self.otherwise.verdict(action), Reason::Defaults),
        }
    }

    fn judge_pattern<'a>(
        &'a self,
        action: Action,
        policy: MatchPolicy,
        pattern: &'a str,
    ) -> (Verdict, Reason<'a>) {
        // Taken for a URI, a pattern is matched by just those rules that match everything that it matches, but for two: the
        // exact rule, and wildcards where the pattern is a prefix. (An empty component matches a wildcard's empty one alone.)
        let mut covering = self.rules.matches(pattern).filter(|(found, ..)| *found != MatchPolicy::Exact);
        let governing = covering
            .next()
            .filter(|(found, ..)| *found == MatchPolicy::Prefix || policy == MatchPolicy::Wildcard);
        let (verdict, reason) = match governing {
            Some((policy, uri, rule)) => (rule.verdict(action), Reason::Rule { policy, uri }),
            None => self.judge_unmatched(action),
        };
        if verdict == Verdict::Denied {
            return (verdict, reason);
        }
        let denials = match action {
            Action::Register => &self.denies_register,
            Action::Subscribe => &self.denies_subscribe,
            // There are no such patterns; nothing but a rule for all of it permits them.
            Action::Call | Action::Publish => return (Verdict::Denied, reason),
        };
        let governing = governing.map(|(policy, uri, _)| Governing { policy, uri });
        match denials.inside(policy, pattern, governing) {
            Some((policy, uri)) => (Verdict::Denied, Reason::Inside { policy, uri }),
            None => (verdict, reason),
        }
    }

    fn has_no_rules(&self) -> bool {
        self.rules.is_empty() && self.authorizer.is_none()
    }
}
