//! Buckets by key, in bounded memory.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash},
    sync::{Mutex, PoisonError},
};

use crossdock_framework::time::Moment;

use crate::bucket::{Bucket, Level, Rate};

/// Places that are looked at for one that can be given away, each time that a new key comes and all
/// are taken.
const LOOKED_AT: usize = 16;

/// A bucket for each key that is in use, for a limited number of keys.
///
/// A place is given to another key only once its bucket is full again, so a key that comes back
/// finds no more tokens than it would have had: rotating keys refills nothing. While all places are
/// taken, the keys without one share a single bucket of the same size.
///
/// Keys are told apart by a hash that nobody outside can foresee.
#[derive(Debug)]
pub(crate) struct Keyed {
    rate: Rate,
    most: usize,
    hasher: RandomState,
    places: Mutex<Places>,
    rest: Bucket,
}

/// What stands for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

#[derive(Debug, Default)]
struct Places {
    by_key: HashMap<Key, usize>,
    list: Vec<Place>,
    /// Where to look next for a place to give away.
    hand: usize,
}

/// A bucket and whose it is.
#[derive(Debug)]
struct Place {
    key: Key,
    taken: u64,
}

impl Keyed {
    /// Buckets for at most `most` keys.
    pub(crate) fn new(rate: Rate, most: usize) -> Self {
        Self {
            rate,
            most,
            hasher: RandomState::new(),
            places: Mutex::default(),
            rest: Bucket::new(rate),
        }
    }

    /// What stands for a key here.
    pub(crate) fn key(&self, key: impl Hash) -> Key {
        Key(self.hasher.hash_one(key))
    }

    /// Takes a token from the bucket of a key, if there is one.
    pub(crate) fn take(&self, key: Key, now: Moment) -> Level {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = places.find(key, self.most, self.rate, now) else {
            drop(places);
            return self.rest.take(now);
        };
        let Some(place) = places.list.get_mut(at) else {
            return self.rest.take(now);
        };
        let next = self.rate.take(place.taken, now);
        place.taken = next.unwrap_or(place.taken);
        self.rate.level(place.taken, now, next.is_some())
    }
}

impl Places {
    /// The place of a key: its own, a new one, or one that is given away.
    fn find(&mut self, key: Key, most: usize, rate: Rate, now: Moment) -> Option<usize> {
        if let Some(at) = self.by_key.get(&key) {
            return Some(*at);
        }
        let place = Place { key, taken: 0 };
        let at = match self.list.len() < most {
            true => {
                self.list.push(place);
                self.list.len() - 1
            }
            false => {
                let at = self.spare(rate, now)?;
                let before = std::mem::replace(self.list.get_mut(at)?, place);
                self.by_key.remove(&before.key);
                at
            }
        };
        self.by_key.insert(key, at);
        Some(at)
    }

    /// A place whose bucket is full again, and as good as a new one.
    fn spare(&mut self, rate: Rate, now: Moment) -> Option<usize> {
        for _ in 0..LOOKED_AT.min(self.list.len()) {
            let at = self.hand;
            self.hand = (at + 1) % self.list.len();
            if rate.is_full(self.list.get(at)?.taken, now) {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
