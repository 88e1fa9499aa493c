//! Events of a history as the arguments of a RESULT.

use std::borrow::Cow;

use smallvec::SmallVec;
use time::OffsetDateTime;
use wampline_wire::{Dict, EncodeError, Message, Payload, PayloadBuf, Serializer, SubscriptionId, Value};

use super::HistoryEvent;

/// Octets of events in one answer, about. What is beyond is left out and `truncated` says so in the keyword
/// arguments: the next page begins after (or, in reverse, before) the last event that is there.
pub const ANSWER_OCTETS_MAX: usize = 8 << 20;

type Details<'a> = SmallVec<[(&'a str, Value<'a>); 8]>;

/// The answer to a query: the positional arguments are the events themselves. `names_topic`: the subscription is
/// pattern-based. An event that the serializer cannot express is left out, as it would have been when it was published.
pub fn answer(
    serializer: Serializer,
    subscription: SubscriptionId,
    names_topic: bool,
    events: &[HistoryEvent],
) -> PayloadBuf {
    let mut octets = 0;
    let fitting = events.iter().take_while(|event| {
        octets += event.octets();
        octets <= ANSWER_OCTETS_MAX
    });
    let fitting = fitting.count().max(1).min(events.len());
    let truncated = [("truncated", Value::Bool(true))];
    let more = if fitting < events.len() { &truncated[..] } else { &[] };
    let events: Vec<&HistoryEvent> = events[..fitting].iter().collect();
    if let Ok(arguments) = encode(serializer, subscription, names_topic, &events, more) {
        return arguments;
    }
    let expressible = |event: &&HistoryEvent| {
        encode(serializer, subscription, names_topic, std::slice::from_ref(event), &[]).is_ok()
    };
    let events: Vec<&HistoryEvent> = events.into_iter().filter(expressible).collect();
    encode(serializer, subscription, names_topic, &events, more).unwrap_or_else(|_| empty(serializer))
}

fn encode(
    serializer: Serializer,
    subscription: SubscriptionId,
    names_topic: bool,
    events: &[&HistoryEvent],
    more: &[(&str, Value<'_>)],
) -> Result<PayloadBuf, EncodeError> {
    if events.is_empty() && more.is_empty() {
        return Ok(empty(serializer));
    }
    let details: Vec<Details<'_>> = events.iter().map(|event| details(event, names_topic)).collect();
    let pairs = events.iter().zip(&details).map(|(event, details)| {
        let payload = event.publication.payload.as_payload();
        let mut pairs = vec![
            ("timestamp", Value::Str(Cow::Owned(timestamp(event.unix_nanos)))),
            ("subscription", Value::Uint(subscription.get())),
            ("publication", Value::Uint(event.publication.id.get())),
            ("details", Value::Dict(Dict::pairs(details))),
        ];
        pairs.extend(arguments(&payload).map(|arguments| ("args", arguments)));
        pairs.extend(payload.kwargs().map(|kwargs| ("kwargs", Value::Dict(kwargs))));
        pairs
    });
    let pairs: Vec<Vec<(&str, Value<'_>)>> = pairs.collect();
    let items: Vec<Value<'_>> = pairs.iter().map(|pairs| Value::Dict(Dict::pairs(pairs))).collect();
    PayloadBuf::from_values(serializer, &items, more)
}

fn details<'a>(event: &&'a HistoryEvent, names_topic: bool) -> Details<'a> {
    let mut details = Details::new();
    if names_topic {
        details.push(("topic", Value::Str(Cow::Borrowed(&*event.publication.topic))));
    }
    if let Some(terms) = &event.publication.terms {
        terms.add_details(&mut details);
    }
    details
}

fn arguments<'a>(payload: &Payload<'a>) -> Option<Value<'a>> {
    payload.args().map(Value::List).or_else(|| payload.opaque().map(Value::Bytes))
}

/// An empty list, which is not the same as no arguments.
fn empty(serializer: Serializer) -> PayloadBuf {
    let parsed = Message::parse(Serializer::Json, br#"[50,1,{},[]]"#);
    let Ok(Message::Result { payload, .. }) = parsed else { return Payload::NONE.to_buf() };
    let list = payload.to_buf();
    list.transcode(serializer).unwrap_or(list)
}

/// `2026-01-31T12:00:00.000Z`.
fn timestamp(unix_nanos: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_nanos))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, (hour, minute, second, milli)) = (time.date(), time.to_hms_milli());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}
