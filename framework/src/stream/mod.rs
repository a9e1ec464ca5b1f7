//! The stream relay: calls whose bytes flow while they are decided upon (HTTP/1, HTTP/2, gRPC).
//!
//! [`carry`] takes one request from its head to the head of its answer; the [`Answer`]'s body is
//! pulled by whoever writes it, and pulls from the host in turn, so that a slow reader stops the
//! sender. The protocol itself is a [`StreamCodec`].

mod answer;
mod attempt;
mod call;
mod codec;
mod flight;
mod interim;
mod ledger;
mod replies;
mod settings;
mod timers;

pub use answer::Answer;
pub use call::{Door, Unread, carry, refuse};
pub use codec::{Attempt, Broken, Caller, Failure, StreamCodec};
pub use flight::Upload;
pub use interim::Interim;
pub use replies::{Replies, Rewrite};
pub use settings::{
    HttpPolicy, HttpUpstream, Keepalive, ServerHeader, Slashes, StripPort, Underscores,
    UpstreamVersion,
};
pub use timers::{Expires, TimerKey, Timers};
