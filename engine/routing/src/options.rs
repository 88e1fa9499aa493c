//! The options of RPC messages, read once from what a client sent.
//!
//! Unknown options are ignored, and so is a flag that is not a boolean: deployed clients write null and worse there.
//! Where a wrong value would change what happens, it is refused by name.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use wampline_wire::{Dict, Value};

use crate::attributes::{PayloadAttributes, is_attribute};
use crate::disclosure::Disclose;

/// CALL.Options, as far as they concern the router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions<'a> {
    /// The caller takes progressive results ("Progressive Call Results").
    pub receive_progress: bool,
    /// More of this call follows ("Progressive Call Invocations").
    pub progress: bool,
    /// The caller asks to be made known to the callee ("Caller Identification").
    pub disclose_me: bool,
    /// Milliseconds that the call may take ("Call Timeouts"); `None` for no limit.
    pub timeout: Option<u64>,
    /// Which callee of a shared registration: equal keys go to the same one ("Sharded Registration").
    pub rkey: Option<Cow<'a, str>>,
    /// How many callees are to serve the call ("Sharded Registration").
    pub run_mode: RunMode,
    /// What is said about a payload that the router does not look into.
    pub attributes: PayloadAttributes<'a>,
    /// Not the caller's: what its permission to call says of disclosure; `None` for what the realm says.
    pub disclosure: Option<Disclose>,
}

/// `CALL.Options.runmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunMode {
    /// One callee, by the registration's policy.
    #[default]
    One,
    /// One callee, by `rkey`.
    Partition,
    /// Every callee of the registration.
    All,
}

/// REGISTER.Options beside `match`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisterOptions {
    /// How a callee is picked, and whether others may register too ("Shared Registration").
    pub invoke: InvocationPolicy,
    /// How many invocations this callee takes at a time; `None` for any number.
    pub concurrency: Option<NonZeroU32>,
    /// Callers are made known to this callee ("Caller Identification").
    pub disclose_caller: bool,
    /// Timeouts of calls are this callee's own matter ("Call Timeouts").
    pub forward_timeout: bool,
    /// Whoever has registered the procedure loses it.
    pub force_reregister: bool,
}

/// `REGISTER.Options.invoke` ("Shared Registration").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InvocationPolicy {
    /// One callee only.
    #[default]
    Single,
    /// The one that registered first of those there are.
    First,
    /// The one that registered last.
    Last,
    /// Any.
    Random,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest calls open (an addition of ours; approximate, because callers are on several shards).
    LeastPending,
}

/// `CANCEL.Options.mode` ("Call Canceling").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelMode {
    /// The caller has its ERROR at once, the callee is left alone.
    Skip,
    /// The callee is interrupted, and its answer is the caller's.
    Kill,
    /// The caller has its ERROR at once, the callee is interrupted.
    KillNoWait,
}

/// Why options are refused: `wamp.error.invalid_argument`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option.
    pub option: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

impl<'a> CallOptions<'a> {
    /// Reads CALL.Options.
    ///
    /// # Errors
    /// For a `timeout` that is no integer from 0 on, an unknown `runmode`, `partition` without `rkey`, and an
    /// `rkey` that is neither string nor integer.
    pub fn parse(options: &Dict<'a>) -> Result<CallOptions<'a>, OptionError> {
        let mut parsed = CallOptions::default();
        let mut has_attributes = false;
        for (key, value) in options.iter() {
            match &*key {
                "receive_progress" => parsed.receive_progress = value.as_bool() == Some(true),
                "progress" => parsed.progress = value.as_bool() == Some(true),
                "disclose_me" => parsed.disclose_me = value.as_bool() == Some(true),
                "timeout" => parsed.timeout = timeout(&value)?,
                "rkey" => parsed.rkey = resource_key(value)?,
                "runmode" => parsed.run_mode = RunMode::parse(&value)?,
                key => has_attributes |= is_attribute(key),
            }
        }
        if parsed.run_mode == RunMode::Partition && parsed.rkey.is_none() {
            return Err(OptionError { option: "rkey", expected: "given with runmode partition" });
        }
        if has_attributes {
            parsed.attributes = PayloadAttributes::from_dict(options);
        }
        Ok(parsed)
    }

    /// Whether nothing is asked for: the ordinary call.
    pub fn is_plain(&self) -> bool {
        !self.receive_progress
            && !self.progress
            && !self.disclose_me
            && self.timeout.is_none()
            && self.rkey.is_none()
            && self.run_mode == RunMode::One
            && self.attributes.is_empty()
            && self.disclosure.is_none()
    }

    /// The same, on its own feet.
    pub fn into_owned(self) -> CallOptions<'static> {
        CallOptions {
            rkey: self.rkey.map(|key| Cow::Owned(key.into_owned())),
            attributes: self.attributes.into_owned(),
            receive_progress: self.receive_progress,
            progress: self.progress,
            disclose_me: self.disclose_me,
            timeout: self.timeout,
            run_mode: self.run_mode,
            disclosure: self.disclosure,
        }
    }
}

