//! Who may call, at run time: the file of consumers, read at the start and again whenever it changes; the issuers of
//! tokens with their keys; the rules of throttling.
//!
//! Consumers belong to the process, not to a generation. A file is read in the background, against the consumers of
//! before, so that only what changed is parsed; one with an error leaves them as they are, and says so in the log, the
//! status and a metric.

pub(crate) mod keys;
pub(crate) mod metrics;

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::sync::watch;

use portcullis_caps::{CapSet, TooManyMethods};
use portcullis_config::ConsumersProblem;
use portcullis_filters::caps::{CapLedger, own_set};
use portcullis_identity::directory::{Limits, ReloadError, Summary};
use portcullis_identity::identities::{Outcome, Report, TokenIssuer};
use portcullis_identity::store::{ConsumerStore, Remote};
use portcullis_identity::{Directory, HashSecret, Identities, Timestamp, throttle};
use portcullis_snapshot::Settings;
use portcullis_snapshot::settings::{Consumers as Declared, ConsumersFile, Issuer, KeySource};

use crate::files::State;
use crate::output::count;
use keys::Fetcher;

/// Bytes that a file is read by.
const BUFFER: usize = 256 * 1024;

/// What is said of caps that nothing could be shared by.
const BY_NOTHING: &str = "gateways are to share caps of this, and there is nothing that they could share by; add \
                          `store: { redis: { url: \"redis://…\" } }` to the config, or write `gateways: own`";

/// Errors in the caps of consumers that are told apart.
const TOLD: usize = 100;

/// The consumers of a process, with where they come from.
pub(crate) struct Consumers {
    pub(crate) identities: Arc<Identities>,
    caps: Arc<CapLedger>,
    /// The file, as it was when it was read.
    pub(crate) watched: watch::Sender<State>,
    applied: Mutex<Applied>,
}

/// What serves.
#[derive(Default)]
struct Applied {
    declared: Option<Declared>,
    /// Whether there is something by which gateways could share caps.
    shares: bool,
    issuers: Vec<(Issuer, Arc<TokenIssuer>, Option<Fetcher>)>,
}

/// What a new config asks for, read and not yet in use.
pub(crate) struct Prepared {
    declared: Option<Declared>,
    shares: bool,
    issuers: Vec<Issuer>,
    /// Other consumers than those that serve, with the state of their file.
    read: Option<(Read, State)>,
}

/// What was read of a file.
pub(crate) struct Read {
    directory: Directory,
    /// The caps that consumers have of their own.
    own: Vec<CapSet>,
    report: Report,
}

impl Prepared {
    /// The plans that consumers have, of a file that was read.
    pub(crate) fn plans(&self) -> BTreeSet<String> {
        let Some((read, _)) = &self.read else { return BTreeSet::new() };
        let known = read.directory.plans();
        let mut had = vec![false; known.len()];
        for consumer in read.directory.iter() {
            had.get_mut(consumer.plan().index()).into_iter().for_each(|had| *had = true);
        }
        known.iter().zip(had).filter(|(_, had)| *had).map(|(plan, _)| plan.name().to_owned()).collect()
    }
}

impl Consumers {
    pub(crate) fn new(store: Option<Arc<dyn ConsumerStore>>, caps: Arc<CapLedger>) -> Self {
        let identities = Identities::new(rand::random());
        let identities = match store {
            Some(store) => identities.with_store(Remote::new(store, rand::random())),
            None => identities,
        };
        let watched = watch::Sender::new(State::default());
        Self { identities: Arc::new(identities), caps, watched, applied: Mutex::default() }
    }

    /// Reads what a config asks for, where it is not what serves already.
    pub(crate) fn prepare(&self, settings: &Settings) -> Result<Prepared, Vec<ConsumersProblem>> {
        let applied = self.applied.lock();
        let (declared, issuers) = (settings.consumers.clone(), settings.issuers.clone());
        let shares = settings.store.as_ref().is_some_and(|store| store.redis.is_some());
        let source = |declared: &Option<Declared>| declared.as_ref().map(|one| (one.file.clone(), one.secret.clone()));
        if source(&declared) == source(&applied.declared) && shares == applied.shares {
            return Ok(Prepared { declared, shares, issuers, read: None });
        }
        drop(applied);
        let file = declared.as_ref().and_then(|declared| declared.file.as_ref());
        let state = State::of(file.iter().map(|file| &file.path));
        let read = match file {
            Some(file) => self.read(file, shares)?,
            None => Read { directory: Directory::new(self.identities.seed()), own: Vec::new(), report: nobody() },
        };
        Ok(Prepared { declared, shares, issuers, read: Some((read, state)) })
    }

