//! All that a run found, as `result.json` holds it.

use std::collections::BTreeMap;

use portcullis_judge::growth::{Growth, Point as Moment};
use portcullis_judge::scalability::{Law, Point as Throughput};
use portcullis_judge::window::{Side, Window};
use portcullis_judge::{Exit, Judgement, OnInconclusive};
use serde::{Deserialize, Serialize};

use crate::rulers::Ruler;
use crate::svg::number;

/// The version of the format. It changes when a reader of an older one would be wrong. 2 has rulers, duets and the plan's digest;
/// in 3 memory per connection is what held connections add, a scene's windows have names, and it is said what excuses a metric and
/// what is done when it is missed; in 4 instructions have both counts of each side, and of a metric that is kept it may be said why that
/// cannot be told.
pub const VERSION: u32 = 4;

/// The oldest version that is read: what it lacks has a value that says so.
pub const OLDEST: u32 = 1;

/// The JSON Schema of the format.
pub const SCHEMA: &str = include_str!("../schema/result.schema.json");

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The tool's own version.
    pub tool: String,
    /// When it began, as RFC 3339 in UTC.
    pub began: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The seed of everything that is random in it.
    pub seed: u64,
    /// The plan's name.
    pub plan: String,
    /// What the plan says, hashed: of equal plans it is equal, wherever their files lie. `None` where no plan was sent.
    #[serde(default)]
    pub plan_digest: Option<String>,
    /// Whether both sides ran at the same moment.
    #[serde(default)]
    pub duet: bool,
    /// The command that repeats it.
    pub command: String,
    /// The machine.
    pub environment: Environment,
    /// What is known, or alone measured.
    pub baseline: Subject,
    /// What is judged, if anything is.
    #[serde(default)]
    pub canary: Option<Subject>,
    /// The verdict, if there is one to give.
    #[serde(default)]
    pub judgement: Option<Judgement>,
    /// What an INCONCLUSIVE is worth.
    #[serde(default)]
    pub inconclusive: OnInconclusive,
    /// The A/A leg.
    #[serde(default)]
    pub twins: Vec<WindowPair>,
    /// The comparison.
    #[serde(default)]
    pub pairs: Vec<WindowPair>,
    /// Other programs that did the same work in the same rounds.
    #[serde(default)]
    pub rulers: Vec<Ruler>,
    /// Scenes.
    #[serde(default)]
    pub scenes: Vec<SceneResult>,
    /// Throughput by concurrency, if it was searched.
    #[serde(default)]
    pub scalability: Option<Scalability>,
    /// What was watched over time.
    #[serde(default)]
    pub series: Vec<Series>,
}

/// What a number depends on beside the program. No name of a machine, a person or a path is in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// As `linux 6.1.0`.
    pub system: String,
    /// The processor's model.
    pub cpu: String,
    /// Its cores that may be used.
    pub cores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes that wanted a core at the start, over a minute.
    pub load_average: f64,
    /// Whether it runs in a virtual machine or container, as far as it can be told.
    pub virtualised: bool,
}

/// Who is measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The command, or the URL.
    pub what: String,
    /// The version or revision, where it is known.
    #[serde(default)]
    pub revision: Option<String>,
}

/// A window of each side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowPair {
    /// Which was measured first.
    pub first: Side,
    /// Of what is known.
    pub baseline: Window,
    /// Of what is judged.
    pub canary: Window,
    /// Of the rulers, by name, where the pair was a round of theirs.
    #[serde(default)]
    pub rulers: BTreeMap<String, Window>,
}

/// How a scene ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All criteria are kept.
    Passed,
    /// One is not.
    Failed,
    /// The machine could not do what was asked of it.
    Invalid,
}

/// A scene that was played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneResult {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Its seed.
    pub seed: u64,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// What else is to be said, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Its windows, where it had some, in their order.
    #[serde(default)]
    pub windows: Vec<Part>,
}

/// A window of a scene.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name; several may have the same.
    pub name: String,
    /// What a load brought, where it was one.
    #[serde(default)]
    pub load: Option<Window>,
    /// What the machine did meanwhile, about a second at a time.
    #[serde(default)]
    pub looks: Vec<Look>,
}

/// What the machine did between two looks. CPU is in cores: seconds a second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// When it ended, in seconds from the run's start.
    pub ended: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// CPU of what is neither the tool nor under test.
    pub neighbour_cpu: f64,
    /// CPU that the hypervisor kept.
    pub steal: f64,
    /// CPU of what is under test.
    pub subject_cpu: f64,
    /// How long its threads were ready to run and had no core, summed over them, in seconds a second.
    pub subject_wait: f64,
    /// CPU of the tool.
    pub tool_cpu: f64,
    /// The same wait of the tool's threads.
    pub tool_wait: f64,
    /// Bytes of memory that what is under test held at its end.
    pub subject_bytes: u64,
}

