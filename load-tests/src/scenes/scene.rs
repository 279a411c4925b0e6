//! The scenes: a fleet, what goes wrong in it, and the load on it. Pure.

use std::ops::Range;
use std::time::Duration;

use clap::ValueEnum;

use crate::open_loop::Method;
use crate::replicas::{Mode, Plan, Work};

/// How long a request takes on average, and how many a replica works on at a time: 400 a second for each replica.
const MEAN: Duration = Duration::from_millis(5);
const LIMIT: usize = 2;

/// A request that takes longer is beyond the objective: ten times the mean of its work.
pub const OBJECTIVE: Duration = Duration::from_millis(50);

/// Not counted: connections are opened, health is learnt.
pub(super) const WARM_UP: Duration = Duration::from_secs(2);

/// How long a replica pauses, and how long it is until the next one does.
const PAUSE: Duration = Duration::from_millis(200);

/// How long after its beginning a fault should have been noticed.
const NOTICED: Duration = Duration::from_secs(1);

/// A scene by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SceneName {
    /// Two of 16 replicas are ten times as slow; GETs at 60 % of what the fleet can do.
    Slow,
    /// One of eight is killed and returns; GETs at 80 %.
    KillGet,
    /// One of eight is killed and returns; POSTs at 80 %.
    KillPost,
    /// One of eight answers 500 at once, and its health check passes; GETs at 60 %.
    Failing,
    /// One of eight takes requests and answers nothing for a while; GETs at 60 %; an attempt may take 500 ms.
    Hanging,
    /// All of eight reset every request for a while; GETs at 60 %.
    Outage,
    /// The eight pause in turn, as collectors of garbage do: every 400 ms another answers nothing for 200 ms; GETs at 60 %.
    Pausing,
}

/// A scene.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) fleet: Plan,
    /// The replicas that something is wrong with.
    pub(super) marked: Vec<usize>,
    /// When something is wrong.
    pub(super) fault: Range<Duration>,
    /// From when on the attempts at the marked replicas are of interest.
    pub(super) shares: Range<Duration>,
    pub(super) method: Method<'static>,
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) length: Duration,
    /// Milliseconds that an attempt may take.
    pub(super) patience: u32,
}

impl SceneName {
    /// What it shows, in words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Slow => "Two of 16 replicas slow by 10 x, 60 % of capacity",
            Self::KillGet => "One of 8 replicas is killed and returns, 80 % of capacity, GET",
            Self::KillPost => "One of 8 replicas is killed and returns, 80 % of capacity, POST",
            Self::Failing => "One of 8 replicas answers 500 at once, 60 % of capacity",
            Self::Hanging => "One of 8 replicas answers nothing for a while, 60 % of capacity",
            Self::Pausing => "The 8 replicas pause in turn, 200 of every 400 ms one of them, 60 % of capacity",
            Self::Outage => "All 8 replicas reset everything for a while, 60 % of capacity",
        }
    }

    /// The scene, with so much counted time.
    pub(super) fn scene(self, counted: Duration, seed: u64) -> Scene {
        let work = Work::Exponential(MEAN);
        let eight = |load: f64| {
            let fleet = Plan::even(8, work, LIMIT, seed);
            let rate = fleet.capacity() * load;
            let fault = WARM_UP + counted / 5..WARM_UP + counted / 2;
            let length = WARM_UP + counted;
            let shares = fault.start + NOTICED..fault.end;
            Scene { fleet, marked: vec![5], fault, shares, method: Method::Get, rate, length, patience: 15_000 }
        };
        match self {
            Self::Slow => {
                let slow = |plan: Plan, index| plan.with(index, |replica| replica.slowness = 10.0);
                let fleet = slow(slow(Plan::even(16, work, LIMIT, seed), 3), 11);
                let rate = fleet.capacity() * 0.6;
                let length = WARM_UP + counted;
                let shares = WARM_UP..length;
                let fault = Duration::ZERO..length;
                Scene { fleet, marked: vec![3, 11], fault, shares, rate, ..eight(0.6) }
            }
            Self::KillGet => eight(0.8).broken(Mode::Down),
            Self::KillPost => Scene { method: Method::Post, ..eight(0.8).broken(Mode::Down) },
            Self::Failing => eight(0.6).broken(Mode::Failing),
            Self::Hanging => Scene { patience: 500, ..eight(0.6).broken(Mode::Hanging) },
            Self::Outage => {
                let all = Scene { marked: (0..8).collect(), ..eight(0.6) };
                // Long enough to see whether it recovers within five seconds.
                let fault = all.fault.start..all.fault.start + Duration::from_secs(3);
                let length = fault.end + Duration::from_secs(7);
                Scene { shares: fault.clone(), fault, length, ..all }.broken(Mode::Resetting)
            }
            Self::Pausing => Scene { marked: (0..8).collect(), ..eight(0.6) }.pausing(),
        }
    }
}

