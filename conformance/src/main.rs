//! The command `crossdock-conformance`: one module for each subcommand.

mod bench;
mod count;
mod frames;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Conformance, vectors and benchmarks of the Crossdock gateway.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare CPU time per call, latency and memory of the gateway with a plain relay and Envoy.
    Bench(bench::Arguments),
    /// Count instructions and allocations of the gateway per call, under callgrind.
    Count(count::Arguments),
    /// Cut and walk recorded frames and say what each one holds, one JSON object a line.
    Frames(frames::Arguments),
    /// One of the processes that a benchmark starts.
    #[command(hide = true, subcommand)]
    Child(bench::Role),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Count(arguments) => count::run(&arguments),
        Command::Frames(arguments) => frames::run(&arguments),
        Command::Child(role) => role.play().map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("crossdock-conformance: {error:#}");
        ExitCode::FAILURE
    })
}
