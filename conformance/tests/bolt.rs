//! The laws, for Bolt.

use crossdock_bolt::Bolt;
use crossdock_conformance::{
    laws,
    vectors::{Vector, bundled, load},
};
use crossdock_framework::codec::Codec;

fn vectors() -> Vec<Vector> {
    let mut vectors = load(&bundled()).expect("the vectors come with the crate");
    vectors.retain(|vector| vector.name.contains("bolt"));
    assert_eq!(vectors.len(), 68);
    vectors
}

#[test]
fn every_law_holds() {
    laws::all::<Bolt>(&vectors()).unwrap();
}

#[test]
fn views_agree_with_what_java_and_node_wrote() {
    assert_eq!(laws::views_agree::<Bolt>(&vectors()).unwrap(), 21);
}

#[test]
fn edits_leave_class_and_content_alone() {
    let edited = laws::edits_spare_the_payload::<Bolt>(&vectors(), |frame| {
        let view = Bolt::view(frame);
        [view.class().as_bytes(), view.content()].concat()
    });
    assert_eq!(edited.unwrap(), 60);
}
