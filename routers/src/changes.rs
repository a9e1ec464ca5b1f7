//! Header changes of routes, virtual hosts and tables: `request_headers_to_add` and its kin.
//!
//! Each level is applied as Envoy does: removals first, then all values are evaluated, then
//! headers are overwritten, then added. The next level sees what the one before did.

mod compile;
mod operator;
mod value;

use std::sync::Arc;

use crossdock_framework::{
    edits::{Edit, Edits},
    route::{Scene, Template, Unchanged},
};
use smallvec::SmallVec;

use crate::rewrite::Rewrite;

pub(crate) use compile::{Levels, level, levels};
pub(crate) use value::{Missing, Sight, Value};

/// Which message is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The call on its way to the host.
    Request,
    /// The answer on its way to the caller.
    Response,
}

/// The header changes of one level of the configuration.
#[derive(Debug)]
pub(crate) struct Level {
    remove: Box<[Box<str>]>,
    change: Box<[Change]>,
}

/// A header that is set or added.
#[derive(Debug)]
struct Change {
    name: Box<str>,
    action: Action,
    value: Value,
    /// Change the header although the value came out empty.
    keep_empty: bool,
}

/// Envoy's `HeaderAppendAction`, in the order in which one level applies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Set,
    OverwriteIfExists,
    Append,
    AddIfAbsent,
}

/// The levels that apply to one message, in order.
#[derive(Debug)]
struct Changes {
    side: Side,
    levels: Box<[Arc<Level>]>,
    rewrite: Rewrite,
}

/// The template of `levels`; empty ones cost nothing.
pub(crate) fn template(side: Side, levels: &[Option<&Arc<Level>>]) -> Box<dyn Template> {
    rewriting(side, levels, Rewrite::default())
}

/// The template of `levels`, and of a rewrite after them.
pub(crate) fn rewriting(
    side: Side,
    levels: &[Option<&Arc<Level>>],
    rewrite: Rewrite,
) -> Box<dyn Template> {
    let levels: Box<[_]> = levels.iter().filter_map(|level| level.cloned()).collect();
    if levels.is_empty() && rewrite.is_empty() {
        return Box::new(Unchanged);
    }
    Box::new(Changes {
        side,
        levels,
        rewrite,
    })
}

impl Template for Changes {
    fn is_empty(&self) -> bool {
        false
    }

    fn apply(&self, scene: &Scene<'_>, edits: &mut Edits) {
        for level in &self.levels {
            for name in &level.remove {
                edits.push(Edit::Remove(name.clone()));
            }
            let sight = Sight {
                side: self.side,
                scene,
                edits,
            };
            let values: SmallVec<[_; 4]> = level
                .change
                .iter()
                .filter_map(|change| Some((change, change.evaluate(&sight)?)))
                .collect();
            for (change, value) in values {
                edits.push(change.action.edit(change.name.clone(), value));
            }
        }
        self.rewrite.apply(scene, edits);
    }
}

impl Change {
    /// The value, or `None` if the header stays as it is.
    fn evaluate(&self, sight: &Sight<'_>) -> Option<Box<str>> {
        let value = self.value.evaluate(sight);
        (self.keep_empty || !value.is_empty()).then_some(value)
    }
}

impl Action {
    fn edit(self, name: Box<str>, value: Box<str>) -> Edit {
        match self {
            Self::Set => Edit::Set(name, value),
            Self::OverwriteIfExists => Edit::OverwriteIfExists(name, value),
            Self::Append => Edit::Append(name, value),
            Self::AddIfAbsent => Edit::AddIfAbsent(name, value),
        }
    }
}

#[cfg(test)]
mod tests;
