//! What a fleet of replicas does, and when. Pure.

use std::time::Duration;

use crate::random::Random;

/// What a replica does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It works on them.
    Serving,
    /// It answers 500 at once. Its health check passes.
    Failing,
    /// It takes them and answers nothing, health checks neither. When it serves again it works on what it took.
    Hanging,
    /// It reads them and resets the connection, those that are open at the beginning included.
    Resetting,
    /// Its connections are reset and its port is closed.
    Down,
}

/// How long a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// No time at all.
    None,
    /// Exponential with this mean.
    Exponential(Duration),
}

/// One replica.
#[derive(Debug, Clone, PartialEq)]
pub struct Replica {
    /// How many times as long as planned its work takes.
    pub slowness: f64,
    /// What it does from when on, in order. It serves until the first of them.
    pub script: Vec<(Duration, Mode)>,
}

/// A fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its replicas.
    pub replicas: Vec<Replica>,
    /// How long a request takes.
    pub work: Work,
    /// Requests that a replica works on at a time.
    pub limit: usize,
    /// The seed of the work.
    pub seed: u64,
}

impl Plan {
    /// A fleet of equal replicas that serve.
    #[must_use]
    pub fn even(count: usize, work: Work, limit: usize, seed: u64) -> Self {
        Self { replicas: vec![Replica { slowness: 1.0, script: Vec::new() }; count], work, limit, seed }
    }

    /// Changes one of them.
    #[must_use]
    pub fn with(mut self, index: usize, change: impl FnOnce(&mut Replica)) -> Self {
        if let Some(replica) = self.replicas.get_mut(index) {
            change(replica);
        }
        self
    }

    /// How long a replica works on the request of a number. The same in every run.
    #[must_use]
    pub fn work(&self, replica: usize, id: u64) -> Duration {
        let slowness = self.replicas.get(replica).map_or(1.0, |replica| replica.slowness);
        match self.work {
            Work::None => Duration::ZERO,
            Work::Exponential(mean) => {
                let mut random = Random::new(self.seed ^ id.wrapping_mul(0xd134_2543_de82_ef95));
                mean.mul_f64(random.exponential() * slowness)
            }
        }
    }

    /// Requests a second that the fleet can answer while all of it serves. Infinite when a request takes no time.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        let mean = match self.work {
            Work::None => 0.0,
            Work::Exponential(mean) => mean.as_secs_f64(),
        };
        let limit = u32::try_from(self.limit).map_or(f64::INFINITY, f64::from);
        self.replicas.iter().map(|replica| limit / (mean * replica.slowness)).sum()
    }

    /// All changes of mode in order of time.
    #[must_use]
    pub(crate) fn script(&self) -> Vec<(Duration, usize, Mode)> {
        let each = self.replicas.iter().enumerate();
        let mut all: Vec<_> = each
            .flat_map(|(index, replica)| replica.script.iter().map(move |(moment, mode)| (*moment, index, *mode)))
            .collect();
        all.sort_by_key(|(moment, index, _)| (*moment, *index));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: Duration = Duration::from_millis(5);

    fn plan() -> Plan {
        Plan::even(4, Work::Exponential(MEAN), 2, 3).with(1, |replica| replica.slowness = 10.0)
    }

    #[test]
    fn a_request_takes_as_long_everywhere_but_on_a_slow_replica() {
        let plan = plan();
        for id in 1..100 {
            assert_eq!(plan.work(0, id), plan.work(3, id));
            let ratio = plan.work(1, id).as_secs_f64() / plan.work(0, id).as_secs_f64();
            assert!((ratio - 10.0).abs() < 0.01, "{ratio}");
        }
        assert_ne!(plan.work(0, 1), plan.work(0, 2));
        assert_ne!(plan.work(0, 1), Plan { seed: 4, ..plan.clone() }.work(0, 1));
    }

    #[test]
    fn requests_take_the_planned_time_on_average() {
        let plan = plan();
        let sum: Duration = (1..=20_000).map(|id| plan.work(0, id)).sum();
        let mean = sum / 20_000;
        assert!(mean.abs_diff(MEAN) < MEAN / 30, "{mean:?}");
    }

    #[test]
    fn the_capacity_counts_slow_replicas_as_slow() {
        assert!((plan().capacity() - 1240.0).abs() < 1e-6);
        assert!(Plan::even(1, Work::None, 1, 0).capacity().is_infinite());
    }

    #[test]
    fn the_script_is_in_order_of_time() {
        let second = Duration::from_secs(1);
        let plan = plan()
            .with(2, |replica| replica.script = vec![(second, Mode::Down), (second * 3, Mode::Serving)])
            .with(0, |replica| replica.script = vec![(second * 2, Mode::Failing)]);
        let expected = [(second, 2, Mode::Down), (second * 2, 0, Mode::Failing), (second * 3, 2, Mode::Serving)];
        assert_eq!(plan.script(), expected);
    }
}
