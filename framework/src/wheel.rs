//! One coarse timer wheel a worker: arming and cancelling a deadline costs a few nanoseconds and
//! no allocation, because a thousand calls are cancelled for one that expires.

/// How finely deadlines are kept: 2^3 = 8 ms. A deadline never expires early, and at most one
/// tick (plus the wait for the worker's turn) late.
const TICK_SHIFT: u32 = 3;

/// Buckets of the wheel; one turn takes 8.2 s. Later deadlines wait in their bucket for another
/// turn.
const BUCKETS: usize = 1024;

const NONE: u32 = u32::MAX;

/// A timer that may be cancelled. Stale ids are recognised by their generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerId {
    node: u32,
    generation: u32,
}

#[derive(Debug)]
struct Node<K> {
    at_tick: u64,
    key: Option<K>,
    prev: u32,
    next: u32,
    generation: u32,
}

/// Timers with the key that each hands out when it expires.
#[derive(Debug)]
pub struct Wheel<K> {
    nodes: Vec<Node<K>>,
    free: u32,
    heads: Box<[u32]>,
    occupied: [u64; BUCKETS / 64],
    tick: u64,
    len: usize,
}

impl<K> Default for Wheel<K> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            free: NONE,
            heads: vec![NONE; BUCKETS].into(),
            occupied: [0; BUCKETS / 64],
            tick: 0,
            len: 0,
        }
    }
}

impl<K> Wheel<K> {
    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Arms a timer for the millisecond `at_ms`.
    #[inline]
    pub fn arm(&mut self, at_ms: u64, key: K) -> TimerId {
        let at_tick = ((at_ms >> TICK_SHIFT) + 1).max(self.tick + 1);
        let bucket = at_tick as usize % BUCKETS;
        let next = self.heads[bucket];
        let node = self.take_node(at_tick, key, next);
        if next != NONE {
            self.nodes[next as usize].prev = node;
        }
        self.heads[bucket] = node;
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
        self.len += 1;
        TimerId {
            node,
            generation: self.nodes[node as usize].generation,
        }
    }

    /// Cancels a timer; nothing happens if it has expired or was cancelled before.
    #[inline]
    pub fn cancel(&mut self, id: TimerId) {
        let armed = self.nodes.get(id.node as usize);
        if armed.is_some_and(|node| node.generation == id.generation && node.key.is_some()) {
            self.unlink(id.node);
        }
    }

    /// Takes every timer that is due at `now_ms` out of the wheel and appends its key to `due`.
    pub fn expire(&mut self, now_ms: u64, due: &mut Vec<K>) {
        let target = now_ms >> TICK_SHIFT;
        if self.len == 0 || target.saturating_sub(self.tick) >= BUCKETS as u64 {
            // One look at every bucket does for any longer sleep.
            self.tick = self.tick.max(target.saturating_sub(BUCKETS as u64));
        }
        while self.tick < target {
            self.tick += 1;
            let bucket = self.tick as usize % BUCKETS;
            if self.occupied[bucket / 64] & (1 << (bucket % 64)) != 0 {
                self.expire_bucket(bucket, target, due);
            }
        }
    }

    /// The millisecond at which [`Wheel::expire`] has to be called next, if any timer is armed.
    pub fn next_ms(&self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let start = self.tick + 1;
        let ahead = (0..BUCKETS as u64).find(|ahead| {
            let bucket = (start + ahead) as usize % BUCKETS;
            self.occupied[bucket / 64] & (1 << (bucket % 64)) != 0
        })?;
        Some((start + ahead) << TICK_SHIFT)
    }

    fn expire_bucket(&mut self, bucket: usize, target: u64, due: &mut Vec<K>) {
        let mut at = self.heads[bucket];
        while at != NONE {
            let node = &self.nodes[at as usize];
            let next = node.next;
            if node.at_tick <= target {
                due.extend(self.unlink(at));
            }
            at = next;
        }
    }

    fn take_node(&mut self, at_tick: u64, key: K, next: u32) -> u32 {
        let free = self.free;
        if free == NONE {
            let node = self.nodes.len() as u32;
            self.nodes.push(Node {
                at_tick,
                key: Some(key),
                prev: NONE,
                next,
                generation: 0,
            });
            return node;
        }
        let node = &mut self.nodes[free as usize];
        self.free = node.next;
        node.at_tick = at_tick;
        node.key = Some(key);
        node.prev = NONE;
        node.next = next;
        free
    }

    fn unlink(&mut self, at: u32) -> Option<K> {
        let free = self.free;
        let node = &mut self.nodes[at as usize];
        let (prev, next) = (node.prev, node.next);
        let bucket = node.at_tick as usize % BUCKETS;
        let key = node.key.take();
        node.generation = node.generation.wrapping_add(1);
        node.next = free;
        self.free = at;
        self.len -= 1;
        if next != NONE {
            self.nodes[next as usize].prev = prev;
        }
        if prev != NONE {
            self.nodes[prev as usize].next = next;
        } else {
            self.heads[bucket] = next;
            if next == NONE {
                self.occupied[bucket / 64] &= !(1 << (bucket % 64));
            }
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(wheel: &mut Wheel<u32>, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.expire(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn timers_expire_once_and_never_early() {
        let mut wheel = Wheel::default();
        for (at, key) in [(5, 1), (100, 2), (100, 3), (20_000, 4)] {
            wheel.arm(at, key);
        }
        assert_eq!(wheel.next_ms(), Some(8));
        assert_eq!(expired(&mut wheel, 4), []);
        assert_eq!(expired(&mut wheel, 16), [1]);
        assert_eq!(expired(&mut wheel, 100), []);
        assert_eq!(expired(&mut wheel, 108), [2, 3]);
        assert_eq!(expired(&mut wheel, 19_990), []);
        assert_eq!(expired(&mut wheel, 20_010), [4]);
        assert!(wheel.is_empty() && wheel.next_ms().is_none());
    }

    #[test]
    fn cancelled_timers_are_gone_and_stale_ids_harmless() {
        let mut wheel = Wheel::default();
        let first = wheel.arm(50, 1);
        wheel.cancel(first);
        wheel.cancel(first);
        let second = wheel.arm(50, 2);
        wheel.cancel(first);
        assert_eq!(wheel.len(), 1);
        assert_eq!(expired(&mut wheel, 60), [2]);
        wheel.cancel(second);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let mut wheel = Wheel::default();
        for at in 0..5000 {
            wheel.arm(at * 7, at as u32);
        }
        assert_eq!(expired(&mut wheel, 1_000_000).len(), 5000);
    }

    #[test]
    fn agrees_with_a_sorted_list_under_random_use() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut wheel = Wheel::default();
        let mut model: Vec<(u64, u32, TimerId)> = Vec::new();
        let mut now = 0;
        for key in 0..20_000 {
            match rng.u8(..10) {
                0..6 => {
                    let at = now + rng.u64(..30_000);
                    model.push((at, key, wheel.arm(at, key)));
                }
                6..8 if !model.is_empty() => {
                    let (_, _, id) = model.swap_remove(rng.usize(..model.len()));
                    wheel.cancel(id);
                }
                _ => {
                    now += rng.u64(..200);
                    for key in expired(&mut wheel, now) {
                        let at = model
                            .iter()
                            .position(|entry| entry.1 == key)
                            .expect("armed");
                        assert!(model.swap_remove(at).0 <= now, "never early");
                    }
                    assert!(
                        model.iter().all(|entry| entry.0 + 16 > now),
                        "at most two ticks late"
                    );
                    assert_eq!(model.len(), wheel.len());
                }
            }
        }
    }
}
