//! What the API works on: the state it reads, and the one trait through which it changes anything.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_caps::Amount;
use portcullis_config::Diff;
use portcullis_health::Facts;
use portcullis_identity::Identities;
use portcullis_snapshot::Generations;
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_telemetry::{Ring, SinkStat, Timeline};
use portcullis_types::GenerationId;

use crate::audit::Audit;
use crate::failures::Failures;
use crate::health::Health;
use crate::overrides::Overrides;

/// Everything the API reads.
pub struct AdminState {
    /// The version of the binary.
    pub version: String,
    /// When the process began to serve.
    pub started: Instant,
    /// The generations that live.
    pub generations: Arc<Generations>,
    /// The metrics.
    pub registry: prometheus::Registry,
    /// The last records.
    pub recent: Arc<Ring>,
    /// What became of requests in the last minutes.
    pub timeline: Arc<Timeline>,
    /// Who may call.
    pub identities: Arc<Identities>,
    /// Who did what.
    pub audit: Arc<Audit>,
    /// What operators said for a while.
    pub overrides: Arc<Overrides>,
    /// Who guesses tokens.
    pub failures: Failures,
    /// The verdict, and what is kept for the next one.
    pub health: Arc<Health>,
    /// The running gateway.
    pub control: Arc<dyn Control>,
}

/// Whose change it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Their name.
    pub who: String,
    /// What they say of it.
    pub note: Option<String>,
}

/// Whether new requests are wanted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet: the listeners are not open.
    Starting,
    /// Yes.
    Ready,
    /// Not now: the process's guards refuse requests of no particular priority.
    Overloaded,
    /// Not any more, although they are served: the gateway will drain.
    Leaving,
    /// Not any more: the gateway drains.
    Draining,
}

impl Readiness {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Overloaded => "overloaded",
            Self::Leaving => "leaving",
            Self::Draining => "draining",
        }
    }
}

/// A change that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Read the file again.
    Reread,
    /// Put this text in the place of the main file's.
    Apply {
        /// YAML.
        text: String,
        /// Which config it is meant to replace.
        expected: Expected,
        /// Write the text to the main file afterwards, if that still has this fingerprint.
        write: Option<String>,
        /// How it is watched, and undone when it does harm.
        watch: Option<Watch>,
    },
    /// Put the texts of a generation of the history back.
    Rollback {
        /// Which one.
        to: u64,
        /// Which config it is meant to replace.
        expected: Expected,
    },
    /// Say what this text would change.
    DryRun {
        /// YAML.
        text: String,
    },
}

/// How a change is watched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Watch {
    /// A share of callers, 0 to 1, is served by the new generation for so long; then it serves all of them, or nobody.
    Canary {
        /// The share.
        share: f64,
        /// How long.
        lasts: Duration,
    },
    /// It serves everybody at once, and what was before is put back when after is worse than before.
    Probation {
        /// How long.
        lasts: Duration,
    },
}

impl Watch {
    /// The word of answers and logs; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canary { .. } => "canary",
            Self::Probation { .. } => "probation",
        }
    }

    /// How long it takes at most.
    #[must_use]
    pub const fn lasts(self) -> Duration {
        match self {
            Self::Canary { lasts, .. } | Self::Probation { lasts } => lasts,
        }
    }
}

/// How a trial is ended by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndTrial {
    /// The new generation is to serve everybody.
    Promote,
    /// What was before is to serve everybody.
    Abort,
}

/// The `If-Match` of a change (RFC 9110 section 13.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// `*`: whatever serves.
    Any,
    /// One of these hashes.
    Hashes(Vec<String>),
}

impl Expected {
    /// Reads the field's value; `None` when it is no list of entity tags. A weak tag never matches.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        if value.trim() == "*" {
            return Some(Self::Any);
        }
        let tag = |item: &str| {
            let item = item.trim();
            let strong = item.strip_prefix("W/").is_none();
            let hash = item.trim_start_matches("W/").strip_prefix('"')?.strip_suffix('"')?;
            Some((strong, hash.to_owned()))
        };
        let tags: Option<Vec<_>> = value.split(',').map(tag).collect();
        Some(Self::Hashes(tags?.into_iter().filter(|(strong, _)| *strong).map(|(_, hash)| hash).collect()))
    }

    /// Whether a config of this hash is meant.
    #[must_use]
    pub fn allows(&self, hash: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Hashes(hashes) => hashes.iter().any(|each| each == hash),
        }
    }
}

/// The change was meant for another config than the one that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// The hash of the one that serves.
    pub current: String,
    /// Which generation that is.
    pub generation: GenerationId,
    /// Who put it there.
    pub who: String,
    /// When.
    pub at: SystemTime,
}

/// What a change would do to the traffic.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effect {
    /// For tools.
    pub json: Value,
    /// For people.
    pub text: String,
}

/// What came of a change.
#[derive(Debug, Clone)]
pub struct Changed {
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// The generation that serves now.
    pub generation: GenerationId,
    /// The hash of its texts.
    pub hash: String,
    /// What the new config changes, or would; `None` when it has errors.
    pub diff: Option<Diff>,
    /// Errors and warnings, as `portcullis_yaml::render_json` gives them.
    pub diagnostics: Value,
    /// The same as text, or why it failed.
    pub message: String,
    /// What it would do to the traffic; of a dry run alone.
    pub effect: Option<Effect>,
    /// What else is to know, a sentence each.
    pub notes: Vec<String>,
    /// The includes that were read, each with the fingerprint of its text.
    pub includes: Vec<(String, String)>,
    /// The fingerprint of the main file on disk; of a dry run alone.
    pub file: Option<String>,
    /// The generation that is on trial since this change.
    pub trial: Option<u64>,
}

