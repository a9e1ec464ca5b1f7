//! The statuses of Bolt responses (SOFABolt's `ResponseStatus`).

use crossdock_framework::{frame::Frame, status::Class};

use crate::{head::Head, sofa, view::View};

/// The call worked, or SOFARPC put its own error inside.
pub(crate) const SUCCESS: u16 = 0;
/// The handler threw, or no handler takes the class.
pub(crate) const SERVER_EXCEPTION: u16 = 2;
/// The server has no thread for the call.
pub(crate) const SERVER_BUSY: u16 = 4;
/// Nobody serves this.
pub(crate) const NO_PROCESSOR: u16 = 6;
/// No answer in time.
pub(crate) const TIMEOUT: u16 = 7;
/// The request could not be sent.
pub(crate) const SEND_ERROR: u16 = 8;
/// A message could not be read or written.
pub(crate) const CODEC_EXCEPTION: u16 = 9;
/// The connection went away under the call. The numbers jump from 9 to 16.
pub(crate) const CONNECTION_CLOSED: u16 = 16;
/// The server could not write the answer.
pub(crate) const SERVER_SERIAL_EXCEPTION: u16 = 17;
/// The server could not read the request.
pub(crate) const SERVER_DESERIAL_EXCEPTION: u16 = 18;

/// Whether Java knows the status. It closes its connection over one that it does not know, with
/// every other call on it.
pub(crate) fn is_known(status: u16) -> bool {
    matches!(status, 0..=9 | 16..=18)
}

/// How a call ended by its status alone.
pub(crate) fn class_of(status: u16) -> Class {
    match status {
        SUCCESS => Class::Ok,
        SERVER_BUSY => Class::Overload,
        NO_PROCESSOR => Class::NotFound,
        TIMEOUT => Class::Timeout,
        CODEC_EXCEPTION | SERVER_SERIAL_EXCEPTION | SERVER_DESERIAL_EXCEPTION => Class::Codec,
        _ => Class::Unavailable,
    }
}

/// How the call ended that `response` answers: by its status, and by what SOFARPC hides inside
/// status 0.
pub(crate) fn classify(response: &Frame<Head>) -> Class {
    let Some(status) = response.head.status() else {
        return Class::Codec;
    };
    if status != SUCCESS {
        return class_of(status);
    }
    let view = View::new(response);
    match view.header_map().get(sofa::RESPONSE_ERROR) {
        Some(b"true") => sofa::hidden_error(response.head.codec, view.content()),
        _ => Class::Ok,
    }
}
