//! The places of policies, which stay the same for as long as a connection knows them.

use std::sync::{Arc, Weak};

use crossdock_framework::snapshot::PolicyIx;

use super::ChainPlan;

/// Which filter chain has which place.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<Slot>);

#[derive(Debug)]
enum Slot {
    /// Given to a chain that is being compiled.
    Reserved,
    /// Free when the chain is gone: the listener has another one, and the last connection closed.
    Taken(Weak<ChainPlan>),
}

impl Slots {
    /// A place that no chain has.
    pub(super) fn reserve(&mut self) -> PolicyIx {
        let free = |slot: &Slot| matches!(slot, Slot::Taken(chain) if chain.strong_count() == 0);
        let at = match self.0.iter().position(free) {
            Some(at) => at,
            None => {
                self.0.push(Slot::Reserved);
                self.0.len() - 1
            }
        };
        if let Some(slot) = self.0.get_mut(at) {
            *slot = Slot::Reserved;
        }
        PolicyIx(u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// Gives a reserved place to its chain.
    pub(super) fn take(&mut self, ix: PolicyIx, chain: &Arc<ChainPlan>) {
        if let Some(slot) = self.0.get_mut(ix.0 as usize) {
            *slot = Slot::Taken(Arc::downgrade(chain));
        }
    }

    /// Frees reserved places whose chains did not come to be.
    pub(super) fn release(&mut self) {
        for slot in &mut self.0 {
            if matches!(slot, Slot::Reserved) {
                *slot = Slot::Taken(Weak::new());
            }
        }
    }

    /// The chains that there are.
    pub(super) fn living(&self) -> Vec<Arc<ChainPlan>> {
        let chains = self.0.iter().filter_map(|slot| match slot {
            Slot::Taken(chain) => chain.upgrade(),
            Slot::Reserved => None,
        });
        chains.collect()
    }
}
