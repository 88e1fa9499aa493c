//! A publication as the shards share it, and what the options of its PUBLISH ask for.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use wampline_wire::{Dict, PayloadBuf, PublicationId, SessionId, SubscriptionId, Value};

use crate::attributes::{PayloadAttributes, is_attribute};
use crate::audience::{Audience, AudienceError};
use crate::feature::{ClientFeature, ClientFeatures, ClientRole};
use crate::identity::Identity;
use crate::key::RealmId;

/// A publication that other shards deliver too, or that is kept; one block for all of them.
#[derive(Debug)]
pub struct Publication {
    /// The realm.
    pub realm: RealmId,
    /// Its id.
    pub id: PublicationId,
    /// The topic published to.
    pub topic: Box<str>,
    /// The arguments.
    pub payload: PayloadBuf,
    /// What it has beside these; `None` for an ordinary one.
    pub terms: Option<Arc<Terms>>,
}

/// On what terms a publication is delivered. An ordinary one has none; then nothing of this is looked at.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The lists that restrict who receives it.
    pub audience: Audience,
    /// The publisher, where it is not to receive it, however the publication reaches it.
    pub excluded: Option<SessionId>,
    /// The publisher, where it is disclosed.
    pub publisher: Option<Arc<Identity>>,
    /// How far the publisher is trusted.
    pub trustlevel: Option<u32>,
    /// What is said of a payload that the router does not look into.
    pub attributes: PayloadAttributes<'static>,
    /// Sharded subscription: the resource key, and whom it picks in the subscriptions that have a ring.
    pub shard_by: Option<ShardBy>,
    /// It is to be retained.
    pub retain: Option<Retain>,
}

/// A resource key, and the session that it picks for each subscription with a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardBy {
    /// `PUBLISH.Options.rkey`.
    pub rkey: Box<str>,
    /// The picks.
    pub picks: SmallVec<[(SubscriptionId, SessionId); 1]>,
}

/// How a publication is retained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retain {
    /// For how long; `None`: as the realm has it.
    pub ttl: Option<Duration>,
    /// Its number among those that its shard has sent on to be retained, from 1.
    pub number: u64,
}

/// What the options of PUBLISH say.
#[derive(Debug, Default)]
pub struct PublishOptions {
    /// PUBLISHED, or ERROR, is wanted.
    pub acknowledge: bool,
    /// The publisher does not receive its own event; unless it says otherwise, it does not.
    pub excludes_publisher: bool,
    /// The publisher asks for its identity to be disclosed.
    pub disclose_me: bool,
    /// What only publications with such options have.
    pub terms: Option<Box<Terms>>,
}

/// An option whose type is not what it must be. Options that say who receives the publication, or for how long it is
/// kept, cannot be ignored; all others count as absent then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOptionError {
    /// A black- or whitelist.
    Audience(AudienceError),
    /// `rkey` is not a string.
    ResourceKey,
    /// `retain_ttl` is not a whole number of seconds.
    TimeToLive,
}

impl PublishOptions {
    /// Reads the options, in one pass. What was wrong comes beside them, because it depends on `acknowledge` whether
    /// anybody is told.
    pub fn read(options: &Dict<'_>) -> (PublishOptions, Result<(), PublishOptionError>) {
        let mut read = PublishOptions { excludes_publisher: true, ..PublishOptions::default() };
        let mut result = Ok(());
        if options.is_empty() {
            return (read, result);
        }
        let mut ttl = None;
        let (mut retain, mut has_attributes) = (false, false);
        for (key, value) in options.iter() {
            match &*key {
                "acknowledge" => read.acknowledge = value.as_bool() == Some(true),
                "exclude_me" => read.excludes_publisher = value.as_bool() != Some(false),
                "disclose_me" => read.disclose_me = value.as_bool() == Some(true),
                "retain" => retain = value.as_bool() == Some(true),
                _ if matches!(value, Value::Null) => {}
                "retain_ttl" => match value.as_u64() {
                    Some(seconds) => ttl = Some(Duration::from_secs(seconds)),
                    None => result = Err(PublishOptionError::TimeToLive),
                },
                "rkey" => match value.as_str() {
                    Some(rkey) => {
                        let picks = SmallVec::new();
                        read.terms_mut().shard_by = Some(ShardBy { rkey: rkey.into(), picks });
                    }
                    None => result = Err(PublishOptionError::ResourceKey),
                },
                key if Audience::is_option(key) => {
                    if let Err(error) = read.terms_mut().audience.read(key, &value) {
                        result = Err(PublishOptionError::Audience(error));
                    }
                }
                key => has_attributes |= is_attribute(key),
            }
        }
        if has_attributes {
            let attributes = PayloadAttributes::from_dict(options);
            if !attributes.is_empty() {
                read.terms_mut().attributes = attributes.into_owned();
            }
        }
        if retain {
            read.terms_mut().retain = Some(Retain { ttl, number: 0 });
        }
        (read, result)
    }

    /// The terms, to be added to.
    pub fn terms_mut(&mut self) -> &mut Terms {
        self.terms.get_or_insert_default()
    }
}

