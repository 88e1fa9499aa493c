//! The directory by itself: joining, limits, subscribing, registering, leaving.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::options::{InvocationPolicy, RegisterOptions};

const LIMITS: DirectoryLimits =
    DirectoryLimits { sessions_max: 3, subscriptions_per_session_max: 2, registrations_per_session_max: 2 };

/// A realm on home shard 0 of two shards.
struct Realm {
    directory: Directory,
    out: Visibility,
}

fn session(n: u64) -> SessionId {
    SessionId::new(n).unwrap()
}

fn request(n: u64) -> RequestId {
    RequestId::new(n).unwrap()
}

/// Session n lives in slot n of shard n mod 2.
fn at(n: u64) -> SessionRef {
    SessionRef { shard: ShardId((n % 2) as u16), slot: n as u32, guard: 0 }
}

/// Session n, as it joins.
fn arrival(n: u64) -> Arrival {
    let identity = Identity {
        session: session(n),
        authid: format!("id-{n}").into(),
        authrole: "anonymous".into(),
        authmethod: "anonymous",
        authprovider: "static",
    };
    let transport = Transport { kind: "rawsocket", serializer: "cbor", tls: false, peer: None };
    Arrival { identity: Arc::new(identity), transport }
}

impl Realm {
    fn new() -> Realm {
        let directory = Directory::new(RealmId(0), LIMITS, &RandomState::with_seed(1));
        Realm { directory, out: Visibility::new(ShardId(0), 2) }
    }

    fn with_sessions(count: u64) -> Realm {
        let mut realm = Realm::new();
        for n in 1..=count {
            realm.directory.join(arrival(n), at(n), &mut realm.out);
        }
        let answers = realm.answers();
        assert!(answers.iter().all(|(_, answer)| *answer == Answer::Joined(Ok(()))));
        realm
    }

    fn subscribe(&mut self, n: u64, id: u64, topic: &str) {
        self.subscribe_as(n, id, topic, None);
    }

    fn subscribe_as(&mut self, n: u64, id: u64, topic: &str, nkey: Option<&str>) {
        let asked = SubscribeRequest { request: request(id), policy: MatchPolicy::Exact, topic, nkey };
        self.directory.subscribe(session(n), asked, &mut self.out);
    }

    fn register(&mut self, n: u64, id: u64, procedure: &str) {
        self.register_with(n, id, procedure, RegisterOptions::default());
    }

    fn register_with(&mut self, n: u64, id: u64, procedure: &str, options: RegisterOptions) {
        let (session, request) = (session(n), request(id));
        self.directory.register(session, request, MatchPolicy::Exact, procedure, options, &mut self.out);
    }

    /// What may be sent now, by the slot of the session.
    fn answers(&mut self) -> Vec<(u32, Answer)> {
        let _ = self.out.take_changes();
        self.out.take_answers().into_iter().map(|(to, answer)| (to.slot, answer)).collect()
    }

    /// Shard 1 has applied changes up to this number.
    fn applied(&mut self, number: DeltaNumber) -> Vec<(u32, Answer)> {
        self.out.acknowledge(ShardId(1), number);
        self.answers()
    }
}

fn subscribed(id: u64, subscription: u64) -> Answer {
    Answer::Subscribed(request(id), Ok(SubscriptionId::new(subscription).unwrap()))
}

fn registered(id: u64, registration: u64) -> Answer {
    let registration = RegistrationId::new(registration).unwrap();
    Answer::Registered(request(id), Ok(Granted { registration, concurrency: None }))
}

#[test]
fn an_id_in_use_and_a_full_realm_are_refused() {
    let mut realm = Realm::with_sessions(2);
    realm.directory.join(arrival(1), at(7), &mut realm.out);
    realm.directory.join(arrival(3), at(3), &mut realm.out);
    realm.directory.join(arrival(4), at(4), &mut realm.out);
    let expected = [
        (7, Answer::Joined(Err(JoinRefusal::IdTaken))),
        (3, Answer::Joined(Ok(()))),
        (4, Answer::Joined(Err(JoinRefusal::Full))),
    ];
    assert_eq!(realm.answers(), expected);
}

#[test]
fn subscribed_waits_until_every_shard_knows() {
    let mut realm = Realm::with_sessions(1);
    realm.subscribe(1, 1, "topic");
    assert_eq!(realm.answers(), []);
    assert_eq!(realm.applied(1), [(1, subscribed(1, 1))]);
}

