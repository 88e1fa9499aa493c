//! Method `cookie`: browsers that another method admitted before.
//!
//! The value of a cookie is 256 random bits that the transport draws and sets; here only its SHA-256 is kept. Nothing is
//! remembered under a value that the router did not issue, so nobody can plant one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Method;
use crate::admission::Grant;
use crate::error::{ConfigError, check_range};
use crate::secret::sha256;

/// Cookies that one store may hold, at most.
const CAPACITY_MAX: u64 = 10_000_000;
/// Seconds that a cookie may admit, at most: 400 days, as long as browsers keep one.
const MAX_AGE_SECONDS_MAX: u64 = 400 * 24 * 60 * 60;

/// Whom the cookies of browsers stand for. In memory, bounded, shared by all shards; every operation is short.
#[derive(Debug)]
pub struct CookieStore {
    records: Mutex<Records>,
    capacity: usize,
    max_age_millis: u64,
}

#[derive(Default)]
struct Records {
    by_digest: HashMap<[u8; 32], Record>,
    /// In the order in which they were remembered, and so, but for those that end early, of their end. Digests that
    /// were forgotten stay until they come to the front.
    order: VecDeque<([u8; 32], u64)>,
    /// Numbers the records, so that an entry of `order` is known from one of the same digest that came later.
    next: u64,
}

/// Whom a cookie stands for.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The realm that the session asked for.
    pub(crate) realm: Box<str>,
    /// The authid that it got.
    pub(crate) authid: Box<str>,
    pub(crate) grant: Grant,
    pub(crate) provider: &'static str,
    /// The method that admitted it, and its name there, if the router knows the principal itself: then it is looked
    /// up again, since it may be gone or have another role.
    pub(crate) principal: Option<(Method, Box<str>)>,
    /// Until when it admits, in milliseconds.
    until: u64,
    number: u64,
}

