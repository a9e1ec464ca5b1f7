//! Configuration that arrives while the process runs, as plain values: no sockets, no clocks.
//!
//! 1. [`read`] and [`parse`] turn what one file says into a [`Response`]: every resource in it,
//!    or every problem;
//! 2. a [`Subscription`] compares a response with what it holds, and keeps that while the response
//!    is being judged and when it is refused;
//! 3. [`Resources`] are all that is wanted, static and dynamic, and [`demands`] what they name and
//!    has to be subscribed to: [`Subscriptions`];
//! 4. [`Warming`] says what of it may be in force now: a cluster waits for its endpoints, a
//!    listener for its routes, and a route for clusters that are still waiting.
//!
//! A [`Feed`] does the first three with files, and asks a [`Judge`] what to accept. [`dump`] shows
//! all of it as Envoy's `/config_dump` does.
//!
//! A network client makes the same [`Response`]s of what it receives; nothing else here knows
//! where they come from. Times are given by the caller.

mod demand;
pub mod dump;
mod feed;
mod kind;
mod needs;
mod read;
mod resource;
mod resources;
#[cfg(test)]
mod sample;
mod secrets;
mod source;
mod subscription;
mod subscriptions;
mod warming;

pub use self::{
    demand::{Demand, Demands, demands},
    feed::{Feed, Judge, Outcome, Report, Said},
    kind::{Discovered, Kind},
    needs::{Need, Needs},
    read::{MAX_FILE_BYTES, Options, Response, Text, parse, read},
    resource::{Fingerprint, Origin, Resource},
    resources::Resources,
    secrets::secret,
    source::{FileSource, INITIAL_FETCH_TIMEOUT, SourceError, Watch},
    subscription::{Counts, Failure, Held, Interest, Subscription, Update, Verdict},
    subscriptions::Subscriptions,
    warming::{HOLD, Waiting, Warming},
};
