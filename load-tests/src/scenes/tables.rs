//! What a scene brought, as tables.

use crate::open_loop::Tally;
use crate::report::Table;
use crate::stats::{Estimate, median};

use super::{Player, Round, Window, window};

/// A window in a line.
pub(super) fn line(window: &Window) -> String {
    let [p50, p90, p99, p999] = window.quantiles;
    format!(
        "p50 {p50:.1} p90 {p90:.1} p99 {p99:.1} p99.9 {p999:.1} ms, beyond {} of {}, failed {} (held {}){}, marked {:.2} %, \
         attempts to before {:.2}, recovery {:.1} s, most in flight {}, lag p99.9 {:?}, waited {:.1} %",
        window.beyond,
        window.requests,
        window.failed,
        window.held,
        window.answers,
        window.marked * 100.0,
        window.pressure,
        window.recovery,
        window.most_in_flight,
        window.lag.p999,
        window.waited * 100.0
    )
}

/// A row for each player.
pub(super) fn summary(players: &[Player], rounds: &[Round], flaws: &[usize]) -> Table {
    let mut table = Table::new(&[
        "medians of rounds",
        "p50 ms",
        "p90 ms",
        "p99 ms [95 %]",
        "p99.9 ms",
        "beyond 50 ms or failed, of 1,000 [95 %]",
        "failed, all rounds",
        "of them held when killed",
        "marked replicas' share of attempts, %",
        "attempts in the fault to before",
        "s to recover, longest",
        "held back, all rounds",
        "rounds (windows invalid)",
    ]);
    for (turn, player) in players.iter().enumerate() {
        let windows: Vec<&Window> = rounds.iter().filter_map(|round| round.get(turn)?.as_ref()).collect();
        let values = |value: &dyn Fn(&Window) -> f64| -> Vec<f64> {
            windows.iter().map(|window| value(window)).filter(|value| !value.is_nan()).collect()
        };
        let middle = |value: &dyn Fn(&Window) -> f64, digits: usize| {
            median(&mut values(value)).map_or_else(|| "-".to_owned(), |median| format!("{median:.digits$}"))
        };
        let estimate = |value: &dyn Fn(&Window) -> f64| {
            Estimate::of(&values(value)).map_or_else(|| "-".to_owned(), |estimate| format!("{estimate:.1}"))
        };
        let sum = |value: fn(&Window) -> u64| windows.iter().map(|window| value(window)).sum::<u64>();
        let longest = values(&|window| window.recovery).into_iter().fold(0.0, f64::max);
        let [p50, p90, p999] = [0, 1, 3].map(|n| middle(&|window| at(&window.quantiles, n), 1));
        table.row([
            player,
            &p50,
            &p90,
            &estimate(&|window| at(&window.quantiles, 2)),
            &p999,
            &estimate(&beyond),
            &sum(|window| window.failed),
            &sum(|window| window.held),
            &middle(&|window| window.marked * 100.0, 2),
            &middle(&|window| window.pressure, 2),
            &format!("{longest:.1}"),
            &sum(|window| window.delayed),
            &format!("{} ({})", windows.len(), flaws.get(turn).copied().unwrap_or_default()),
        ]);
    }
    table
}

/// A row for what a choice of endpoint can come near to.
#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
pub(super) fn ideal(table: &mut Table, tallies: &[Tally]) {
    let middle =
        |value: &dyn Fn(&Tally) -> f64| median(&mut tallies.iter().map(value).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    let [p50, p90, p99, p999] =
        [0, 1, 2, 3].map(|n| format!("{:.1}", middle(&|tally| at(&window::quantiles(tally), n))));
    let beyond = middle(&|tally| tally.beyond as f64 * 1000.0 / tally.requests().max(1) as f64);
    let none = "-";
    table.row([
        &"one queue before all sound replicas (computed)",
        &p50,
        &p90,
        &p99,
        &p999,
        &format!("{beyond:.1}"),
        &none,
        &none,
        &none,
        &none,
        &none,
        &none,
        &tallies.len(),
    ]);
}

/// Of a thousand requests.
#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
fn beyond(window: &Window) -> f64 {
    window.beyond as f64 * 1000.0 / window.requests.max(1) as f64
}

fn at(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// The share of attempts that each replica got, a row for each player.
pub(super) fn shares(players: &[Player], rounds: &[Round]) -> Table {
    let count = rounds.iter().flatten().flatten().map(|window| window.shares.len()).max().unwrap_or_default();
    let mut table = Table::new(&["medians of rounds", "replicas from 0"]);
    for (turn, player) in players.iter().enumerate() {
        let each = (0..count).map(|replica| {
            let windows = rounds.iter().filter_map(|round| round.get(turn)?.as_ref());
            let mut values: Vec<f64> = windows.map(|window| at(&window.shares, replica) * 100.0).collect();
            median(&mut values).map_or_else(|| "-".to_owned(), |median| format!("{median:.1}"))
        });
        table.row([player, &each.collect::<Vec<_>>().join(", ")]);
    }
    table
}
