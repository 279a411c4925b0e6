//! A reload with anything wrong in it is refused as a whole, and says all that is wrong.

use super::*;

fn refused(directory: &Directory, text: &str) -> String {
    load(directory, text).expect_err("something is wrong").to_string()
}

#[test]
fn all_bad_lines_are_reported_together_and_the_old_set_stays() {
    let old = loaded(&line("a", "p", &["k"]));
    let text = format!("{}\nnonsense\n{{\"id\":\"b\"}}\n\n{{\"id\":\"c\",\"plan\":\"\"}}\n", line("a", "q", &["k"]));
    assert_eq!(
        refused(&old, &text),
        "line 3: no JSON: expected ident at column 2\nline 4: `plan` is missing\n\
         line 6: `plan`: expected 1 to 64 visible ASCII characters"
    );
    assert_eq!(old.by_id("a").map(|one| one.plan().name()), Some("p"));
    assert_eq!(who(&old, "k"), Some("a"));
}

#[test]
fn a_hundred_problems_are_told_and_the_rest_counted() {
    let error = load(&Directory::new(1), &"x\n".repeat(250)).expect_err("nothing right");
    assert_eq!((error.problems.len(), error.more), (100, 150));
    assert!(error.to_string().ends_with("line 100: no JSON: expected value at column 1\nand 150 more"));
}

#[test]
fn ids_keys_and_subjects_that_stand_twice_name_both_lines() {
    let subject = |id: &str| {
        format!("{{\"id\":\"{id}\",\"plan\":\"p\",\"jwt\":[{{\"subject\":\"s\"}}],\"certificates\":[\"CN=s\"]}}\n")
    };
    for (lines, expected) in [
        (
            [line("a", "p", &["k1"]), line("a", "p", &["k2"])],
            "line 2: the id of the consumer `a` stands at line 1 (consumer `a`) already",
        ),
        (
            [line("a", "p", &["k"]), line("b", "p", &["k"])],
            "line 2: a key of the consumer `b` stands at line 1 (consumer `a`) already",
        ),
        (
            [line("a", "p", &["k"]), line("a", "p", &["k"])],
            "line 2: the id of the consumer `a` stands at line 1 (consumer `a`) already\n\
             line 2: a key of the consumer `a` stands at line 1 (consumer `a`) already",
        ),
        (
            [subject("a"), subject("b")],
            "line 2: a token's subject of the consumer `b` stands at line 1 (consumer `a`) already\n\
             line 2: a certificate's subject of the consumer `b` stands at line 1 (consumer `a`) already",
        ),
    ] {
        assert_eq!(refused(&Directory::new(1), &lines.concat()), expected);
        // The same when the first of them was there before.
        let old = loaded(&lines[0]);
        assert_eq!(refused(&old, &lines.concat()), expected);
        assert_eq!(old.len(), 1);
    }
}

#[test]
fn a_change_that_collides_names_who_holds_it() {
    let old = loaded(&[line("a", "p", &["k"]), line("b", "p", &[])].concat());
    let keys = vec![KeySpec { hash: hash("k"), ..KeySpec::default() }];
    let spec = ConsumerSpec { id: "b".to_owned(), plan: "p".to_owned(), keys, ..ConsumerSpec::default() };
    let changes = vec![Change::Put(Box::new(spec)), Change::Put(Box::default())];
    let error = old.apply(changes.clone(), Limits::default()).expect_err("an id is empty");
    assert_eq!(error.to_string(), "line 2: `id`: expected 1 to 128 visible ASCII characters");
    let error = old.apply(changes[..1].to_vec(), Limits::default()).expect_err("the key is held");
    assert_eq!(error.to_string(), "line 1: a key of the consumer `b` stands at (consumer `a`) already");
    let error = old.apply(vec![Change::Remove("z".into())], Limits::default()).expect_err("nobody");
    assert_eq!(error.to_string(), "change 1: there is no consumer `z` to remove");
}

