//! Programs that a machine has or has not: they come from its distribution.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::skipped;
use crate::deadline::eventually;
use crate::process::on_path;

/// A program on `PATH`.
#[derive(Clone, Debug)]
pub struct Tool {
    path: PathBuf,
}

impl Tool {
    /// Looks for it. `None` where the machine lacks it: then that is printed by name.
    ///
    /// # Panics
    /// When it is missing and `CROSSDOCK_REQUIRE_PEERS=1` demands every peer.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let path = on_path(name);
        if path.is_none() {
            skipped(name, "not on PATH");
        }
        path.map(|path| Self { path })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a command of this program prints for that input.
    ///
    /// # Panics
    /// When it fails or does not end in time.
    #[must_use]
    pub fn output(&self, command: &mut Command, input: &[u8], patience: Duration) -> Vec<u8> {
        match self.try_output(command, input, patience) {
            Ok(output) => output,
            Err((code, said)) => panic!("{command:?} ends with {code}: {said}"),
        }
    }

    /// The same for a program that may fail.
    ///
    /// # Errors
    /// Its exit code, and what it said on its error stream.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn try_output(
        &self,
        command: &mut Command,
        input: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, (i32, String)> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("its input is piped");
        let stdout = child.stdout.take().expect("its output is piped");
        let stderr = child.stderr.take().expect("its errors are piped");
        let (status, output, said) = thread::scope(|scope| {
            // A program that wants no more of its input closes it.
            scope.spawn(move || {
                let _ = stdin.write_all(input);
            });
            let output = scope.spawn(move || all(stdout));
            let said = scope.spawn(move || all(stderr));
            let status = eventually(patience, || child.try_wait().ok().flatten());
            if status.is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
            let join = "a thread that reads does not panic";
            (status, output.join().expect(join), said.join().expect(join))
        });
        let said = String::from_utf8_lossy(&said).into_owned();
        match status {
            Some(status) if status.success() => Ok(output),
            Some(status) => Err((status.code().unwrap_or(-1), said)),
            None => panic!("{command:?} does not end: {said}"),
        }
    }
}

fn all(mut from: impl Read) -> Vec<u8> {
    let mut octets = Vec::new();
    let _ = from.read_to_end(&mut octets);
    octets
}