    /// Puts to use what was prepared. Must be called inside a Tokio runtime.
    pub(crate) fn commit(&self, prepared: Prepared) {
        let Prepared { declared, shares, issuers, read } = prepared;
        let mut applied = self.applied.lock();
        let issuers = keep(std::mem::take(&mut applied.issuers), issuers);
        let rules = declared.as_ref().map(|declared| declared.throttle.clone()).unwrap_or_default();
        let secret = declared.as_ref().map(|declared| declared.secret.clone());
        let mut state = None;
        self.identities.change(|book| {
            if *book.throttle.rules() != rules {
                book.throttle = Arc::new(throttle::Throttle::with_rules(&book.throttle, rules, self.identities.seed()));
            }
            // Without a config for them nothing is hashed with a secret that anybody knows.
            book.secret = secret.unwrap_or_else(|| HashSecret::from_bytes(rand::random()));
            book.issuers = issuers.iter().map(|(_, issuer, _)| Arc::clone(issuer)).collect();
            if let Some((Read { directory, own, report }, seen)) = read {
                book.directory = Arc::new(directory);
                state = Some((report, seen));
                self.hold(own);
            }
        });
        (applied.declared, applied.shares, applied.issuers) = (declared, shares, issuers);
        if let Some((report, seen)) = state {
            let says = applied.declared.is_some();
            if says {
                tell(&report);
                self.identities.report(report);
            }
            self.watched.send_replace(seen);
        }
    }

    /// Waits until every URL of keys was asked once, up to a bound.
    pub(crate) async fn settle(&self) {
        let asked: Vec<_> = self
            .applied
            .lock()
            .issuers
            .iter()
            .filter_map(|(_, _, fetcher)| fetcher.as_ref())
            .map(Fetcher::asked)
            .collect();
        keys::settle(asked).await;
    }

    /// Reads the file again. What is wrong with it is said, and changes nothing.
    pub(crate) fn reread(&self) {
        let applied = self.applied.lock();
        let Some(file) = applied.declared.as_ref().and_then(|declared| declared.file.as_ref()) else { return };
        self.watched.send_if_modified(|state| {
            // Before it is read, so that what changes meanwhile asks again; who is told so already need not be told.
            *state = State::of([&file.path]);
            false
        });
        let started = Instant::now();
        let report = match self.read(file, applied.shares) {
            Ok(Read { directory, own, report }) => {
                self.identities.change(|book| {
                    book.directory = Arc::new(directory);
                    self.hold(own);
                });
                report
            }
            Err(problems) => Report {
                at: now(),
                took: started.elapsed(),
                outcome: Outcome::Refused,
                says: problems.iter().map(|problem| said(&file.path, problem)).collect(),
            },
        };
        tell(&report);
        self.identities.report(report);
    }

    /// Reads a file against the consumers of before.
    fn read(&self, file: &ConsumersFile, shares: bool) -> Result<Read, Vec<ConsumersProblem>> {
        let read = read(&self.identities.book().directory, file, shares)?;
        let whole = |error: TooManyMethods| vec![ConsumersProblem { line: None, what: error.to_string() }];
        self.caps.fits(&read.own).map_err(whole)?;
        Ok(read)
    }

    /// Holds consumers to their own caps. That they can be numbered was found out when they were read.
    fn hold(&self, own: Vec<CapSet>) {
        if let Err(error) = self.caps.own(own) {
            log::error!("consumers cannot be held to caps of their own: {error}");
        }
    }
}

