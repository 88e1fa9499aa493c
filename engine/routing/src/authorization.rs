//! What the sessions of a realm may do: roles and their rules.
//!
//! Owns [`Roles`], the table that a realm's configuration becomes: per role the rules for URI patterns, what holds where none
//! of them matches, and the procedure that is asked instead ([`Authorizer`]). Also what has been answered ([`AnswerCache`])
//! and the form of such an answer ([`AuthorizerAnswer`]). Asking, and holding back who waits, is the shard's part.
//!
//! **How a URI is decided.** Of the rules of the session's role that match it, the most specific one decides, alone, about all
//! four actions: what it does not allow it denies. The order is the one in which a call prefers registrations (see
//! [`crate::pattern`]): the exact rule, then prefixes from the longest on, then wildcards by the portions before each wildcard.
//! Where no rule matches, the role's authorizer is asked; a role without one has its default permissions there, which permit
//! nothing unless `allow_by_default` says so. An authorizer is never asked about sessions whose role *serves*, which is: may,
//! by a rule, register a procedure that answers such questions. They have rules and default permissions alone, so that no
//! authorizer waits for itself.
//!
//! **How a pattern is decided** (SUBSCRIBE and REGISTER with `match`). It is permitted only if every URI that it can match is.
//! The most specific of the rules that match *all* of these URIs governs (where there is none, the default permissions or the
//! authorizer do). It must permit the action, and no rule that is more specific than it may deny the action for any URI that
//! the pattern matches too. That such a rule may itself be overruled by a still more specific one counts for nothing: what is
//! told here can be found out by looking at two rules.
//!
//! **Who has no rules.** In a realm without roles every session may do everything that the realm offers. In a realm with roles,
//! a session whose role is not among them has the default role, or where there is none, cannot join.
//!
//! **Procedures of the router that change what belongs to others** ([`crate::meta::Procedure::is_destructive`]) need more: a rule that
//! permits them by their URI, which means, whose own URI or pattern begins with the component `wamp`. No default permission, no
//! broader rule and no authorizer permits them; only where [`MetaApi::Full`] is configured a role without rules and authorizer may
//! call them, if it may call by default.
//!
//! **Procedures that answer questions about sessions** can be registered, by their own URI or by a pattern that matches it, only where
//! a rule permits it; no default permission and no authorizer does. Whoever could take the place of an authorizer would decide
//! everything.
//!
//! Cost: deciding a URI costs what matching it costs, whatever the number of rules. A prefix or wildcard pattern costs in
//! addition a look at the rules that deny the action and begin with the literal head of the pattern.

mod answer;
mod cache;
mod cover;
mod error;
mod explain;
mod memo;
mod role;
mod validation;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use wampline_wire::SessionId;

pub use answer::{AnswerError, AuthorizerAnswer, question_arguments};
pub use cache::{AnswerCache, CachedAnswer, PURGE_PROCEDURE, PurgeFilter, Question, QuestionOwner};
pub use error::RoleError;
pub use explain::{Explanation, Reason};
pub use memo::{Asked, DecisionMemo};
pub use validation::{PayloadSchema, Validation};

use crate::disclosure::{Disclose, DisclosureRule};
use crate::meta::{MetaApi, Procedure};
use crate::uri::{MatchPolicy, UriRules};
use role::Role;

/// What can be permitted. To unregister, to unsubscribe and to cancel follows from having what it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// CALL of a procedure.
    Call,
    /// REGISTER of a procedure or a pattern.
    Register,
    /// PUBLISH to a topic, also by a testament.
    Publish,
    /// SUBSCRIBE to a topic or a pattern; reading its history.
    Subscribe,
}

/// A set of actions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions(u8);

/// What a rule says about the URIs that it matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What is permitted; everything else is denied.
    pub allow: Actions,
    /// Whether callers and publishers are disclosed: it goes before what the realm's [`crate::Disclosure`] says. As there,
    /// who asks for disclosure where it is forbidden is refused.
    pub disclose: DisclosureRule,
    /// `cache`, as other routers' users know it: whether the decision may be kept. A rule's decision is made anew every time,
    /// at less cost than a cache has, and never goes stale, so both values mean the same.
    pub cache: bool,
    /// `validate`: what the payloads of calls and publications must be like that it permits. Those of the router's own procedures
    /// are not concerned.
    pub validate: Option<Arc<Validation>>,
}