impl RunMode {
    fn parse(value: &Value<'_>) -> Result<RunMode, OptionError> {
        match value {
            Value::Null => Ok(RunMode::One),
            value => match value.as_str() {
                Some("partition") => Ok(RunMode::Partition),
                Some("all") => Ok(RunMode::All),
                _ => Err(OptionError { option: "runmode", expected: "partition or all" }),
            },
        }
    }
}

impl RegisterOptions {
    /// Reads REGISTER.Options.
    ///
    /// # Errors
    /// For an unknown `invoke`, and a `concurrency` that is no integer from 0 (no bound) on.
    pub fn parse(options: &Dict<'_>) -> Result<RegisterOptions, OptionError> {
        let mut parsed = RegisterOptions::default();
        for (key, value) in options.iter() {
            match &*key {
                "invoke" => parsed.invoke = InvocationPolicy::from_value(&value)?,
                "concurrency" => parsed.concurrency = concurrency(&value)?,
                "disclose_caller" => parsed.disclose_caller = value.as_bool() == Some(true),
                "forward_timeout" => parsed.forward_timeout = value.as_bool() == Some(true),
                "force_reregister" => parsed.force_reregister = value.as_bool() == Some(true),
                _ => {}
            }
        }
        Ok(parsed)
    }
}

impl InvocationPolicy {
    /// Its name in `REGISTER.Options.invoke`.
    pub const fn name(self) -> &'static str {
        match self {
            InvocationPolicy::Single => "single",
            InvocationPolicy::First => "first",
            InvocationPolicy::Last => "last",
            InvocationPolicy::Random => "random",
            InvocationPolicy::RoundRobin => "roundrobin",
            InvocationPolicy::LeastPending => "least_pending",
        }
    }

    fn from_value(value: &Value<'_>) -> Result<InvocationPolicy, OptionError> {
        use InvocationPolicy::*;
        if matches!(value, Value::Null) {
            return Ok(Single);
        }
        let expected = "single, first, last, random, roundrobin or least_pending";
        let known = [Single, First, Last, Random, RoundRobin, LeastPending];
        known
            .into_iter()
            .find(|policy| Some(policy.name()) == value.as_str())
            .ok_or(OptionError { option: "invoke", expected })
    }
}

impl CancelMode {
    /// Reads CANCEL.Options. No mode, and one that is unknown, means `killnowait`: nothing ever refuses a CANCEL.
    pub fn parse(options: &Dict<'_>) -> CancelMode {
        match options.get("mode").as_ref().and_then(Value::as_str) {
            Some("skip") => CancelMode::Skip,
            Some("kill") => CancelMode::Kill,
            _ => CancelMode::KillNoWait,
        }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the option {} must be {}", self.option, self.expected)
    }
}

impl std::error::Error for OptionError {}

/// `timeout`: null and 0 mean none.
fn timeout(value: &Value<'_>) -> Result<Option<u64>, OptionError> {
    match value {
        Value::Null => Ok(None),
        value => match value.as_u64() {
            Some(milliseconds) => Ok((milliseconds > 0).then_some(milliseconds)),
            None => {
                Err(OptionError { option: "timeout", expected: "an integer of milliseconds, 0 for none" })
            }
        },
    }
}

