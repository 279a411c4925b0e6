//! Any sequence of reloads finds what the last file says, by key, id and subject.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Consumers by number: version of the plan, and numbers of its keys.
type World = BTreeMap<u8, (u8, Vec<u8>)>;

fn text(world: &World) -> String {
    let subject = |n: &u8| format!(",\"jwt\":[{{\"subject\":\"s{n}\"}}]}}\n");
    let one = |(n, (plan, keys)): (&u8, &(u8, Vec<u8>))| {
        let keys: Vec<String> = keys.iter().map(|key| format!("k{key}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        line(&format!("c{n}"), &format!("p{plan}"), &keys).replace("}\n", &subject(n))
    };
    world.iter().map(one).collect()
}

/// The same, with each key left to the first consumer that has it.
fn without_doubles(world: World) -> World {
    let mut taken = std::collections::BTreeSet::new();
    let own = |keys: Vec<u8>, taken: &mut std::collections::BTreeSet<u8>| {
        keys.into_iter().filter(|key| taken.insert(*key)).collect()
    };
    world.into_iter().map(|(n, (plan, keys))| (n, (plan, own(keys, &mut taken)))).collect()
}

fn worlds() -> impl Strategy<Value = Vec<World>> {
    let consumer = (0_u8..3, prop::collection::vec(0_u8..80, 0..4));
    let world = prop::collection::btree_map(0_u8..60, consumer, 0..60).prop_map(without_doubles);
    prop::collection::vec(world, 1..6)
}

proptest! {
    #[test]
    fn finds_what_the_last_file_says(worlds in worlds()) {
        let mut directory = Directory::new(3);
        for world in worlds {
            let (next, summary) = load(&directory, &text(&world)).expect("a good file");
            prop_assert_eq!(summary.kept + summary.changed + summary.added, world.len());
            prop_assert_eq!(directory.len() - summary.removed, summary.kept + summary.changed);
            directory = next;
            prop_assert_eq!(directory.len(), world.len());
            for key in 0..80_u8 {
                let owner = world.iter().find(|(_, (_, keys))| keys.contains(&key)).map(|(n, _)| format!("c{n}"));
                prop_assert_eq!(who(&directory, &format!("k{key}")), owner.as_deref());
            }
            for n in 0..60_u8 {
                let plan = world.get(&n).map(|(plan, _)| format!("p{plan}"));
                let by_id = directory.by_id(&format!("c{n}")).map(|one| one.plan().name());
                let by_token = directory.by_token("anyone", &format!("s{n}")).map(|one| one.plan().name());
                prop_assert_eq!(by_id, plan.as_deref());
                prop_assert_eq!(by_token, plan.as_deref());
            }
        }
    }
}