#[test]
fn the_second_subscriber_of_a_shard_waits_for_the_change_of_the_first() {
    let mut realm = Realm::with_sessions(3);
    realm.subscribe(1, 1, "topic");
    realm.subscribe(3, 1, "topic");
    assert_eq!(realm.answers(), []);
    assert_eq!(realm.applied(1), [(1, subscribed(1, 1)), (3, subscribed(1, 1))]);
}

#[test]
fn answers_keep_the_order_of_the_requests() {
    let mut realm = Realm::with_sessions(1);
    realm.subscribe(1, 1, "topic");
    realm.directory.unsubscribe(session(1), request(2), SubscriptionId::new(1).unwrap(), &mut realm.out);
    assert_eq!(realm.answers(), []);
    let unsubscribed = Answer::Unsubscribed(request(2), Ok(SubscriptionId::new(1).unwrap()));
    assert_eq!(realm.applied(1), [(1, subscribed(1, 1)), (1, unsubscribed)]);
}

#[test]
fn the_same_topic_gives_the_same_id_and_a_later_one_another() {
    let mut realm = Realm::with_sessions(2);
    realm.subscribe(2, 1, "topic");
    realm.subscribe(2, 2, "topic");
    assert_eq!(realm.applied(9), [(2, subscribed(1, 1)), (2, subscribed(2, 1))]);
    realm.directory.unsubscribe(session(2), request(3), SubscriptionId::new(1).unwrap(), &mut realm.out);
    realm.subscribe(2, 4, "topic");
    assert_eq!(realm.answers()[1], (2, subscribed(4, 2)));
}

#[test]
fn what_a_session_does_not_have_cannot_be_given_up() {
    let mut realm = Realm::with_sessions(2);
    realm.subscribe(1, 1, "topic");
    realm.register(1, 2, "procedure");
    realm.applied(9);
    let (subscription, registration) = (SubscriptionId::new(1).unwrap(), RegistrationId::new(1).unwrap());
    realm.directory.unsubscribe(session(2), request(1), subscription, &mut realm.out);
    realm.directory.unregister(session(2), request(2), registration, &mut realm.out);
    let expected = [
        (2, Answer::Unsubscribed(request(1), Err(Refusal::NoSuchSubscription))),
        (2, Answer::Unregistered(request(2), Err(Refusal::NoSuchRegistration))),
    ];
    assert_eq!(realm.answers(), expected);
}

#[test]
fn a_procedure_is_registered_once_and_free_again_at_once() {
    let mut realm = Realm::with_sessions(2);
    realm.register(1, 1, "procedure");
    realm.register(2, 1, "procedure");
    let refused = Answer::Registered(request(1), Err(Refusal::ProcedureAlreadyExists));
    assert_eq!(realm.answers(), [(2, refused)]);
    realm.applied(9);
    realm.directory.unregister(session(1), request(2), RegistrationId::new(1).unwrap(), &mut realm.out);
    realm.register(2, 2, "procedure");
    assert_eq!(realm.answers().last(), Some(&(2, registered(2, 2))));
}

#[test]
fn a_session_owns_no_more_than_it_may() {
    let mut realm = Realm::with_sessions(1);
    for (id, topic) in [(1, "a"), (2, "b"), (3, "c"), (4, "a")] {
        realm.subscribe(1, id, topic);
    }
    let answers = realm.applied(9);
    assert_eq!(answers[2], (1, Answer::Subscribed(request(3), Err(Refusal::LimitExceeded))));
    assert_eq!(answers[3], (1, subscribed(4, 1)), "what it has already is no further one");
}

#[test]
fn leaving_releases_everything_in_slices() {
    let mut realm = Realm::with_sessions(1);
    realm.subscribe(1, 1, "a");
    realm.subscribe(1, 2, "b");
    realm.register(1, 3, "c");
    realm.applied(9);
    realm.directory.leave(session(1), at(1), &mut realm.out);
    for _ in 0..2 {
        assert!(realm.directory.release(1, &mut realm.out));
        assert_eq!(realm.answers(), []);
    }
    assert!(!realm.directory.release(1, &mut realm.out));
    assert_eq!(realm.answers(), [(1, Answer::Left)]);
    assert!(realm.directory.is_empty());
}

