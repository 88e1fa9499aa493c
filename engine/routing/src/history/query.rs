//! What `wamp.subscription.get_events` can ask for, and what of a history that is.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wampline_wire::{Dict, PublicationId, Value};

use super::{HistoryEvent, HistoryReader};

/// The filters of a query; all of them must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The newest event first.
    pub reverse: bool,
    /// Events at most.
    pub limit: Option<usize>,
    /// At this time or later, in nanoseconds since 1970, rounded down to the milliseconds that clients see.
    pub from_time: Option<i128>,
    /// Later than this.
    pub after_time: Option<i128>,
    /// Earlier than this.
    pub before_time: Option<i128>,
    /// At this time or earlier.
    pub until_time: Option<i128>,
    /// Published to this topic.
    pub topic: Option<Box<str>>,
    /// This event or a later one. An event that is not there (any more) has none before or after it.
    pub from_publication: Option<PublicationId>,
    /// Later than this event.
    pub after_publication: Option<PublicationId>,
    /// Earlier than this event.
    pub before_publication: Option<PublicationId>,
    /// This event or an earlier one.
    pub until_publication: Option<PublicationId>,
}

/// A filter of the wrong type or form: `wamp.error.invalid_argument`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// The keyword argument.
    pub argument: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

const TIME: &str = "an RFC 3339 timestamp";
const ID: &str = "a publication id";

/// Nanoseconds in a millisecond: what timestamps are told in.
const MILLI: i128 = 1_000_000;

impl HistoryQuery {
    /// Reads the keyword arguments of a call. Nulls and unknown ones count as absent.
    ///
    /// # Errors
    /// If one is not of its type.
    pub fn read(arguments: Option<Dict<'_>>) -> Result<HistoryQuery, QueryError> {
        let mut query = HistoryQuery::default();
        for (key, value) in arguments.iter().flat_map(|dict| dict.iter()) {
            if matches!(value, Value::Null) {
                continue;
            }
            match &*key {
                "reverse" => {
                    let wrong = QueryError { argument: "reverse", expected: "a boolean" };
                    query.reverse = value.as_bool().ok_or(wrong)?;
                }
                "limit" => {
                    let wrong = QueryError { argument: "limit", expected: "a positive integer" };
                    let limit = value.as_u64().filter(|limit| *limit > 0).ok_or(wrong)?;
                    query.limit = Some(usize::try_from(limit).unwrap_or(usize::MAX));
                }
                "topic" => {
                    let wrong = QueryError { argument: "topic", expected: "a URI" };
                    query.topic = Some(value.as_str().ok_or(wrong)?.into());
                }
                "from_time" => query.from_time = Some(time(&value, "from_time")?),
                "after_time" => query.after_time = Some(time(&value, "after_time")?),
                "before_time" => query.before_time = Some(time(&value, "before_time")?),
                "until_time" => query.until_time = Some(time(&value, "until_time")?),
                "from_publication" => query.from_publication = Some(id(&value, "from_publication")?),
                "after_publication" => query.after_publication = Some(id(&value, "after_publication")?),
                "before_publication" => query.before_publication = Some(id(&value, "before_publication")?),
                "until_publication" => query.until_publication = Some(id(&value, "until_publication")?),
                _ => {}
            }
        }
        Ok(query)
    }

    /// The events that are asked for and that the reader may see, in the order that is asked for.
    pub fn select<'e>(
        &self,
        events: &'e VecDeque<HistoryEvent>,
        reader: HistoryReader<'_>,
    ) -> impl Iterator<Item = &'e HistoryEvent> {
        let range = self.range(events).unwrap_or(0..0);
        let mut candidates = events.range(range);
        let next = move || if self.reverse { candidates.next_back() } else { candidates.next() };
        let matching = std::iter::from_fn(next).filter(move |event| self.admits(event, reader));
        matching.take(self.limit.unwrap_or(usize::MAX))
    }

    /// Which events the filters by publication leave; `None` if one of these is not there.
    fn range(&self, events: &VecDeque<HistoryEvent>) -> Option<Range<usize>> {
        let position = |id: PublicationId| events.iter().position(|event| event.publication.id == id);
        let mut range = 0..events.len();
        if let Some(id) = self.from_publication {
            range.start = range.start.max(position(id)?);
        }
        if let Some(id) = self.after_publication {
            range.start = range.start.max(position(id)? + 1);
        }
        if let Some(id) = self.before_publication {
            range.end = range.end.min(position(id)?);
        }
        if let Some(id) = self.until_publication {
            range.end = range.end.min(position(id)? + 1);
        }
        (range.start <= range.end).then_some(range)
    }

    fn admits(&self, event: &HistoryEvent, reader: HistoryReader<'_>) -> bool {
        let at = i128::from(event.unix_nanos) / MILLI * MILLI;
        let publication = &event.publication;
        self.from_time.is_none_or(|time| at >= time)
            && self.after_time.is_none_or(|time| at > time)
            && self.before_time.is_none_or(|time| at < time)
            && self.until_time.is_none_or(|time| at <= time)
            && self.topic.as_ref().is_none_or(|topic| *topic == publication.topic)
            && publication
                .terms
                .as_ref()
                .is_none_or(|terms| terms.audience.admits_user(reader.authid, reader.authrole))
    }
}

fn time(value: &Value<'_>, argument: &'static str) -> Result<i128, QueryError> {
    let parsed = value.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    parsed.map(OffsetDateTime::unix_timestamp_nanos).ok_or(QueryError { argument, expected: TIME })
}

fn id(value: &Value<'_>, argument: &'static str) -> Result<PublicationId, QueryError> {
    value.as_u64().and_then(PublicationId::new).ok_or(QueryError { argument, expected: ID })
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.argument, self.expected)
    }
}

impl std::error::Error for QueryError {}
