//! To whom a publication is restricted (advanced profile, "Subscriber Black- and Whitelisting").
//!
//! Owns the lists of one publication, sorted once, so that asking whether a session is admitted costs the logarithm
//! of their length. Does not know who subscribes.

use std::fmt;

use wampline_wire::{List, Value};

use crate::identity::Identity;

/// The options of PUBLISH that restrict who receives it, in the order of [`Audience`]'s lists.
const NAMES: [&str; 6] =
    ["exclude", "exclude_authid", "exclude_authrole", "eligible", "eligible_authid", "eligible_authrole"];

/// The black- and whitelists of one publication. Without any everybody is admitted; a whitelist that is present and
/// empty admits nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    exclude: Option<Ids>,
    exclude_authid: Option<Names>,
    exclude_authrole: Option<Names>,
    eligible: Option<Ids>,
    eligible_authid: Option<Names>,
    eligible_authrole: Option<Names>,
}

/// A list that is none, or that holds something of the wrong type. Such a publication is refused: were the list
/// ignored, more would receive it than its publisher wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudienceError {
    /// The option.
    pub option: &'static str,
}

impl Audience {
    /// Takes in one option of PUBLISH, if it is one of the lists. A null counts as absent.
    ///
    /// # Errors
    /// If the list is none, or one of its elements is not an integer, or not a string, as the list has them. (An
    /// integer that cannot be an id is one that no session has. Integral floats are integers: JavaScript encoders
    /// write large ids so.)
    pub fn read(&mut self, option: &str, value: &Value<'_>) -> Result<bool, AudienceError> {
        let Some(n) = NAMES.iter().position(|name| *name == option) else { return Ok(false) };
        let wrong = AudienceError { option: NAMES[n] };
        if matches!(value, Value::Null) {
            return Ok(true);
        }
        let list = value.as_list().ok_or(wrong)?;
        match n {
            0 => self.exclude = Some(Ids::read(list).ok_or(wrong)?),
            1 => self.exclude_authid = Some(Names::read(list).ok_or(wrong)?),
            2 => self.exclude_authrole = Some(Names::read(list).ok_or(wrong)?),
            3 => self.eligible = Some(Ids::read(list).ok_or(wrong)?),
            4 => self.eligible_authid = Some(Names::read(list).ok_or(wrong)?),
            _ => self.eligible_authrole = Some(Names::read(list).ok_or(wrong)?),
        }
        Ok(true)
    }

    /// Whether this option is one of the lists.
    pub fn is_option(name: &str) -> bool {
        NAMES.contains(&name)
    }

    /// Whether a session is among those that may receive the publication.
    pub fn admits(&self, identity: &Identity) -> bool {
        let id = identity.session.get();
        self.exclude.as_ref().is_none_or(|list| !list.contains(id))
            && self.eligible.as_ref().is_none_or(|list| list.contains(id))
            && self.admits_user(&identity.authid, &identity.authrole)
    }

    /// The same by what outlasts a session: authid and authrole.
    pub fn admits_user(&self, authid: &str, authrole: &str) -> bool {
        self.exclude_authid.as_ref().is_none_or(|list| !list.contains(authid))
            && self.exclude_authrole.as_ref().is_none_or(|list| !list.contains(authrole))
            && self.eligible_authid.as_ref().is_none_or(|list| list.contains(authid))
            && self.eligible_authrole.as_ref().is_none_or(|list| list.contains(authrole))
    }

    /// Whether there are lists of session ids, which mean nothing to later sessions.
    pub fn names_sessions(&self) -> bool {
        self.exclude.is_some() || self.eligible.is_some()
    }

    /// Whether there are no lists.
    pub fn is_everybody(&self) -> bool {
        *self == Audience::default()
    }

    /// Octets held, about.
    pub fn octets(&self) -> usize {
        let ids = [&self.exclude, &self.eligible].into_iter().flatten().map(Ids::octets);
        let lists =
            [&self.exclude_authid, &self.exclude_authrole, &self.eligible_authid, &self.eligible_authrole];
        ids.sum::<usize>() + lists.into_iter().flatten().map(Names::octets).sum::<usize>()
    }
}

impl fmt::Display for AudienceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if matches!(self.option, "exclude" | "eligible") { "session ids" } else { "strings" };
        write!(f, "the option {} must be a list of {of}", self.option)
    }
}

impl std::error::Error for AudienceError {}

/// Session ids, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ids(Box<[u64]>);

impl Ids {
    fn read(list: List<'_>) -> Option<Ids> {
        let mut ids = list.iter().map(|value| value.as_u64()).collect::<Option<Vec<u64>>>()?;
        ids.sort_unstable();
        ids.dedup();
        Some(Ids(ids.into()))
    }

    fn contains(&self, id: u64) -> bool {
        self.0.binary_search(&id).is_ok()
    }

    fn octets(&self) -> usize {
        self.0.len() * size_of::<u64>()
    }
}

/// Strings in one block, and where they are in it, sorted: two words for each instead of an allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Names {
    text: Box<str>,
    spans: Box<[(u32, u32)]>,
}

