//! What is left after `kill -9`, and what happens while a disk is full: by processes that really are killed and limited.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers and all")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portcullis_caps::{
    BoundSet, Cap, CapSet, CapSetSpec, Held, Ledger, LedgerOptions, MethodId, Methods, Moment, Request, Scope, Scopes,
    Unit, Zone,
};
use portcullis_store::{Clock, Keeper, Kept, Saved, Saving, StoreOptions, UsageQuery};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where a child is told which directory is its own.
const DIRECTORY: &str = "PORTCULLIS_TEST_STORE";

/// A gateway that only counts.
struct Gateway {
    keeper: Keeper,
    ledger: Arc<Ledger>,
    set: Arc<BoundSet>,
    clock: Clock,
}

impl Gateway {
    fn open(path: &Path) -> Self {
        let began = Instant::now();
        let clock: Clock =
            Arc::new(move || Moment::new(began.elapsed(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap()));
        let saved = Saved::default();
        let kept = Kept::open(&StoreOptions::at(path), &saved, clock()).unwrap();
        let ledger = Ledger::new(LedgerOptions { saved: Some(saved.lookup()), shards: 8, ..LedgerOptions::default() });
        let cap = Cap::quota(Unit::Requests, "1000000000000/month".parse().unwrap(), Zone::utc()).unwrap();
        let set = CapSet::build(CapSetSpec { each: vec![cap], ..CapSetSpec::new(Scope::Plan, "free") }).unwrap();
        let set = ledger.bind(&set, &Methods::default()).unwrap();
        let ledger = Arc::new(ledger);
        let keeper = Keeper::start(kept, &ledger, Arc::new(|_| "(http)".into()), Arc::clone(&clock)).unwrap();
        Self { keeper, ledger, set, clock }
    }

    fn spend(&self, id: &str) {
        let (id, calls) = (Arc::from(id), [MethodId::HTTP]);
        let scopes = Scopes::default().with(&self.set);
        let request = Request { scopes, consumer: Some(&id), holds: Held::Requests, calls: &calls };
        drop(self.ledger.decide((self.clock)(), &request).unwrap());
    }

    /// What a consumer spent of its quota, as the ledger has it.
    fn spent(&self, id: &str) -> u64 {
        let mut spent = 0;
        let scopes = Scopes::default().with(&self.set);
        let (consumer, calls) = (Arc::from(id), [MethodId::HTTP]);
        let request = Request { scopes, consumer: Some(&consumer), holds: Held::Requests, calls: &calls };
        for standing in self.ledger.standings((self.clock)(), &request) {
            spent = standing.limit - standing.remaining;
        }
        spent
    }

    fn used(&self, id: &str) -> u64 {
        self.keeper
            .usage(&UsageQuery { consumer: Some(id.to_owned()), ..UsageQuery::default() })
            .unwrap()
            .of(id)
            .requests
    }
}

/// Runs a test of this file in a process of its own, with a directory. A write beyond the limit of files fails there,
/// and does not end the process.
fn child(test: &str, directory: &Path) -> Child {
    let run = "trap '' XFSZ; exec \"$0\" \"$@\"";
    Command::new("sh")
        .args(["-c", run])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The child of the next test: spends, and says how often it did and until when that is saved.
#[test]
fn spends_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let gateway = Gateway::open(Path::new(&directory));
    let mut out = std::io::stdout();
    for count in 1_u64.. {
        gateway.spend("acme");
        if count % 50 == 0 {
            let saved = gateway.keeper.status().saving.saved_at;
            let now = (gateway.clock)().unix_millis;
            writeln!(out, "spent {count} {now} {saved}").unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn a_process_that_is_killed_loses_what_came_after_the_last_commit_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (mut before, mut ages) = (0, Vec::new());
    for round in 0..5 {
        let mut process = child("spends_until_it_is_killed", directory.path());
        let began = Instant::now();
        // What was spent when, and until when that is known to be saved.
        let mut said: Vec<[u64; 3]> = Vec::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let Some(numbers) = line.unwrap().strip_prefix("spent ").map(str::to_owned) else { continue };
            let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
            said.push([numbers[0], numbers[1], numbers[2]]);
            // At another point of the half second each time, once something was saved.
            let first = said[0][1];
            if numbers[2] > first && began.elapsed() > Duration::from_millis(700 + round * 130) {
                break;
            }
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let [spent, killed, saved_at] = *said.last().unwrap();
        let sure = said.iter().filter(|[_, now, _]| *now < saved_at).map(|[count, ..]| *count).max().unwrap_or(0);
        let gateway = Gateway::open(directory.path());
        // Deciding looks up what is saved.
        gateway.spend("acme");
        let (quota, usage) = (gateway.spent("acme") - 1, gateway.used("acme"));
        println!(
            "round {round}: {spent} spent, {} of them saved, the last commit {} ms old",
            quota - before,
            killed - saved_at
        );
        assert!(
            (sure..=spent + 200).contains(&(quota - before)),
            "{quota} after {before}: sure of {sure}, spent {spent}"
        );
        assert_eq!(quota, usage, "a commit has both");
        ages.push(killed - saved_at);
        drop(gateway);
        before = quota + 1;
    }
    ages.sort_unstable();
    assert!(ages[2] <= 1_000, "{ages:?}");
}

/// The child of the next test: meets a limit of the size of files, goes on, and writes the rest when it is lifted.
#[test]
fn goes_on_while_the_disk_is_full() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let gateway = Gateway::open(directory);
    gateway.spend("consumer-0");
    let until = |what: &str, holds: &dyn Fn(&portcullis_store::SavingStatus) -> bool| {
        let began = Instant::now();
        loop {
            let status = gateway.keeper.status().saving;
            if holds(&status) {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{what} did not come to hold: {status:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until("a first commit", &|status| status.commits > 0);
    let size = std::fs::metadata(directory.join("store.redb")).unwrap().len();
    let limit = |current| setrlimit(Resource::Fsize, Rlimit { current, ..getrlimit(Resource::Fsize) }).unwrap();
    limit(Some(size));
    let mut spent = 1;
    let mut spend = |consumers: u64| {
        for nth in 0..consumers {
            gateway.spend(&format!("consumer-{nth}"));
        }
        spent += consumers;
    };
    spend(30_000);
    let full = until("a full disk", &|status| status.state == Saving::Full);
    assert!(full.pending > 0 && full.last_error.is_some(), "{full:?}");
    spend(30_000);
    let still = until("another try", &|status| status.failures > full.failures);
    assert_eq!(still.state, Saving::Full);
    limit(None);
    until("writing again", &|status| status.state == Saving::Good && status.pending == 0);
    spend(10);
    let status = gateway.keeper.shutdown().saving;
    assert_eq!((status.state, status.pending), (Saving::Good, 0));
    let totals = portcullis_store::read_usage(&directory.join("usage"), &UsageQuery::default()).unwrap();
    let sum: u64 = totals.consumers.keys().map(|id| totals.of(id).requests).sum();
    assert_eq!((sum, totals.repeated, totals.unreadable), (spent, 0, 0));
    println!("went on");
}

#[test]
fn a_full_disk_stops_nobody_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let output = child("goes_on_while_the_disk_is_full", directory.path()).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("went on"), "{text}");
    let gateway = Gateway::open(directory.path());
    ["consumer-0", "consumer-29999"].iter().for_each(|id| gateway.spend(id));
    assert_eq!((gateway.spent("consumer-0"), gateway.spent("consumer-29999")), (1 + 2 + 1 + 1, 2 + 1));
}