/// A reload that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadEntry {
    /// When.
    pub at: SystemTime,
    /// `start`, `signal`, `watch` or `api`.
    pub trigger: &'static str,
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// The generation that served afterwards.
    pub generation: GenerationId,
    /// How long it took.
    pub took: Duration,
    /// One line: what changed, or what was wrong.
    pub summary: String,
}

/// How the binary is to be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpgradeAsk {
    /// The new binary; the path that this one was started by, when none is said.
    pub binary: Option<PathBuf>,
    /// How long the new process may take to be ready.
    pub within: Option<Duration>,
}

/// The binary was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// The process that serves now.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The process that drains now.
    pub before: u32,
    /// How long it took until the new one served.
    pub took: Duration,
}

/// What a sink of records says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkLine {
    /// Its name.
    pub name: String,
    /// Its numbers.
    pub stats: Vec<SinkStat>,
}

/// Whose use is asked for, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageAsk {
    /// Whose; everybody's when there is none.
    pub consumer: Option<String>,
    /// From when on.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// What was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// By consumer, and for each by method.
    pub consumers: BTreeMap<String, BTreeMap<String, Amount>>,
    /// From when on it was counted, when nobody asked for another time.
    pub since: Option<Timestamp>,
    /// Whether it outlives the process.
    pub durable: bool,
}

/// The running gateway, as far as the API may touch it.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// Whether new requests are wanted.
    fn readiness(&self) -> Readiness;

    /// Where each listener accepts, by name.
    fn addresses(&self) -> Vec<(String, Vec<SocketAddr>)>;

    /// The reloads that were tried, latest first.
    fn history(&self) -> Vec<ReloadEntry>;

    /// How near the process is to refusing work, as `/api/status` shows it.
    fn overload(&self) -> Value {
        Value::Null
    }

    /// What was used.
    ///
    /// # Errors
    /// A sentence: why that cannot be told.
    async fn usage(&self, _asked: UsageAsk) -> Result<Usage, String> {
        Err("this gateway does not count what is used".to_owned())
    }

    /// How the store is, as `/api/status` shows it; null when there is none.
    fn store(&self) -> Value {
        Value::Null
    }

    /// How the config that serves stands to its file and to the history, as `/api/status` shows it: an object with `drift`,
    /// `last_good` and `history`.
    fn standing(&self) -> Value {
        Value::Null
    }

    /// The generations that were tried, newest first, an object each.
    async fn generations(&self) -> Vec<Value> {
        Vec::new()
    }

    /// A generation that was tried, its texts as they were written.
    ///
    /// # Errors
    /// A sentence: why there is none.
    async fn generation(&self, _number: u64) -> Result<Value, String> {
        Err("this gateway keeps no history".to_owned())
    }

    /// What the second of two generations of the history changes against the first.
    ///
    /// # Errors
    /// A sentence: why that cannot be told.
    async fn compare(&self, _from: u64, _to: u64) -> Result<Diff, String> {
        Err("this gateway keeps no history".to_owned())
    }

    /// The last good generation with other texts than those that serve.
    ///
    /// # Errors
    /// A sentence: why there is none.
    async fn last_good(&self) -> Result<u64, String> {
        Err("this gateway keeps no history".to_owned())
    }

    /// The change that is watched, or how the last one ended, as `/api/trial` shows it.
    fn trial(&self) -> Value {
        Value::Null
    }

    /// Ends the trial that is under way; answers with how.
    ///
    /// # Errors
    /// A sentence: there is none, or it could not be done.
    async fn end_trial(&self, _how: EndTrial, _by: By) -> Result<String, String> {
        Err("no change is on trial".to_owned())
    }

    /// What it knows of its own health: alerts of budgets, the store, the link to others, guards, bounds, and what else it found.
    /// The rest is looked for here.
    fn facts(&self) -> Facts {
        Facts::default()
    }

    /// How the objectives stand, as `/api/slos` shows them: a list.
    fn slos(&self) -> Value {
        Value::Array(Vec::new())
    }

    /// In which step of its life the process is, as `/api/status` shows it.
    fn lifecycle(&self) -> Value {
        Value::Null
    }

    /// Replaces the binary: a new process takes the listening sockets over, and this one drains.
    ///
    /// # Errors
    /// A sentence: why this process goes on as if nothing had been asked.
    async fn upgrade(&self, _asked: UpgradeAsk) -> Result<Upgraded, String> {
        Err("this gateway cannot be replaced while it runs".to_owned())
    }

    /// The sinks of records.
    fn sinks(&self) -> Vec<SinkLine>;

    /// Makes a change, after those that were asked for before.
    ///
    /// # Errors
    /// When the change was meant for another config; then nothing was done.
    async fn change(&self, change: Change, by: By) -> Result<Changed, Stale>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_read_as_rfc_9110_says() {
        let check = |value: &str, allows: Option<bool>| {
            let got = Expected::parse(value).map(|expected| expected.allows("abc"));
            assert_eq!(got, allows, "{value}");
        };
        check("*", Some(true));
        check("\"abc\"", Some(true));
        check("\"x\", \"abc\"", Some(true));
        check("\"x\"", Some(false));
        check("W/\"abc\"", Some(false));
        check("abc", None);
        check("", None);
    }
}
