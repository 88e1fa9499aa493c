//! What is asked of a measured run: which sessions there are and what they do. One form for rpc, pubsub, mixed, and churn of
//! subscriptions and registrations, so that one loop serves them all.

use super::Failure;
use crate::cli::{CallArguments, ChurnArguments, ChurnKind, EventArguments, PlacementArguments};
use crate::cli::{MixedArguments, PubsubArguments, RpcArguments};
use crate::options::{Common, PayloadArguments, SerializerName, Window};
use crate::report::Report;
use crate::stamp::{Stamp, Template};
use crate::target;

/// A measured run.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    /// The scenario's name.
    pub(crate) kind: &'static str,
    /// What an operation is, in the plural.
    pub(crate) operation: &'static str,
    pub(crate) common: Common,
    pub(crate) window: Window,
    pub(crate) payload: PayloadArguments,
    pub(crate) calls: Option<Calls>,
    pub(crate) events: Option<Events>,
    pub(crate) members: Option<Members>,
    pub(crate) placement: PlacementArguments,
}

/// Callers and callees.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) who: CallArguments,
    pub(crate) in_flight: u32,
}

/// Publishers and subscribers.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    pub(crate) who: EventArguments,
    pub(crate) subscribers: u32,
    pub(crate) in_flight: u32,
}

/// Sessions that subscribe and unsubscribe, or register and unregister.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members {
    pub(crate) kind: ChurnKind,
    pub(crate) count: u32,
    pub(crate) in_flight: u32,
}

impl Demand {
    pub(crate) fn rpc(arguments: &RpcArguments) -> Demand {
        let calls = Calls { who: arguments.calls.clone(), in_flight: arguments.in_flight };
        Demand {
            calls: Some(calls),
            placement: arguments.placement,
            ..Demand::bare("rpc", "calls", &arguments.common, &arguments.window, arguments.payload)
        }
    }

    pub(crate) fn pubsub(arguments: &PubsubArguments) -> Demand {
        let (subscribers, in_flight) = (arguments.subscribers, arguments.in_flight);
        Demand {
            events: Some(Events { who: arguments.events.clone(), subscribers, in_flight }),
            placement: arguments.placement,
            ..Demand::bare("pubsub", "events", &arguments.common, &arguments.window, arguments.payload)
        }
    }

    pub(crate) fn mixed(arguments: &MixedArguments) -> Demand {
        let (subscribers, in_flight) = (arguments.subscribers, arguments.publications_in_flight);
        Demand {
            calls: Some(Calls { who: arguments.calls.clone(), in_flight: arguments.in_flight }),
            events: Some(Events { who: arguments.events.clone(), subscribers, in_flight }),
            placement: arguments.placement,
            ..Demand::bare("mixed", "operations", &arguments.common, &arguments.window, arguments.payload)
        }
    }

    /// Churn of subscriptions or registrations.
    pub(crate) fn churn(arguments: &ChurnArguments) -> Demand {
        let operation = match arguments.kind {
            ChurnKind::Registrations => "registrations",
            _ => "subscriptions",
        };
        let payload = PayloadArguments { payload: 64, payload_shape: crate::options::Shape::Text };
        let (kind, count, in_flight) = (arguments.kind, arguments.members, arguments.in_flight);
        Demand {
            members: Some(Members { kind, count, in_flight }),
            ..Demand::bare("churn", operation, &arguments.common, &arguments.window, payload)
        }
    }

    fn bare(
        kind: &'static str,
        operation: &'static str,
        common: &Common,
        window: &Window,
        payload: PayloadArguments,
    ) -> Demand {
        Demand {
            kind,
            operation,
            common: common.clone(),
            window: window.clone(),
            payload,
            calls: None,
            events: None,
            members: None,
            placement: PlacementArguments::default(),
        }
    }

