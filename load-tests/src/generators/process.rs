//! A process that ends by itself, and the CPU time that it took.

use std::ffi::OsString;
use std::fs;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::contenders::Place;
use crate::process::{Process, Program};

/// How long a window may take beyond its load: the tool proves itself before it, three times at most, and writes reports.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What the kernel tells a process's CPU time in: hundredths of a second, rounded down.
const TICK: Duration = Duration::from_millis(10);

/// A process that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// How.
    pub status: ExitStatus,
    /// CPU time of all its threads, in steps of 10 ms.
    pub cpu: Duration,
    /// All that it wrote.
    pub said: String,
}

/// Runs a program on the core of what is measured until it ends.
///
/// # Errors
///
/// When it cannot be started, or takes a minute longer than its load.
pub(super) fn run(words: Vec<OsString>, place: &Place, seconds: u32) -> Result<Ended, Failure> {
    let log = place.folder.join("generator.out");
    if log.exists() {
        fs::remove_file(&log)?;
    }
    let mut process = Process::start(&Program { words, core: Some(place.core), log: log.clone() })?;
    let until = Instant::now() + Duration::from_secs(seconds.into()) + PATIENCE;
    let stat = format!("/proc/{}/stat", process.id());
    // What has ended is told of until it is asked how.
    let cpu = loop {
        let (over, cpu) = parse(&fs::read_to_string(&stat)?).ok_or_else(|| format!("{stat} is not understood"))?;
        if over {
            break cpu;
        }
        if Instant::now() > until {
            return Err(format!("it has not ended {PATIENCE:?} after its load").into());
        }
        std::thread::sleep(LOOK);
    };
    let status = process.ended()?.ok_or("it has ended and lives")?;
    Ok(Ended { status, cpu, said: String::from_utf8_lossy(&fs::read(&log)?).into_owned() })
}

/// Of `/proc/PID/stat`: whether it has ended, and the CPU time of its threads, those that have ended included.
fn parse(text: &str) -> Option<(bool, Duration)> {
    // A name may have blanks and parentheses; behind the last one stands the state, and eleven fields on the two times.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let over = fields.next()? == "Z";
    let mut times = fields.skip(10).map(|ticks| ticks.parse::<u32>().ok());
    let (user, system) = (times.next()??, times.next()??);
    Some((over, TICK.saturating_mul(user.checked_add(system)?)))
}

/// Microseconds for each of so many.
#[expect(clippy::cast_precision_loss, reason = "requests of a window are far below 2^52")]
pub(super) fn micros_each(cpu: Duration, requests: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / requests as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_says_of_a_process() {
        let stat = |state: &str| {
            format!("4711 (wrk (2) x) {state} 1 4711 4711 0 -1 4194304 300 0 1 0 150 75 9 9 20 0 2 0 1234 0 0\n")
        };
        assert_eq!(parse(&stat("S")), Some((false, Duration::from_millis(2250))));
        assert_eq!(parse(&stat("Z")), Some((true, Duration::from_millis(2250))));
        assert_eq!(parse("4711 (wrk) Z 1 4711"), None);
        assert!((micros_each(Duration::from_millis(2250), 450_000) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn knows_what_a_process_used_and_said_and_how_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        let core = allowed.split([',', '-']).next().unwrap().parse().unwrap();
        let place = Place { folder: folder.path().to_owned(), core, other: core };
        let script = "echo said; i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; exit 5";
        for _ in 0..2 {
            let ended = run(["sh", "-c", script].map(Into::into).to_vec(), &place, 1).unwrap();
            assert_eq!((ended.status.code(), ended.said.as_str()), (Some(5), "said\n"));
            assert!(ended.cpu >= TICK, "{ended:?}");
        }
    }
}
