//! The calls of one worker and protocol, found by the id under which they went upstream.

use std::collections::VecDeque;

use crate::frame::WireId;

/// A place in the table and which of its tenants is meant. Doubles as the wire id upstream, so a
/// late, repeated or foreign response finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallKey {
    slot: u32,
    generation: u32,
}

impl CallKey {
    /// For timers.
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// The inverse of [`CallKey::pack`].
    pub(crate) fn unpack(packed: u64) -> Self {
        Self {
            slot: packed as u32,
            generation: (packed >> 32) as u32,
        }
    }
}

/// How slot and generation share the bits of a wire id.
#[derive(Clone, Copy, Debug)]
struct Layout {
    slot_bits: u32,
    generation_mask: u32,
}

impl Layout {
    /// 64 bits hold both whole. In 32 bits (Bolt) a worker has 2^17 calls in flight at most and
    /// 2^15 generations of each slot; slots are reused first in, first out, so an id comes back
    /// only after at least [`MIN_SLOTS`] × 2^15 = 33 million calls.
    fn of(id_bits: u32) -> Self {
        match id_bits {
            64.. => Self {
                slot_bits: 32,
                generation_mask: u32::MAX,
            },
            bits => {
                let slot_bits = 17.min(bits / 2 + 1);
                Self {
                    slot_bits,
                    generation_mask: (1 << (bits - slot_bits).min(31)) - 1,
                }
            }
        }
    }
}

/// Slots made at once, so that ids are not reused soon even when few calls are in flight.
const MIN_SLOTS: u32 = 1024;

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// A slab whose keys fit into wire ids.
#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    free: VecDeque<u32>,
    layout: Layout,
    addressable: u32,
    max: u32,
    len: u32,
}

impl<T> Table<T> {
    /// A table for wire ids of `id_bits` bits and at most `max` calls.
    pub(crate) fn new(id_bits: u32, max: u32) -> Self {
        let layout = Layout::of(id_bits);
        // The last slot is never given to a call: heartbeats use its ids.
        let addressable = ((1_u64 << layout.slot_bits) - 1).min(u64::from(u32::MAX)) as u32;
        Self {
            entries: Vec::new(),
            free: VecDeque::new(),
            layout,
            addressable,
            max: max.min(addressable),
            len: 0,
        }
    }

    /// How many calls there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Gives `value` a place, or gives it back when the table is full.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Result<CallKey, T> {
        if self.len >= self.max {
            return Err(value);
        }
        if self.free.is_empty() {
            self.grow();
        }
        let Some(slot) = self.free.pop_front() else {
            return Err(value);
        };
        let Some(entry) = self.entries.get_mut(slot as usize) else {
            return Err(value);
        };
        entry.value = Some(value);
        self.len += 1;
        Ok(CallKey {
            slot,
            generation: entry.generation,
        })
    }

    /// The call behind a key, if it is still there.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: CallKey) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        entry
            .value
            .as_mut()
            .filter(|_| entry.generation == key.generation)
    }

    /// Takes the call behind a key out.
    #[inline]
    pub(crate) fn remove(&mut self, key: CallKey) -> Option<T> {
        let mask = self.layout.generation_mask;
        let entry = self.entries.get_mut(key.slot as usize)?;
        if entry.generation != key.generation || entry.value.is_none() {
            return None;
        }
        entry.generation = entry.generation.wrapping_add(1) & mask;
        self.free.push_back(key.slot);
        self.len -= 1;
        // Taken last, so that a long value is moved once.
        entry.value.take()
    }

    /// The keys of all calls that `wanted` holds for. Walks the whole table: for the end of a
    /// connection, not for the path of a call.
    pub(crate) fn keys_where(&self, mut wanted: impl FnMut(&T) -> bool) -> Vec<CallKey> {
        let calls = self.entries.iter().enumerate();
        let wanted = calls.filter(|(_, entry)| entry.value.as_ref().is_some_and(&mut wanted));
        wanted
            .map(|(slot, entry)| CallKey {
                slot: slot as u32,
                generation: entry.generation,
            })
            .collect()
    }

    /// The id that the call behind `key` carries upstream.
    #[inline]
    pub(crate) fn wire_id(&self, key: CallKey) -> WireId {
        WireId(u64::from(key.generation) << self.layout.slot_bits | u64::from(key.slot))
    }

    /// The key that a response's id names.
    #[inline]
    pub(crate) fn key(&self, id: WireId) -> CallKey {
        let slot = id.0 & ((1 << self.layout.slot_bits) - 1);
        CallKey {
            slot: slot as u32,
            generation: (id.0 >> self.layout.slot_bits) as u32,
        }
    }

    /// The `count`th id that no call ever has: heartbeats carry these.
    pub(crate) fn spare_id(&self, count: u32) -> WireId {
        let slot = (1_u64 << self.layout.slot_bits) - 1;
        let generation = count & self.layout.generation_mask;
        WireId(u64::from(generation) << self.layout.slot_bits | slot)
    }

    fn grow(&mut self) {
        let have = self.entries.len() as u32;
        let most = self.max.max(MIN_SLOTS).min(self.addressable);
        let want = have.saturating_mul(2).clamp(MIN_SLOTS.min(most), most);
        self.entries.extend((have..want).map(|_| Entry {
            generation: 0,
            value: None,
        }));
        self.free.extend(have..want);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_id_finds_nothing() {
        for bits in [32, 64] {
            let mut table = Table::new(bits, 100);
            let key = table.insert("a").expect("room");
            let id = table.wire_id(key);
            assert!(bits == 64 || id.0 <= u64::from(u32::MAX));
            assert_eq!(table.key(id), key);
            assert_eq!(table.remove(key), Some("a"));
            for _ in 0..5000 {
                let key = table.insert("b").expect("room");
                assert_ne!(table.wire_id(key), id, "an id is not reused soon");
                assert!(table.get_mut(table.key(id)).is_none());
                table.remove(key);
            }
        }
    }

    #[test]
    fn narrow_ids_wrap_without_mixing_calls() {
        let mut table = Table::new(8, 3);
        for round in 0..100_000_u32 {
            let (a, b) = (
                table.insert(round).expect("room"),
                table.insert(!round).expect("room"),
            );
            for (key, value) in [(a, round), (b, !round)] {
                let id = table.wire_id(key);
                assert!(id.0 < 256);
                assert_eq!(table.get_mut(table.key(id)), Some(&mut { value }));
            }
            assert_eq!(
                (table.remove(b), table.remove(a)),
                (Some(!round), Some(round))
            );
        }
    }

    #[test]
    fn full_is_full_and_spare_ids_are_nobodys() {
        let mut table = Table::new(32, 2);
        let first = table.insert(1).expect("room");
        table.insert(2).expect("room");
        assert_eq!(table.insert(3), Err(3));
        assert!((0..100).all(|n| {
            let key = table.key(table.spare_id(n));
            table.get_mut(key).is_none()
        }));
        assert_eq!((table.remove(first), table.remove(first)), (Some(1), None));
        assert_eq!(table.keys_where(|value| *value == 2).len(), 1);
    }

    #[test]
    fn keys_pack_into_timers() {
        let key = CallKey {
            slot: 7,
            generation: u32::MAX,
        };
        assert_eq!(CallKey::unpack(key.pack()), key);
    }
}