impl Scene {
    /// The marked replicas pause in turn, from the warm-up to the end.
    fn pausing(mut self) -> Self {
        let mut moment = WARM_UP;
        for index in self.marked.iter().cycle() {
            let end = moment + PAUSE;
            if end > self.length {
                break;
            }
            self.fleet = self.fleet.with(*index, |replica| {
                replica.script.extend([(moment, Mode::Hanging), (end, Mode::Serving)]);
            });
            moment = end + PAUSE;
        }
        let fault = WARM_UP..self.length;
        Self { shares: fault.clone(), fault, ..self }
    }

    /// The marked replicas do this during the fault.
    fn broken(mut self, mode: Mode) -> Self {
        for index in &self.marked {
            let script = vec![(self.fault.start, mode), (self.fault.end, Mode::Serving)];
            self.fleet = self.fleet.with(*index, |replica| replica.script = script);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: Duration = Duration::from_secs(10);

    #[test]
    fn every_scene_stays_inside_its_time_and_below_its_capacity() {
        for name in SceneName::value_variants() {
            let scene = name.scene(COUNTED, 1);
            assert!(scene.fault.start < scene.fault.end && scene.fault.end <= scene.length, "{name:?}");
            assert!(scene.shares.start < scene.shares.end && scene.shares.end <= scene.length, "{name:?}");
            assert!(scene.rate < scene.fleet.capacity() * 0.81, "{name:?}");
            assert!(scene.marked.iter().all(|index| *index < scene.fleet.replicas.len()), "{name:?}");
        }
    }

    #[test]
    fn what_is_broken_is_mended() {
        for name in [SceneName::KillGet, SceneName::KillPost, SceneName::Hanging, SceneName::Outage] {
            let scene = name.scene(COUNTED, 1);
            for (index, replica) in scene.fleet.replicas.iter().enumerate() {
                let last = replica.script.last().copied();
                let expected = scene.marked.contains(&index).then_some((scene.fault.end, Mode::Serving));
                assert_eq!(last, expected, "{name:?} {index}");
            }
        }
    }

    #[test]
    fn one_replica_pauses_at_a_time_and_each_does() {
        let script = SceneName::Pausing.scene(COUNTED, 1).fleet.script();
        for (nth, pair) in script.chunks(2).enumerate() {
            let [(start, index, Mode::Hanging), (end, again, Mode::Serving)] = pair else { panic!("{pair:?}") };
            assert_eq!((*index, *again, *end - *start), (nth % 8, nth % 8, PAUSE));
        }
        assert_eq!(script.len(), 2 * 25);
    }

    #[test]
    fn what_is_left_of_a_fleet_can_still_serve_the_load() {
        // 2,560 a second against seven times 400.
        let scene = SceneName::KillGet.scene(COUNTED, 1);
        assert!(scene.rate < scene.fleet.capacity() * 7.0 / 8.0);
        assert!((SceneName::Slow.scene(COUNTED, 1).rate - 0.6 * 5680.0).abs() < 1e-6);
    }
}