#[test]
fn lines_and_consumers_are_limited() {
    let limits = Limits { text: 100, consumers: 2 };
    let read = |text: &str| Directory::new(1).rebuild_from(Format::Ndjson, &mut text.as_bytes(), limits);
    let short = |id: &str| format!("{{\"id\":\"{id}\",\"plan\":\"p\"}}\n");
    assert!(read(&[short("a"), short("b")].concat()).is_ok());
    let error = read(&[short("a"), short(&"x".repeat(100)), short("b")].concat()).expect_err("a long line");
    assert_eq!(error.to_string(), "line 2: longer than 100 bytes");
    let error = read(&[short("a"), short("b"), short("c")].concat()).expect_err("too many");
    assert_eq!(error.to_string(), "there are more than 2 consumers");
    let spec = |id: &str| {
        Change::Put(Box::new(ConsumerSpec { id: id.to_owned(), plan: "p".to_owned(), ..ConsumerSpec::default() }))
    };
    let error = Directory::new(1).apply(["a", "b", "c"].map(spec).to_vec(), limits).expect_err("too many");
    assert_eq!(error.to_string(), "there are more than 2 consumers");
}

#[test]
fn a_line_without_end_is_never_held_whole() {
    struct Endless(u64);
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b'x');
            self.0 = self.0.saturating_sub(buffer.len() as u64);
            Ok(if self.0 == 0 { 0 } else { buffer.len() })
        }
    }
    let mut reader = std::io::BufReader::new(Endless(50_000_000));
    let mut outcome = None;
    let info = allocation_counter::measure(|| {
        outcome = Some(Directory::new(1).rebuild_from(Format::Ndjson, &mut reader, Limits::default()));
    });
    let error = outcome.expect("it ran").expect_err("no consumer");
    assert_eq!(error.to_string(), "line 1: longer than 65536 bytes");
    assert!(info.bytes_max < 1_000_000, "{}", info.bytes_max);
}

#[test]
fn a_reader_that_fails_leaves_the_old_set() {
    struct Fails;
    impl std::io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let old = loaded(&line("a", "p", &["k"]));
    let error = old.rebuild_from(Format::Ndjson, &mut std::io::BufReader::new(Fails), Limits::default());
    assert_eq!(error.expect_err("it failed").to_string(), "reading failed: the disk is gone");
}

#[test]
fn a_yaml_file_is_a_list_at_the_left_edge() {
    let read = |text: &str| {
        let error =
            Directory::new(1).rebuild_from(Format::Yaml, &mut text.as_bytes(), Limits { text: 60, consumers: 9 });
        error.expect_err(text).to_string()
    };
    let stray = "expected a list of consumers, each beginning with `- ` at the left edge";
    for (text, expected) in [
        ("consumers:\n- id: a\n  plan: p\n", format!("line 1: {stray}")),
        ("  - id: a\n    plan: p\n", format!("line 1: {stray}\nline 2: {stray}")),
        (
            "- id: a\n  plan: p\n- id: b\n  plan: p\n  colour: red\n",
            "line 5: `colour`: unknown key `colour`".to_owned(),
        ),
        ("- id: a\n  plan: p\n- {}\n", "line 3: `id` is missing".to_owned()),
        (
            "- id: a\n  plan: 'pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp'\n",
            "line 1: longer than 60 bytes".to_owned(),
        ),
    ] {
        let said = read(text);
        assert!(said.starts_with(&expected), "{text}: {said}");
    }
}

#[test]
fn lines_may_end_as_windows_writes_them_and_begin_with_a_mark() {
    let text = format!("\u{feff}{}\r\n{}\r\n", line("a", "p", &["k"]).trim(), line("b", "p", &[]).trim());
    let directory = loaded(&text);
    assert_eq!((directory.len(), who(&directory, "k")), (2, Some("a")));
}
