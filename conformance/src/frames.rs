//! `frames DIR`: cuts and walks recorded frames, and says what each one holds.

mod line;
mod read;

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use crossdock_conformance::vectors;

use line::Line;

/// Prints one JSON object a line for each frame in the `*.hex` files of a directory; exits with 1
/// if any of them is not well formed. Why it is not goes to the standard error output.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the files are.
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut all_ok = true;
    for path in vectors::files(&arguments.dir)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let lines = match vectors::load_file(&path) {
            Ok(vector) => read::lines(&vector),
            Err(error) => vec![Line::broken(error.to_string())],
        };
        for mut line in lines {
            line.file = file.clone().into_owned();
            if let Some(reason) = &line.reason {
                eprintln!("{file}: {reason}");
            }
            all_ok &= line.ok;
            serde_json::to_writer(&mut out, &line)?;
            writeln!(out).context("standard output")?;
        }
    }
    out.flush().context("standard output")?;
    Ok(match all_ok {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
