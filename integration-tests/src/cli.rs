//! The command line.

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::Command;

use crate::place::until;
use crate::process::binary;

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs the binary to its end, in a folder.
///
/// # Panics
/// When it does not end.
#[must_use]
pub fn run(dir: &Path, args: &[&str]) -> Ended {
    fed(dir, args, "")
}

/// The same with a text on its standard input.
///
/// # Panics
/// When it does not end.
#[must_use]
pub fn fed(dir: &Path, args: &[&str], input: &str) -> Ended {
    let mut fed = tempfile::tempfile().unwrap();
    fed.write_all(input.as_bytes()).unwrap();
    fed.rewind().unwrap();
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut child = Command::new(binary())
        .args(args)
        .current_dir(dir)
        .stdin(fed)
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap())
        .spawn()
        .unwrap();
    let status = until("the command to end", || child.try_wait().unwrap());
    Ended { code: status.code().unwrap_or(-1), stdout: read(out), stderr: read(err) }
}

fn read(mut file: std::fs::File) -> String {
    use std::io::{Read, Seek};
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}
