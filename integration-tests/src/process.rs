//! The binary under test, and what the kernel says of its process.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// The gateway's binary: what `PORTCULLIS_BIN` names, else what stands beside the folder of the test's own executable.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("PORTCULLIS_BIN") {
        return named.into();
    }
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().and_then(|deps| deps.parent()).unwrap();
    let binary = profile.join("portcullis");
    assert!(binary.exists(), "{} is missing: run `cargo build -p portcullis` first", binary.display());
    binary
}

/// Sends a signal by name (`HUP`, `TERM`, `KILL`).
///
/// # Panics
/// When there is no such process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("/bin/sh").args(["-c", &format!("kill -{name} {pid}")]).status();
    assert!(status.is_ok_and(|status: ExitStatus| status.success()), "cannot send {name} to {pid}");
}

/// Bytes of memory that a process holds.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// CPU time that a process has used, in the kernel's and its own code, to a hundredth of a second.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in parentheses may hold anything; the 14th and 15th fields are counted from behind it.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
