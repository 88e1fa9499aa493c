//! What the meta API tells of sessions and does to them (advanced profile, "Session Meta API").

use wampline_wire::{Dict, List, Payload, PayloadBuf, Serializer, SessionId, Value};

use super::{Answer, Directory};
use crate::meta::{
    Arguments, DETAILS_BYTES_MAX, Farewell, LIST_MAX, MetaError, MetaOutcome, encode, session_details,
};
use crate::visibility::Visibility;

/// What `wamp.session.modify_details` may not touch: it comes from the router alone.
const OWN_DETAILS: [&str; 6] = ["session", "authid", "authrole", "authmethod", "authprovider", "transport"];

impl Directory {
    pub(super) fn session_count(
        &self,
        arguments: &Arguments<'_>,
        serializer: Serializer,
    ) -> Result<PayloadBuf, MetaError> {
        let count = match arguments.roles(0)? {
            None => self.sessions.len(),
            Some(roles) => self.of_roles(&roles),
        };
        encode(serializer, &[Value::Uint(count as u64)])
    }

    pub(super) fn session_list(
        &self,
        arguments: &Arguments<'_>,
        serializer: Serializer,
    ) -> Result<PayloadBuf, MetaError> {
        let roles = arguments.roles(0)?;
        let count = roles.as_ref().map_or(self.sessions.len(), |roles| self.of_roles(roles));
        bounded(count, "sessions")?;
        match roles {
            None => ids(serializer, self.sessions.keys().map(|id| id.get())),
            Some(roles) => {
                let sets = roles.iter().filter_map(|role| self.roles.get(&**role));
                ids(serializer, sets.flat_map(|set| set.iter()).map(SessionId::get))
            }
        }
    }

    /// The details of one session; what has been added to them comes last.
    pub(super) fn session_get(&self, id: SessionId, serializer: Serializer) -> Result<PayloadBuf, MetaError> {
        let session = self.sessions.get(&id).ok_or_else(MetaError::no_such_session)?;
        let peer = session.transport.peer_text();
        let transport = session.transport.details(&peer);
        let mut details = session_details(&session.identity, &transport).to_vec();
        let added = session.extra.as_deref().map_or(&[][..], |extra| &extra.details[..]);
        let added: Vec<(&str, PayloadBuf)> = added
            .iter()
            .filter_map(|(key, value)| Some((&**key, value.transcode(serializer).ok()?)))
            .collect();
        for (key, value) in &added {
            details.extend(
                value.as_payload().args().and_then(|args| args.iter().next()).map(|value| (*key, value)),
            );
        }
        encode(serializer, &[Value::Dict(Dict::pairs(&details))])
    }

    /// `wamp.session.modify_details`: (session, dict of what is added; null takes a key away).
    pub(super) fn session_modify(
        &mut self,
        arguments: &Arguments<'_>,
        serializer: Serializer,
    ) -> Result<PayloadBuf, MetaError> {
        let id = arguments.session(0)?;
        let expected = || MetaError::invalid_argument("argument 2 (details) must be a dict");
        let changes = arguments.get(1).and_then(|value| value.as_dict()).ok_or_else(expected)?;
        let session = self.sessions.get_mut(&id).ok_or_else(MetaError::no_such_session)?;
        let mut details = session.extra.as_ref().map_or_else(Vec::new, |extra| extra.details.clone());
        for (key, value) in changes.iter().take(DETAILS_BYTES_MAX) {
            if OWN_DETAILS.contains(&&*key) {
                return Err(MetaError::invalid_argument(format!("the detail {key:?} cannot be changed")));
            }
            details.retain(|(known, _)| **known != *key);
            if !matches!(value, Value::Null) {
                details.push((key.into_owned().into(), encode(serializer, &[value])?));
            }
            let octets: usize = details.iter().map(|(key, value)| key.len() + value.len()).sum();
            if octets > DETAILS_BYTES_MAX {
                let text = format!("the details added to a session may have {DETAILS_BYTES_MAX} octets");
                return Err(MetaError::limit_exceeded(text));
            }
        }
        session.extra.get_or_insert_default().details = details;
        Ok(nothing())
    }

