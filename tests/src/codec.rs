//! Messages as values and back, by libraries that the router does not use, so that its own codec is not its own judge.
//!
//! [`serde_json::Value`] stands for a value in every serializer. Octets (MessagePack bin, CBOR byte strings) are read as
//! the object `{"$octets": "hex"}` and never written.

use minicbor::data::Type;
use serde_json::{Map, Number, Value};
use wampline_wire::Serializer;

/// Writes a value.
pub fn encode(serializer: Serializer, value: &Value) -> Vec<u8> {
    match serializer {
        Serializer::Json => value.to_string().into_bytes(),
        Serializer::MsgPack => {
            let mut out = Vec::new();
            rmpv::encode::write_value(&mut out, &to_msgpack(value)).expect("a vector takes everything");
            out
        }
        Serializer::Cbor => {
            let mut encoder = minicbor::Encoder::new(Vec::new());
            to_cbor(value, &mut encoder).expect("a vector takes everything");
            encoder.into_writer()
        }
    }
}

/// Reads a value, which must be all of the octets.
///
/// # Errors
/// If the octets are not exactly one value, in words.
pub fn decode(serializer: Serializer, octets: &[u8]) -> Result<Value, String> {
    match serializer {
        Serializer::Json => serde_json::from_slice(octets).map_err(|error| error.to_string()),
        Serializer::MsgPack => {
            let mut rest = octets;
            let value = rmpv::decode::read_value(&mut rest).map_err(|error| error.to_string())?;
            if rest.is_empty() { from_msgpack(value) } else { Err("octets after the message".into()) }
        }
        Serializer::Cbor => {
            let mut decoder = minicbor::Decoder::new(octets);
            let value = from_cbor(&mut decoder)?;
            if decoder.position() == octets.len() {
                Ok(value)
            } else {
                Err("octets after the message".into())
            }
        }
    }
}

fn to_msgpack(value: &Value) -> rmpv::Value {
    match value {
        Value::Null => rmpv::Value::Nil,
        Value::Bool(value) => rmpv::Value::Boolean(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => value.into(),
            (_, Some(value)) => value.into(),
            _ => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => rmpv::Value::Array(items.iter().map(to_msgpack).collect()),
        Value::Object(entries) => rmpv::Value::Map(
            entries.iter().map(|(key, value)| (key.as_str().into(), to_msgpack(value))).collect(),
        ),
    }
}

fn from_msgpack(value: rmpv::Value) -> Result<Value, String> {
    Ok(match value {
        rmpv::Value::Nil => Value::Null,
        rmpv::Value::Boolean(value) => Value::Bool(value),
        rmpv::Value::Integer(value) => match (value.as_u64(), value.as_i64()) {
            (Some(value), _) => value.into(),
            (_, Some(value)) => value.into(),
            _ => return Err("an integer without a value".into()),
        },
        rmpv::Value::F32(value) => float(f64::from(value)),
        rmpv::Value::F64(value) => float(value),
        rmpv::Value::String(text) => Value::String(text.into_str().ok_or("a string that is not UTF-8")?),
        rmpv::Value::Binary(octets) => octets_value(&octets),
        rmpv::Value::Array(items) => {
            Value::Array(items.into_iter().map(from_msgpack).collect::<Result<_, _>>()?)
        }
        rmpv::Value::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let key = key.as_str().ok_or("a key that is not a string")?.to_owned();
                map.insert(key, from_msgpack(value)?);
            }
            Value::Object(map)
        }
        rmpv::Value::Ext(tag, octets) => serde_json::json!({"$ext": tag, "$octets": hex(&octets)}),
    })
}

type CborWritten = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn to_cbor(value: &Value, out: &mut minicbor::Encoder<Vec<u8>>) -> CborWritten {
    match value {
        Value::Null => out.null()?,
        Value::Bool(value) => out.bool(*value)?,
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => out.u64(value)?,
            (_, Some(value)) => out.i64(value)?,
            _ => out.f64(number.as_f64().unwrap_or_default())?,
        },
        Value::String(text) => out.str(text)?,
        Value::Array(items) => {
            out.array(items.len() as u64)?;
            return items.iter().try_for_each(|item| to_cbor(item, out));
        }
        Value::Object(entries) => {
            out.map(entries.len() as u64)?;
            for (key, value) in entries {
                out.str(key)?;
                to_cbor(value, out)?;
            }
            return Ok(());
        }
    };
    Ok(())
}

fn from_cbor(input: &mut minicbor::Decoder<'_>) -> Result<Value, String> {
    let fail = |error: minicbor::decode::Error| error.to_string();
    Ok(match input.datatype().map_err(fail)? {
        Type::Null => {
            input.null().map_err(fail)?;
            Value::Null
        }
        Type::Bool => Value::Bool(input.bool().map_err(fail)?),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => input.u64().map_err(fail)?.into(),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => input.i64().map_err(fail)?.into(),
        Type::F16 => float(f64::from(input.f16().map_err(fail)?)),
        Type::F32 => float(f64::from(input.f32().map_err(fail)?)),
        Type::F64 => float(input.f64().map_err(fail)?),
        Type::String => Value::String(input.str().map_err(fail)?.to_owned()),
        Type::Bytes => octets_value(input.bytes().map_err(fail)?),
        Type::Array => {
            let length = input.array().map_err(fail)?.ok_or("a list without a length")?;
            Value::Array((0..length).map(|_| from_cbor(input)).collect::<Result<_, _>>()?)
        }
        Type::Map => {
            let length = input.map().map_err(fail)?.ok_or("a dict without a length")?;
            let mut map = Map::new();
            for _ in 0..length {
                let key = input.str().map_err(fail)?.to_owned();
                map.insert(key, from_cbor(input)?);
            }
            Value::Object(map)
        }
        other => return Err(format!("{other} in a message of the router")),
    })
}

/// NaN and infinities have no JSON form; they are shown by name.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| Value::String(format!("${value}")), Value::Number)
}

fn octets_value(octets: &[u8]) -> Value {
    serde_json::json!({"$octets": hex(octets)})
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_serializer_gives_back_what_it_was_given() {
        let value = serde_json::json!([1, "a", {"b": [null, true, -3, 1.5, 9007199254740992u64]}, []]);
        for serializer in Serializer::ALL {
            assert_eq!(decode(serializer, &encode(serializer, &value)), Ok(value.clone()));
        }
    }
}
