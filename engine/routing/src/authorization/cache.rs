//! What authorizers have answered, as long as it holds.

use hashbrown::HashTable;
use wampline_wire::{Payload, SessionId, Value};

use super::{Action, RoleId, Roles};
use crate::disclosure::Disclose;
use crate::meta::{Arguments, MetaError};
use crate::pattern::UriHash;
use crate::uri::MatchPolicy;

/// The procedure that makes answers be forgotten. Arguments: see [`PurgeFilter::read`].
pub const PURGE_PROCEDURE: &str = "wampline.authorizer.purge";

/// The longest URI that answers are kept for, in octets: longer ones are asked about every time.
const URI_BYTES_MAX: usize = 256;

/// Answers of the authorizers of one realm, on one shard, for a time.
///
/// Two tables of half the bound each: when the young one is full it becomes the old one, and what was in the old one and has not
/// been looked up since is forgotten. So a look-up costs at most two hash look-ups, and nothing is ever swept.
#[derive(Debug)]
pub struct AnswerCache {
    young: HashTable<Entry>,
    old: HashTable<Entry>,
    /// The most entries of either.
    most: usize,
    /// How often it has been purged: what was asked before that is not kept.
    purges: u64,
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuestionOwner {
    /// Every session of the role.
    Role,
    /// One session.
    Session(SessionId),
}

/// What an authorizer is asked, but for the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question<'a> {
    /// The session's role.
    pub role: RoleId,
    /// Whom the answer is for.
    pub owner: QuestionOwner,
    /// What is to be done.
    pub action: Action,
    /// How the URI matches, if it is to be subscribed to or registered.
    pub policy: MatchPolicy,
    /// To what.
    pub uri: &'a str,
}

/// An answer that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedAnswer {
    /// Whether it is permitted.
    pub allow: bool,
    /// What is said of disclosure.
    pub disclose: Option<Disclose>,
}

/// Which answers are to be forgotten: those that agree with everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeFilter {
    /// Of this role.
    pub role: Option<Box<str>>,
    /// For this session alone. (Answers for whole roles are no session's.)
    pub session: Option<SessionId>,
    /// About this action.
    pub action: Option<Action>,
    /// About URIs that this matches. An answer about a pattern is found by the very text of the pattern, or a prefix of it.
    pub uri: Option<(MatchPolicy, Box<str>)>,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    role: RoleId,
    owner: QuestionOwner,
    action: Action,
    policy: MatchPolicy,
    uri: Box<str>,
    answer: CachedAnswer,
    /// In nanoseconds.
    until: u64,
}

impl AnswerCache {
    /// Empty, for at most so many answers.
    pub fn new(entries_max: usize) -> AnswerCache {
        let (young, old) = (HashTable::new(), HashTable::new());
        AnswerCache { young, old, most: entries_max.div_ceil(2), purges: 0 }
    }

    /// The answer to a question, if it is known and holds at this time, in nanoseconds. `uri` is the hash of its URI, always by the
    /// same hasher.
    pub fn get(&mut self, now: u64, uri: UriHash, question: &Question<'_>) -> Option<CachedAnswer> {
        if self.young.is_empty() && self.old.is_empty() {
            return None;
        }
        let hash = question.hash(uri);
        if let Some(entry) = self.young.find(hash, |entry| entry.is(question)) {
            return (now < entry.until).then_some(entry.answer);
        }
        self.get_old(now, hash, question)
    }

    /// What is used is young again.
    #[cold]
    fn get_old(&mut self, now: u64, hash: u64, question: &Question<'_>) -> Option<CachedAnswer> {
        let (entry, _) = self.old.find_entry(hash, |entry| entry.is(question)).ok()?.remove();
        if now >= entry.until {
            return None;
        }
        let answer = entry.answer;
        self.insert(entry);
        Some(answer)
    }

    /// Keeps an answer until a time, in nanoseconds. `uri` as for [`AnswerCache::get`].
    pub fn put(&mut self, until: u64, uri: UriHash, question: &Question<'_>, answer: CachedAnswer) {
        if self.most == 0 || question.uri.len() > URI_BYTES_MAX {
            return;
        }
        let hash = question.hash(uri);
        for table in [&mut self.young, &mut self.old] {
            if let Ok(known) = table.find_entry(hash, |entry| entry.is(question)) {
                known.remove();
            }
        }
        let Question { role, owner, action, policy, uri } = *question;
        self.insert(Entry { hash, role, owner, action, policy, uri: uri.into(), answer, until });
    }