/// The issuers of a config: those that say what they said before are the very same, with the tokens they remember.
fn keep(
    before: Vec<(Issuer, Arc<TokenIssuer>, Option<Fetcher>)>,
    issuers: Vec<Issuer>,
) -> Vec<(Issuer, Arc<TokenIssuer>, Option<Fetcher>)> {
    let mut before: Vec<Option<_>> = before.into_iter().map(Some).collect();
    let same = |held: &Option<(Issuer, _, _)>, issuer: &Issuer| held.as_ref().is_some_and(|(one, _, _)| one == issuer);
    let made = |issuer: Issuer| {
        if let Some(held) = before.iter_mut().find(|held| same(held, &issuer)).and_then(Option::take) {
            return held;
        }
        let made = Arc::new(TokenIssuer::new(&issuer.name, issuer.rules.clone(), issuer.remember, rand::random()));
        let fetcher = match &issuer.keys {
            KeySource::File(_, keys) => {
                made.put(keys.clone());
                None
            }
            KeySource::Url(source) => Some(Fetcher::start(source.clone(), Arc::clone(&made))),
        };
        (issuer, made, fetcher)
    };
    issuers.into_iter().map(made).collect()
}

fn read(before: &Directory, file: &ConsumersFile, shares: bool) -> Result<Read, Vec<ConsumersProblem>> {
    let started = Instant::now();
    let open = File::open(&file.path);
    let open = open.map_err(|error| vec![ConsumersProblem { line: None, what: format!("cannot be read: {error}") }])?;
    let mut reader = BufReader::with_capacity(BUFFER, open);
    let made = before.rebuild_from(file.format, &mut reader, Limits::default());
    let (directory, summary) = made.map_err(|error| problems(&error))?;
    let own = own_caps(&directory, shares)?;
    let mut says = vec![summarized(&directory, &summary)];
    says.extend((!own.is_empty()).then(|| format!("{} with caps of their own", count(own.len(), "consumer"))));
    let report = Report { at: now(), took: started.elapsed(), outcome: Outcome::Loaded, says };
    Ok(Read { directory, own, report })
}

/// The caps that consumers have of their own, or all that is wrong with them.
fn own_caps(directory: &Directory, shares: bool) -> Result<Vec<CapSet>, Vec<ConsumersProblem>> {
    let (mut sets, mut problems) = (Vec::new(), Vec::new());
    for (id, words) in directory.iter().filter_map(|consumer| Some((consumer.id(), consumer.caps()?))) {
        match own_set(id, words) {
            Ok(set) if !shares && set.is_shared_by_gateways() => problems.push(problem_of(id, BY_NOTHING)),
            Ok(set) => sets.push(set),
            Err(errors) => problems.extend(errors.iter().map(|error| problem_of(id, error))),
        }
    }
    if problems.is_empty() {
        return Ok(sets);
    }
    let more = problems.len().saturating_sub(TOLD);
    problems.truncate(TOLD);
    problems.extend((more > 0).then(|| ConsumersProblem { line: None, what: format!("and {more} more") }));
    Err(problems)
}

fn problem_of(id: &str, what: &str) -> ConsumersProblem {
    ConsumersProblem { line: None, what: format!("`caps` of the consumer `{id}`: {what}") }
}

fn problems(error: &ReloadError) -> Vec<ConsumersProblem> {
    let told = error.problems.iter().map(|problem| ConsumersProblem { line: problem.line(), what: problem.what() });
    let more = (error.more > 0).then(|| ConsumersProblem { line: None, what: format!("and {} more", error.more) });
    told.chain(more).collect()
}

fn summarized(directory: &Directory, summary: &Summary) -> String {
    let (consumers, keys) = (count(directory.len(), "consumer"), count(directory.keys(), "key"));
    let Summary { added, changed, removed, .. } = summary;
    format!("{consumers} with {keys}: {added} added, {changed} changed, {removed} removed")
}

fn nobody() -> Report {
    let says = vec!["no file: consumers come from a store".to_owned()];
    Report { at: now(), took: std::time::Duration::ZERO, outcome: Outcome::Loaded, says }
}

fn said(path: &Path, problem: &ConsumersProblem) -> String {
    match problem.line {
        Some(line) => format!("{}:{line}:1: {}", path.display(), problem.what),
        None => format!("{}: {}", path.display(), problem.what),
    }
}

/// Says in the log what came of a load.
fn tell(report: &Report) {
    match report.outcome {
        Outcome::Loaded => report.says.iter().for_each(|line| log::info!("consumers: {line}")),
        Outcome::Refused => {
            log::error!("consumers: the file has {}; those of before go on", count(report.says.len(), "error"));
            report.says.iter().for_each(|line| log::error!("  {line}"));
        }
    }
}

/// The time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
