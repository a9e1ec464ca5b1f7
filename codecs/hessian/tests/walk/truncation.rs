//! The beginning of a good stream is never mistaken for a bad one.

use std::collections::BTreeSet;

use crossdock_hessian::{Limits, Walker};

use crate::common::{Vector, all, skip_all};

/// Cuts tried in a long stream.
const CUTS: usize = 150;

/// Every offset of a short stream; of a long one the ends and some between.
fn cuts(length: usize) -> Vec<usize> {
    if length <= 2 * CUTS {
        return (0..length).collect();
    }
    let step = length / CUTS;
    let middle = (0..length).step_by(step.max(1));
    (0..20).chain(middle).chain(length - 20..length).collect()
}

/// Where the top-level values end: a stream may stop there.
fn boundaries(vector: &Vector) -> BTreeSet<usize> {
    let mut walker = vector.walker();
    let mut ends = BTreeSet::from([0]);
    while !walker.at_end() {
        walker.skip_value().expect("the whole stream is good");
        ends.insert(walker.pos());
    }
    ends
}

#[test]
fn every_beginning_of_every_stream_is_truncated_or_whole() {
    for vector in all() {
        let ends = boundaries(&vector);
        for cut in cuts(vector.stream.len()) {
            let beginning = &vector.stream[..cut];
            let result = skip_all(Walker::new(beginning, vector.grammar, Limits::default()));
            let name = &vector.name;
            match result {
                Ok(_) => assert!(ends.contains(&cut), "{name} ends at {cut}"),
                Err(error) => {
                    assert!(error.is_truncated(), "{name} cut at {cut}: {error}");
                    assert!(error.offset <= cut, "{name} cut at {cut}: {error}");
                    assert!(!ends.contains(&cut), "{name} cut at {cut}: {error}");
                }
            }
        }
    }
}
