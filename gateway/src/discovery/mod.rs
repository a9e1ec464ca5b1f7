//! Configuration that changes while the process runs.
//!
//! [`Engine`] compiles and says what may be in force; it runs beside the control thread.
//! [`Manager`] feeds it, publishes what it gives, and binds and drains listeners.

#[cfg_attr(not(test), expect(dead_code, reason = "nothing is discovered yet"))]
mod counts;
#[expect(dead_code, reason = "nothing is discovered yet")]
mod engine;
mod hosts;
mod manager;
#[cfg(test)]
mod tests;
#[cfg_attr(not(test), expect(dead_code, reason = "nothing is discovered yet"))]
mod watch;

pub(crate) use self::{engine::Engine, manager::Manager};
