//! TLS for clients and hosts, by rustls.
//!
//! The compiler makes a *source* of what the configuration says: where certificates are, who is
//! trusted, which versions are offered ([`ServerSource`], [`ClientSource`]). A *context*
//! ([`ServerTls`], [`ClientTls`]) reads its files and shakes hands; [`Contexts`] watches the files
//! and has them read again, and connections that there are stay as they are.

mod certificate;
mod client;
mod distinguished;
mod hello;
mod identity;
mod params;
mod reload;
mod server;
mod source;
mod stats;
mod stream;
mod trust;
mod verifier;

pub(crate) use self::{
    client::{Asked, ClientSource, ClientTls},
    hello::{Ear, Heard, Hello, MAX_HELLO},
    identity::IdentitySource,
    params::{Params, Version},
    reload::{Contexts, Shown},
    server::{ServerSource, ServerTls},
    source::{Recipe, Source},
    stats::TlsMetric,
    trust::{NameKind, NameRule, TrustSource},
};