impl Names {
    fn read(list: List<'_>) -> Option<Names> {
        let mut text = String::new();
        let mut spans = Vec::new();
        for value in list.iter() {
            let start = u32::try_from(text.len()).ok()?;
            text.push_str(value.as_str()?);
            spans.push((start, u32::try_from(text.len()).ok()?));
        }
        let at = |&(start, end): &(u32, u32)| &text[start as usize..end as usize];
        spans.sort_unstable_by(|a, b| at(a).cmp(at(b)));
        spans.dedup_by(|a, b| at(a) == at(b));
        Some(Names { text: text.into(), spans: spans.into() })
    }

    fn contains(&self, name: &str) -> bool {
        self.spans.binary_search_by(|&(start, end)| self.text[start as usize..end as usize].cmp(name)).is_ok()
    }

    fn octets(&self) -> usize {
        self.text.len() + self.spans.len() * size_of::<(u32, u32)>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::borrow::Cow;

    use proptest::prelude::*;
    use wampline_wire::SessionId;

    use super::*;

    fn identity(session: u64, authid: &str, authrole: &str) -> Identity {
        Identity {
            session: SessionId::new(session).unwrap(),
            authid: authid.into(),
            authrole: authrole.into(),
            authmethod: "anonymous",
            authprovider: "static",
        }
    }

    fn audience(lists: &[(&str, &[Value<'_>])]) -> Result<Audience, AudienceError> {
        let mut audience = Audience::default();
        for (option, items) in lists {
            assert!(audience.read(option, &Value::List(List::items(items)))?);
        }
        Ok(audience)
    }

    fn text(text: &str) -> Value<'_> {
        Value::Str(Cow::Borrowed(text))
    }

    #[test]
    fn every_list_must_agree() {
        let ids = [Value::Uint(7), Value::Float(9.0), Value::Uint(0)];
        let both = audience(&[("eligible", &ids), ("exclude", &[Value::Uint(9)])]).unwrap();
        assert!(both.admits(&identity(7, "a", "r")));
        assert!(!both.admits(&identity(9, "a", "r")));
        assert!(!both.admits(&identity(8, "a", "r")));
        assert!(both.names_sessions() && both.octets() == 32);
        let users =
            audience(&[("eligible_authrole", &[text("r")]), ("exclude_authid", &[text("mallory")])]).unwrap();
        assert!(users.admits(&identity(1, "alice", "r")));
        assert!(!users.admits(&identity(1, "alice", "rr")));
        assert!(!users.admits(&identity(1, "mallory", "r")));
        assert!(!users.names_sessions());
    }

    #[test]
    fn an_empty_whitelist_admits_nobody_and_an_empty_blacklist_everybody() {
        for option in NAMES {
            let audience = audience(&[(option, &[])]).unwrap();
            assert_eq!(audience.admits(&identity(1, "a", "r")), option.starts_with("exclude"), "{option}");
            assert!(!audience.is_everybody());
        }
        assert!(Audience::default().admits(&identity(1, "a", "r")));
        assert!(Audience::default().is_everybody());
    }

    #[test]
    fn what_is_not_a_list_of_the_right_type_is_refused() {
        for option in NAMES {
            let mut audience = Audience::default();
            let wrong = Err(AudienceError { option });
            assert_eq!(audience.read(option, &Value::Uint(7)), wrong);
            assert_eq!(audience.read(option, &Value::List(List::items(&[Value::Null]))), wrong);
            assert_eq!(audience.read(option, &Value::List(List::items(&[Value::Float(1.5)]))), wrong);
            assert_eq!(audience.read(option, &Value::Null), Ok(true));
            assert!(audience.is_everybody());
        }
        assert_eq!(Audience::default().read("exclude_me", &Value::Bool(true)), Ok(false));
        let text = AudienceError { option: "eligible_authid" }.to_string();
        assert_eq!(text, "the option eligible_authid must be a list of strings");
    }

    proptest! {
        #[test]
        fn agrees_with_a_search_through_the_lists(
            lists in proptest::collection::vec(proptest::option::of(proptest::collection::vec(0u64..6, 0..5)), 6),
            session in 1u64..6, authid in 0u64..6, authrole in 0u64..6,
        ) {
            let mut audience = Audience::default();
            let mut expected = true;
            for (n, list) in lists.iter().enumerate() {
                let Some(list) = list else { continue };
                let texts: Vec<String> = list.iter().map(|id| format!("n{id}")).collect();
                let items: Vec<Value<'_>> = match n % 3 {
                    0 => list.iter().map(|id| Value::Uint(*id)).collect(),
                    _ => texts.iter().map(|name| text(name)).collect(),
                };
                prop_assert_eq!(audience.read(NAMES[n], &Value::List(List::items(&items))), Ok(true));
                let is_named = list.contains(&[session, authid, authrole][n % 3]);
                expected &= is_named == (n >= 3);
            }
            let identity = identity(session, &format!("n{authid}"), &format!("n{authrole}"));
            prop_assert_eq!(audience.admits(&identity), expected);
        }
    }
}
