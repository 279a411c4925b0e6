//! What the machine did meanwhile: CPU of neighbours, steal, waits for a core, pressure, by window.
//!
//! A figure that was taken while somebody else had the cores says nothing about the server. So every window carries
//! what the kernel counted in it, and a run that the machine did not hold is invalid.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Failure;
use crate::process::{self, Turn};

/// What the kernel has counted so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    at: Instant,
    stat: Stat,
    /// CPU time of the tool itself, ended threads too.
    own: Duration,
    /// How long the tool's threads waited for a core.
    own_wait: Duration,
    /// The processes under test together.
    subject: Turn,
    /// Bytes that they hold.
    resident: u64,
    /// Microseconds in which somebody waited for a core, of `/proc/pressure/cpu`; `None` where the kernel has none.
    pressure: Option<u64>,
}

/// The first line of `/proc/stat`, in seconds of all cores together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Stat {
    busy: f64,
    steal: f64,
    cores: u32,
}

/// What the machine did in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Machine {
    /// Its length.
    pub seconds: f64,
    /// Cores of the machine.
    pub cores: u32,
    /// The share of all cores that the hypervisor gave to others.
    pub steal: f64,
    /// Cores that were busy with what is neither the tool nor under test.
    pub neighbour_cpu: f64,
    /// Nanoseconds that the tool's threads waited for a core.
    pub run_queue_wait_ns: u64,
    /// Cores that the tool itself used.
    pub own_cpu: f64,
    /// Nanoseconds of CPU of the processes under test.
    pub subject_cpu_ns: u64,
    /// Nanoseconds that their threads waited for a core.
    pub subject_wait_ns: u64,
    /// Bytes that they hold at its end.
    pub resident: u64,
    /// Whether one of them ended in it, or before: nothing is known of them then.
    pub subject_ended: bool,
    /// The share of the time in which somebody waited for a core.
    pub pressure: Option<f64>,
}

impl Reading {
    /// Reads now.
    ///
    /// # Errors
    ///
    /// When `/proc` is not that of Linux, or a process under test has ended.
    pub fn now(subjects: &[u32]) -> Result<Self, Failure> {
        let mut subject = Turn::default();
        let mut resident = 0;
        for id in subjects {
            let turn = process::used(*id)?;
            subject = Turn { ran: subject.ran + turn.ran, waited: subject.waited + turn.waited };
            resident += process::resident(*id)?;
        }
        let own = clock_gettime(ClockId::ProcessCPUTime);
        let own = Duration::new(u64::try_from(own.tv_sec)?, u32::try_from(own.tv_nsec)?);
        Ok(Self {
            at: Instant::now(),
            stat: parse_stat(&fs::read_to_string("/proc/stat")?).ok_or("/proc/stat is not understood")?,
            own,
            own_wait: Duration::from_nanos(process::used(std::process::id())?.waited),
            subject,
            resident,
            pressure: fs::read_to_string("/proc/pressure/cpu").ok().and_then(|text| parse_pressure(&text)),
        })
    }

    /// What lies between an earlier reading and this one.
    #[must_use]
    pub fn since(&self, before: &Self) -> Machine {
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64().max(1e-9);
        let own = self.own.saturating_sub(before.own).as_secs_f64() / seconds;
        let subject_cpu_ns = self.subject.ran.saturating_sub(before.subject.ran);
        let subject = Duration::from_nanos(subject_cpu_ns).as_secs_f64() / seconds;
        let busy = (self.stat.busy - before.stat.busy) / seconds;
        let steal = (self.stat.steal - before.stat.steal) / seconds;
        let wait = self.own_wait.saturating_sub(before.own_wait);
        let pressure = self.pressure.zip(before.pressure).map(|(now, then)| now.saturating_sub(then));
        Machine {
            seconds,
            cores: self.stat.cores,
            steal: (steal / f64::from(self.stat.cores.max(1))).clamp(0.0, 1.0),
            neighbour_cpu: (busy - own - subject).max(0.0),
            run_queue_wait_ns: u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX),
            own_cpu: own,
            subject_cpu_ns,
            subject_wait_ns: self.subject.waited.saturating_sub(before.subject.waited),
            resident: self.resident,
            subject_ended: false,
            pressure: pressure.map(|micros| Duration::from_micros(micros).as_secs_f64() / seconds),
        }
    }
}

/// How long each core was busy so far, by its number.
///
/// # Errors
///
/// When `/proc/stat` is not that of Linux.
pub fn busy_by_core() -> Result<BTreeMap<u32, Duration>, Failure> {
    let text = fs::read_to_string("/proc/stat")?;
    parse_cores(&text).ok_or_else(|| "/proc/stat is not understood".into())
}

fn parse_cores(text: &str) -> Option<BTreeMap<u32, Duration>> {
    let cores = text.lines().filter_map(|line| line.strip_prefix("cpu")).filter(|rest| !rest.starts_with(' '));
    cores
        .map(|rest| {
            let (number, ticks) = rest.split_once(' ')?;
            Some((number.parse().ok()?, Duration::from_secs_f64(busy(ticks)?.0)))
        })
        .collect()
}

