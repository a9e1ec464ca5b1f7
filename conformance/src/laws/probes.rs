//! One port serves every protocol.

use crossdock_framework::codec::Probe;

use super::{Case, Law};
use crate::vectors::Vector;

/// The probe of a codec, under the name that the tests give it.
pub type ProbeFn = (&'static str, fn(&[u8]) -> Probe);

/// The longest prefix that a probe may need.
const PREFIX: usize = 64;

/// For every prefix of a vector at most one probe says yes, no probe ever takes back what it said,
/// and in the end the one that `owner` names says yes and all others no.
///
/// # Errors
/// The first vector for which that is not so.
pub fn probes_exclude_each_other(
    vectors: &[Vector],
    probes: &[ProbeFn],
    owner: impl Fn(&Vector) -> &'static str,
) -> Law {
    for case in Case::each("probes_exclude_each_other", vectors) {
        let mut last = vec![Probe::More; probes.len()];
        for len in 0..=case.vector.bytes.len().min(PREFIX) {
            let prefix = case.vector.bytes.slice(..len);
            for ((name, probe), before) in probes.iter().zip(&mut last) {
                let now = probe(&prefix);
                case.check(*before == Probe::More || *before == now, || {
                    format!("{name} said {before:?}, and {now:?} at {len} bytes")
                })?;
                *before = now;
            }
            let claims = last.iter().filter(|said| **said == Probe::Yes).count();
            case.check(claims <= 1, || format!("{claims} codecs claim {len} bytes"))?;
        }
        for ((name, _), said) in probes.iter().zip(last) {
            let wanted = match *name == owner(case.vector) {
                true => Probe::Yes,
                false => Probe::No,
            };
            case.check(said == wanted, || format!("{name} says {said:?}"))?;
        }
    }
    Ok(())
}
