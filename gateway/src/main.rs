//! The program `crossdock`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Calls of HTTP allocate, and connections that rest give their memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    crossdock_gateway::main()
}