/// User, nice, system, irq and softirq are busy; idle and iowait are not; guests are within user. In hundredths.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut lines = text.lines();
    let (busy, steal) = busy(lines.next()?.strip_prefix("cpu ")?)?;
    let cores = lines.filter(|line| line.starts_with("cpu")).count();
    Some(Stat { busy, steal, cores: u32::try_from(cores).ok()? })
}

/// Seconds that were busy and stolen, of the numbers of a line.
fn busy(numbers: &str) -> Option<(f64, f64)> {
    let ticks = numbers.split_whitespace().map(str::parse::<u64>).collect::<Result<Vec<_>, _>>().ok()?;
    let &[user, nice, system, _idle, _iowait, irq, softirq, ref rest @ ..] = ticks.as_slice() else { return None };
    let seconds = |ticks: u64| Duration::from_millis(ticks.saturating_mul(10)).as_secs_f64();
    Some((seconds(user + nice + system + irq + softirq), seconds(rest.first().copied().unwrap_or_default())))
}

fn parse_pressure(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.split_once("total=")?.1.trim().parse().ok()
}

/// Reads what can be read: the machine alone, once a process under test has ended.
fn read(subjects: &mut Option<Vec<u32>>) -> Result<Reading, Failure> {
    if let Some(ids) = subjects {
        match Reading::now(ids) {
            Ok(reading) => return Ok(reading),
            Err(_) => *subjects = None,
        }
    }
    Reading::now(&[])
}

/// Reads in equal steps, on a thread of its own.
#[derive(Debug)]
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Machine>, Failure>>,
}

impl Sampler {
    /// Starts.
    ///
    /// # Errors
    ///
    /// When nothing can be read, or there is no thread.
    pub fn start(subjects: Vec<u32>, step: Duration) -> Result<Self, Failure> {
        let stop = Arc::<AtomicBool>::default();
        let mut last = Reading::now(&subjects)?;
        let stopped = Arc::clone(&stop);
        let mut subjects = Some(subjects);
        let thread = std::thread::Builder::new().name("machine".to_owned()).spawn(move || {
            let mut windows = Vec::new();
            loop {
                let end = last.at + step;
                let over = stopped.load(Ordering::SeqCst);
                if over || Instant::now() >= end {
                    let now = read(&mut subjects)?;
                    windows.push(Machine { subject_ended: subjects.is_none(), ..now.since(&last) });
                    last = now;
                }
                if over {
                    return Ok(windows);
                }
                std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends, and says what was read.
    ///
    /// # Errors
    ///
    /// When `/proc` could not be read.
    pub fn stop(self) -> Result<Vec<Machine>, Failure> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
        self.thread.join().map_err(|_| "the sampler panicked")?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  1000 10 200 5000 7 3 20 50 0 0\ncpu0 1 1\ncpu1 1 1\nintr 5\n";

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(parse_stat(STAT), Some(Stat { busy: 12.33, steal: 0.5, cores: 2 }));
        assert_eq!(parse_stat("cpu 1 2"), None);
        let cores = "cpu  9 9 9 9 9 9 9\ncpu0 100 1 20 500 7 3 1 5\ncpu11 1 0 0 0 0 0 0\nintr 5\n";
        let expected = [(0, Duration::from_millis(1250)), (11, Duration::from_millis(10))].into();
        assert_eq!(parse_cores(cores), Some(expected));
        let pressure = "some avg10=1.00 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0.00 total=0\n";
        assert_eq!(parse_pressure(pressure), Some(1234));
    }

    #[test]
    fn what_is_neither_the_tool_nor_under_test_is_a_neighbour() {
        let at = Instant::now();
        let before = Reading {
            at,
            stat: Stat { busy: 10.0, steal: 1.0, cores: 2 },
            own: Duration::from_secs(3),
            own_wait: Duration::ZERO,
            subject: Turn { ran: 0, waited: 5 },
            resident: 0,
            pressure: Some(0),
        };
        let after = Reading {
            at: at + Duration::from_secs(2),
            stat: Stat { busy: 13.0, steal: 1.2, cores: 2 },
            own: Duration::from_secs(4),
            own_wait: Duration::from_millis(2),
            subject: Turn { ran: 500_000_000, waited: 12 },
            resident: 77,
            pressure: Some(500_000),
        };
        let found = after.since(&before);
        // 3 s of two seconds were busy, 1 of the tool's and 0.5 of the subject's.
        assert!((found.neighbour_cpu - 0.75).abs() < 1e-9 && (found.steal - 0.05).abs() < 1e-9, "{found:?}");
        assert_eq!((found.run_queue_wait_ns, found.subject_wait_ns, found.resident), (2_000_000, 7, 77));
        assert_eq!(found.pressure, Some(0.25));
    }

    #[test]
    fn goes_on_without_a_process_that_has_ended() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let sampler = Sampler::start(vec![child.id()], Duration::from_millis(1)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let windows = sampler.stop().unwrap();
        let last = windows.last().unwrap();
        assert!(last.subject_ended && last.subject_cpu_ns == 0 && last.cores > 0, "{last:?}");
    }

    #[test]
    fn reads_this_machine() {
        let sampler = Sampler::start(vec![std::process::id()], Duration::from_secs(3600)).unwrap();
        let windows = sampler.stop().unwrap();
        assert_eq!(windows.len(), 1, "the one that was cut short");
        assert!(windows[0].cores > 0 && windows[0].resident > 0, "{windows:?}");
    }
}