/// A procedure that is asked what sessions of a role may do.
///
/// It is called by the router itself, in the same realm, with the positional arguments `session` (a dict: `realm`, `session`,
/// `authid`, `authrole`, `authmethod`, `authprovider`, `authextra`, `transport`), `uri`, `action` and `options` (those of the message), and answers as
/// [`AuthorizerAnswer::read`] has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorizer {
    /// The procedure.
    pub procedure: Box<str>,
    /// How long an answer may take; then the request fails with `wamp.error.authorization_failed`.
    pub timeout: Duration,
    /// Whom an answer with `cache` is for.
    pub scope: CacheScope,
    /// For how long an answer with `cache` that permits is kept; zero: not at all.
    pub allowed_for: Duration,
    /// For how long an answer with `cache` that denies is kept; zero: not at all.
    pub denied_for: Duration,
}

/// Whom a kept answer is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheScope {
    /// The session that it was given for.
    #[default]
    Session,
    /// Every session with the same role: for authorizers that look at nothing else of the session. Sessions that ask the same at
    /// the same time share one call then.
    Role,
}

/// Names a role of a realm: its position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleId(u16);

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Permitted. For calls and publications: what is said about disclosure, if anything is.
    Allowed(Option<Disclose>),
    /// Not permitted.
    Denied,
    /// The role's authorizer knows.
    Ask,
}

/// The roles of a realm. Without any, every session may do everything that the realm offers.
#[derive(Debug)]
pub struct Roles {
    uri_rules: UriRules,
    by_name: AHashMap<Box<str>, RoleId>,
    /// The first one is for sessions without a role: it permits nothing.
    roles: Vec<Role>,
    default_role: Option<RoleId>,
    /// Procedures that answer questions about sessions.
    answering: Vec<Box<str>>,
    has_authorizers: bool,
}

impl Roles {
    /// No roles, in a realm with these rules for URIs.
    pub fn new(uri_rules: UriRules) -> Roles {
        Roles {
            uri_rules,
            by_name: AHashMap::new(),
            roles: vec![Role::new("")],
            default_role: None,
            answering: Vec::new(),
            has_authorizers: false,
        }
    }

    /// Adds a role that permits nothing yet.
    ///
    /// # Errors
    /// If the name is empty or taken, or there are 65,535 roles already.
    pub fn add_role(&mut self, name: &str) -> Result<RoleId, RoleError> {
        if name.is_empty() {
            return Err(RoleError::EmptyName);
        }
        if self.by_name.contains_key(name) {
            return Err(RoleError::DuplicateRole { role: name.into() });
        }
        let id = u16::try_from(self.roles.len()).map(RoleId).map_err(|_| RoleError::TooManyRoles)?;
        self.roles.push(Role::new(name));
        self.by_name.insert(name.into(), id);
        Ok(id)
    }

    /// Adds a rule to a role.
    ///
    /// # Errors
    /// If the URI or pattern breaks the realm's rules or is written with a star, if the role has a rule for it already, if matching
    /// cannot bear the pattern.
    pub fn add_rule(
        &mut self,
        role: RoleId,
        policy: MatchPolicy,
        uri: &str,
        rule: Rule,
    ) -> Result<(), RoleError> {
        if uri.split('.').any(|component| component == "*") {
            return Err(RoleError::Starred { uri: uri.into() });
        }
        let invalid = |error| RoleError::Uri { uri: uri.into(), error };
        self.uri_rules.check_pattern(uri, policy).map_err(invalid)?;
        self.role_mut(role).add_rule(policy, uri, rule)?;
        self.find_serving();
        Ok(())
    }

    /// Sets what a role may do where no rule matches and no authorizer is asked. `allow_by_default` is [`Actions::ALL`] here.
    ///
    /// # Errors
    /// If it asks for validation.
    pub fn set_default_permissions(&mut self, role: RoleId, rule: Rule) -> Result<(), RoleError> {
        if rule.validate.is_some() {
            return Err(RoleError::Validation);
        }
        self.role_mut(role).otherwise = rule;
        Ok(())
    }

