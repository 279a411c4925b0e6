//! One thing that is to be known.

use crate::affected::Affected;
use crate::kind::Kind;

/// How much harm something does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// None: somebody wanted it so. It is said so that it is not forgotten.
    Information,
    /// Some requests suffer, or soon will.
    Degraded,
    /// Many requests fail.
    Failing,
}

impl Severity {
    /// All, from the least.
    pub const ALL: [Self; 3] = [Self::Information, Self::Degraded, Self::Failing];

    /// The word of answers and metrics; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Information => "information",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

/// Which requests a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum About {
    /// None, or it cannot be told.
    #[default]
    None,
    /// All.
    All,
    /// Those of a cluster.
    Cluster(String),
    /// Those that ended for a reason.
    Reason(&'static str),
    /// Those that failed.
    Failed,
    /// Those of a virtual host, perhaps of one route.
    Host(String, Option<String>),
}

/// One thing that is to be known.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What it is of.
    pub kind: Kind,
    /// Which thing it is of, by its name; empty where there is one only.
    pub of: String,
    /// How much harm it does.
    pub severity: Severity,
    /// A sentence.
    pub says: String,
    /// What it is known by, each a sentence.
    pub evidence: Vec<String>,
    /// Which requests it is about.
    pub about: About,
    /// Who suffers; empty until it was looked for.
    pub affected: Affected,
}

impl Finding {
    /// A finding without evidence, about no requests.
    #[must_use]
    pub fn new(kind: Kind, of: impl Into<String>, severity: Severity, says: impl Into<String>) -> Self {
        let (of, says) = (of.into(), says.into());
        Self { kind, of, severity, says, evidence: Vec::new(), about: About::None, affected: Affected::default() }
    }

    /// Adds what it is known by.
    #[must_use]
    pub fn known_by(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    /// Says which requests it is about.
    #[must_use]
    pub fn about(mut self, about: About) -> Self {
        self.about = about;
        self
    }

    /// What tells it from all others, the same as long as it holds.
    #[must_use]
    pub fn id(&self) -> String {
        if self.of.is_empty() { self.kind.as_str().to_owned() } else { format!("{}:{}", self.kind.as_str(), self.of) }
    }
}
