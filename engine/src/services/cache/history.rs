//! What was removed of late, so that nobody stores what it read before that.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use smol_str::SmolStr;

use super::removal::{Key, means};

/// Most keys that are remembered; whoever began to read before an older removal stores nothing.
const KEYS: usize = 16_384;
/// Most names of emptied caches.
const FLUSHED: usize = 256;

/// Who stores and removes: a run of a policy. What it removes itself does not prevent it from storing the new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    /// The moment when it began to read.
    began: u64,
    /// Its number; 0 as long as it has removed nothing.
    id: u64,
}

impl Author {
    /// Somebody whose values are never outdated, and who removes for others.
    pub const OUTSIDE: Author = Author { began: u64::MAX, id: 0 };

    pub(super) fn since(moment: u64) -> Author {
        Author { began: moment, id: 0 }
    }

    /// Before it removes something: gets a number.
    pub fn removes(&mut self) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if self.id == 0 {
            self.id = NEXT.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The last removals of a key, or of a cache.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: u64,
    by: u64,
    /// The last one by anybody else.
    others: u64,
}

impl Last {
    fn again(before: Option<Last>, at: u64, by: u64) -> Last {
        let others = match before {
            Some(before) if by != 0 && before.by == by => before.others,
            Some(before) => before.at,
            None => 0,
        };
        Last { at, by, others }
    }

    fn outdates(&self, author: Author) -> bool {
        let at = if author.id != 0 && author.id == self.by { self.others } else { self.at };
        at > author.began
    }
}

/// The removals.
#[derive(Default)]
pub(super) struct History {
    /// How many there were.
    moment: u64,
    /// By key. The caches do not matter: that some other cache has the same key costs a look-up at most.
    keys: HashMap<Key, Last>,
    /// The keys in the order of their removals.
    order: VecDeque<(Key, u64)>,
    /// By what the policies called the caches.
    flushed: HashMap<SmolStr, Last>,
    /// Who began before this moment stores nothing, because removals since then are forgotten.
    floor: u64,
}

impl History {
    /// Remembers the removal of a key; returns the new moment.
    pub(super) fn removed(&mut self, key: Key, author: Author) -> u64 {
        self.moment += 1;
        let last = Last::again(self.keys.get(&key).copied(), self.moment, author.id);
        self.keys.insert(key, last);
        self.order.push_back((key, self.moment));
        while self.order.len() > KEYS {
            let Some((key, at)) = self.order.pop_front() else { break };
            self.floor = self.floor.max(at);
            if self.keys.get(&key).is_some_and(|last| last.at == at) {
                self.keys.remove(&key);
            }
        }
        self.moment
    }

    /// Remembers that a cache was emptied; returns the new moment.
    pub(super) fn flushed(&mut self, cache: &str, author: Author) -> u64 {
        if self.flushed.len() >= FLUSHED && !self.flushed.contains_key(cache) {
            self.flushed.clear();
            self.floor = self.moment;
        }
        self.moment += 1;
        let last = Last::again(self.flushed.get(cache).copied(), self.moment, author.id);
        self.flushed.insert(cache.into(), last);
        self.moment
    }

    /// Nobody who has begun stores anything; returns the new moment.
    pub(super) fn forget_everything(&mut self) -> u64 {
        *self = History { moment: self.moment + 1, floor: self.moment + 1, ..History::default() };
        self.moment
    }

    /// Whether the value was removed since the author began to read.
    pub(super) fn outdates(&self, cache: &str, key: &Key, author: Author) -> bool {
        if author.began >= self.moment {
            return false;
        }
        author.began < self.floor
            || self.keys.get(key).is_some_and(|last| last.outdates(author))
            || self.flushed.iter().any(|(id, last)| last.outdates(author) && means(id, cache))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_removed_meanwhile_is_outdated() {
        let mut history = History::default();
        let (key, other) = (Key::of("k"), Key::of("other"));
        let reader = Author::since(0);
        history.removed(key, Author::OUTSIDE);
        assert!(history.outdates("a", &key, reader));
        assert!(!history.outdates("a", &other, reader));
        assert!(!history.outdates("a", &key, Author::since(1)), "it began after that");
        assert!(!history.outdates("a", &key, Author::OUTSIDE));
        history.flushed("a:#", Author::OUTSIDE);
        assert!(history.outdates("a:30", &other, reader) && !history.outdates("a", &other, reader));
    }

    #[test]
    fn what_it_removed_itself_is_not_in_its_way() {
        let mut history = History::default();
        let key = Key::of("k");
        let (mut one, mut two) = (Author::since(0), Author::since(0));
        one.removes();
        two.removes();
        history.removed(key, one);
        history.removed(key, one);
        assert!(!history.outdates("a", &key, one) && history.outdates("a", &key, two));
        history.removed(key, two);
        assert!(history.outdates("a", &key, one), "another one removed it later");
        assert!(history.outdates("a", &key, two), "another one removed it before, but while it read");
    }

    #[test]
    fn forgotten_removals_count_for_all() {
        let mut history = History::default();
        let reader = Author::since(0);
        for n in 0..=KEYS {
            history.removed(Key::of(&n.to_string()), Author::OUTSIDE);
        }
        assert_eq!(history.order.len(), KEYS);
        assert!(history.outdates("a", &Key::of("any"), reader));
        assert!(!history.outdates("a", &Key::of("any"), Author::since(1)));
        for n in 0..=FLUSHED {
            history.flushed(&n.to_string(), Author::OUTSIDE);
        }
        assert!(history.flushed.len() <= FLUSHED);
        let late = Author::since(history.moment);
        history.forget_everything();
        assert!(
            history.outdates("a", &Key::of("any"), late)
                && !history.outdates("a", &Key::of("any"), Author::since(history.moment))
        );
    }
}
