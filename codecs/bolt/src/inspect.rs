//! A frame read to its last octet, for people and for tools; nothing here is on the path of a call.

use crossdock_framework::{
    frame::{Frame, Kind},
    view::RoutingView as _,
};
use crossdock_hessian::{Grammar, Limits, Walker};

use crate::{
    decode::checksum_holds,
    head::Head,
    sofa::{self, HESSIAN},
    view::View,
};

/// Everything that a frame says besides its arguments, and whether it is well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The class name.
    pub class: String,
    /// Interface of a SOFARPC call.
    pub service: Option<String>,
    /// Method of a SOFARPC call.
    pub method: Option<String>,
    /// Version of the service, `1.0` where nobody set one.
    pub version: Option<String>,
    /// The third part of the unique name.
    pub unique_id: Option<String>,
    /// Header map entries in the order of the wire, without those that hold a null.
    pub headers: Vec<(String, String)>,
    /// Whether the checksum is right, or there is none.
    pub checksum_holds: bool,
    /// Whether header map and content were walked to the last octet. A content in another
    /// serialisation than hessian2 counts as walked.
    pub walked: bool,
}

/// Reads all of `frame`.
pub fn inspect(frame: &Frame<Head>) -> Inspection {
    let view = View::new(frame);
    let unique = view.unique_name();
    let mut headers = Vec::new();
    view.headers(&mut |key, value| headers.push((key.to_owned(), value.to_owned())));
    Inspection {
        class: view.class().into_owned(),
        service: unique.map(|unique| sofa::interface(unique).to_owned()),
        method: view.method().map(Into::into),
        version: unique.and_then(sofa::version).map(Into::into),
        unique_id: unique.and_then(sofa::unique_id).map(Into::into),
        headers,
        checksum_holds: checksum_holds(&frame.head, &frame.bytes),
        walked: header_walked(&view) && content_walked(frame, &view),
    }
}

/// The header of a raw Bolt application is its own affair; SOFARPC's is always a map.
fn header_walked(view: &View<'_>) -> bool {
    let class = view.class();
    let is_sofa = class == sofa::REQUEST_CLASS || class == sofa::RESPONSE_CLASS;
    !is_sofa || view.header_map().entries().all(|entry| entry.is_ok())
}

fn content_walked(frame: &Frame<Head>, view: &View<'_>) -> bool {
    let content = view.content();
    if frame.head.codec != HESSIAN || frame.head.kind == Kind::Event {
        return true;
    }
    match content.first().copied().and_then(Grammar::of_object) {
        Some(grammar) => walks(content, grammar),
        // No object: nothing tells the grammar, so either will do.
        None => [Grammar::V3, Grammar::V2]
            .into_iter()
            .any(|grammar| walks(content, grammar)),
    }
}

fn walks(content: &[u8], grammar: Grammar) -> bool {
    let mut walker = Walker::new(content, grammar, Limits::DEFAULT);
    while !walker.at_end() {
        if walker.skip_value().is_err() {
            return false;
        }
    }
    true
}
