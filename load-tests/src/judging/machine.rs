//! What the machine did during a window, out of `/proc/stat`.

use std::fs;

use portcullis_judge::window::Machine;

use crate::Failure;

/// What the cores have done so far, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cores {
    busy: u64,
    steal: u64,
    all: u64,
}

/// Nanoseconds of a tick; Linux has 100 a second wherever it counts for users.
const TICK: u64 = 10_000_000;

impl Cores {
    pub(super) fn now() -> Result<Self, Failure> {
        Self::parse(&fs::read_to_string("/proc/stat")?).ok_or_else(|| "/proc/stat is not understood".into())
    }

    /// Of the first line: user, nice, system, idle, iowait, irq, softirq, steal.
    fn parse(text: &str) -> Option<Self> {
        let numbers = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let ticks: Vec<u64> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
        let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = ticks.as_slice() else { return None };
        let busy = user + nice + system + irq + softirq;
        Some(Self { busy, steal: *steal, all: busy + idle + iowait + steal })
    }

    /// What happened since, of which `own` nanoseconds were the measurement's.
    #[expect(clippy::cast_precision_loss, reason = "ticks of a window")]
    pub(super) fn since(self, before: Self, own: u64, run_queue_wait_ns: u64) -> Machine {
        let all = self.all.saturating_sub(before.all).max(1) as f64;
        let busy = self.busy.saturating_sub(before.busy).saturating_sub(own / TICK) as f64;
        let steal = self.steal.saturating_sub(before.steal) as f64;
        Machine { steal: steal / all, neighbour_cpu: busy / all, run_queue_wait_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_what_is_busy_and_not_ours() {
        let before = Cores::parse("cpu  100 0 50 1000 10 5 5 20 0 0\ncpu0 1\n").unwrap();
        let after = Cores::parse("cpu  160 0 70 1080 20 5 5 50 0 0\n").unwrap();
        assert_eq!(before, Cores { busy: 160, steal: 20, all: 1190 });
        let machine = after.since(before, 30 * TICK, 7);
        // 200 ticks passed: 80 busy, 30 of them ours; 30 stolen.
        assert!((machine.neighbour_cpu - 0.25).abs() < 1e-9 && (machine.steal - 0.15).abs() < 1e-9, "{machine:?}");
        assert_eq!(machine.run_queue_wait_ns, 7);
        assert_eq!(Cores::parse("intr 5\n"), None);
    }
}
