//! What is true of every filter.

use crate::Registry;

#[test]
fn every_filter_decides_upon_every_field() {
    let faults = Registry::standard().extensions().faults();
    assert_eq!(faults, Vec::<String>::new());
}
