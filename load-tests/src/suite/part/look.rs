//! A look at the machine, and what happened between two.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portcullis_artifacts::Look as Seen;
use portcullis_engine::machine::{Reading, busy_by_core};
use portcullis_engine::process::{self, Turn, Turns};

use crate::Failure;

use super::moment_of;

/// Who is watched, and where they run.
pub(super) struct Who {
    /// All gateways.
    ids: Vec<u32>,
    /// Those that have a core of their own.
    gateways: Vec<u32>,
    tool: Vec<u32>,
    core: Option<u32>,
}

impl Who {
    pub(super) fn new(ids: &[u32], core: Option<u32>) -> Self {
        let (own, ids) = (std::process::id(), ids.to_vec());
        match core {
            Some(_) => Self { gateways: ids.clone(), tool: vec![own], core, ids },
            // Where all share a core, who of them waits for another is not kept from it by a stranger.
            None => Self { gateways: Vec::new(), tool: ids.iter().copied().chain([own]).collect(), core, ids },
        }
    }
}

pub(super) struct Look {
    at: Instant,
    /// Of all gateways, wherever they run.
    subject: Turns,
    resident: u64,
    gateways: Turns,
    tool: Turns,
    cores: BTreeMap<u32, Duration>,
    reading: Reading,
}

/// What happened between two looks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Step {
    pub(super) length: Duration,
    pub(super) gateway: Duration,
    pub(super) tool: Duration,
    pub(super) stolen: Duration,
}

impl Look {
    pub(super) fn now(who: &Who) -> Result<Self, Failure> {
        Ok(Self {
            at: Instant::now(),
            subject: Turns::of(&who.ids),
            // One that has ended holds nothing.
            resident: who.ids.iter().filter_map(|id| process::resident(*id).ok()).sum(),
            gateways: Turns::of(&who.gateways),
            tool: Turns::of(&who.tool),
            cores: busy_by_core()?,
            reading: Reading::now(&[])?,
        })
    }

    /// For people.
    pub(super) fn seen(&self, before: &Self) -> Seen {
        let machine = self.reading.since(&before.reading);
        let a_second = |nanoseconds: u64| Duration::from_nanos(nanoseconds).as_secs_f64() / machine.seconds;
        let subject = self.subject.since(&before.subject);
        let subject_cpu = a_second(subject.ran);
        Seen {
            ended: moment_of(self.at),
            seconds: machine.seconds,
            neighbour_cpu: (machine.neighbour_cpu - subject_cpu).max(0.0),
            steal: machine.steal * f64::from(machine.cores),
            subject_cpu,
            subject_wait: a_second(subject.waited),
            tool_cpu: machine.own_cpu,
            tool_wait: a_second(machine.run_queue_wait_ns),
            subject_bytes: self.resident,
        }
    }

    pub(super) fn since(&self, before: &Self, who: &Who) -> Step {
        let busy = |ours: bool| -> Duration {
            let those = self.cores.iter().filter(|(core, _)| (who.core == Some(**core)) == ours);
            those.map(|(core, now)| now.saturating_sub(before.cores.get(core).copied().unwrap_or_default())).sum()
        };
        let machine = self.reading.since(&before.reading);
        // It may have been one core alone.
        let stolen = (machine.steal * f64::from(machine.cores)).min(1.0) * machine.seconds;
        let tool = kept_out(self.tool.since(&before.tool), busy(false));
        let gateway = who.core.map(|_| kept_out(self.gateways.since(&before.gateways), busy(true)));
        Step {
            length: self.at.saturating_duration_since(before.at),
            // Who shares the tool's core is kept from it with the tool.
            gateway: gateway.unwrap_or(tool),
            tool,
            stolen: Duration::from_secs_f64(stolen),
        }
    }
}

/// How long strangers had the cores of somebody who was ready to run: no longer than he waited, and no longer than the cores were busy
/// with others. His own threads wait for each other too.
fn kept_out(own: Turn, busy: Duration) -> Duration {
    Duration::from_nanos(own.waited).min(busy.saturating_sub(Duration::from_nanos(own.ran)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn who_waits_for_his_own_threads_is_not_kept_out_and_who_sleeps_is_not_either() {
        let turn = |ran: u64, waited: u64| Turn { ran: ran * 1_000_000, waited: waited * 1_000_000 };
        // Three busy threads on a core of their own.
        assert_eq!(kept_out(turn(1000, 2000), ms(1000)), ms(0));
        // A stranger has half of it, and all of it.
        assert_eq!(kept_out(turn(500, 500), ms(1000)), ms(500));
        assert_eq!(kept_out(turn(0, 3000), ms(1000)), ms(1000));
        // A stranger has what nobody wanted.
        assert_eq!(kept_out(turn(10, 0), ms(1000)), ms(0));
    }
}