    /// Whether this can be asked for.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        target::check(&self.common).map_err(Failure::Usage)?;
        let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
        if let Some(events) = &self.events
            && events.who.topics > events.subscribers
            && !events.who.acknowledge
            && self.window.rate.is_none()
        {
            return usage(
                "a topic without subscriber needs --acknowledge: nothing else would end its publications",
            );
        }
        if self.payload_octets() > MESSAGE_OCTETS_MAX {
            return usage("a payload of this shape and length exceeds a message of 16777215 octets");
        }
        if self.is_floor() { self.check_floor() } else { Ok(()) }
    }

    fn check_floor(&self) -> Result<(), Failure> {
        let usage = |text: &str| Err(Failure::Usage(format!("a bare forwarder (floor://) {text}")));
        if self.members.is_some() || self.calls.is_some() == self.events.is_some() {
            return usage("knows rpc and pubsub only, one at a time");
        }
        if self.calls.as_ref().is_some_and(|calls| calls.who.callers > 256) {
            return usage("tells callers apart by one octet: at most 256 of them");
        }
        if self.placement.idle_per_receiver > 0 || self.placement.idle_before_senders > 0 {
            return usage("has no idle sessions");
        }
        if let Some(events) = &self.events {
            let background = self.background().iter().sum::<u32>();
            if events.who.topics > 1 || events.who.acknowledge || background > 0 {
                return usage("has one topic, no acknowledgements and no other subscriptions");
            }
            let serializer = self.common.serializer;
            if events.who.subscriber_serializers.iter().any(|&other| other != serializer) {
                return usage("does not translate between serializers");
            }
        }
        if let Some(calls) = &self.calls
            && calls.who.callee_serializers.iter().any(|&other| other != self.common.serializer)
        {
            return usage("does not translate between serializers");
        }
        Ok(())
    }

    /// Whether the target is a bare forwarder.
    pub(crate) fn is_floor(&self) -> bool {
        target::is_floor(&self.common.url)
    }

    /// Sessions that begin operations.
    pub(crate) fn senders(&self) -> u32 {
        self.callers() + self.publishers() + self.members.map_or(0, |members| members.count)
    }

    pub(crate) fn callers(&self) -> u32 {
        self.calls.as_ref().map_or(0, |calls| calls.who.callers)
    }

    pub(crate) fn callees(&self) -> u32 {
        self.calls.as_ref().map_or(0, |calls| calls.who.callees)
    }

    pub(crate) fn publishers(&self) -> u32 {
        self.events.as_ref().map_or(0, |events| events.who.publishers)
    }

    pub(crate) fn subscribers(&self) -> u32 {
        self.events.as_ref().map_or(0, |events| events.subscribers)
    }

    /// Subscriptions that match nothing: exact, prefix, wildcard.
    pub(crate) fn background(&self) -> [u32; 3] {
        self.events.as_ref().map_or([0; 3], |events| {
            [events.who.background_exact, events.who.background_prefix, events.who.background_wildcard]
        })
    }

    /// Sessions that hold those.
    pub(crate) fn holders(&self) -> u32 {
        let subscriptions = self.background().iter().fold(0_u32, |sum, &count| sum.saturating_add(count));
        self.events.as_ref().map_or(0, |events| events.who.background_sessions.min(subscriptions))
    }

    /// All sessions.
    pub(crate) fn sessions(&self) -> u64 {
        let receivers = u64::from(self.callees()) + u64::from(self.subscribers());
        let idle = receivers * u64::from(self.placement.idle_per_receiver)
            + u64::from(self.placement.idle_before_senders);
        receivers + idle + u64::from(self.holders()) + u64::from(self.senders())
    }

    /// Writes down what was asked for.
    pub(crate) fn describe(&self, report: &mut Report) {
        if let Some(calls) = &self.calls {
            report.setting("callers", calls.who.callers);
            report.setting("callees", calls.who.callees);
            setting_list(report, "callee_serializers", &calls.who.callee_serializers);
            if self.window.rate.is_none() {
                report.setting("in_flight", calls.in_flight);
            }
        }
        if let Some(events) = &self.events {
            report.setting("publishers", events.who.publishers);
            report.setting("subscribers", events.subscribers);
            report.setting("topics", events.who.topics);
            setting_list(report, "subscriber_serializers", &events.who.subscriber_serializers);
            if self.window.rate.is_none() {
                let name = if self.calls.is_some() { "publications_in_flight" } else { "in_flight" };
                report.setting(name, events.in_flight);
            }
            report.setting("acknowledge", events.who.acknowledge);
            let names = ["background_exact", "background_prefix", "background_wildcard"];
            for (name, count) in names.into_iter().zip(self.background()).filter(|(_, count)| *count > 0) {
                report.setting(name, count);
            }
        }
        if let Some(members) = self.members {
            report.setting("of", self.operation);
            report.setting("members", members.count);
            if self.window.rate.is_none() {
                report.setting("in_flight", members.in_flight);
            }
        } else {
            report.setting("payload_bytes", self.payload.payload);
            report.setting("payload_shape", self.payload.payload_shape.name());
        }
        let PlacementArguments { idle_per_receiver, idle_before_senders } = self.placement;
        for (name, idle) in
            [("idle_per_receiver", idle_per_receiver), ("idle_before_senders", idle_before_senders)]
        {
            if idle > 0 {
                report.setting(name, idle);
            }
        }
        report.set_window(&self.window);
    }

    /// Octets of the longest form of the payload.
    fn payload_octets(&self) -> usize {
        let mut template = Template::new(self.payload);
        let stamp = Stamp { sender: 1, sequence: 1, sent_at: 1 << 50 };
        let lengths =
            wampline_wire::Serializer::ALL.map(|serializer| template.stamped(serializer, stamp).len());
        lengths.into_iter().max().unwrap_or(0)
    }
}

/// What RawSocket allows, less room for a message's other elements.
const MESSAGE_OCTETS_MAX: usize = (1 << 24) - 1 - 1024;

fn setting_list(report: &mut Report, name: &'static str, list: &[SerializerName]) {
    if !list.is_empty() {
        let names: Vec<&str> = list.iter().map(|name| name.serializer().name()).collect();
        report.setting(name, names.join(","));
    }
}
