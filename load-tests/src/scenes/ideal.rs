//! What a choice of endpoint can come near to: one queue before all replicas that are well, with no way to go and every
//! request worked on once, in order of arrival. Computed from the scene's own moments and work. Pure.
//!
//! Whoever chooses an endpoint when a request arrives knows less than such a queue: a bar below it is out of reach.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::Failure;
use crate::open_loop::{Arrivals, Schedule, Tally};

use super::scene::{OBJECTIVE, Scene, WARM_UP};

/// Plays a scene without proxies. Marked replicas are left alone while something is wrong with them.
pub(super) fn play(scene: &Scene, seed: u64) -> Result<Tally, Failure> {
    let mut tally = Tally::new(OBJECTIVE, WARM_UP)?;
    // When each worker is free, and whether its replica is marked.
    let replicas = 0..scene.fleet.replicas.len();
    let workers = replicas.flat_map(|replica| {
        let marked = scene.marked.contains(&replica);
        (0..scene.fleet.limit).map(move |_| Reverse((Duration::ZERO, marked)))
    });
    let mut workers: BinaryHeap<_> = workers.collect();
    let Some(sound) = scene.fleet.replicas.iter().position(|replica| replica.slowness <= 1.0) else {
        return Ok(tally);
    };
    for (planned, id) in Schedule::new(Arrivals::Poisson, scene.rate, scene.length, seed).zip(1..) {
        while let Some(Reverse((free, marked))) = workers.pop() {
            let start = free.max(planned);
            if marked && scene.fault.contains(&start) {
                workers.push(Reverse((scene.fault.end, true)));
                continue;
            }
            let end = start + scene.fleet.work(sound, id);
            tally.answered(planned, end.saturating_sub(planned));
            workers.push(Reverse((end, marked)));
            break;
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenes::SceneName;

    #[test]
    fn waits_as_the_theory_of_queues_says() {
        // Of 28 workers that can do 5,600 a second, 3,408 are asked: hardly anybody waits, and p99 is that of the work,
        // 5 ms * ln 100.
        let scene = SceneName::Slow.scene(Duration::from_secs(20), 1);
        let tally = play(&scene, 1).unwrap();
        let p99 = tally.quantile(0.99).unwrap().as_secs_f64() * 1e3;
        assert!((22.0..24.5).contains(&p99), "{p99}");
        assert!(tally.failed.is_empty() && tally.requests() > 60_000);
    }

    #[test]
    fn nobody_works_during_an_outage() {
        let scene = SceneName::Outage.scene(Duration::from_secs(10), 1);
        let tally = play(&scene, 1).unwrap();
        assert!(tally.longest() > Duration::from_secs(3), "{:?}", tally.longest());
    }
}
