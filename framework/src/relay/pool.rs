//! The upstream connections of one worker to one host.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
};

use super::{table::CallKey, up::Up};
use crate::{
    cluster::ClusterSettings,
    codec::{Codec, PoolMode},
    frame::Variant,
};

/// Pools are kept apart by host and by protocol variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PoolKey {
    pub(super) host: u64,
    pub(super) variant: Variant,
}

/// Multiplies and folds: host ids are small consecutive numbers, not chosen by a peer.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

pub(super) type Pools<C> = HashMap<PoolKey, Pool<C>, BuildHasherDefault<KeyHasher>>;

/// Connections to one host in one variant.
pub(super) struct Pool<C: Codec> {
    pub(super) connections: Vec<Rc<Up<C>>>,
    /// Calls that wait for a free ping-pong connection.
    pub(super) waiting: VecDeque<CallKey>,
}

impl<C: Codec> Default for Pool<C> {
    fn default() -> Self {
        Self {
            connections: Vec::new(),
            waiting: VecDeque::new(),
        }
    }
}

/// Connections that finish their last calls do not count against `connections_per_host`, up to
/// this many times that number.
const LEAVING: usize = 4;

/// Calls that may wait in line for a ping-pong connection to one host.
const MAX_IN_LINE: usize = 1024;

/// What a pool offers a call.
pub(super) enum Offer<C: Codec> {
    /// This connection; it may still be opening.
    Take(Rc<Up<C>>),
    /// This connection, and open another one for the calls after it.
    TakeAndOpen(Rc<Up<C>>),
    /// A new connection has to be opened.
    Open,
    /// All connections are busy and there may be no more of them: wait in line.
    Wait,
}

impl<C: Codec> Pool<C> {
    /// Fills one connection before the next is used: few connections mean large batches, and
    /// socket writes are what a relay costs.
    #[inline]
    pub(super) fn offer(&self, settings: &ClusterSettings) -> Offer<C> {
        match C::POOL {
            PoolMode::Multiplex => self.offer_shared(settings),
            PoolMode::PingPong => self.offer_free(settings),
            PoolMode::Binding => Offer::Open,
        }
    }

    fn offer_shared(&self, settings: &ClusterSettings) -> Offer<C> {
        let mut usable = self.connections.iter().filter(|up| up.takes_calls());
        let roomy = |up: &&Rc<Up<C>>| {
            up.calls.get() < settings.fill_calls && up.unwritten() < settings.fill_bytes
        };
        // An open connection with room goes before an opening one.
        let mut opening = None;
        for up in usable.by_ref() {
            match (up.is_open(), roomy(&up)) {
                (true, true) => return Offer::Take(Rc::clone(up)),
                (false, true) => opening = opening.or(Some(up)),
                (_, false) => {}
            }
        }
        if let Some(up) = opening {
            return Offer::Take(Rc::clone(up));
        }
        let may_open = self.connections.len() < settings.connections_per_host as usize;
        let least = self.connections.iter().filter(|up| up.takes_calls());
        match least.min_by_key(|up| (!up.is_open(), up.calls.get())) {
            Some(up) if may_open => Offer::TakeAndOpen(Rc::clone(up)),
            Some(up) => Offer::Take(Rc::clone(up)),
            None if self.connections.len() < settings.connections_per_host as usize * LEAVING => {
                Offer::Open
            }
            None => Offer::Wait,
        }
    }

    fn offer_free(&self, settings: &ClusterSettings) -> Offer<C> {
        let free = |up: &&Rc<Up<C>>| up.takes_calls() && up.calls.get() == 0;
        match self.connections.iter().find(free) {
            Some(up) => Offer::Take(Rc::clone(up)),
            None if self.connections.len() < settings.connections_per_host as usize => Offer::Open,
            None => Offer::Wait,
        }
    }

    /// Whether a call may wait for a free connection: there is one to wait for, and the line is not
    /// too long.
    pub(super) fn has_room_in_line(&self) -> bool {
        C::POOL == PoolMode::PingPong
            && !self.connections.is_empty()
            && self.waiting.len() < MAX_IN_LINE
    }

    /// Forgets a connection.
    pub(super) fn remove(&mut self, up: &Rc<Up<C>>) {
        self.connections.retain(|other| !Rc::ptr_eq(other, up));
    }
}
