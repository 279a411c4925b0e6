//! How long a start takes: from the moment the process is made until it says that it is ready.
//!
//! The clock runs over the two programs that become the gateway (`setpriv`, `taskset`), the loader, the config with its
//! routes, and the binding of listeners; it stops when `/readyz` answers 200. Then the first request must be answered, so
//! that a gateway which says so too early fails the measurement.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::client::Client;
use crate::contenders::{Place, Portcullis, gateway};
use crate::process::{Process, Program, free_address};
use crate::report::{Table, progress};
use crate::stats::{Estimate, largest};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is asked whether it is ready: a hundredth of what is promised.
const LOOK: Duration = Duration::from_millis(1);

/// What is promised with 1,000 routes, in milliseconds.
const BAR: f64 = 100.0;

/// What is started, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The gateway; the one beside the rig where nothing is said.
    pub binary: Option<PathBuf>,
    /// Routes of its config.
    pub routes: usize,
    /// Starts that count; one more comes before them, so that the binary is in memory.
    pub starts: u32,
}

/// Starts it again and again.
///
/// # Errors
///
/// When it is not built, does not become ready, or does not answer once it says that it is.
pub fn run(plan: &Plan, place: &Place) -> Result<Table, Failure> {
    let binary = plan.binary.clone().or_else(gateway).ok_or("portcullis is not built")?;
    let binary = std::path::absolute(binary)?;
    start(&binary, plan.routes, place)?;
    let mut took = Vec::new();
    for n in 1..=plan.starts {
        let milliseconds = start(&binary, plan.routes, place)?.as_secs_f64() * 1e3;
        progress(&format!("start {n} of {}: {milliseconds:.1} ms", plan.starts));
        took.push(milliseconds);
    }
    let middle = Estimate::of(&took).ok_or("no starts")?;
    let most = largest(&took).ok_or("no starts")?;
    let columns = ["routes", "starts", "ms to ready, median [95 %]", "largest", "bar"];
    let mut table = Table::new(&columns);
    let met = if middle.median < BAR { "met" } else { "missed" };
    table.row([
        &plan.routes,
        &plan.starts,
        &format!("{middle:.1}"),
        &format!("{most:.1}"),
        &format!("{BAR:.0}: {met}"),
    ]);
    Ok(table)
}

/// One start, on a folder of its own: nothing is there from an earlier one.
fn start(binary: &Path, routes: usize, place: &Place) -> Result<Duration, Failure> {
    let folder = tempfile::tempdir_in(&place.folder)?;
    let (edge, admin, nobody) = (free_address()?, free_address()?, free_address()?);
    let mut config = Portcullis::new(edge, nobody);
    config.top = format!("admin: {{ bind: \"{admin}\" }}\n");
    config.add_routes(routes.saturating_sub(2))?;
    config.routes.push_str("      - { name: here, match: { exact: /here }, respond: { status: 200 } }\n");
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, config.yaml())?;
    let words = vec![binary.into(), "run".into(), "-c".into(), file.into()];
    let began = Instant::now();
    let mut process = Process::start(&Program { words, core: Some(place.core), log: place.folder.join("start.out") })?;
    while !Client::connect(admin).and_then(|mut client| client.get("/readyz")).is_ok_and(|answer| answer.status == 200)
    {
        process.lives()?;
        if began.elapsed() > PATIENCE {
            return Err(format!("it is not ready after {PATIENCE:?}").into());
        }
        std::thread::sleep(LOOK);
    }
    let took = began.elapsed();
    let first = Client::connect(edge)?.get("/here")?;
    if first.status == 200 {
        Ok(took)
    } else {
        Err(format!("it said that it is ready, and answered {}", first.status).into())
    }
}