/// A measured number and what is asked of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// The number, where it is one.
    #[serde(default)]
    pub measured: Option<Measured>,
    /// What was found, where that is more than a number.
    #[serde(default)]
    pub found: Option<String>,
    /// What is asked of it, in words: `at most 0.1 %`.
    #[serde(default)]
    pub criterion: Option<String>,
    /// Whether that is kept; `None` where nothing is asked.
    #[serde(default)]
    pub kept: Option<bool>,
    /// Why it cannot be told whether that is kept: where it is not, the machine explains it; where it seems to be, the tool hid something.
    #[serde(default)]
    pub excused: Option<String>,
    /// Why that is asked.
    #[serde(default)]
    pub rationale: Option<String>,
    /// When one goes back because of it.
    #[serde(default)]
    pub rollback: Option<String>,
    /// When going back does not do.
    #[serde(default)]
    pub hotfix: Option<String>,
}

impl Metric {
    /// A number of which nothing is asked.
    #[must_use]
    pub fn reported(name: impl Into<String>, unit: &str, measured: Measured) -> Self {
        Self {
            name: name.into(),
            unit: unit.to_owned(),
            measured: Some(measured),
            found: None,
            criterion: None,
            kept: None,
            excused: None,
            rationale: None,
            rollback: None,
            hotfix: None,
        }
    }
}

/// A number, with the interval that holds it in 95 of 100 resamples where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The number.
    pub value: f64,
    /// The interval's lower end.
    #[serde(default)]
    pub low: Option<f64>,
    /// The interval's upper end.
    #[serde(default)]
    pub high: Option<f64>,
}

impl Measured {
    /// A number that is exact, or whose interval is not known.
    #[must_use]
    pub const fn exact(value: f64) -> Self {
        Self { value, low: None, high: None }
    }
}

impl Metric {
    /// Whether it is missed, and nothing excuses that.
    #[must_use]
    pub const fn fails(&self) -> bool {
        matches!(self.kept, Some(false)) && self.excused.is_none()
    }

    /// What was found, as one reads it.
    #[must_use]
    pub fn shown(&self) -> String {
        let number = self.measured.map(|measured| format!("{} {}", number(measured.value), self.unit));
        let parts = number.as_deref().map(str::trim).into_iter().chain(self.found.as_deref());
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// Throughput by concurrency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scalability {
    /// What was measured.
    pub points: Vec<Throughput>,
    /// The fit, if the points allow one.
    #[serde(default)]
    pub law: Option<Law>,
}

/// Something that was watched over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// What.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// When it was how much.
    pub points: Vec<Moment>,
    /// How fast it grows and what is allowed, where that was asked.
    #[serde(default)]
    pub growth: Option<Growth>,
}

/// Why a text is no report.
#[derive(Debug, thiserror::Error)]
pub enum NoReport {
    /// It is not in the format.
    #[error("no report: {0}")]
    Format(#[from] serde_json::Error),
    /// It is of another version.
    #[error("a report of version {0}; this tool reads versions {OLDEST} to {VERSION}")]
    Version(u64),
    /// It has no version.
    #[error("no report: it says no version")]
    NoVersion,
}

impl Report {
    /// The text of `result.json`.
    ///
    /// # Errors
    ///
    /// Never: all of it can be written.
    pub fn to_json(&self) -> Result<String, NoReport> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// Reads `result.json`.
    ///
    /// # Errors
    ///
    /// When it is not in the format, or a window in it does not add up.
    pub fn from_json(text: &str) -> Result<Self, NoReport> {
        // The version first: of a newer one much else would be wrong.
        let value: serde_json::Value = serde_json::from_str(text)?;
        let version = value.get("version").and_then(serde_json::Value::as_u64).ok_or(NoReport::NoVersion)?;
        if !(u64::from(OLDEST)..=u64::from(VERSION)).contains(&version) {
            return Err(NoReport::Version(version));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The exit code: the verdict's, or what the scenes say.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let judged = self.judgement.as_ref().map(|judgement| judgement.verdict.exit(self.inconclusive));
        let any = |outcome: Outcome| self.scenes.iter().any(|scene| scene.outcome == outcome);
        match judged {
            Some(exit) => exit,
            None if any(Outcome::Failed) => Exit::Rollback,
            None if any(Outcome::Invalid) => Exit::Invalid,
            None => Exit::Pass,
        }
    }

    /// The windows of one side, of the comparison; of the baseline those of the A/A leg as well.
    #[must_use]
    pub fn windows(&self, side: Side) -> Vec<&Window> {
        let compared = self.pairs.iter().map(|pair| match side {
            Side::Baseline => &pair.baseline,
            Side::Canary => &pair.canary,
        });
        let twins =
            self.twins.iter().filter(|_| side == Side::Baseline).flat_map(|pair| [&pair.baseline, &pair.canary]);
        compared.chain(twins).collect()
    }
}

#[cfg(test)]
mod tests;
