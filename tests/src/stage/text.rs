//! The notation of transcripts: JSON with names and omissions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// The key that stands for "and more".
const MORE: &str = "...";

/// Parses JSON in which `$name` stands for a value and `...` in an object for more keys.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut json = String::new();
    let mut rest = text.char_indices().peekable();
    let mut in_string = false;
    while let Some((at, c)) = rest.next() {
        match c {
            '"' => {
                in_string = !in_string;
                json.push(c);
            }
            '\\' if in_string => {
                json.push(c);
                json.extend(rest.next().map(|(_, escaped)| escaped));
            }
            '$' if !in_string => {
                json.push_str("\"$");
                while let Some((_, c)) = rest.next_if(|(_, c)| c.is_alphanumeric() || *c == '_') {
                    json.push(c);
                }
                json.push('"');
            }
            '.' if !in_string && text[at..].starts_with(MORE) => {
                rest.next();
                rest.next();
                json.push_str("\"...\": 0");
            }
            _ => json.push(c),
        }
    }
    serde_json::from_str(&json).map_err(|error| format!("not JSON: {error}"))
}

/// Whether a message is as expected. Names that are not bound yet are bound.
pub(super) fn matches(expected: &Value, found: &Value, bound: &mut BTreeMap<String, Value>) -> bool {
    match (expected, found) {
        (Value::String(name), _) if name == "$_" => true,
        (Value::String(name), _) if name.starts_with('$') => {
            let known = bound.entry(name.clone()).or_insert_with(|| found.clone());
            known == found
        }
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(e, f)| matches(e, f, bound))
        }
        (Value::Object(expected), Value::Object(found)) => {
            let allows_more = expected.contains_key(MORE);
            let named = expected.iter().filter(|(key, _)| *key != MORE);
            let all = named.clone().all(|(key, e)| found.get(key).is_some_and(|f| matches(e, f, bound)));
            all && (allows_more || named.count() == found.len())
        }
        _ => expected == found,
    }
}

/// Puts in what names are bound to; an error names one that is not bound.
pub(super) fn fill(message: Value, bound: &BTreeMap<String, Value>) -> Result<Value, String> {
    Ok(match message {
        Value::String(name) if name.starts_with('$') => bound.get(&name).cloned().ok_or(name)?,
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| fill(item, bound)).collect::<Result<_, _>>()?)
        }
        Value::Object(entries) => {
            let filled = entries.into_iter().map(|(key, value)| Ok((key, fill(value, bound)?)));
            Value::Object(filled.collect::<Result<_, String>>()?)
        }
        other => other,
    })
}

/// `5s` or `500ms`.
pub(super) fn span(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

/// Octets written in hexadecimal.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_bound_once() {
        let mut bound = BTreeMap::new();
        let mut check = |expected: &str, found: &str| {
            let found: Value = serde_json::from_str(found).unwrap();
            matches(&parse(expected).unwrap(), &found, &mut bound)
        };
        assert!(check("[33, 1, $s]", "[33,1,7]"));
        assert!(check("[36, $s, $_, {}]", "[36,7,99,{}]"));
        assert!(!check("[36, $s]", "[36,8]"));
        assert!(!check("[1]", "[1,2]"));
        assert!(check(r#"{..., "a": 1}"#, r#"{"a": 1, "b": 2}"#));
        assert!(!check(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#));
        assert!(!check(r#"{..., "a": 1}"#, r#"{"b": 2}"#));
        assert!(check(r#"["$ ... \" x"]"#, r#"["$ ... \" x"]"#));
    }
}