fn resource_key<'a>(value: Value<'a>) -> Result<Option<Cow<'a, str>>, OptionError> {
    match value {
        Value::Null => Ok(None),
        Value::Str(text) => Ok(Some(text)),
        Value::Uint(number) => Ok(Some(number.to_string().into())),
        Value::Int(number) => Ok(Some(number.to_string().into())),
        _ => Err(OptionError { option: "rkey", expected: "a string or an integer" }),
    }
}

fn concurrency(value: &Value<'_>) -> Result<Option<NonZeroU32>, OptionError> {
    match value {
        Value::Null => Ok(None),
        value => value
            .as_u64()
            .map(|number| NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX)))
            .ok_or(OptionError { option: "concurrency", expected: "an integer, 0 for no bound" }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Str(Cow::Borrowed(text))
    }

    #[test]
    fn what_clients_write_into_calls() {
        assert!(CallOptions::parse(&Dict::EMPTY).unwrap().is_plain());
        let pairs = [
            ("receive_progress", Value::Bool(true)),
            ("timeout", Value::Float(5000.0)),
            ("disclose_me", Value::Null),
            ("ppt_scheme", text("mqtt")),
            ("unknown", Value::Uint(1)),
        ];
        let options = CallOptions::parse(&Dict::pairs(&pairs)).unwrap();
        assert!(options.receive_progress && !options.progress && !options.disclose_me);
        assert_eq!(options.timeout, Some(5000));
        assert!(options.attributes.is_passthru() && !options.is_plain());
        for nothing in [Value::Null, Value::Uint(0), Value::Float(0.0)] {
            assert!(CallOptions::parse(&Dict::pairs(&[("timeout", nothing)])).unwrap().is_plain());
        }
    }

    #[test]
    fn values_that_would_change_what_happens_are_refused() {
        for wrong in [Value::Float(0.5), Value::Int(-1), text("1"), Value::Bool(true)] {
            let error = CallOptions::parse(&Dict::pairs(&[("timeout", wrong)])).unwrap_err();
            assert_eq!(error.option, "timeout");
        }
        assert_eq!(
            CallOptions::parse(&Dict::pairs(&[("runmode", text("some"))])).unwrap_err().option,
            "runmode"
        );
        assert_eq!(
            CallOptions::parse(&Dict::pairs(&[("runmode", text("partition"))])).unwrap_err().option,
            "rkey"
        );
        assert_eq!(
            RegisterOptions::parse(&Dict::pairs(&[("invoke", text("any"))])).unwrap_err().option,
            "invoke"
        );
        let error = RegisterOptions::parse(&Dict::pairs(&[("concurrency", Value::Int(-1))])).unwrap_err();
        assert_eq!(error.option, "concurrency");
    }

    #[test]
    fn every_policy_is_read_by_its_name() {
        for name in ["single", "first", "last", "random", "roundrobin", "least_pending"] {
            let options = RegisterOptions::parse(&Dict::pairs(&[("invoke", text(name))])).unwrap();
            assert_eq!(options.invoke.name(), name);
        }
        let pairs = [("concurrency", Value::Uint(3)), ("invoke", Value::Null)];
        let options = RegisterOptions::parse(&Dict::pairs(&pairs)).unwrap();
        assert_eq!((options.invoke, options.concurrency), (InvocationPolicy::Single, NonZeroU32::new(3)));
    }

    #[test]
    fn a_cancel_is_never_refused() {
        let mode = |value| CancelMode::parse(&Dict::pairs(&[("mode", value)]));
        assert_eq!(mode(text("skip")), CancelMode::Skip);
        assert_eq!(mode(text("kill")), CancelMode::Kill);
        for other in [text("killnowait"), text("abort"), Value::Uint(1), Value::Null] {
            assert_eq!(mode(other), CancelMode::KillNoWait);
        }
        assert_eq!(CancelMode::parse(&Dict::EMPTY), CancelMode::KillNoWait);
    }
}
