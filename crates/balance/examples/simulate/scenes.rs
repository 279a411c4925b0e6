//! The scenes.

use portcullis_balance::{Draws, Tuning, ZonePreference};
use portcullis_types::Percent;

use super::scene::{Change, Scene};
use super::server::Mode;
use super::stats::Stats;

/// When things go wrong, in seconds.
const FAULT: f64 = 3.0;

fn faulty(name: &'static str, fleet: usize, watched: usize, mode: Mode) -> Scene {
    Scene { measure_from: FAULT + 1.0, ..Scene::healthy(name, fleet).watching(0..watched).then(FAULT, mode) }
}

/// Nothing is wrong.
pub(crate) fn uniform(fleet: usize) -> Scene {
    Scene::healthy("uniform", fleet)
}

/// So many servers are ten times slower.
pub(crate) fn slow(fleet: usize, watched: usize) -> Scene {
    let name = if watched == 1 { "one slow 10x" } else { "two slow 10x" };
    // What is left must be able to carry the load.
    let load = if fleet <= 2 { 0.3 } else { 0.6 };
    Scene { load, ..faulty(name, fleet, watched, Mode::Serving(10.0)) }
}

/// One fails at once with 500s.
pub(crate) fn failing(fleet: usize) -> Scene {
    let load = if fleet <= 2 { 0.3 } else { 0.6 };
    Scene { load, ..faulty("failing fast", fleet, 1, Mode::Failing) }
}

/// One hangs.
pub(crate) fn hanging(fleet: usize) -> Scene {
    let load = if fleet <= 2 { 0.3 } else { 0.6 };
    Scene { load, timeout: 1.0, ..faulty("hanging", fleet, 1, Mode::Hanging) }
}

/// Half of the fleet is three times slower for two seconds.
pub(crate) fn brown_out(fleet: usize) -> Scene {
    let scene = faulty("brown-out", fleet, fleet / 2, Mode::Serving(3.0)).then(FAULT + 2.0, Mode::Serving(1.0));
    Scene { measure_from: FAULT, ..scene }
}

/// One server after the other goes down for half a second, and warms up for one.
pub(crate) fn rolling_restart(fleet: usize) -> Scene {
    let mut scene = Scene { attempts: 3, ..Scene::healthy("rolling restart", fleet) };
    let last = fleet.min(8);
    for nth in 0..last {
        let at = 2.0 + nth as f64 * 0.6;
        for (at, mode) in [(at, Mode::Down), (at + 0.5, Mode::Warming(4.0, 1.0))] {
            scene.changes.push(Change { at, servers: vec![nth], mode });
        }
    }
    Scene { load: 0.4, tuning: Tuning { outliers: None, ..Tuning::recommended() }, ..scene }
}

/// A quarter of the fleet joins cold, eight times slower at first and for five seconds.
pub(crate) fn cold_start(fleet: usize) -> Scene {
    let cold = (fleet / 4).max(1);
    let scene = Scene::healthy("cold start", fleet).watching(0..cold).then(FAULT, Mode::Warming(8.0, 5.0));
    let load = if fleet <= 2 { 0.35 } else { 0.5 };
    Scene { load, measure_from: FAULT, joins_at: Some(FAULT), tuning: Tuning::recommended(), ..scene }
}

/// Other tenants of the machines slow servers down, each for some hundred milliseconds, four times over.
pub(crate) fn antagonists(fleet: usize) -> Scene {
    let mut scene = Scene { load: 0.5, ..Scene::healthy("antagonists", fleet) };
    let mut draws = Draws::new(99);
    for step in 0..40 {
        let at = f64::from(step) * 0.2;
        let hit: Vec<usize> = (0..fleet).filter(|_| draws.next().is_multiple_of(6)).collect();
        scene.changes.push(Change { at, servers: (0..fleet).collect(), mode: Mode::Serving(1.0) });
        scene.changes.push(Change { at, servers: hit, mode: Mode::Serving(4.0) });
    }
    scene
}

/// The region of priority 0 dies and comes back; another stands by.
pub(crate) fn dead_region() -> Scene {
    let scene = Scene { first_of_next: 16, ..Scene::healthy("dead region", 32) };
    let scene = scene.watching(0..16).then(FAULT, Mode::Down).then(FAULT + 4.0, Mode::Serving(1.0));
    Scene { checks: true, seconds: 11.0, attempts: 2, tuning: Tuning::recommended(), measure_from: FAULT, ..scene }
}

