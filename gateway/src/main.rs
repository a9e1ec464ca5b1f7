//! The program `crossdock`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    crossdock_gateway::main()
}
