//! Whatever nodes say, in whatever order.

use std::time::Duration;

use proptest::prelude::*;

use super::{BASE, Nodes, WELL, Word};
use crate::height::{Bearing, OwnWord, Sounding};

/// What becomes of a node in a round of the simulation.
#[derive(Debug, Clone)]
enum Fate {
    Follows,
    Lags(u64),
    Leaps(u64),
    Says,
    Silent,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Follows),
        2 => (0_u64..2_000).prop_map(Fate::Lags),
        1 => (0_u64..u64::MAX / 2).prop_map(Fate::Leaps),
        1 => Just(Fate::Says),
        2 => Just(Fate::Silent),
    ]
}

fn word(fate: &Fate, tip: u64) -> Word {
    match fate {
        Fate::Follows => Some((tip, WELL)),
        Fate::Lags(by) => Some((tip - by, WELL)),
        Fate::Leaps(by) => Some((tip.saturating_add(*by), WELL)),
        Fate::Says => Some((tip, OwnWord::Behind(None))),
        Fate::Silent => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever nodes do, there is one to choose, and what is said agrees with what is done.
    #[test]
    fn the_pool_is_never_empty(
        count in 1_usize..7,
        fates in proptest::collection::vec(proptest::collection::vec(fate(), 7), 1..25),
        sleep in 0_u64..100_000,
    ) {
        let mut nodes = Nodes::new(count);
        for (round, fates) in fates.iter().enumerate() {
            let tip = nodes.tip();
            let words: Vec<Word> = fates.iter().take(count).map(|fate| word(fate, tip)).collect();
            nodes.poll(&words);
            if round == fates.len() / 2 {
                nodes.pass(Duration::from_millis(sleep));
            }
            prop_assert!(!nodes.used().is_empty());
        }
    }

    /// Of three or more nodes, one may say what it likes: the reference stays between what the others say, and of those
    /// that follow none is taken out.
    #[test]
    fn no_single_liar_moves_the_reference(
        honest in 2_usize..6,
        lies in proptest::collection::vec(prop_oneof![Just(None), (0_u64..u64::MAX).prop_map(Some), (BASE - 99..BASE + 999).prop_map(Some)], 1..60),
        jitter in proptest::collection::vec(0_u64..6, 6),
    ) {
        let mut nodes = Nodes::new(honest + 1);
        for lie in lies {
            let tip = nodes.tip();
            let mut words: Vec<Word> = jitter.iter().take(honest).map(|late| Some((tip - late, WELL))).collect();
            words.push(lie.map(|lie| (lie, WELL)));
            nodes.poll(&words);
            let reference = nodes.reference();
            // What is heard goes on at the usual pace until it is heard anew.
            prop_assert!((tip - 6..=tip + 2).contains(&reference), "{reference} at {tip}");
            for nth in 0..honest {
                prop_assert_eq!(nodes.bearing(nth), Bearing::Level);
            }
        }
    }

    /// Polls that come at any time, in any order, with any pause: a node that follows is never out.
    #[test]
    fn who_follows_is_never_out(pauses in proptest::collection::vec((0_u64..1_200, 0_usize..4), 1..200)) {
        let mut nodes = Nodes::new(4);
        for (pause, nth) in pauses {
            nodes.pass(Duration::from_millis(pause));
            let sounding = Sounding { height: nodes.tip(), own: WELL };
            nodes.set.endpoints()[nth].state().sound(nodes.now, sounding);
            for nth in 0..4 {
                prop_assert!(!nodes.bearing(nth).is_off(), "{nth}: {:?}", nodes.bearing(nth));
            }
        }
    }
}
