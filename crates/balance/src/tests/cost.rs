//! What a choice costs: no allocation, whatever the algorithm and the state of the fleet.

use super::*;

#[test]
fn choosing_allocates_nothing() {
    for algorithm in every_algorithm() {
        let set = built(equal(100), checked(algorithm.clone()));
        for nth in 0..60 {
            make(&set, nth, false);
        }
        let skip = places(&[70, 80]);
        let now = Instant::now();
        // The first load of a thread registers it with arc-swap, once.
        drop(choose(&set, 0));
        let cost = allocation_counter::measure(|| {
            for random in 0..100 {
                let ask = Ask { now, random, key: Some(random), skip: &skip };
                let mut choice = set.choose(&ask).unwrap();
                choice.success(now, SECOND);
            }
        });
        assert_eq!(cost.count_total, 0, "{algorithm:?}");
    }
}
