//! What the gateway says of its calls, for all four protocols: flags and details in the access log, and counts that
//! add up to the last call.

mod exact;
mod flags;
mod lines;
mod places;
mod refused;
