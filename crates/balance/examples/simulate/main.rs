//! Simulates fleets and faults, prints a table, and plots the course of each scene.
//!
//! `cargo run --release -p portcullis-balance --example simulate [DIR]`; the plots go to `DIR`, by default
//! `target/simulate`. A run takes some seconds in release mode and is the same every time.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a simulation whose own arithmetic is wrong must stop"
)]

mod plot;
#[path = "sim.rs"]
mod sim;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sim::policy::Policy;
use sim::scene::Scene;
use sim::scenes;
use sim::server::Mode;
use sim::stats::{Stats, Summary};
use sim::world::run;

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("target/simulate"), PathBuf::from);
    fs::create_dir_all(&folder)?;
    let out = &mut io::stdout().lock();
    writeln!(out, "Latencies in ms; a request that failed counts as one that took as long as the timeout.")?;
    writeln!(out, "`faulty`: the share of attempts that went to the servers that are slow, failing or cold.")?;
    writeln!(out, "`most`: the busiest server over the mean. `reacts`: seconds until the faulty ones got less than")?;
    writeln!(out, "a quarter of their fair share.")?;
    for fleet in [2, 16, 200] {
        for scene in scenes::compared(fleet) {
            compare(out, &folder, &scene)?;
        }
    }
    compare(out, &folder, &scenes::steady())?;
    compare(out, &folder, &scenes::many_gateways(16))?;
    fail_over(out, &folder)?;
    for mode in [Mode::Failing, Mode::Hanging, Mode::Serving(30.0)] {
        outage(out, &folder, mode)?;
    }
    zone(out)?;
    writeln!(
        out,
        "\nWhere round robin wins: with servers that are equal, requests that cost the same and little head"
    )?;
    writeln!(out, "room (`steady`), turns that are exact leave nothing to balance, and any rule that looks can only")?;
    writeln!(out, "do worse. It also spreads requests most evenly (`most` is 1.00) and costs least to compute.")?;
    writeln!(out, "\nPlots: {}", folder.display())
}

fn compare(out: &mut impl Write, folder: &Path, scene: &Scene) -> io::Result<()> {
    let runs: Vec<(Policy, Stats)> = Policy::ALL.into_iter().map(|policy| (policy, run(scene, policy))).collect();
    writeln!(out, "\n{}: {} servers, {:.0} requests/s", scene.name, scene.fleet, scene.rate())?;
    writeln!(
        out,
        "  {:16}{:>9}{:>9}{:>9}{:>9}{:>9}{:>7}{:>8}",
        "", "p50", "p99", "p99.9", "errors", "faulty", "most", "reacts"
    )?;
    for (policy, stats) in &runs {
        let Summary { p50, p99, p999, errors, watched, most, reacts } = stats.summary(scene);
        let reacts = match (scene.watched.is_empty(), reacts) {
            (true, _) => String::new(),
            (false, Some(seconds)) => format!("{seconds:.2} s"),
            (false, None) => "never".to_owned(),
        };
        writeln!(
            out,
            "  {:16}{p50:9.1}{p99:9.1}{p999:9.1}{:8.2}%{:8.2}%{most:7.2}{reacts:>8}",
            policy.name(),
            errors * 100.0,
            watched * 100.0
        )?;
    }
    write(folder, scene, &runs)
}

fn write(folder: &Path, scene: &Scene, runs: &[(Policy, Stats)]) -> io::Result<()> {
    let name = format!("{}-{}.svg", scene.name.replace(' ', "-"), scene.fleet);
    fs::write(folder.join(name), plot::draw(scene, runs))
}

fn fail_over(out: &mut impl Write, folder: &Path) -> io::Result<()> {
    let scene = scenes::dead_region();
    let stats = run(&scene, Policy::LeastLoaded);
    let course = scenes::failover(&scene, &stats);
    writeln!(out, "\n{}: 16 servers of priority 0 go down at 3 s and come back at 7 s; 16 stand by", scene.name)?;
    writeln!(out, "  failed over {:.2} s after the fault, back {:.2} s after its end", course.over, course.back)?;
    writeln!(out, "  turns of the traffic: {}; errors {:.2}%", course.turns, course.errors * 100.0)?;
    write(folder, &scene, &[(Policy::LeastLoaded, stats)])
}

fn outage(out: &mut impl Write, folder: &Path, mode: Mode) -> io::Result<()> {
    let scene = scenes::outage(mode);
    let stats = run(&scene, Policy::LeastLoaded);
    let course = scenes::storm(&scene, &stats);
    writeln!(out, "\n{}: all 16 servers are {mode:?} from 3 s to 6 s, three attempts", scene.name)?;
    writeln!(
        out,
        "  offered load during it {:.2} of normal, recovered {:.2} s after its end",
        course.offered, course.recovers
    )?;
    write(folder, &scene, &[(Policy::LeastLoaded, stats)])
}

fn zone(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nown zone: 4 servers here, 8 in another zone; they say how busy they were in the last second")?;
    writeln!(out, "  {:>16}{:>9}{:>9}{:>9}", "load of the zone", "leaves", "p50", "p99")?;
    for load in [0.5, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0] {
        let scene = scenes::own_zone(load, 1.0);
        let Summary { p50, p99, watched, .. } = run(&scene, Policy::LeastLoaded).summary(&scene);
        writeln!(out, "  {:15.0}%{:8.1}%{p50:9.1}{p99:9.1}", load * 100.0, watched * 100.0)?;
    }
    Ok(())
}
