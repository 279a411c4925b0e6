//! Words that stand in no file, and words that stand in no Rust file.

use super::{File, inline_tests, is_test};

/// Paths of one machine. Written in pieces, so that this file does not contain them.
const MACHINE_PATHS: [&str; 3] = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/")];

/// In Rust: what is not finished, or not run.
const UNFINISHED: [&str; 6] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("#[ig", "nore]"),
    concat!("#[ig", "nore ="),
];

/// In the crates that only compute: what reads a clock, sleeps, or touches files and sockets.
const IMPURE: [&str; 7] =
    ["Instant::now", "SystemTime::now", "thread::sleep", "std::fs", "TcpStream", "TcpListener", "UdpSocket"];

/// The crates that take `now` and a seed, and do no I/O.
const PURE: [&str; 8] = [
    "crates/policy/src/",
    "crates/balance/src/",
    "crates/wire/src/",
    "crates/caps/src/",
    "crates/identity/src/",
    "crates/slo/src/",
    "crates/health/src/",
    "load-tests/judge/src/",
];

/// Findings in any text file.
pub(super) fn everywhere(file: &File) -> Vec<String> {
    let lines = (1..).zip(file.text.lines());
    lines.flat_map(|(number, line)| find(number, line, &MACHINE_PATHS, "a path of one machine")).collect()
}

/// Findings in a Rust file.
pub(super) fn in_rust(file: &File) -> Vec<String> {
    let lines = (1..).zip(file.text.lines());
    let mut findings: Vec<String> =
        lines.flat_map(|(number, line)| find(number, line, &UNFINISHED, "unfinished, or not run")).collect();
    if PURE.iter().any(|prefix| file.path.starts_with(prefix)) && !is_test(&file.path) {
        let lines = inline_tests::without(&file.text).filter(|(_, line)| !line.trim_start().starts_with("//"));
        findings.extend(lines.flat_map(|(number, line)| find(number, line, &IMPURE, "in a crate that only computes")));
    }
    findings
}

fn find(number: usize, line: &str, words: &[&str], why: &str) -> Option<String> {
    let word = words.iter().find(|word| line.contains(**word))?;
    Some(format!("line {number}: `{word}`: {why}"))
}