#[test]
fn a_refused_session_that_leaves_harms_no_namesake() {
    let mut realm = Realm::with_sessions(1);
    realm.directory.leave(session(1), at(5), &mut realm.out);
    assert_eq!(realm.answers(), [(5, Answer::Left)]);
    assert_eq!(realm.directory.len(), (1, 0, 0));
}

#[test]
fn a_revoked_subscription_may_be_unsubscribed_from_once() {
    let mut realm = Realm::with_sessions(2);
    realm.subscribe(2, 1, "topic");
    realm.applied(9);
    let topic = SubscriptionId::new(1).unwrap();
    assert!(!realm.directory.revoke(topic, session(1), None, &mut realm.out), "it is not a member");
    assert!(realm.directory.revoke(topic, session(2), Some("why".into()), &mut realm.out));
    assert!(!realm.directory.revoke(topic, session(2), None, &mut realm.out), "it is none any more");
    assert_eq!(realm.answers(), [(2, Answer::SubscriptionRevoked(topic, Some("why".into())))]);
    realm.directory.unsubscribe(session(2), request(2), topic, &mut realm.out);
    realm.directory.unsubscribe(session(2), request(3), topic, &mut realm.out);
    let expected = [
        (2, Answer::Unsubscribed(request(2), Ok(topic))),
        (2, Answer::Unsubscribed(request(3), Err(Refusal::NoSuchSubscription))),
    ];
    assert_eq!(realm.answers(), expected);
    assert_eq!(realm.directory.len().1, 0);
}

#[test]
fn the_answer_comes_before_the_revocation() {
    let mut realm = Realm::with_sessions(1);
    realm.subscribe(1, 1, "topic");
    let topic = SubscriptionId::new(1).unwrap();
    assert!(realm.directory.revoke(topic, session(1), None, &mut realm.out));
    assert_eq!(realm.answers(), []);
    assert_eq!(realm.applied(1), [(1, subscribed(1, 1)), (1, Answer::SubscriptionRevoked(topic, None))]);
}

#[test]
fn a_pinned_subscription_stays() {
    let mut realm = Realm::with_sessions(1);
    let pinned = realm.directory.pin(MatchPolicy::Exact, "topic").unwrap();
    assert_eq!(realm.directory.pin(MatchPolicy::Exact, "topic"), Ok(pinned));
    realm.subscribe(1, 1, "topic");
    assert_eq!(realm.applied(1), [(1, subscribed(1, pinned.get()))]);
    realm.directory.leave(session(1), at(1), &mut realm.out);
    assert!(!realm.directory.release(9, &mut realm.out));
    assert_eq!(realm.directory.len(), (0, 1, 0));
    assert!(realm.directory.is_empty());
    let (policy, topic) = realm.directory.topic_of(pinned).unwrap();
    assert_eq!((policy, &**topic), (MatchPolicy::Exact, "topic"));
}

#[test]
fn a_node_is_subscribed_when_every_shard_knows_its_key() {
    let mut realm = Realm::with_sessions(2);
    realm.subscribe(2, 1, "topic");
    assert_eq!(realm.applied(1), [(2, subscribed(1, 1))]);
    // The subscription is known everywhere, the node is not.
    realm.subscribe_as(2, 2, "topic", Some("node1"));
    realm.subscribe_as(2, 3, "topic", Some("node1"));
    assert_eq!(realm.answers(), []);
    assert_eq!(realm.applied(2), [(2, subscribed(2, 1)), (2, subscribed(3, 1))]);
    realm.directory.leave(session(2), at(2), &mut realm.out);
    realm.directory.release(9, &mut realm.out);
    let (number, changes) = realm.out.take_changes().unwrap();
    assert_eq!(number, 4);
    assert!(matches!(&changes[0], Delta::Node { nkey: None, .. }));
    assert!(matches!(&changes[1], Delta::Subscription { present: false, .. }));
}

