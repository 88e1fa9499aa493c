//! What unknown principals are shown: challenges that could be those of known ones.
//!
//! A challenge tells how a principal's secret is salted, and WAMP-CRA's also which role it has. Such a *shape* is taken
//! from those that the known principals have, by the realm, the authid and the process's secret, so that the same
//! authid is always shown the same. A new principal changes it only for the authids that fall to its shape, if that is
//! a new one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::DecoySecret;
use crate::hex;
use crate::scram::{Dialect, Kdf, ScramRecord};
use crate::wampcra::{CraSecret, Salting};

/// Shapes that are remembered of each kind, at most.
const SHAPES_MAX: usize = 16;

/// The distinct shapes of a set of principals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    wampcra: Vec<CraShape>,
    wamp_scram: Vec<ScramShape>,
    scram: Vec<ScramShape>,
}

/// What a WAMP-CRA challenge tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CraShape {
    role: Arc<str>,
    salting: Option<(SaltForm, Salting)>,
}

/// What salts look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SaltForm {
    /// Hexadecimal digits of so many octets.
    Hex(usize),
    /// Base64 of so many octets.
    Base64(usize),
    /// So many letters and digits.
    Text(usize),
}

/// What a SCRAM challenge tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScramShape {
    kdf: Kdf,
    salt_bytes: usize,
}

impl Shapes {
    /// Takes note of a principal of `wampcra`.
    pub(crate) fn note_wampcra(&mut self, role: &Arc<str>, secret: &CraSecret) {
        let salting = secret.salting().map(|salting| {
            let form = SaltForm::of(salting.salt());
            (form, salting.with_salt("".into()))
        });
        note(&mut self.wampcra, CraShape { role: role.clone(), salting });
    }
    /// Takes note of a principal of `wamp-scram` or `scram`.
    pub(crate) fn note_scram(&mut self, record: &ScramRecord) {
        let shape = ScramShape { kdf: record.kdf(), salt_bytes: record.salt().len() };
        match record.dialect() {
            Dialect::Specification => note(&mut self.wamp_scram, shape),
            Dialect::Crossbar => note(&mut self.scram, shape),
        }
    }
    fn of_scram(&self, dialect: Dialect) -> &[ScramShape] {
        match dialect {
            Dialect::Specification => &self.wamp_scram,
            Dialect::Crossbar => &self.scram,
        }
    }
}

fn note<S: PartialEq>(shapes: &mut Vec<S>, shape: S) {
    if shapes.len() < SHAPES_MAX && !shapes.contains(&shape) {
        shapes.push(shape);
    }
}

/// What a decoy depends on.
#[derive(Clone, Copy)]
pub(crate) struct Unknown<'a> {
    pub(crate) secret: &'a DecoySecret,
    pub(crate) realm: &'a str,
    pub(crate) authid: &'a str,
}

impl Unknown<'_> {
    /// A WAMP-CRA secret that nobody has, and the role to be shown with it.
    pub(crate) fn wampcra(&self, known: &[&Shapes]) -> (CraSecret, Arc<str>) {
        let shape = self.pick(known.iter().flat_map(|shapes| &shapes.wampcra), |shape| {
            let salting = shape.salting.as_ref();
            let tag = salting.map(|(form, salting)| (form, salting.iterations(), salting.key_bytes()));
            format!("{} {tag:?}", shape.role)
        });
        let key = self.derive("wampcra key");
        let Some(shape) = shape else {
            let salt = self.salt(SaltForm::Base64(16));
            let salting = Salting::new(&salt, CraSecret::DEFAULT_ITERATIONS, 32).ok();
            return (CraSecret::decoy(key, salting), Arc::from("user"));
        };
        let salting = shape.salting.as_ref().map(|(form, salting)| salting.with_salt(self.salt(*form)));
        (CraSecret::decoy(key, salting), shape.role.clone())
    }

    /// A SCRAM record that no password leads to.
    pub(crate) fn scram(&self, dialect: Dialect, known: &[&Shapes]) -> ScramRecord {
        let shapes = known.iter().flat_map(|shapes| shapes.of_scram(dialect));
        let shape = self.pick(shapes, |shape| format!("{:?} {}", shape.kdf, shape.salt_bytes));
        let shape = shape.copied().unwrap_or(ScramShape { kdf: Kdf::DEFAULT, salt_bytes: 16 });
        let salt = self.octets(shape.salt_bytes);
        let stored_key = Zeroizing::new(self.derive("stored key"));
        let server_key = Zeroizing::new(self.derive("server key"));
        ScramRecord::from_keys(dialect, shape.kdf, &salt, stored_key, server_key)
    }

    /// The shape with the highest draw: others may come and go without a change, as long as it stays.
    fn pick<'s, S: 's>(
        &self,
        shapes: impl Iterator<Item = &'s S>,
        tag: impl Fn(&S) -> String,
    ) -> Option<&'s S> {
        shapes.max_by_key(|shape| {
            let tag = tag(shape);
            self.secret.derive("shape", &[self.realm.as_bytes(), self.authid.as_bytes(), tag.as_bytes()])
        })
    }

    fn salt(&self, form: SaltForm) -> Box<str> {
        match form {
            SaltForm::Hex(bytes) => hex::encode(&self.octets(bytes)).into(),
            SaltForm::Base64(bytes) => STANDARD.encode(self.octets(bytes)).into(),
            SaltForm::Text(bytes) => {
                const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
                let octets = self.octets(bytes);
                octets.iter().map(|octet| char::from(LETTERS[usize::from(*octet) % 62])).collect()
            }
        }
    }

    /// The first octets of the salt, as many as are wanted.
    fn octets(&self, count: usize) -> Vec<u8> {
        let mut octets = Vec::with_capacity(count.next_multiple_of(32));
        for block in 0_u32.. {
            if octets.len() >= count {
                break;
            }
            let names = [self.realm.as_bytes(), self.authid.as_bytes(), &block.to_be_bytes()];
            octets.extend_from_slice(&self.secret.derive("salt", &names));
        }
        octets.truncate(count);
        octets
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        self.secret.derive(purpose, &[self.realm.as_bytes(), self.authid.as_bytes()])
    }
}

