//! Shares of calls.

use crossdock_framework::route::Facts;
use crossdock_xds::envoy_types::pb::envoy::{
    config::core::v3::RuntimeFractionalPercent,
    r#type::v3::{FractionalPercent, fractional_percent::DenominatorType},
};

/// A share of all calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percent {
    numerator: u32,
    denominator: u32,
}

impl Percent {
    /// No call.
    pub(crate) const NONE: Self = Self {
        numerator: 0,
        denominator: 100,
    };

    /// The share that is configured, or no call.
    pub(crate) fn of(given: Option<&FractionalPercent>) -> Self {
        given.map_or(Self::NONE, |given| Self {
            numerator: given.numerator,
            denominator: match given.denominator() {
                DenominatorType::Hundred => 100,
                DenominatorType::TenThousand => 10_000,
                DenominatorType::Million => 1_000_000,
            },
        })
    }

    /// The share that holds where no value at runtime is given.
    pub(crate) fn of_runtime(given: Option<&RuntimeFractionalPercent>) -> Self {
        Self::of(given.and_then(|given| given.default_value.as_ref()))
    }

    /// This share, but no more than `numerator` of the same whole.
    pub(crate) fn at_most(self, numerator: u32) -> Self {
        Self {
            numerator: self.numerator.min(numerator),
            ..self
        }
    }

    /// Whether a call falls into the share. Each `draw` is independent of every other one, and of
    /// what the routes drew for the same call.
    pub(crate) fn takes(self, facts: &Facts, draw: Draw) -> bool {
        match self.numerator {
            0 => false,
            all if all >= self.denominator => true,
            some => draw.number(facts.random) % u64::from(self.denominator) < u64::from(some),
        }
    }
}

/// One of the draws that are made for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draw(u64);

impl Draw {
    /// The draw of this name at a place.
    pub(crate) fn new(place: &str, name: &str) -> Self {
        let bytes = place.bytes().chain([0]).chain(name.bytes());
        // FNV-1a: any function that tells places apart will do.
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    /// A number of its own from the one random number of a call (the finaliser of SplitMix64).
    fn number(self, random: u64) -> u64 {
        let mut z = random ^ self.0;
        z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
