//! The realms of a router: those of the configuration, and those that are made from a template when somebody joins them first.
//!
//! All shards share one table, to which realms are only ever added: a realm's id is its position, and its settings never change
//! and never go. A look at the settings takes no lock. To make a realm, or to find one that was made by its name, takes a short one.
//!
//! What a shard has of its own for each realm ([`crate::shard::RealmState`], directories) it adds as it hears of them: when it
//! makes one or finds one by its name, and before it deals with a batch from another shard. A realm is in the table before anything
//! that names it is sent, so no frame can name a realm that its receiver does not know.
//!
//! A realm is made when somebody is admitted to it, not when somebody asks for it: who has nothing to prove there fills the
//! table at most, up to its bound. Nothing is removed from it while the router runs.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ahash::AHashMap;
use wampline_auth::CookieStore;
use wampline_routing::RealmId;
use wampline_routing::pattern::PatternTable;
use wampline_routing::uri::is_reserved;

use crate::config::{Realm, RealmTemplate};
use crate::shard::{RealmState, Shard};

/// The most realms: their ids have 16 bits.
const REALMS_MAX: usize = 1 << 16;

/// The longest name of a realm that is made from a template, in octets.
const NAME_BYTES_MAX: usize = 255;

/// See the module.
pub(crate) struct Realms {
    /// By id; those of the configuration come first.
    slots: Box<[OnceLock<Arc<Realm>>]>,
    len: AtomicUsize,
    /// Those of the configuration.
    configured: AHashMap<Box<str>, RealmId>,
    /// The others.
    made: Mutex<AHashMap<Box<str>, RealmId>>,
    templates: PatternTable<Realm>,
    /// Where the logins of all of them are remembered, each store once.
    cookie_stores: Box<[Arc<CookieStore>]>,
}

/// Where a client wants to go.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// A realm that is there.
    Realm(RealmId),
    /// One that would be made like this.
    Template(Arc<Realm>),
}

impl Destination {
    /// The realm, if it was there when somebody asked for it.
    pub(crate) fn is_there(&self) -> Option<RealmId> {
        match self {
            Destination::Realm(realm) => Some(*realm),
            Destination::Template(_) => None,
        }
    }
}

/// As many realms have been made as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RealmsFull;

impl Realms {
    /// The realms of a configuration, and room for so many more. Of several templates for one pattern the last one holds, and one
    /// whose pattern cannot be matched is left out; whoever reads a configuration tells.
    pub(crate) fn new(realms: Vec<Realm>, templates: Vec<RealmTemplate>, more: usize) -> Realms {
        let more = if templates.is_empty() { 0 } else { more };
        let every = realms.iter().chain(templates.iter().map(|template| &template.settings));
        let cookie_stores = cookie_stores(every);
        let configured: AHashMap<Box<str>, RealmId> = realms
            .iter()
            .enumerate()
            .take(REALMS_MAX)
            .map(|(n, realm)| (Box::from(&*realm.name), RealmId(n as u16)))
            .collect();
        let len = realms.len().min(REALMS_MAX);
        let mut slots: Vec<OnceLock<Arc<Realm>>> =
            realms.into_iter().take(REALMS_MAX).map(|realm| OnceLock::from(Arc::new(realm))).collect();
        slots.resize_with(len.saturating_add(more).min(REALMS_MAX), OnceLock::new);
        let mut table = PatternTable::new();
        for RealmTemplate { policy, settings } in templates {
            let pattern = settings.name.clone();
            let _ = table.insert(policy, &pattern, settings);
        }
        let (slots, len) = (slots.into(), AtomicUsize::new(len));
        Realms { slots, len, configured, made: Mutex::default(), templates: table, cookie_stores }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        // Whoever sees the number sees the settings of all of them.
        self.len.load(Ordering::Acquire)
    }

    /// How many of them were made from templates.
    pub(crate) fn made_len(&self) -> usize {
        self.lock().len()
    }

