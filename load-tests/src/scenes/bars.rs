//! What was promised, beside what was measured. Pure.

use crate::stats::Estimate;

use super::scene::SceneName;
use super::{Player, Round, Window};

/// A promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) measured: String,
    pub(super) at_most: String,
    pub(super) met: bool,
}

/// The bars of a scene. None when the gateway did not play.
pub(super) fn judge(scene: SceneName, players: &[Player], rounds: &[Round]) -> Vec<Bar> {
    let Some(own) = players.iter().position(|player| *player == Player::Portcullis) else { return Vec::new() };
    let windows: Vec<&Window> = rounds.iter().filter_map(|round| round.get(own)?.as_ref()).collect();
    let title = scene.title();
    let sum = |value: fn(&Window) -> u64| windows.iter().map(|window| value(window)).sum::<u64>();
    let most = |value: fn(&Window) -> f64| windows.iter().map(|window| value(window)).fold(f64::NAN, f64::max);
    let whole = |what: &str, count: u64| Bar {
        what: format!("{title}: {what}"),
        measured: if windows.is_empty() { "nothing valid".to_owned() } else { count.to_string() },
        at_most: "0".to_owned(),
        met: !windows.is_empty() && count == 0,
    };
    let single = |what: &str, value: f64, at_most: f64| Bar {
        what: format!("{title}: {what}"),
        measured: format!("{value:.2}"),
        at_most: at_most.to_string(),
        met: value <= at_most,
    };
    let ratios = || {
        let p99 = |window: &Window| window.quantiles.get(2).copied().unwrap_or(f64::NAN);
        vec![
            ratio(&format!("{title}: p99 to the best of the others"), &ratios(own, rounds, p99)),
            ratio(&format!("{title}: requests beyond the objective to the best"), &ratios(own, rounds, beyond)),
        ]
    };
    match scene {
        SceneName::Slow => ratios(),
        SceneName::KillGet => {
            let mut bars = ratios();
            bars.push(whole("failed idempotent requests", sum(|window| window.failed)));
            bars
        }
        SceneName::KillPost => {
            vec![whole("failed requests that no killed replica held", sum(|window| window.failed - window.held))]
        }
        SceneName::Failing => {
            vec![single("largest share of the failing replica after 1 s, %", most(|window| window.marked * 100.0), 2.0)]
        }
        SceneName::Hanging | SceneName::Pausing => Vec::new(),
        SceneName::Outage => vec![
            single("most attempts during it, to before", most(|window| window.pressure), 1.2),
            single("longest recovery, s", most(|window| window.recovery), 5.0),
        ],
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
fn beyond(window: &Window) -> f64 {
    // None at all would make a ratio of nothing: one is assumed.
    window.beyond.max(1) as f64
}

/// The gateway's value over the lowest of the others, by round. A round counts when it has the gateway and all others.
fn ratios(own: usize, rounds: &[Round], value: impl Fn(&Window) -> f64) -> Vec<f64> {
    let of = |round: &Round| {
        let all: Vec<f64> = round.iter().map(|window| window.as_ref().map(&value)).collect::<Option<_>>()?;
        let others = all.iter().enumerate().filter(|(turn, _)| *turn != own).map(|(_, value)| *value);
        let ratio = all.get(own)? / others.min_by(f64::total_cmp)?;
        // Infinite over infinite: nobody has a tail to speak of, and no promise is kept.
        Some(if ratio.is_nan() { f64::INFINITY } else { ratio })
    };
    rounds.iter().filter_map(of).collect()
}

fn ratio(what: &str, ratios: &[f64]) -> Bar {
    const AT_MOST: f64 = 0.8;
    let estimate = Estimate::of(ratios);
    Bar {
        what: what.to_owned(),
        measured: estimate.map_or_else(|| "nothing valid".to_owned(), |estimate| format!("{estimate:.2}")),
        at_most: AT_MOST.to_string(),
        met: estimate.is_some_and(|estimate| estimate.median <= AT_MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open_loop::Lag;

    const PLAYERS: [Player; 3] = [Player::Envoy, Player::Portcullis, Player::HaproxyRandom];

    fn window(p99: f64, beyond: u64, failed: u64) -> Window {
        Window {
            quantiles: [1.0, 2.0, p99, 99.0],
            requests: 1000,
            beyond,
            failed,
            held: 1,
            answers: String::new(),
            shares: vec![1.0],
            marked: 0.01,
            pressure: 1.3,
            recovery: 4.0,
            delayed: 0,
            most_in_flight: 1,
            lag: Lag::default(),
            waited: 0.0,
        }
    }

    fn check(scene: SceneName, rounds: &[Round], expected: &[(&str, bool)]) {
        let bars = judge(scene, &PLAYERS, rounds);
        let found: Vec<_> = bars.iter().map(|bar| (bar.measured.as_str(), bar.met)).collect();
        assert_eq!(found, expected, "{scene:?}");
    }

    #[test]
    fn the_gateway_is_compared_with_the_best_of_the_others_in_the_same_round() {
        let round =
            |own: f64| -> Round { vec![Some(window(20.0, 10, 0)), Some(window(own, 9, 1)), Some(window(40.0, 20, 0))] };
        // A round without a player says nothing of the best.
        let broken: Round = vec![None, Some(window(1.0, 0, 1)), Some(window(40.0, 20, 0))];
        let rounds = [round(10.0), broken, round(10.0)];
        check(SceneName::Slow, &rounds, &[("0.50 [0.50, 0.50]", true), ("0.90 [0.90, 0.90]", false)]);
        let expected = [("0.50 [0.50, 0.50]", true), ("0.90 [0.90, 0.90]", false), ("3", false)];
        check(SceneName::KillGet, &rounds, &expected);
        check(SceneName::KillPost, &rounds, &[("0", true)]);
        check(SceneName::Failing, &rounds, &[("1.00", true)]);
        check(SceneName::Outage, &rounds, &[("1.30", false), ("4.00", true)]);
    }

    #[test]
    fn a_tail_of_failed_requests_meets_no_bar() {
        let round = |own: f64, other: f64| -> Round {
            vec![Some(window(other, 10, 0)), Some(window(own, 9, 1)), Some(window(other, 20, 0))]
        };
        for other in [20.0, f64::INFINITY] {
            let expected = [("inf [inf, inf]", false), ("0.90 [0.90, 0.90]", false)];
            check(SceneName::Slow, &[round(f64::INFINITY, other)], &expected);
        }
    }

    #[test]
    fn nothing_valid_meets_no_bar() {
        for scene in [SceneName::Slow, SceneName::KillGet, SceneName::KillPost, SceneName::Failing, SceneName::Outage] {
            let bars = judge(scene, &PLAYERS, &[vec![None, None, None]]);
            assert!(!bars.is_empty() && bars.iter().all(|bar| !bar.met), "{bars:?}");
        }
        assert_eq!(judge(SceneName::Slow, &[Player::Envoy], &[]), []);
    }
}