    /// Sets the procedure that is asked where no rule of a role matches.
    ///
    /// # Errors
    /// If the procedure's URI breaks the realm's rules or belongs to the router, if no time is left to answer, or if the role has
    /// an authorizer already.
    pub fn set_authorizer(&mut self, role: RoleId, authorizer: Authorizer) -> Result<(), RoleError> {
        let uri = &authorizer.procedure;
        self.check_answering(uri)?;
        if authorizer.timeout.is_zero() {
            return Err(RoleError::NoTime { procedure: uri.clone() });
        }
        if self.role_mut(role).authorizer.is_some() {
            return Err(RoleError::DuplicateAuthorizer { role: self.role(role).name.clone() });
        }
        let procedure = uri.clone();
        self.role_mut(role).authorizer = Some(authorizer);
        self.has_authorizers = true;
        self.answering.push(procedure);
        self.find_serving();
        Ok(())
    }

    /// Takes note of another procedure of the realm that answers questions about sessions, a dynamic authenticator for one: roles
    /// that may register it by a rule are decided by rules alone.
    ///
    /// # Errors
    /// If its URI breaks the realm's rules or belongs to the router.
    pub fn add_answering_procedure(&mut self, uri: &str) -> Result<(), RoleError> {
        self.check_answering(uri)?;
        self.answering.push(uri.into());
        self.find_serving();
        Ok(())
    }

    /// Sets the role that sessions have whose own role is not among those of the realm.
    ///
    /// # Errors
    /// If there is no such role.
    pub fn set_default_role(&mut self, name: &str) -> Result<(), RoleError> {
        let unknown = || RoleError::UnknownRole { role: name.into() };
        self.default_role = Some(self.by_name.get(name).copied().ok_or_else(unknown)?);
        Ok(())
    }

    /// Whether there are no roles.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether a role of this name has been added.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The names of the roles, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().skip(1).map(|role| &*role.name)
    }

    /// Whether any role has an authorizer.
    pub fn has_authorizers(&self) -> bool {
        self.has_authorizers
    }

    /// The role that sessions of this authrole have. `None`: one that may do everything that the realm offers, so that nothing need
    /// be looked up.
    pub fn resolve(&self, authrole: &str) -> Option<RoleId> {
        if self.by_name.is_empty() {
            return None;
        }
        let id = self.by_name.get(authrole).copied().or(self.default_role).unwrap_or(RoleId::NOBODY);
        (!self.role(id).is_unrestricted() || !self.answering.is_empty()).then_some(id)
    }

    /// Whether sessions of this authrole may do nothing at all, because it is none of the roles.
    pub fn is_unknown(&self, authrole: &str) -> bool {
        self.resolve(authrole) == Some(RoleId::NOBODY)
    }

    /// The name of a role; empty for the one of sessions that have none.
    pub fn name(&self, role: RoleId) -> &str {
        &self.role(role).name
    }

    /// The role's authorizer, unless it is never asked.
    pub fn authorizer(&self, role: RoleId) -> Option<&Authorizer> {
        self.role(role).asks()
    }

    /// How a kept answer to a question about a session of this role is found: by role or by session.
    pub fn owner(&self, role: RoleId, session: SessionId) -> QuestionOwner {
        match self.authorizer(role).map(|authorizer| authorizer.scope) {
            Some(CacheScope::Role) => QuestionOwner::Role,
            _ => QuestionOwner::Session(session),
        }
    }

    /// Whether a role may do this: with [`MatchPolicy::Exact`] to a URI, else to everything that the pattern matches.
    pub fn decide(&self, role: RoleId, action: Action, policy: MatchPolicy, uri: &str) -> Verdict {
        self.judge_in_role(role, action, policy, uri).0
    }

    /// Whether a role may call a procedure of the router's own, in a realm that offers this much of them.
    pub fn decide_meta(
        &self,
        role: Option<RoleId>,
        offers: MetaApi,
        procedure: Procedure,
        uri: &str,
    ) -> Verdict {
        let permitted = |is_permitted| if is_permitted { Verdict::Allowed(None) } else { Verdict::Denied };
        match role {
            None => permitted(!procedure.is_destructive() || offers == MetaApi::Full),
            Some(role) if procedure.is_destructive() => {
                self.role(role).judge_destructive(uri, offers == MetaApi::Full).0
            }
            Some(role) => self.decide(role, Action::Call, MatchPolicy::Exact, uri),
        }
    }

    /// Whether some rule of a role says what the payloads of such messages, or their answers, must be like.
    pub fn validates(&self, role: RoleId, action: Action) -> bool {
        self.role(role).validates(action)
    }

    /// What payloads must be like that a session of this role sends to a URI with a CALL or PUBLISH, and what it is answered, if a
    /// rule says so.
    ///
    /// Cost: a look at the role, unless one of its rules says anything of such messages; then what it costs to match the URI.
    pub fn validation(&self, role: RoleId, action: Action, uri: &str) -> Option<&Arc<Validation>> {
        self.role(role).validation(action, uri)
    }

    fn judge_in_role<'a>(
        &'a self,
        role: RoleId,
        action: Action,
        policy: MatchPolicy,
        uri: &'a str,
    ) -> (Verdict, Reason<'a>) {
        let judged = self.role(role).judge(action, policy, uri);
        let is_by_rule = matches!(judged.1, Reason::Rule { .. } | Reason::Inside { .. });
        if action == Action::Register
            && !is_by_rule
            && let Some(procedure) = self.answering.iter().find(|procedure| policy.matches(uri, procedure))
        {
            return (Verdict::Denied, Reason::Answers { procedure });
        }
        judged
    }

    fn check_answering(&self, uri: &str) -> Result<(), RoleError> {
        self.uri_rules.check(uri).map_err(|error| RoleError::Uri { uri: uri.into(), error })?;
        if crate::uri::is_reserved(uri) {
            return Err(RoleError::Reserved { uri: uri.into() });
        }
        Ok(())
    }

    /// Finds the roles that may, by a rule, register what answers questions.
    fn find_serving(&mut self) {
        for role in &mut self.roles {
            role.is_serving = self.answering.iter().any(|uri| role.permits_by_rule(Action::Register, uri));
        }
    }

    fn role(&self, role: RoleId) -> &Role {
        &self.roles[usize::from(role.0)]
    }

    fn role_mut(&mut self, role: RoleId) -> &mut Role {
        &mut self.roles[usize::from(role.0)]
    }
}