    /// The settings of all of them, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Realm> {
        self.slots.iter().map_while(|slot| slot.get().map(|realm| &**realm))
    }

    /// The settings of a realm.
    pub(crate) fn get(&self, realm: RealmId) -> &Realm {
        self.slots[realm.index()].get().expect("invariant: ids are those of realms that are there")
    }

    /// Where logins are remembered, of all realms that there are or will be.
    pub(crate) fn cookie_stores(&self) -> &[Arc<CookieStore>] {
        &self.cookie_stores
    }

    /// As [`Shard::realm_named`].
    fn named(&self, name: &str) -> Option<RealmId> {
        let configured = self.configured.get(name).copied();
        configured.or_else(|| if self.templates.is_empty() { None } else { self.lock().get(name).copied() })
    }

    /// As [`Shard::destination`].
    fn destination(&self, name: &str) -> Option<Destination> {
        if let Some(realm) = self.named(name) {
            return Some(Destination::Realm(realm));
        }
        let (_, template) = self.templates.best_match(name)?;
        let is_name =
            name.len() <= NAME_BYTES_MAX && !is_reserved(name) && template.uri_rules.check(name).is_ok();
        let made = || Destination::Template(Arc::new(Realm { name: name.into(), ..template.clone() }));
        is_name.then(made)
    }

    /// Makes the realm, unless somebody else has meanwhile.
    fn make(&self, settings: &Arc<Realm>) -> Result<RealmId, RealmsFull> {
        let mut made = self.lock();
        if let Some(realm) = made.get(&*settings.name) {
            return Ok(*realm);
        }
        let len = self.len.load(Ordering::Relaxed);
        let slot = self.slots.get(len).ok_or(RealmsFull)?;
        slot.set(settings.clone()).map_err(|_| RealmsFull)?;
        let realm = RealmId(len as u16);
        made.insert(settings.name.as_str().into(), realm);
        self.len.store(len + 1, Ordering::Release);
        tracing::info!(realm = settings.name, realms = len + 1, "realm made from a template");
        if len + 1 == self.slots.len() {
            tracing::warn!(
                realms = len + 1,
                "no more realms can be made, who asks for another is turned away"
            );
        }
        Ok(realm)
    }

    fn lock(&self) -> MutexGuard<'_, AHashMap<Box<str>, RealmId>> {
        // Nothing is left half done under the lock.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cookie_stores<'a>(realms: impl Iterator<Item = &'a Realm>) -> Box<[Arc<CookieStore>]> {
    let mut found: Vec<Arc<CookieStore>> = Vec::new();
    for store in realms.filter_map(|realm| realm.authentication.cookies()) {
        if !found.iter().any(|other| Arc::ptr_eq(other, store)) {
            found.push(store.clone());
        }
    }
    found.into()
}

impl fmt::Debug for Realms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.slots.iter().filter_map(OnceLock::get)).finish()
    }
}

impl Shard {
    /// Which realm has this name. Another shard may just have made it.
    pub(crate) fn realm_named(&mut self, name: &str) -> Option<RealmId> {
        let realm = self.shared.realms.named(name)?;
        self.learn_realms();
        Some(realm)
    }

    /// The realm of this name, or the one that would be made if somebody were admitted to it.
    pub(crate) fn destination(&mut self, name: &str) -> Option<Destination> {
        let destination = self.shared.realms.destination(name)?;
        self.learn_realms();
        Some(destination)
    }

    /// Where a client goes that is admitted, after the realm has been made if it was not there.
    pub(crate) fn enter(&mut self, destination: &Destination) -> Result<RealmId, RealmsFull> {
        let settings = match destination {
            Destination::Realm(realm) => return Ok(*realm),
            Destination::Template(settings) => settings,
        };
        let realm = self.shared.realms.make(settings)?;
        self.learn_realms();
        Ok(realm)
    }

    /// Makes room for the realms that this shard has not heard of yet.
    pub(crate) fn learn_realms(&mut self) {
        for n in self.realms.len()..self.shared.realms.len() {
            let realm = RealmId(n as u16);
            self.realms.push(RealmState::new(&self.hasher, self.shared.realm(realm)));
            let now = self.shared.wall_time(self.now);
            self.home.open(self.id, realm, &self.shared, &self.hasher, now);
        }
    }