    /// Forgets what the filter names. `roles` are those of the realm.
    pub fn purge(&mut self, filter: &PurgeFilter, roles: &Roles) {
        self.purges += 1;
        let role = filter.role.as_ref().map(|name| roles.by_name.get(&**name).copied());
        for table in [&mut self.young, &mut self.old] {
            table.retain(|entry| !(role.is_none_or(|role| role == Some(entry.role)) && filter.names(entry)));
            if table.is_empty() {
                *table = HashTable::new();
            }
        }
    }

    /// How often it has been purged.
    pub fn purges(&self) -> u64 {
        self.purges
    }

    /// How many answers there are, outdated ones included.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert(&mut self, entry: Entry) {
        if self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert_unique(entry.hash, entry, |entry| entry.hash);
    }
}

impl Question<'_> {
    /// Its hash, from that of its URI. Ids of sessions are random, and URIs are hashed under a secret key: nobody can choose questions
    /// that collide.
    fn hash(&self, UriHash(uri): UriHash) -> u64 {
        let owner = match self.owner {
            QuestionOwner::Role => 0,
            QuestionOwner::Session(session) => session.get(),
        };
        let kind = u64::from(self.role.0) << 16 | (self.action as u64) << 8 | self.policy as u64;
        let mixed =
            uri ^ owner.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ kind.wrapping_mul(0xd6e8_feb8_6659_fd93);
        let product = u128::from(mixed) * 0xa076_1d64_78bd_642f;
        product as u64 ^ (product >> 64) as u64
    }
}

impl Entry {
    fn is(&self, question: &Question<'_>) -> bool {
        self.role == question.role
            && self.owner == question.owner
            && self.action == question.action
            && self.policy == question.policy
            && *self.uri == *question.uri
    }
}

impl PurgeFilter {
    /// Reads the arguments of [`PURGE_PROCEDURE`]: no positional ones, and the keywords `authrole`, `session`, `action`, `uri` and
    /// `match` (how `uri` matches; exact if absent). Without any, everything is forgotten.
    ///
    /// # Errors
    /// For positional and unknown keyword arguments, which nobody may take for a filter, and for values that cannot be meant.
    pub fn read(payload: Payload<'_>) -> Result<PurgeFilter, MetaError> {
        let invalid = |text: String| MetaError::invalid_argument(text);
        let arguments = Arguments::new(payload);
        if arguments.get(0).is_some() {
            return Err(invalid("filters are keyword arguments".into()));
        }
        let mut filter = PurgeFilter::default();
        let (mut uri, mut policy) = (None, None);
        for (key, value) in payload.kwargs().iter().flat_map(|kwargs| kwargs.iter()) {
            let text = |what: &str| {
                value.as_str().map(Box::<str>::from).ok_or_else(|| invalid(format!("{key} must be {what}")))
            };
            match &*key {
                _ if matches!(value, Value::Null) => {}
                "authrole" => filter.role = Some(text("a string")?),
                "session" => {
                    let id = value.as_u64().and_then(SessionId::new);
                    filter.session = Some(id.ok_or_else(|| invalid("session must be an id".into()))?);
                }
                "action" => {
                    let what = "call, register, publish or subscribe";
                    let action = Action::parse(&text(what)?);
                    filter.action = Some(action.ok_or_else(|| invalid(format!("action must be {what}")))?);
                }
                "uri" => uri = Some(text("a string")?),
                "match" => {
                    let what = "exact, prefix or wildcard";
                    let parsed = MatchPolicy::parse(&text(what)?);
                    policy = Some(parsed.ok_or_else(|| invalid(format!("match must be {what}")))?);
                }
                _ => return Err(invalid(format!("there is no filter {key:?}"))),
            }
        }
        if uri.is_none() && policy.is_some() {
            return Err(invalid("match without uri".into()));
        }
        filter.uri = uri.map(|uri| (policy.unwrap_or_default(), uri));
        Ok(filter)
    }

    fn names(&self, entry: &Entry) -> bool {
        self.session.is_none_or(|session| entry.owner == QuestionOwner::Session(session))
            && self.action.is_none_or(|action| entry.action == action)
            && self.uri.as_ref().is_none_or(|(policy, uri)| policy.matches(uri, &entry.uri))
    }
}
