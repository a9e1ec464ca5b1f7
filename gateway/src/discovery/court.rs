//! Who judges what is discovered: the engine compiles it, and new listeners must get their
//! addresses.

use crossdock_xds::{
    Problem,
    discovery::{Discovered, Judge, Kind, Resources, Update},
};

use super::Engine;
use crate::listeners::Ports;

/// The engine, and the addresses that listeners have.
pub(super) struct Court<'a> {
    pub(super) engine: &'a mut Engine,
    /// `None` where nothing is to be bound.
    pub(super) ports: Option<&'a mut Ports>,
}

impl Judge for Court<'_> {
    fn wanted(&self) -> &Resources {
        self.engine.wanted()
    }

    fn consider<M: Discovered>(&mut self, update: &Update<M>) -> Result<Resources, Vec<Problem>> {
        let resources = self.engine.consider(update)?;
        if M::KIND != Kind::Listener {
            return Ok(resources);
        }
        let Some(ports) = &mut self.ports else {
            return Ok(resources);
        };
        let plans = self.engine.listeners_of(&resources);
        let Err(reasons) = ports.reserve(plans.iter()) else {
            return Ok(resources);
        };
        let problem = |(name, reason): (_, String)| {
            let listener = resources.listeners.get(&name)?;
            Some(listener.origin.problem("address", reason, ""))
        };
        Err(reasons.into_iter().filter_map(problem).collect())
    }

    fn want(&mut self, resources: Resources) {
        self.engine.want(resources);
    }
}
