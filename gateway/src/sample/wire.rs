//! The few frames that the sample services and callers need. Real services and callers bring their
//! own.

mod bolt;
mod dubbo;

use crossdock_framework::{
    codec::Codec,
    frame::{Frame, WireId},
};

use super::Told;

/// A call as the samples make it: one text in, one text out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'c> {
    pub(crate) service: &'c str,
    pub(crate) method: &'c str,
    pub(crate) argument: &'c str,
    /// An attachment, or an entry of the header map.
    pub(crate) header: Option<(&'c str, &'c str)>,
}

/// What services and callers of a protocol say to each other.
pub(crate) trait Wire: Codec + Send {
    /// A call.
    fn request(id: WireId, call: &Call<'_>) -> Vec<u8>;

    /// Its answer: a text.
    fn response(id: WireId, text: &str) -> Vec<u8>;

    /// The answer of a service that cannot serve the call, and says why.
    fn failure(id: WireId, text: &str) -> Vec<u8>;

    /// What a caller makes of an answer.
    fn told(answer: &Frame<Self::Head>) -> Told;
}