    /// The settings of a destination.
    pub(crate) fn settings<'a>(&'a self, destination: &'a Destination) -> &'a Realm {
        match destination {
            Destination::Realm(realm) => self.shared.realm(*realm),
            Destination::Template(settings) => settings,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use wampline_routing::uri::{MatchPolicy, UriRules};

    use super::*;

    fn template(policy: MatchPolicy, pattern: &str, uri_rules: UriRules) -> RealmTemplate {
        RealmTemplate { policy, settings: Realm { uri_rules, ..Realm::new(pattern) } }
    }

    fn realms(more: usize) -> Realms {
        let configured = vec![Realm::new("com.example.fixed"), Realm::new("other")];
        let templates = vec![
            template(MatchPolicy::Prefix, "com.example.", UriRules::Strict),
            template(MatchPolicy::Wildcard, "org..sandbox", UriRules::Loose),
        ];
        Realms::new(configured, templates, more)
    }

    fn make(realms: &Realms, name: &str) -> Result<RealmId, RealmsFull> {
        match realms.destination(name).unwrap() {
            Destination::Realm(realm) => Ok(realm),
            Destination::Template(settings) => realms.make(&settings),
        }
    }

    #[test]
    fn a_realm_is_made_once_and_like_its_template() {
        let realms = realms(10);
        assert_eq!(realms.named("com.example.a"), None);
        assert_eq!(make(&realms, "com.example.a"), Ok(RealmId(2)));
        assert_eq!(make(&realms, "org.b.sandbox"), Ok(RealmId(3)));
        assert_eq!(make(&realms, "com.example.a"), Ok(RealmId(2)));
        assert_eq!((realms.named("com.example.a"), realms.len()), (Some(RealmId(2)), 4));
        let made = realms.get(RealmId(2));
        assert_eq!((made.name.as_str(), made.uri_rules), ("com.example.a", UriRules::Strict));
        assert_eq!(realms.get(RealmId(3)).uri_rules, UriRules::Loose);
        assert_eq!(realms.get(RealmId(0)).name, "com.example.fixed");
    }

    #[test]
    fn a_realm_of_the_configuration_is_its_own() {
        let realms = realms(10);
        assert!(matches!(realms.destination("com.example.fixed"), Some(Destination::Realm(RealmId(0)))));
        assert_eq!(realms.get(RealmId(0)).uri_rules, UriRules::Loose, "not that of the template");
    }

    #[test]
    fn names_that_no_realm_can_have() {
        let realms = Realms::new(Vec::new(), vec![template(MatchPolicy::Prefix, "", UriRules::Loose)], 10);
        let long = "a".repeat(256);
        for name in ["", "a b", "a..b", "wamp", "wamp.x", "a#", &long] {
            assert!(realms.destination(name).is_none(), "{name:?}");
        }
        assert!(realms.destination(&long[1..]).is_some());
        let strict = self::realms(10);
        assert!(strict.destination("com.example.A").is_none());
        assert!(strict.destination("com.example").is_none(), "no template");
    }

    #[test]
    fn the_number_of_realms_is_bounded() {
        let realms = realms(2);
        let waits = realms.destination("com.example.c").unwrap();
        make(&realms, "com.example.a").unwrap();
        make(&realms, "com.example.b").unwrap();
        let Destination::Template(settings) = waits else { panic!("it is not there") };
        assert_eq!(realms.make(&settings), Err(RealmsFull));
        assert_eq!((realms.len(), realms.named("com.example.c")), (4, None));
        assert_eq!(make(&realms, "com.example.a"), Ok(RealmId(2)), "those that are there stay");
        assert_eq!(
            Realms::new(Vec::new(), Vec::new(), usize::MAX).slots.len(),
            0,
            "no room without templates"
        );
        let most = Realms::new(
            vec![Realm::new("a")],
            vec![template(MatchPolicy::Prefix, "b.", UriRules::Loose)],
            usize::MAX,
        );
        assert_eq!(most.slots.len(), REALMS_MAX);
    }

    #[test]
    fn threads_that_make_the_same_realms_agree() {
        let realms = realms(50);
        let ids: BTreeSet<Vec<u16>> = std::thread::scope(|scope| {
            let make_all =
                || (0..50).map(|n| make(&realms, &format!("com.example.r{n}")).unwrap().0).collect();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(make_all)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1, "everybody has the same ids");
        let all: BTreeSet<u16> = ids.into_iter().flatten().collect();
        assert!(all.into_iter().eq(2..52), "each its own");
    }
}