/// What the course of a failover was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failover {
    /// Seconds from the fault until the dead servers get under 1 % of attempts, for good.
    pub(crate) over: f64,
    /// Seconds from the fault's end until they get more than 90 % again, for good.
    pub(crate) back: f64,
    /// How often the traffic changed sides.
    pub(crate) turns: usize,
    /// The part of requests that ended badly.
    pub(crate) errors: f64,
}

const STEP: f64 = 0.05;

/// The seconds from one moment until a condition holds in every step up to another.
fn lasting(from: f64, to: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let steps = ((to - from) / STEP).round() as usize;
    let last = (0..steps).rev().find(|nth| !holds(from + *nth as f64 * STEP));
    last.map_or(0.0, |nth| (nth + 1) as f64 * STEP)
}

/// Reads the course of a failover.
pub(crate) fn failover(scene: &Scene, stats: &Stats) -> Failover {
    let share = |at: f64| stats.watched(at, at + STEP);
    let end = FAULT + 4.0;
    let steps = (scene.seconds / STEP).round() as usize;
    let sides: Vec<bool> = (0..steps).map(|nth| share(nth as f64 * STEP) > 0.5).collect();
    Failover {
        over: lasting(FAULT, end, |at| share(at) < 0.01),
        back: lasting(end, scene.seconds, |at| share(at) > 0.9),
        turns: sides.windows(2).filter(|pair| pair[0] != pair[1]).count(),
        errors: stats.errors(FAULT, scene.seconds),
    }
}

/// What the course of an outage was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storm {
    /// Attempts during the outage, over those before.
    pub(crate) offered: f64,
    /// Seconds from the outage's end until fewer than 1 % of requests fail and p99 is under twice what it was, for
    /// good.
    pub(crate) recovers: f64,
}

/// Reads the course of an outage.
pub(crate) fn storm(scene: &Scene, stats: &Stats) -> Storm {
    let end = FAULT + 3.0;
    let before = stats.quantile(1.0, FAULT - 1.0, 0.99);
    // The last second is left out: not all of its requests have ended.
    let well =
        |at: f64| stats.errors(at, at + STEP) < 0.01 && stats.quantile(at, at + STEP, 0.99) < 2.0 * before.max(1.0);
    Storm {
        offered: stats.offered(FAULT, end) / stats.offered(1.0, FAULT),
        recovers: lasting(end, scene.seconds - 1.0, well),
    }
}

/// Everything stops answering for three seconds.
pub(crate) fn outage(mode: Mode) -> Scene {
    let name = match mode {
        Mode::Failing => "full outage failing",
        Mode::Hanging => "full outage hanging",
        Mode::Serving(_) | Mode::Warming(..) | Mode::Down => "full outage crawling",
    };
    let scene = Scene::healthy(name, 16).watching(0..16).then(FAULT, mode);
    let scene = scene.then(FAULT + 3.0, Mode::Serving(1.0));
    Scene { seconds: 14.0, attempts: 3, timeout: 1.0, tuning: Tuning::recommended(), measure_from: FAULT, ..scene }
}

/// Requests that all cost the same, servers that are all the same, and little headroom.
pub(crate) fn steady() -> Scene {
    Scene { load: 0.9, spread: 0.0, ..Scene::healthy("steady", 16) }
}

/// So much of what a gateway's own zone of four servers can carry, eight servers in another, and servers that say how busy
/// they are.
pub(crate) fn own_zone(load: f64, reports: f64) -> Scene {
    let zone = ZonePreference { zone: "own".into(), traffic: Percent::from_millionths(330_000), per_endpoint: None };
    // A zone that is suddenly overloaded is slower than the other, and would be taken out for that.
    let tuning = Tuning { zone: Some(zone), outliers: None, ..Tuning::recommended() };
    let (home, fleet) = (4, 12);
    let scene = Scene { home, reports, load: load * home as f64 / fleet as f64, ..Scene::healthy("own zone", fleet) };
    Scene { tuning, seconds: 30.0, measure_from: 15.0, ..scene.watching(home..fleet) }
}

/// Two slow servers, seen by many gateways that do not know of each other.
pub(crate) fn many_gateways(gateways: usize) -> Scene {
    Scene { gateways, name: "two slow 10x 16 gateways", ..slow(16, 2) }
}

/// Every scene that algorithms are compared in, for a fleet.
pub(crate) fn compared(fleet: usize) -> Vec<Scene> {
    let mut scenes = vec![uniform(fleet), slow(fleet, 1)];
    if fleet > 2 {
        scenes.push(slow(fleet, 2));
    }
    scenes.extend([failing(fleet), hanging(fleet), brown_out(fleet), rolling_restart(fleet), cold_start(fleet)]);
    scenes.push(antagonists(fleet));
    scenes
}