#[test]
fn a_shared_registration_takes_callees_of_one_policy() {
    let mut realm = Realm::with_sessions(3);
    let shared = RegisterOptions { invoke: InvocationPolicy::RoundRobin, ..Default::default() };
    realm.register_with(1, 1, "procedure", shared);
    realm.register_with(2, 1, "procedure", shared);
    realm.register_with(3, 1, "procedure", RegisterOptions { invoke: InvocationPolicy::Last, ..shared });
    realm.register(3, 2, "procedure");
    realm.register_with(1, 2, "procedure", shared);
    let different = |id| Answer::Registered(request(id), Err(Refusal::DifferentInvocationPolicy));
    let twice = Answer::Registered(request(2), Err(Refusal::ProcedureAlreadyExists));
    let mut answers = realm.applied(9);
    answers.sort_by_key(|(slot, _)| *slot);
    let expected =
        [(1, registered(1, 1)), (1, twice), (2, registered(1, 1)), (3, different(1)), (3, different(2))];
    assert_eq!(answers, expected);
    // It lasts as long as one of them does.
    realm.directory.unregister(session(1), request(3), RegistrationId::new(1).unwrap(), &mut realm.out);
    realm.register_with(1, 4, "procedure", shared);
    assert_eq!(realm.applied(9).last(), Some(&(1, registered(4, 1))));
}

#[test]
fn who_forces_a_registration_takes_it_from_all_others() {
    let mut realm = Realm::with_sessions(3);
    let shared = RegisterOptions { invoke: InvocationPolicy::RoundRobin, ..Default::default() };
    realm.register_with(1, 1, "procedure", shared);
    realm.register_with(2, 1, "procedure", shared);
    realm.applied(9);
    realm.register_with(3, 1, "procedure", RegisterOptions { force_reregister: true, ..Default::default() });
    let first = RegistrationId::new(1).unwrap();
    let lost = Answer::RegistrationRevoked(first, Some(registrations::REREGISTERED.into()));
    assert_eq!(realm.applied(9), [(1, lost.clone()), (2, lost), (3, registered(1, 2))]);
    // An UNREGISTER that crosses the revocation succeeds, once.
    realm.directory.unregister(session(1), request(2), first, &mut realm.out);
    realm.directory.unregister(session(1), request(3), first, &mut realm.out);
    let expected = [
        (1, Answer::Unregistered(request(2), Ok(first))),
        (1, Answer::Unregistered(request(3), Err(Refusal::NoSuchRegistration))),
    ];
    assert_eq!(realm.answers(), expected);
}

fn by_force() -> RegisterOptions {
    RegisterOptions { force_reregister: true, ..RegisterOptions::default() }
}

#[test]
fn who_loses_a_registration_by_force_hears_of_it_when_every_shard_knows_who_has_it() {
    let mut realm = Realm::with_sessions(2);
    realm.register(1, 1, "procedure");
    assert_eq!(realm.applied(1), [(1, registered(1, 1))]);
    realm.register_with(2, 1, "procedure", by_force());
    assert_eq!(realm.answers(), []);
    let (lost, why) = (RegistrationId::new(1).unwrap(), Some(super::registrations::REREGISTERED.into()));
    let expected = [(1, Answer::RegistrationRevoked(lost, why)), (2, registered(1, 2))];
    assert_eq!(realm.applied(3), expected);
    let taken = |realm: &Realm| {
        let newest = RegistrationId::new(realm.directory.last_registration).unwrap();
        let entry = &realm.directory.registrations[&newest];
        (entry.info.id.get(), entry.info.lineage.get())
    };
    assert_eq!(taken(&realm), (2, 1));
    realm.register_with(1, 2, "procedure", by_force());
    assert_eq!(taken(&realm), (3, 1), "from the first of them on somebody serves it");
}

#[test]
fn a_registration_is_taken_by_force_from_a_session_that_is_being_released() {
    let mut realm = Realm::with_sessions(2);
    realm.register(1, 1, "a");
    realm.register(1, 2, "b");
    realm.applied(9);
    realm.directory.leave(session(1), at(1), &mut realm.out);
    assert!(realm.directory.release(1, &mut realm.out));
    realm.register_with(2, 1, "a", by_force());
    realm.register_with(2, 2, "b", by_force());
    assert!(!realm.directory.release(9, &mut realm.out));
    assert_eq!(realm.applied(9), [(2, registered(1, 3)), (2, registered(2, 4)), (1, Answer::Left)]);
    let id_of = |uri: &str| realm.directory.procedures.get(MatchPolicy::Exact, uri).map(|id| id.get());
    assert_eq!((id_of("a"), id_of("b")), (Some(3), Some(4)));
    assert_eq!(realm.directory.len(), (1, 0, 2));
}
