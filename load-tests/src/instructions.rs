//! Instructions and allocations per request, counted by callgrind.
//!
//! Counts are read after two runs of different lengths, and what is printed is the difference: what start-up and the
//! first requests cost falls out. The files stay in the rig's folder (`--keep`), for callgrind_annotate.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::client::Client;
use crate::contenders::{Entrant, Gateway, Place};
use crate::report::{Table, progress};

/// Connections, in turns.
const CONNECTIONS: usize = 8;

/// Seconds that callgrind may take to write down what it counted.
const PATIENCE: &str = "60";

/// What a run counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    instructions: u64,
    allocations: u64,
    grown: u64,
    frees: u64,
}

/// Runs each contender under callgrind and writes a row for it.
///
/// # Errors
///
/// When valgrind or a contender is missing, or a request failed.
pub fn run<E: Entrant>(contenders: &[E], requests: u32, place: &Place) -> Result<Table, Failure> {
    let columns = ["", "instructions per request", "ratio to the first", "allocations", "reallocations", "frees"];
    let mut table = Table::new(&columns);
    let mut first = None;
    for (turn, contender) in contenders.iter().enumerate() {
        progress(&format!("callgrind: {contender}"));
        let folder = place.folder.join(format!("callgrind-{turn}"));
        let [instructions, allocations, grown, frees] = count(contender, requests, place, &folder)?;
        let ratio = format!("{:.3}", instructions / *first.get_or_insert(instructions));
        let [allocations, grown, frees] = [allocations, grown, frees].map(|number| format!("{number:.1}"));
        table.row([contender, &format!("{instructions:.0}"), &ratio, &allocations, &grown, &frees]);
    }
    Ok(table)
}

/// Instructions, allocations, reallocations and frees per request.
pub(crate) fn count(
    contender: &impl Entrant,
    requests: u32,
    place: &Place,
    folder: &Path,
) -> Result<[f64; 4], Failure> {
    let [short, long] = dumps(contender, requests, place, folder, &[])?;
    let read = |text: &str| parse(text).ok_or("callgrind's file has no totals");
    let (short, long) = (read(&short)?, read(&long)?);
    let difference = [
        long.instructions.saturating_sub(short.instructions),
        long.allocations.saturating_sub(short.allocations),
        long.grown.saturating_sub(short.grown),
        long.frees.saturating_sub(short.frees),
    ];
    #[expect(clippy::cast_precision_loss, reason = "counts of a short run are far below 2^52")]
    Ok(difference.map(|number| number as f64 / f64::from(requests * 2)))
}

/// What callgrind wrote of so many requests, and of three times as many: the difference is twice as many, without what
/// happens by time or once.
pub(crate) fn dumps(
    contender: &impl Entrant,
    requests: u32,
    place: &Place,
    folder: &Path,
    options: &[String],
) -> Result<[String; 2], Failure> {
    fs::create_dir_all(folder)?;
    let out = folder.join("out");
    // A program may be started by another that becomes it, such as `env`.
    let mut under = ["valgrind", "--tool=callgrind", "--trace-children=yes"].map(OsString::from).to_vec();
    under.push(format!("--callgrind-out-file={}", out.display()).into());
    under.extend(options.iter().map(OsString::from));
    let gateway = contender.start(place, &under)?;
    let mut clients = (0..CONNECTIONS).map(|_| Client::connect(gateway.address)).collect::<Result<Vec<_>, _>>()?;
    send(contender, &mut clients, requests)?;
    dump(&gateway, &out, 1)?;
    send(contender, &mut clients, requests)?;
    let short = dump(&gateway, &out, 2)?;
    send(contender, &mut clients, requests * 3)?;
    Ok([short, dump(&gateway, &out, 3)?])
}

fn send(contender: &impl Entrant, clients: &mut [Client], requests: u32) -> Result<(), Failure> {
    let count = u32::try_from(clients.len())?.max(1);
    for number in 0..requests.div_ceil(count) {
        for (client, place) in clients.iter_mut().zip(0..) {
            let answer = contender.ask(client, number * count + place)?;
            if answer.status != 200 || answer.closes {
                return Err(format!("status {}, closes: {}", answer.status, answer.closes).into());
            }
        }
    }
    Ok(())
}

/// Asks for the counts since the last time and reads the file.
fn dump(gateway: &Gateway, out: &Path, number: u32) -> Result<String, Failure> {
    // It waits for the process to take notice, which one that hangs never does.
    let id = gateway.process.id().to_string();
    let output = Command::new("timeout").args([PATIENCE, "callgrind_control", "--dump", &id]).output()?;
    if !output.status.success() {
        return Err(format!("callgrind_control: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let file = PathBuf::from(format!("{}.{number}", out.display()));
    fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// Reads callgrind's format: `totals:` has the instructions; `cfn=(id) name` says who is called by the function of the
/// last `fn=` line, and the `calls=count` line after it how often. A name is written once, later its id alone.
fn parse(text: &str) -> Option<Counts> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let (mut caller, mut callee) = ("", "");
    let mut counts = Counts::default();
    for line in text.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            caller = name(function, &mut names);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            callee = name(function, &mut names);
        } else if let Some(rest) = line.strip_prefix("calls=") {
            let times: u64 = rest.split(' ').next()?.parse().ok()?;
            let outside = !is_allocator(caller);
            counts.allocations += if outside && is_allocation(callee) { times } else { 0 };
            counts.grown += if outside && is_reallocation(callee) { times } else { 0 };
            counts.frees += if outside && is_free(callee) { times } else { 0 };
        } else if let Some(total) = line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")) {
            counts.instructions = total.trim().parse().ok()?;
        }
    }
    (counts.instructions > 0).then_some(counts)
}

fn name<'a>(function: &'a str, names: &mut HashMap<&'a str, &'a str>) -> &'a str {
    match function.split_once(' ') {
        Some((id, name)) => {
            names.insert(id, name);
            name
        }
        None => names.get(function).copied().unwrap_or_default(),
    }
}

/// Functions of mimalloc call each other; only calls from outside count.
fn is_allocator(name: &str) -> bool {
    name.starts_with("mi_") || name.starts_with("_mi_")
}

fn is_allocation(name: &str) -> bool {
    ["mi_malloc", "mi_zalloc", "mi_calloc"].iter().any(|prefix| name.starts_with(prefix))
}

fn is_reallocation(name: &str) -> bool {
    ["mi_realloc", "mi_rezalloc", "mi_recalloc"].iter().any(|prefix| name.starts_with(prefix))
}

fn is_free(name: &str) -> bool {
    name.starts_with("mi_free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_calls_of_the_allocator_from_outside() {
        let text = "events: Ir\n\nfn=(1) work\n10 5\ncfn=(2) mi_malloc_aligned\ncalls=3 0\n10 90\ncfn=(3) mi_free\n\
                    calls=2 0\n11 20\n\nfn=(2)\n1 30\ncfn=(4) mi_malloc\ncalls=3 0\n1 60\n\nfn=(5) other\n\
                    cfn=(4)\ncalls=1 0\n1 20\ncfn=(6) mi_realloc_aligned\ncalls=5 0\n1 20\n\ntotals: 205\n";
        assert_eq!(parse(text), Some(Counts { instructions: 205, allocations: 4, grown: 5, frees: 2 }));
    }

    #[test]
    fn says_when_there_are_no_totals() {
        assert_eq!(parse("events: Ir\n"), None);
    }
}