impl Default for Roles {
    fn default() -> Roles {
        Roles::new(UriRules::default())
    }
}

impl RoleId {
    const NOBODY: RoleId = RoleId(0);
}

impl Default for Authorizer {
    /// Without a procedure; 5 s to answer; answers are kept for a session, five minutes if they permit, half a minute if they deny.
    fn default() -> Authorizer {
        Authorizer {
            procedure: Box::default(),
            timeout: Duration::from_secs(5),
            scope: CacheScope::Session,
            allowed_for: Duration::from_secs(300),
            denied_for: Duration::from_secs(30),
        }
    }
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 4] = [Action::Call, Action::Register, Action::Publish, Action::Subscribe];

    /// Its name, as authorizers are told and as the configuration has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Call => "call",
            Action::Register => "register",
            Action::Publish => "publish",
            Action::Subscribe => "subscribe",
        }
    }

    /// The action of this name.
    pub fn parse(name: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

impl Actions {
    /// No action.
    pub const NONE: Actions = Actions(0);
    /// All four.
    pub const ALL: Actions = Actions(0b1111);

    /// These and this one.
    #[must_use]
    pub const fn with(self, action: Action) -> Actions {
        Actions(self.0 | 1 << action as u8)
    }

    /// Whether this one is among them.
    pub const fn contains(self, action: Action) -> bool {
        self.0 >> action as u8 & 1 != 0
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Actions {
        actions.into_iter().fold(Actions::NONE, Actions::with)
    }
}

impl std::fmt::Debug for Actions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(Action::ALL.into_iter().filter(|action| self.contains(*action))).finish()
    }
}

impl Rule {
    /// A rule that permits these actions and says nothing else.
    pub fn allowing(allow: impl IntoIterator<Item = Action>) -> Rule {
        Rule { allow: allow.into_iter().collect(), cache: true, ..Rule::default() }
    }

    fn verdict(&self, action: Action) -> Verdict {
        if !self.allow.contains(action) {
            return Verdict::Denied;
        }
        Verdict::Allowed(match action {
            Action::Call => self.disclose.caller,
            Action::Publish => self.disclose.publisher,
            Action::Register | Action::Subscribe => None,
        })
    }
}
