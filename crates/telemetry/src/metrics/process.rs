//! The process's own numbers, under the names every Prometheus client library uses; read from `/proc` at a scrape.
//!
//! What cannot be read is left out. The clock tick of `/proc` is 1/100 s on every Linux that this runs on.

use std::fs;

use tokio::runtime::Handle;

use super::family::{Export, Family, Page, float};

/// Ticks a second in `/proc/self/stat`: the kernel's fixed interface to user space.
const TICKS: f64 = 100.0;

/// Where the kernel tells about a process. A folder, so that tests bring their own.
#[derive(Debug)]
pub(super) struct Process {
    proc: std::path::PathBuf,
}

impl Process {
    pub(super) fn new(proc: impl Into<std::path::PathBuf>) -> Self {
        Self { proc: proc.into() }
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.proc.join(name)).ok()
    }

    /// Open descriptors. Linux 6.2 and later tell the number as the folder's size; before, they are counted.
    fn open_fds(&self) -> Option<u64> {
        let folder = self.proc.join("self/fd");
        let told = fs::metadata(&folder).map(|facts| facts.len()).ok().filter(|len| *len > 0);
        told.or_else(|| u64::try_from(fs::read_dir(&folder).ok()?.count()).ok())
    }
}

impl Export for Process {
    const FAMILIES: &'static [Family] = &[
        Family::counter("process_cpu_seconds_total", "Time spent in user and kernel mode.", &[]),
        Family::gauge("process_start_time_seconds", "When the process began, since 1970.", &[]),
        Family::gauge("process_resident_memory_bytes", "Memory in use.", &[]),
        Family::gauge("process_virtual_memory_bytes", "Address space in use.", &[]),
        Family::gauge("process_threads", "Threads.", &[]),
        Family::gauge("process_open_fds", "Open file descriptors.", &[]),
        Family::gauge("process_max_fds", "How many file descriptors may be open.", &[]),
        Family::gauge("portcullis_tasks", "Live tasks: connections, requests, and what goes on beside them.", &[]),
    ];

    fn export(&self, page: &mut Page) {
        let stat = self.read("self/stat").and_then(|text| parse_stat(&text));
        if let Some(stat) = &stat {
            page.add(0, &[], float(stat.cpu_ticks) / TICKS);
        }
        let boot = self.read("stat").and_then(|text| field(&text, "btime "));
        if let Some((stat, boot)) = stat.zip(boot) {
            page.add(1, &[], float(boot) + float(stat.start_ticks) / TICKS);
        }
        let status = self.read("self/status").unwrap_or_default();
        for (family, key, unit) in [(2, "VmRSS:", 1024), (3, "VmSize:", 1024), (4, "Threads:", 1)] {
            if let Some(value) = field(&status, key) {
                page.count(family, &[], value * unit);
            }
        }
        if let Some(open) = self.open_fds() {
            page.count(5, &[], open);
        }
        let limits = self.read("self/limits").unwrap_or_default();
        if let Some(max) = field(&limits, "Max open files") {
            page.count(6, &[], max);
        }
        // A scrape is served by the runtime that everything is served by; where there is none, there are no tasks.
        let tasks = Handle::try_current().map(|runtime| runtime.metrics().num_alive_tasks());
        if let Some(tasks) = tasks.ok().and_then(|tasks| u64::try_from(tasks).ok()) {
            page.count(7, &[], tasks);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
}

/// Reads `/proc/self/stat`; the second field, the name, may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    // `rest` begins with field 3. The times are fields 14 and 15, the start is field 22.
    let number = |place: usize| rest.split_ascii_whitespace().nth(place - 3)?.parse::<u64>().ok();
    Some(Stat { cpu_ticks: number(14)? + number(15)?, start_ticks: number(22)? })
}

/// The first number behind a key at the beginning of a line.
fn field(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_hostile_name() {
        let text = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 300 45 0 0 20 0 8 0 123456 1000 10 0";
        assert_eq!(parse_stat(text), Some(Stat { cpu_ticks: 345, start_ticks: 123_456 }));
        assert_eq!(parse_stat("42 (a) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn fields_are_found_by_their_key() {
        let status = "Name:\tportcullis\nVmSize:\t  9000 kB\nVmRSS:\t  1234 kB\nThreads:\t8\n";
        assert_eq!(field(status, "VmRSS:"), Some(1234));
        assert_eq!(field(status, "Threads:"), Some(8));
        assert_eq!(
            field("Max open files            20000                20000  files\n", "Max open files"),
            Some(20_000)
        );
        assert_eq!(field("Max open files            unlimited  files\n", "Max open files"), None);
        assert_eq!(field(status, "Vm"), None);
    }
}
