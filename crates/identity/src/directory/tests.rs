//! Directories: what they find, what they keep over a reload, what they refuse.

mod random;
mod refusals;

use super::*;
use crate::consumer::{ConsumerSpec, Format, KeySpec};
use crate::time::Timestamp;

fn secret() -> HashSecret {
    HashSecret::from_bytes([9; 32])
}

fn hash(key: &str) -> String {
    secret().hash(key.as_bytes()).to_string()
}

/// A line of NDJSON: id, plan and keys.
fn line(id: &str, plan: &str, keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!(r#"{{"hash":"{}"}}"#, hash(key))).collect();
    format!("{{\"id\":\"{id}\",\"plan\":\"{plan}\",\"keys\":[{}]}}\n", keys.join(","))
}

fn load(directory: &Directory, text: &str) -> Result<(Directory, Summary), ReloadError> {
    directory.rebuild_from(Format::Ndjson, &mut text.as_bytes(), Limits::default())
}

fn loaded(text: &str) -> Directory {
    load(&Directory::new(1), text).expect("a good file").0
}

fn who<'a>(directory: &'a Directory, key: &str) -> Option<&'a str> {
    directory.lookup(&secret(), key.as_bytes()).map(|found| found.consumer.id())
}

#[test]
fn finds_a_consumer_by_each_of_its_keys_and_nobody_by_others() {
    let directory = loaded(&[line("a", "free", &["a1", "a2", "a3"]), line("b", "pro", &["b1"])].concat());
    for (key, id) in
        [("a1", Some("a")), ("a2", Some("a")), ("a3", Some("a")), ("b1", Some("b")), ("b2", None), ("", None)]
    {
        assert_eq!(who(&directory, key), id, "{key}");
    }
    assert_eq!((directory.len(), directory.keys()), (2, 4));
    let other = HashSecret::from_bytes([8; 32]);
    assert!(directory.lookup(&other, b"a1").is_none(), "another secret hashes to something else");
}

#[test]
fn a_key_comes_with_its_expiry() {
    let text = format!(r#"{{"id":"a","plan":"p","keys":[{{"hash":"{}","not_after":1000}}]}}"#, hash("k"));
    let directory = loaded(&text);
    let found = directory.lookup(&secret(), b"k").expect("known");
    assert_eq!(found.not_after.time(), Some(Timestamp::from_seconds(1000)));
}

#[test]
fn finds_by_id_by_token_and_by_certificate() {
    let directory = loaded(concat!(
        r#"{"id":"a","plan":"p","jwt":[{"issuer":"i1","subject":"s"},{"subject":"any"}],"certificates":["CN=a"]}"#,
        "\n",
        r#"{"id":"b","plan":"p","jwt":[{"issuer":"i2","subject":"s"},{"issuer":"i1","subject":"any"}]}"#,
        "\n"
    ));
    for (issuer, subject, id) in [
        ("i1", "s", Some("a")),
        ("i2", "s", Some("b")),
        ("i3", "s", None),
        ("i3", "any", Some("a")),
        ("i1", "any", Some("b")),
    ] {
        assert_eq!(directory.by_token(issuer, subject).map(|one| one.id()), id, "{issuer} {subject}");
    }
    assert_eq!(directory.by_certificate("CN=a").map(|one| one.id()), Some("a"));
    assert!(directory.by_certificate("CN=b").is_none() && directory.by_id("c").is_none());
    assert_eq!(directory.by_id("b").map(|one| one.plan().name()), Some("p"));
}

#[test]
fn what_did_not_change_is_the_same_consumer() {
    let lines =
        |plan| (0..2000).map(move |n| line(&format!("c{n}"), if n == 7 { plan } else { "free" }, &[&format!("k{n}")]));
    let old = loaded(&lines("free").collect::<String>());
    let (new, summary) = load(&old, &lines("pro").rev().collect::<String>()).expect("a good file");
    assert_eq!((summary.kept, summary.changed, summary.added, summary.removed), (1999, 1, 0, 0));
    assert_eq!(summary.shards_kept, summary.shards - 1);
    for n in 0..2000 {
        let key = format!("k{n}");
        let [before, after] =
            [&old, &new].map(|directory| directory.lookup(&secret(), key.as_bytes()).expect("known").consumer);
        assert_eq!(Arc::ptr_eq(before, after), n != 7, "{n}");
    }
    assert_eq!(new.by_id("c7").map(|one| one.plan().name()), Some("pro"));
    assert_eq!(new.lookup(&secret(), b"k7").map(|found| found.consumer.plan().name()), Some("pro"));
    assert_eq!(old.by_id("c7").map(|one| one.plan().name()), Some("free"), "the old directory is not disturbed");
}

#[test]
fn a_text_that_did_not_change_is_not_parsed_again() {
    let old = loaded(&line("a", "free", &["k"]));
    let (_, parsed) = counted(|| load(&Directory::new(1), &line("a", "free", &["k"])).expect("good"));
    let (_, unparsed) = counted(|| load(&old, &line("a", "free", &["k"])).expect("good"));
    assert!(unparsed + 5 < parsed, "{unparsed} allocations, not {parsed}");
}

fn counted<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let mut value = None;
    let info = allocation_counter::measure(|| value = Some(run()));
    (value.expect("it ran"), info.count_total)
}