impl CookieStore {
    /// A store of at most `capacity` cookies, each of which admits for so many seconds after the login that it comes
    /// from. A login beyond the capacity makes it forget the oldest.
    ///
    /// # Errors
    /// If the capacity is not 1 to 10,000,000, or the age not 1 second to 400 days.
    pub fn new(capacity: usize, max_age_seconds: u64) -> Result<CookieStore, ConfigError> {
        check_range("capacity", capacity as u64, 1, CAPACITY_MAX)?;
        check_range("max_age", max_age_seconds, 1, MAX_AGE_SECONDS_MAX)?;
        let max_age_millis = max_age_seconds * 1000;
        Ok(CookieStore { records: Mutex::default(), capacity, max_age_millis })
    }
    /// Whether the cookie of this value admits somebody: if not, the transport issues another.
    pub fn knows(&self, cookie: &str, unix_millis: u64) -> bool {
        let digest = sha256(cookie.as_bytes());
        self.lock().by_digest.get(&digest).is_some_and(|record| record.until > unix_millis)
    }
    /// Forgets the cookie of this value.
    pub fn forget(&self, cookie: &str) {
        self.lock().by_digest.remove(&sha256(cookie.as_bytes()));
    }
    /// Forgets every cookie that stands for `authid` in `realm`. Takes time in proportion to the store.
    pub fn forget_authid(&self, realm: &str, authid: &str) {
        self.lock().by_digest.retain(|_, record| *record.realm != *realm || *record.authid != *authid);
    }
    /// How many cookies are remembered.
    pub fn len(&self) -> usize {
        self.lock().by_digest.len()
    }
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whom the cookie stands for.
    pub(crate) fn find(&self, cookie: &str, unix_millis: u64) -> Option<Record> {
        let digest = sha256(cookie.as_bytes());
        self.lock().by_digest.get(&digest).filter(|record| record.until > unix_millis).cloned()
    }
    /// Remembers a login under this value, until its age or `until` ends it.
    pub(crate) fn remember(&self, cookie: &str, login: &Login<'_>, unix_millis: u64) {
        let digest = sha256(cookie.as_bytes());
        let until = unix_millis.saturating_add(self.max_age_millis).min(login.until.unwrap_or(u64::MAX));
        let mut records = self.lock();
        let number = records.next;
        records.next += 1;
        let record = Record {
            realm: login.realm.into(),
            authid: login.authid.into(),
            grant: login.grant.clone(),
            provider: login.provider,
            principal: login.principal.map(|(method, name)| (method, name.into())),
            until,
            number,
        };
        records.by_digest.insert(digest, record);
        records.order.push_back((digest, number));
        records.trim(self.capacity, unix_millis);
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A login to be remembered.
pub(crate) struct Login<'a> {
    pub(crate) realm: &'a str,
    pub(crate) authid: &'a str,
    pub(crate) grant: &'a Grant,
    pub(crate) provider: &'static str,
    pub(crate) principal: Option<(Method, &'a str)>,
    pub(crate) until: Option<u64>,
}

impl Records {
    /// Forgets what has ended at the front, and the oldest beyond the capacity.
    fn trim(&mut self, capacity: usize, unix_millis: u64) {
        while let Some((digest, number)) = self.order.front().copied() {
            let record = self.by_digest.get(&digest).filter(|record| record.number == number);
            let is_over = record.is_none_or(|record| record.until <= unix_millis);
            if !is_over && self.by_digest.len() <= capacity && self.order.len() <= capacity.saturating_mul(2)
            {
                break;
            }
            if record.is_some() {
                self.by_digest.remove(&digest);
            }
            self.order.pop_front();
        }
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Records({})", self.by_digest.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn remember(store: &CookieStore, cookie: &str, authid: &str, now: u64) {
        let grant = Grant::role("user").unwrap();
        let login = Login {
            realm: "realm1",
            authid,
            grant: &grant,
            provider: "static",
            principal: None,
            until: None,
        };
        store.remember(cookie, &login, now);
    }

    #[test]
    fn a_cookie_admits_until_it_is_over() {
        let store = CookieStore::new(10, 60).unwrap();
        remember(&store, "a", "joe", 1000);
        assert!(store.knows("a", 60_999));
        assert_eq!(&*store.find("a", 60_999).unwrap().authid, "joe");
        assert!(!store.knows("a", 61_000));
        assert!(store.find("b", 1000).is_none());
        remember(&store, "b", "jane", 61_000);
        assert_eq!(store.len(), 1);
        store.forget("b");
        assert!(store.is_empty());
    }

    #[test]
    fn a_store_is_bounded_whatever_happens() {
        let store = CookieStore::new(3, 60).unwrap();
        for number in 0..1000 {
            remember(&store, &format!("{}", number % 7), "joe", number);
            assert!(store.len() <= 3);
            assert!(store.lock().order.len() <= 6);
        }
        let newest = ["3", "4", "5"].map(|cookie| store.knows(cookie, 1000));
        assert_eq!(newest.iter().filter(|knows| **knows).count(), 3);
        store.forget_authid("realm2", "joe");
        assert_eq!(store.len(), 3);
        store.forget_authid("realm1", "joe");
        assert!(store.is_empty());
    }

    #[test]
    fn one_cookie_stands_for_the_latest_login() {
        let store = CookieStore::new(2, 60).unwrap();
        remember(&store, "a", "joe", 0);
        remember(&store, "a", "jane", 30_000);
        remember(&store, "b", "jim", 61_000);
        assert_eq!(&*store.find("a", 61_000).unwrap().authid, "jane");
    }

    #[test]
    fn unbearable_stores_are_refused() {
        for (capacity, age) in [(0, 1), (1, 0), (usize::MAX, 1), (1, u64::MAX)] {
            assert!(matches!(CookieStore::new(capacity, age), Err(ConfigError::OutOfRange { .. })));
        }
    }
}