    pub(super) fn kill_one(
        &mut self,
        caller: SessionId,
        arguments: &Arguments<'_>,
        out: &mut Visibility,
    ) -> Result<MetaOutcome, MetaError> {
        let (id, farewell) = (arguments.session(0)?, arguments.farewell()?);
        if id == caller || !self.sessions.contains_key(&id) {
            return Err(MetaError::no_such_session());
        }
        Ok(self.kill(vec![id], farewell, nothing(), out))
    }

    /// Answers with the list of the sessions.
    pub(super) fn kill_by_authid(
        &mut self,
        caller: SessionId,
        arguments: &Arguments<'_>,
        serializer: Serializer,
        out: &mut Visibility,
    ) -> Result<MetaOutcome, MetaError> {
        let (authid, farewell) = (arguments.text(0, "authid")?, arguments.farewell()?);
        let of_authid = self.sessions.iter().filter(|(_, session)| *session.identity.authid == *authid);
        let sessions: Vec<SessionId> = of_authid.map(|(id, _)| *id).filter(|id| *id != caller).collect();
        bounded(sessions.len(), "sessions")?;
        let result = ids(serializer, sessions.iter().map(|id| id.get()))?;
        Ok(self.kill(sessions, farewell, result, out))
    }

    /// Answers with how many there were.
    pub(super) fn kill_by_authrole(
        &mut self,
        caller: SessionId,
        arguments: &Arguments<'_>,
        serializer: Serializer,
        out: &mut Visibility,
    ) -> Result<MetaOutcome, MetaError> {
        let (authrole, farewell) = (arguments.text(0, "authrole")?, arguments.farewell()?);
        let of_role = self.roles.get(authrole).into_iter().flat_map(|set| set.iter());
        let sessions: Vec<SessionId> = of_role.filter(|id| *id != caller).collect();
        let result = encode(serializer, &[Value::Uint(sessions.len() as u64)])?;
        Ok(self.kill(sessions, farewell, result, out))
    }

    /// Answers with how many there were.
    pub(super) fn kill_all(
        &mut self,
        caller: SessionId,
        arguments: &Arguments<'_>,
        serializer: Serializer,
        out: &mut Visibility,
    ) -> Result<MetaOutcome, MetaError> {
        let farewell = arguments.farewell()?;
        let sessions: Vec<SessionId> = self.sessions.keys().copied().filter(|id| *id != caller).collect();
        let result = encode(serializer, &[Value::Uint(sessions.len() as u64)])?;
        Ok(self.kill(sessions, farewell, result, out))
    }

    /// Tells the shards of these sessions to end them.
    fn kill(
        &mut self,
        sessions: Vec<SessionId>,
        farewell: Farewell,
        result: PayloadBuf,
        out: &mut Visibility,
    ) -> MetaOutcome {
        let farewell = std::sync::Arc::new(farewell);
        for id in &sessions {
            let session = self.sessions.get_mut(id).expect("invariant: only sessions that exist are killed");
            session.extra.get_or_insert_default().is_killed = true;
            out.answer(0, session.at, Answer::Kill(farewell.clone()));
        }
        MetaOutcome::AfterRelease { sessions, result }
    }

    fn of_roles(&self, roles: &[String]) -> usize {
        roles.iter().filter_map(|role| self.roles.get(&**role)).map(|set| set.len()).sum()
    }
}

/// Refuses a list that would be too long.
pub(super) fn bounded(count: usize, what: &str) -> Result<(), MetaError> {
    if count > LIST_MAX {
        let text = format!("there are {count} {what}, and one answer lists at most {LIST_MAX}");
        return Err(MetaError::limit_exceeded(text));
    }
    Ok(())
}

/// One argument: a list of ids.
pub(super) fn ids(serializer: Serializer, ids: impl Iterator<Item = u64>) -> Result<PayloadBuf, MetaError> {
    let ids: Vec<Value<'_>> = ids.map(Value::Uint).collect();
    encode(serializer, &[Value::List(List::items(&ids))])
}

/// No arguments at all.
pub(super) fn nothing() -> PayloadBuf {
    Payload::NONE.to_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_refused_when_it_is_too_long() {
        assert_eq!(bounded(LIST_MAX, "sessions"), Ok(()));
        let refused = bounded(LIST_MAX + 1, "sessions").map_err(|error| error.text);
        assert_eq!(refused, Err("there are 131073 sessions, and one answer lists at most 131072".into()));
    }
}