#[test]
fn a_lookup_allocates_nothing() {
    let directory = loaded(&line("a", "free", &["k"]));
    let secret = secret();
    let info = allocation_counter::measure(|| {
        assert!(directory.lookup(&secret, b"k").is_some() && directory.lookup(&secret, b"l").is_none());
        assert!(directory.by_id("a").is_some() && directory.by_token("i", "s").is_none());
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn keys_come_go_and_move_between_consumers() {
    let old = loaded(&[line("a", "p", &["k1", "k2"]), line("b", "p", &["k3"]), line("c", "p", &["k4"])].concat());
    let text = [line("a", "p", &["k2", "k3"]), line("b", "p", &["k1"]), line("d", "p", &["k4"])].concat();
    let (new, summary) = load(&old, &text).expect("a good file");
    let expected = [("k1", "b"), ("k2", "a"), ("k3", "a"), ("k4", "d")];
    for (key, id) in expected {
        assert_eq!(who(&new, key), Some(id), "{key}");
    }
    assert_eq!((summary.kept, summary.changed, summary.added, summary.removed), (0, 2, 1, 1));
    assert!(new.by_id("c").is_none() && new.keys() == 4 && new.len() == 3);
}

#[test]
fn a_file_in_yaml_says_the_same_and_reloads_item_by_item() {
    let item =
        |id: &str, plan: &str| format!("- id: {id}\n  plan: {plan}\n\n  keys:\n  - hash: '{}'\n# a remark\n", hash(id));
    let read = |directory: &Directory, text: &str| {
        directory.rebuild_from(Format::Yaml, &mut text.as_bytes(), Limits::default()).expect("a good file")
    };
    let (old, _) =
        read(&Directory::new(1), &format!("# all of them\n---\n\n{}{}", item("a", "free"), item("b", "free")));
    assert_eq!((who(&old, "a"), who(&old, "b")), (Some("a"), Some("b")));
    let (new, summary) = read(&old, &format!("{}{}", item("a", "free"), item("b", "pro")));
    assert_eq!((summary.kept, summary.changed), (1, 1));
    assert!(Arc::ptr_eq(old.by_id("a").expect("a"), new.by_id("a").expect("a")));
}

#[test]
fn plans_keep_their_index_over_reloads() {
    let old = loaded(&[line("a", "free", &[]), line("b", "pro", &[])].concat());
    let (new, _) = load(&old, &[line("b", "pro", &[]), line("c", "new", &[])].concat()).expect("a good file");
    assert_eq!(new.plans().iter().map(|plan| plan.name()).collect::<Vec<_>>(), ["free", "pro", "new"]);
    assert_eq!(new.by_id("b").map(|one| one.plan().index()), Some(1));
}

#[test]
fn changes_of_a_store_are_applied() {
    let old = loaded(&[line("a", "p", &["a"]), line("b", "p", &["b"])].concat());
    let put = |id: &str, key: &str| {
        let keys = vec![KeySpec { hash: hash(key), ..KeySpec::default() }];
        Change::Put(Box::new(ConsumerSpec { id: id.to_owned(), plan: "q".to_owned(), keys, ..ConsumerSpec::default() }))
    };
    let changes = vec![put("c", "x"), put("a", "a2"), Change::Remove("b".into()), put("c", "c"), put("d", "b")];
    let (new, summary) = old.apply(changes, Limits::default()).expect("good changes");
    for (key, id) in [("a", None), ("a2", Some("a")), ("b", Some("d")), ("c", Some("c")), ("x", None)] {
        assert_eq!(who(&new, key), id, "{key}");
    }
    assert_eq!((summary.kept, summary.changed, summary.added, summary.removed), (0, 1, 2, 1));
    // A file read after changes takes what it says, also of those that changed.
    let (back, _) = load(&new, &[line("a", "p", &["a"]), line("b", "p", &["b"])].concat()).expect("a good file");
    assert_eq!((who(&back, "a"), who(&back, "b"), who(&back, "c"), back.len()), (Some("a"), Some("b"), None, 2));
}

#[test]
fn a_million_consumers_fit_in_the_stated_memory() {
    // Ten thousand tell as much: nothing in a directory grows faster than its consumers.
    const COUNT: usize = 10_000;
    let text: String =
        (0..COUNT).map(|n| line(&format!("consumer-{n:06}"), "free", &[&format!("a{n}"), &format!("b{n}")])).collect();
    let mut directory = None;
    let info = allocation_counter::measure(|| directory = load(&Directory::new(1), &text).ok());
    let (directory, _) = directory.expect("a good file");
    let measured = usize::try_from(info.bytes_current).expect("some bytes") / COUNT;
    let summed = directory.heap_bytes() / COUNT;
    assert!((305..=345).contains(&measured), "{measured} bytes a consumer");
    println!("{measured} bytes a consumer, itself {}", size_of::<Consumer>());
    assert!(measured.abs_diff(summed) * 20 <= measured, "measured {measured}, summed {summed}");
}