impl Terms {
    /// Whether a session may receive the publication: by the lists, as the publisher, and because it understands the
    /// payload. (Payloads in passthru mode go to everybody, see "Payload Passthru Mode"; those in the older transparent form
    /// only to those that announced it, because others fail on them.)
    pub fn admits(&self, identity: &Identity, features: ClientFeatures) -> bool {
        self.excluded != Some(identity.session)
            && self.audience.admits(identity)
            && (!self.attributes.is_transparent()
                || features.has(ClientRole::Subscriber, ClientFeature::PayloadTransparency))
    }

    /// Whether everybody but the publisher may receive it.
    pub fn is_for_everybody(&self) -> bool {
        self.audience.is_everybody()
    }

    /// Adds what EVENT.Details say because of these terms.
    pub fn add_details<'a>(&'a self, details: &mut SmallVec<[(&'a str, Value<'a>); 8]>) {
        if let Some(publisher) = &self.publisher {
            let text = |text: &'a str| Value::Str(Cow::Borrowed(text));
            details.push(("publisher", Value::Uint(publisher.session.get())));
            details.push(("publisher_authid", text(&publisher.authid)));
            details.push(("publisher_authrole", text(&publisher.authrole)));
        }
        if let Some(level) = self.trustlevel {
            details.push(("trustlevel", Value::Uint(level.into())));
        }
        for (name, value) in self.attributes.entries() {
            details.push((name, value));
        }
    }

    /// Octets held beside the struct itself, about.
    pub fn octets(&self) -> usize {
        size_of::<Terms>()
            + self.audience.octets()
            + self.attributes.octets()
            + self.shard_by.as_ref().map_or(0, |by| by.rkey.len() + by.picks.len() * 16)
    }
}

impl Publication {
    /// Octets held, about.
    pub fn octets(&self) -> usize {
        size_of::<Publication>()
            + self.topic.len()
            + self.payload.len()
            + self.terms.as_ref().map_or(0, |terms| terms.octets())
    }
}

impl fmt::Display for PublishOptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishOptionError::Audience(error) => error.fmt(f),
            PublishOptionError::ResourceKey => f.write_str("the option rkey must be a string"),
            PublishOptionError::TimeToLive => {
                f.write_str("the option retain_ttl must be a whole number of seconds")
            }
        }
    }
}

impl std::error::Error for PublishOptionError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use wampline_wire::List;

    use super::*;

    fn read(pairs: &[(&str, Value<'_>)]) -> (PublishOptions, Result<(), PublishOptionError>) {
        PublishOptions::read(&Dict::pairs(pairs))
    }

    #[test]
    fn an_ordinary_publication_has_no_terms() {
        for pairs in [
            &[][..],
            &[("acknowledge", Value::Bool(true)), ("exclude_me", Value::Bool(false))],
            &[("exclude", Value::Null), ("rkey", Value::Null), ("retain", Value::Bool(false))],
            &[("x_custom", Value::Uint(1)), ("ppt_cipher", Value::Str("no scheme".into()))],
        ] {
            let (options, result) = read(pairs);
            assert!(options.terms.is_none() && result.is_ok(), "{pairs:?}");
        }
        let (options, _) = read(&[("acknowledge", Value::Bool(true)), ("exclude_me", Value::Bool(false))]);
        assert!(options.acknowledge && !options.excludes_publisher);
        assert!(read(&[("exclude_me", Value::Null)]).0.excludes_publisher);
    }

    #[test]
    fn options_of_the_wrong_type() {
        let no = Value::Str("no".into());
        let (options, result) = read(&[("exclude", no.clone()), ("acknowledge", Value::Bool(true))]);
        assert!(options.acknowledge);
        assert_eq!(result.unwrap_err().to_string(), "the option exclude must be a list of session ids");
        assert_eq!(read(&[("rkey", Value::Uint(1))]).1, Err(PublishOptionError::ResourceKey));
        assert_eq!(read(&[("retain_ttl", Value::Float(0.5))]).1, Err(PublishOptionError::TimeToLive));
        // These do not say who receives it.
        let (options, result) = read(&[("retain", Value::Uint(1)), ("disclose_me", no)]);
        assert!(result.is_ok() && !options.disclose_me && options.terms.is_none());
    }

    #[test]
    fn terms_are_read() {
        let list = [Value::Uint(7)];
        let pairs = [
            ("retain_ttl", Value::Float(60.0)),
            ("retain", Value::Bool(true)),
            ("eligible", Value::List(List::items(&list))),
            ("rkey", Value::Str("sn".into())),
            ("ppt_scheme", Value::Str("mqtt".into())),
        ];
        let (options, result) = read(&pairs);
        assert!(result.is_ok());
        let terms = options.terms.unwrap();
        assert_eq!(terms.retain, Some(Retain { ttl: Some(Duration::from_secs(60)), number: 0 }));
        assert!(terms.attributes.is_passthru() && !terms.is_for_everybody());
        assert_eq!(&*terms.shard_by.as_ref().unwrap().rkey, "sn");
        assert!(terms.octets() > 8);
        let mut details = SmallVec::new();
        terms.add_details(&mut details);
        assert_eq!(details.len(), 1);
    }
}
