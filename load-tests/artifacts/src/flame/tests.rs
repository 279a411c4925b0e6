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
    let picture = graph("run", &Stacks::parse("main;a 30\nmain;b 60\nmain 10\n"));
    assert!(picture.contains("<title>b: 60.00 %</title><rect x=\"360.0\""), "{picture}");
    assert!(picture.contains("width=\"720.0\""), "{picture}");
    assert!(picture.contains("main: 100.00 %"));
}

#[test]
fn what_grew_is_red_and_what_shrank_is_blue() {
    let picture =
        difference("change", &Stacks::parse("main;a 50\nmain;b 50\n"), &Stacks::parse("main;a 80\nmain;b 20\n"));
    let fill = |name: &str| picture.split(name).nth(1).unwrap().split("fill=\"").nth(1).unwrap().to_owned();
    assert!(picture.contains("a: 80.00 %, +30.00 points"), "{picture}");
    assert!(fill("<title>a:").starts_with("hsl(4 ") && fill("<title>b:").starts_with("hsl(212 "));
    assert!(fill("<title>main:").starts_with("hsl(212 85% 96%"), "unchanged is nearly white");
}

#[test]
fn hostile_names_stay_text() {
    let picture = graph("</title><script>", &Stacks::parse("main;<script>a()</script> 5\n"));
    assert!(!picture.contains("<script>"), "{picture}");
}

#[test]
fn deep_stacks_end_somewhere() {
    let deep = vec!["f"; 10_000].join(";");
    let picture = graph("deep", &Stacks::parse(&format!("{deep} 1\n")));
    assert_eq!(picture.matches("<rect").count(), DEEPEST + 1);
}
