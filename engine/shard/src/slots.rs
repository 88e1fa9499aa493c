//! A slab whose slots carry guards: a key from an earlier use of a slot finds nothing.

/// Entries by slot. Slots are dense and used again; the guard tells the uses apart. Entries are boxed, so that those which have gone
/// give their memory back.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry<T> {
    guard: u32,
    value: Option<Box<T>>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Slots<T> {
        Slots { entries: Vec::new(), free: Vec::new() }
    }

    /// Adds an entry made from its slot and guard; gives both.
    pub(crate) fn insert(&mut self, make: impl FnOnce(u32, u32) -> T) -> (u32, u32) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { guard: 0, value: None });
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[slot as usize];
        entry.value = Some(Box::new(make(slot, entry.guard)));
        (slot, entry.guard)
    }

    /// The entry in a slot, whoever uses it.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.entries.get(slot as usize)?.value.as_deref()
    }

    /// The entry in a slot, whoever uses it.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.entries.get_mut(slot as usize)?.value.as_deref_mut()
    }

    /// Whether this use of the slot still goes on.
    pub(crate) fn is_live(&self, slot: u32, guard: u32) -> bool {
        self.entries.get(slot as usize).is_some_and(|entry| entry.guard == guard && entry.value.is_some())
    }

    /// Ends the use of a slot.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let entry = self.entries.get_mut(slot as usize)?;
        let value = entry.value.take()?;
        entry.guard = entry.guard.wrapping_add(1);
        self.free.push(slot);
        Some(*value)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The slots in use.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        let used = |(slot, entry): (usize, &Entry<T>)| entry.value.is_some().then_some(slot as u32);
        self.entries.iter().enumerate().filter_map(used)
    }
}

impl<T> std::ops::Index<u32> for Slots<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        self.get(slot).expect("invariant: the slot is in use")
    }
}

impl<T> std::ops::IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        self.get_mut(slot).expect("invariant: the slot is in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slots = Slots::new();
        let (slot, guard) = slots.insert(|_, _| 'a');
        assert!(slots.is_live(slot, guard));
        assert_eq!(slots.remove(slot), Some('a'));
        assert!(!slots.is_live(slot, guard));
        let (again, newer) = slots.insert(|_, _| 'b');
        assert_eq!(again, slot);
        assert_ne!(newer, guard);
        assert!(!slots.is_live(slot, guard));
        assert_eq!(slots.len(), 1);
    }
}
