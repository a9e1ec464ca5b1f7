//! The program at work: configuration, routes, plain TCP, outcomes, hashing and draining, with callers and
//! upstreams whose every octet the tests know.

mod describing;
mod draining;
mod file;
mod hashing;
mod outcomes;
mod priorities;
mod proxied;
mod routing;
mod starting;
mod tcp;
mod upstream;
