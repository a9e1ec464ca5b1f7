//! What every codec obeys, whatever its protocol.
//!
//! Each law is a function of a codec and of vectors, bytes that real implementations sent. A law
//! that is broken says so with the vector and the place. The same laws drive the fuzz targets.
//!
//! [`all`] checks what needs no knowledge of the protocol. Three laws ask for more:
//! [`edits_spare_the_payload`] wants to be told where the payload is, [`views_agree`] what the
//! vectors hold, and [`probes_exclude_each_other`] the probes of all codecs together.

mod answers;
mod cut;
mod edits;
mod framing;
mod hostile;
mod ids;
mod probes;
mod views;

use std::fmt;

use crossdock_framework::codec::Codec;

use crate::vectors::Vector;

pub use answers::{every_request_can_be_answered, heartbeats_are_answered};
pub use cut::{Cut, cut_all, cut_one};
pub use edits::{edits_spare_the_payload, edits_without_effect_change_nothing};
pub use framing::{frames_follow_each_other, split_anywhere, truncation_waits};
pub use hostile::{any_input_is_harmless, mutations_do_no_harm, oversized_is_refused_early, poke};
pub use ids::{encoding_is_the_identity, only_the_id_changes};
pub use probes::{ProbeFn, probes_exclude_each_other};
pub use views::views_agree;

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The name of the law, which is the name of its function.
    pub law: &'static str,
    /// The vector it does not hold for.
    pub vector: String,
    /// What was met.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.law, self.vector, self.what)
    }
}

impl std::error::Error for Broken {}

/// What a law gives back.
pub type Law = Result<(), Broken>;

/// Checks every law that needs nothing but vectors, each of which holds one or more whole frames.
///
/// # Errors
/// The first law that is broken.
pub fn all<C: Codec>(vectors: &[Vector]) -> Law {
    split_anywhere::<C>(vectors)?;
    truncation_waits::<C>(vectors)?;
    frames_follow_each_other::<C>(vectors)?;
    encoding_is_the_identity::<C>(vectors)?;
    only_the_id_changes::<C>(vectors)?;
    every_request_can_be_answered::<C>(vectors)?;
    heartbeats_are_answered::<C>(vectors)?;
    edits_without_effect_change_nothing::<C>(vectors)?;
    oversized_is_refused_early::<C>(vectors)?;
    mutations_do_no_harm::<C>(vectors, 0, 64)
}

/// Says which law is broken for which vector.
#[derive(Clone, Copy)]
struct Case<'v> {
    law: &'static str,
    vector: &'v Vector,
}

impl<'v> Case<'v> {
    fn each(law: &'static str, vectors: &'v [Vector]) -> impl Iterator<Item = Self> {
        vectors.iter().map(move |vector| Self { law, vector })
    }

    fn broken(&self, what: impl Into<String>) -> Broken {
        Broken {
            law: self.law,
            vector: self.vector.name.clone(),
            what: what.into(),
        }
    }

    fn check(&self, holds: bool, what: impl FnOnce() -> String) -> Law {
        match holds {
            true => Ok(()),
            false => Err(self.broken(what())),
        }
    }

    /// The frames of the vector.
    fn cut<C: Codec>(&self) -> Result<Vec<Cut<C::Head>>, Broken> {
        let cuts = cut_all::<C>(&self.vector.bytes).map_err(|what| self.broken(what))?;
        self.check(!cuts.is_empty(), || "the vector is empty".to_owned())?;
        Ok(cuts)
    }
}
