//! Widths are shares, colours are changes, names are names.

use super::*;

const PERF: &str = "portcullis 42 [001] 1.5: 1000000 cpu-clock:\n\
    \t    55d0c0 portcullis::parse+0x1c (/bin/portcullis)\n\
    \t    55d0d0 <alloc::vec::Vec<T> as core::ops::Drop>::drop (/bin/portcullis)\n\
    \t    55d0e0 main (/bin/portcullis)\n\n\
    portcullis 42 [001] 1.6: 1000000 cpu-clock:\n\
    \t    55d0e0 main (/bin/portcullis)\n\n";

#[test]
fn samples_of_perf_are_folded_from_the_outermost() {
    let stacks = Stacks::fold_perf(PERF);
    assert_eq!(stacks.folded(), "main 1\nmain;<alloc::vec::Vec<T> as core::ops::Drop>::drop;portcullis::parse 1\n");
    assert_eq!(Stacks::parse(&stacks.folded()), stacks);
    assert!(Stacks::fold_perf("").is_empty() && Stacks::parse("no count\nx 0\n").is_empty());
}

#[test]
fn a_width_is_a_share() {
    let picture = graph("run", &Stacks::parse("main;a 30\nmain;b 60\nmain 10\n"), Of::Shares);
    assert!(picture.contains("<title>b: 60.00 %</title><rect x=\"360.0\""), "{picture}");
    assert!(picture.contains("width=\"720.0\""), "{picture}");
    assert!(picture.contains("main: 100.00 %"));
}

#[test]
fn what_grew_is_red_and_what_shrank_is_blue() {
    let picture = difference(
        "change",
        &Stacks::parse("main;a 50\nmain;b 50\n"),
        &Stacks::parse("main;a 80\nmain;b 20\n"),
        Of::Shares,
    );
    let fill = |name: &str| picture.split(name).nth(1).unwrap().split("fill=\"").nth(1).unwrap().to_owned();
    assert!(picture.contains("a: 80.00 %, +30.00 points"), "{picture}");
    assert!(fill("<title>a:").starts_with("hsl(4 ") && fill("<title>b:").starts_with("hsl(212 "));
    assert!(fill("<title>main:").starts_with("hsl(212 85% 96%"), "unchanged is nearly white");
}

#[test]
fn hostile_names_stay_text() {
    let picture = graph("</title><script>", &Stacks::parse("main;<script>a()</script> 5\n"), Of::Counts);
    assert!(!picture.contains("<script>"), "{picture}");
}

#[test]
fn deep_stacks_end_somewhere() {
    let deep = vec!["f"; 10_000].join(";");
    let picture = graph("deep", &Stacks::parse(&format!("{deep} 1\n")), Of::Shares);
    assert_eq!(picture.matches("<rect").count(), DEEPEST + 1);
}

/// What callgrind writes of three functions that allocate, some calls of them from within each other.
const CALLGRIND: &str = "events: Ir\n\nfn=(1) work'main\n10 5\ncfn=(2) mi_malloc_aligned'work'main\ncalls=3 0\n10 90\n\
    cfn=(3) free'work'main\ncalls=2 0\n11 20\n\nfn=(2)\n1 30\ncfn=(4) mi_malloc'mi_malloc_aligned'work'main\n\
    calls=3 0\n1 60\n\nfn=(5) main\ncfn=(2)\ncalls=4 0\n1 20\ncfn=(6) mi_zalloc'main\ncalls=1 0\n1 20\n\ntotals: 205\n";

#[test]
fn calls_from_outside_are_folded_by_their_callers() {
    let stacks = Stacks::fold_callgrind(CALLGRIND, |name| name.starts_with("mi_"));
    assert_eq!(stacks.folded(), "main;mi_zalloc 1\nmain;work;mi_malloc_aligned 7\n");
    let of_none = Stacks::fold_callgrind(CALLGRIND, |name| name == "je_malloc");
    assert!(of_none.is_empty());
}

#[test]
fn what_came_since_is_told_for_one_of_them() {
    let (before, after) = (Stacks::parse("a;m 4\nb;m 10\n"), Stacks::parse("a;m 10\nb;m 10\nc;m 3\n"));
    let since = after.since(&before, 4.0);
    assert_eq!(since.folded(), "a;m 1.500\nc;m 0.750\n");
    assert!((since.total() - 2.25).abs() < 1e-12);
}

#[test]
fn a_count_that_grew_does_not_make_others_shrink() {
    let (before, after) = (Stacks::parse("a 10\nb 10\n"), Stacks::parse("a 10\nb 30\n"));
    let picture = difference("allocations", &before, &after, Of::Counts);
    for said in ["a: 10.00, +0.00", "b: 30.00, +20.00", "all: 40.00, +20.00"] {
        assert!(picture.contains(said), "{said}: {picture}");
    }
    assert!(picture.contains("b: 30.00, +20.00</title><rect x=\"300.0\""), "{picture}");
    assert!(graph("allocations", &after, Of::Counts).contains("b: 30.00, 75.00 %"));
}