impl SaltForm {
    fn of(salt: &str) -> SaltForm {
        if let Some(octets) = hex::decode_up_to(salt, salt.len()).filter(|_| salt == salt.to_lowercase()) {
            return SaltForm::Hex(octets.len());
        }
        match STANDARD.decode(salt) {
            Ok(octets) => SaltForm::Base64(octets.len()),
            Err(_) => SaltForm::Text(salt.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn unknown<'a>(secret: &'a DecoySecret, authid: &'a str) -> Unknown<'a> {
        Unknown { secret, realm: "realm1", authid }
    }

    fn scram(kdf: Kdf, salt_bytes: usize) -> ScramRecord {
        let zero = || Zeroizing::new([0; 32]);
        ScramRecord::from_keys(Dialect::Specification, kdf, &vec![0; salt_bytes], zero(), zero())
    }

    #[test]
    fn decoys_stay_the_same_and_differ_by_authid() {
        let secret = DecoySecret::new([3; 32]);
        let shapes = Shapes::default();
        let salt =
            |authid: &str| unknown(&secret, authid).scram(Dialect::Specification, &[&shapes]).salt_text();
        assert_eq!(salt("joe"), salt("joe"));
        assert_ne!(salt("joe"), salt("jo"));
        let elsewhere = Unknown { realm: "realm2", ..unknown(&secret, "joe") };
        assert_ne!(elsewhere.scram(Dialect::Specification, &[&shapes]).salt_text(), salt("joe"));
        let other = DecoySecret::new([4; 32]);
        assert_ne!(unknown(&other, "joe").scram(Dialect::Specification, &[]).salt_text(), salt("joe"));
    }

    #[test]
    fn shapes_are_those_of_known_principals() {
        let secret = DecoySecret::new([3; 32]);
        let kdf = Kdf::Pbkdf2 { iterations: 5000 };
        let mut shapes = Shapes::default();
        shapes.note_scram(&scram(kdf, 24));
        for authid in ["a", "b", "c", "d"] {
            let decoy = unknown(&secret, authid).scram(Dialect::Specification, &[&shapes]);
            assert_eq!((decoy.kdf(), decoy.salt().len()), (kdf, 24));
        }
        let role: Arc<str> = "operator".into();
        let salting = Salting::new("0123456789abcdef01", 4000, 20).unwrap();
        shapes.note_wampcra(&role, &CraSecret::password("x", salting).unwrap());
        let (decoy, shown) = unknown(&secret, "a").wampcra(&[&shapes]);
        let salting = decoy.salting().unwrap();
        assert_eq!((salting.iterations(), salting.key_bytes(), &*shown), (4000, 20, "operator"));
        assert_eq!(SaltForm::of(salting.salt()), SaltForm::Hex(9));
    }

    #[test]
    fn a_new_shape_moves_only_those_that_fall_to_it() {
        let secret = DecoySecret::new([3; 32]);
        let (old, new) = (Kdf::Pbkdf2 { iterations: 5000 }, Kdf::Pbkdf2 { iterations: 6000 });
        let mut before = Shapes::default();
        before.note_scram(&scram(old, 16));
        before.note_scram(&scram(old, 17));
        let mut after = before.clone();
        after.note_scram(&scram(new, 16));
        let mut moved = 0;
        for number in 0..200 {
            let authid = format!("user{number}");
            let was = unknown(&secret, &authid).scram(Dialect::Specification, &[&before]);
            let is = unknown(&secret, &authid).scram(Dialect::Specification, &[&after]);
            if is.kdf() == new {
                moved += 1;
            } else {
                assert_eq!(was.salt(), is.salt());
            }
        }
        assert!((30..100).contains(&moved), "{moved} of 200");
    }

    #[test]
    fn salts_look_like_those_of_known_principals() {
        let secret = DecoySecret::new([3; 32]);
        let unknown = unknown(&secret, "a");
        for salt in ["0123456789abcdef", "bm9ib2R5J3Mgc2FsdA==", "salt 1234", "n2T8gkTh/"] {
            let form = SaltForm::of(salt);
            let decoy = unknown.salt(form);
            assert_eq!(decoy.len(), salt.len(), "{salt}");
            assert!(!matches!(form, SaltForm::Hex(_)) || SaltForm::of(&decoy) == form, "{salt}");
        }
    }
}
