//! What a serializer can write, value by value: the one seam between messages, built values and
//! transcoding on one side and octets on the other.

use crate::{EncodeError, Serializer, Value, cbor, dict::DictRepr, dict::ListRepr, json, msgpack};

/// Writes values in one serializer. All functions append to `out`; after an error what they have appended
/// is to be cut off.
pub(crate) trait Writer {
    /// What is written.
    const SERIALIZER: Serializer;

    /// Begins a message of `count` elements, the first of which is its type.
    fn begin_message(out: &mut Vec<u8>, count: usize, code: u16);
    /// Begins a list of `count` values.
    fn begin_list(out: &mut Vec<u8>, count: usize) -> Result<(), EncodeError>;
    /// Ends a list or message.
    fn end_list(out: &mut Vec<u8>);
    /// Begins a dict of `count` entries.
    fn begin_dict(out: &mut Vec<u8>, count: usize) -> Result<(), EncodeError>;
    /// Ends a dict.
    fn end_dict(out: &mut Vec<u8>);
    /// Comes before each value of a list and each key of a dict but the first.
    fn separator(out: &mut Vec<u8>);
    /// The key of an entry, in UTF-8.
    fn key(out: &mut Vec<u8>, key: &[u8]) -> Result<(), EncodeError>;
    fn null(out: &mut Vec<u8>);
    fn bool(out: &mut Vec<u8>, value: bool);
    fn uint(out: &mut Vec<u8>, value: u64);
    /// An integer that may be negative.
    fn int(out: &mut Vec<u8>, value: i64);
    /// The integer of this magnitude, most significant octet first, or -1 minus it.
    fn bignum(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) -> Result<(), EncodeError>;
    /// A float that 32 bits express.
    fn f32(out: &mut Vec<u8>, value: f32) -> Result<(), EncodeError>;
    fn f64(out: &mut Vec<u8>, value: f64) -> Result<(), EncodeError>;
    /// Text in UTF-8. It comes as octets because what was validated once is not validated again.
    fn string(out: &mut Vec<u8>, text: &[u8]) -> Result<(), EncodeError>;
    fn bytes(out: &mut Vec<u8>, octets: &[u8]) -> Result<(), EncodeError>;
}

/// Appends `raw`, one validated value in `from`, in the form of `W`.
pub(crate) fn transcode<W: Writer>(
    from: Serializer,
    raw: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    match from {
        Serializer::Json => json::transcode::<W>(raw, out),
        Serializer::MsgPack => msgpack::transcode::<W>(raw, out),
        Serializer::Cbor => cbor::transcode::<W>(raw, out),
    }
}

/// Appends `raw`, one validated value in `from`: its octets as they are if `W` writes the same serializer.
/// CBOR is brought into its definite form, and undefined in MessagePack becomes nil, unless it is known to be `verbatim`.
#[inline]
pub(crate) fn copy<W: Writer>(
    from: Serializer,
    raw: &[u8],
    verbatim: bool,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if from == W::SERIALIZER && verbatim {
        out.extend_from_slice(raw);
        return Ok(());
    }
    transcode::<W>(from, raw, out)
}

/// Appends a value. Recursion goes as deep as values were built, not as what they borrow is nested.
pub(crate) fn value<W: Writer>(out: &mut Vec<u8>, value: &Value<'_>) -> Result<(), EncodeError> {
    match value {
        Value::Null => W::null(out),
        Value::Bool(value) => W::bool(out, *value),
        Value::Uint(value) => W::uint(out, *value),
        Value::Int(value) => W::int(out, *value),
        Value::Float(value) => W::f64(out, *value)?,
        Value::Str(text) => W::string(out, text.as_bytes())?,
        Value::Bytes(octets) => W::bytes(out, octets)?,
        Value::List(items) => list::<W>(out, items.0)?,
        Value::Dict(entries) => dict::<W>(out, entries.0)?,
        Value::Other(from, raw) => copy::<W>(*from, raw, *from != Serializer::Cbor, out)?,
    }
    Ok(())
}

/// Appends a list.
pub(crate) fn list<W: Writer>(out: &mut Vec<u8>, items: ListRepr<'_>) -> Result<(), EncodeError> {
    let items = match items {
        ListRepr::Items(items) => items,
        ListRepr::Raw(from, raw) => return copy::<W>(from, raw, from != Serializer::Cbor, out),
    };
    W::begin_list(out, items.len())?;
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            W::separator(out);
        }
        value::<W>(out, item)?;
    }
    W::end_list(out);
    Ok(())
}

/// Appends a dict.
#[inline]
pub(crate) fn dict<W: Writer>(out: &mut Vec<u8>, entries: DictRepr<'_>) -> Result<(), EncodeError> {
    let pairs = match entries {
        DictRepr::Pairs(pairs) => pairs,
        DictRepr::Raw(from, raw) => return copy::<W>(from, raw, from != Serializer::Cbor, out),
    };
    W::begin_dict(out, pairs.len())?;
    for (position, (key, item)) in pairs.iter().enumerate() {
        if position > 0 {
            W::separator(out);
        }
        W::key(out, key.as_bytes())?;
        value::<W>(out, item)?;
    }
    W::end_dict(out);
    Ok(())
}
