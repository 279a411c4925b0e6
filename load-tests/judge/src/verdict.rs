//! How it ends, in words and as an exit code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is to be done about harm.
///
/// **Rollback** is the rule: a canary that is worse than its baseline is taken back, since that ends the harm within seconds and
/// needs no one to understand it first. **Hotfix** is for the two cases in which going back cures nothing: the canary can no longer
/// be taken back ([`crate::Rules::irreversible`]), or it is no worse than its baseline, but both break what a side must
/// keep by itself ([`crate::Criteria`], a growth of memory beyond its cap): the fault serves already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Back to the baseline.
    Rollback,
    /// Forward, by a repair.
    Hotfix,
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No worse than the margins.
    Pass,
    /// Worse.
    Fail(Remedy),
    /// Neither is proven.
    Inconclusive,
    /// The measurement says nothing.
    Invalid,
}

impl Verdict {
    /// The word of results and reports; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail(_) => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Invalid => "INVALID",
        }
    }

    /// What is to be done about it, if it is a FAIL.
    #[must_use]
    pub const fn remedy(self) -> Option<Remedy> {
        match self {
            Self::Fail(remedy) => Some(remedy),
            Self::Pass | Self::Inconclusive | Self::Invalid => None,
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(self, inconclusive: OnInconclusive) -> Exit {
        match (self, inconclusive) {
            (Self::Pass, _) | (Self::Inconclusive, OnInconclusive::Pass) => Exit::Pass,
            (Self::Fail(Remedy::Rollback), _) => Exit::Rollback,
            (Self::Fail(Remedy::Hotfix), _) => Exit::Hotfix,
            (Self::Inconclusive, OnInconclusive::Fail | OnInconclusive::Retry) => Exit::Inconclusive,
            (Self::Invalid, _) => Exit::Invalid,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self.remedy() {
            Some(Remedy::Rollback) => f.write_str(": roll back"),
            Some(Remedy::Hotfix) => f.write_str(": hotfix"),
            None => Ok(()),
        }
    }
}

/// What an INCONCLUSIVE is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInconclusive {
    /// Exit code 4.
    #[default]
    Fail,
    /// Exit code 0, as a PASS.
    Pass,
    /// Another run with another seed, at most two more; then exit code 4.
    Retry,
}

/// Exit codes of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The canary may serve.
    Pass = 0,
    /// Take it back.
    Rollback = 1,
    /// The command line or the plan is wrong.
    Usage = 2,
    /// Repair it.
    Hotfix = 3,
    /// Not told.
    Inconclusive = 4,
    /// Not measured.
    Invalid = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_exit_code() {
        for (verdict, on, code) in [
            (Verdict::Pass, OnInconclusive::Fail, 0),
            (Verdict::Fail(Remedy::Rollback), OnInconclusive::Pass, 1),
            (Verdict::Fail(Remedy::Hotfix), OnInconclusive::Pass, 3),
            (Verdict::Inconclusive, OnInconclusive::Fail, 4),
            (Verdict::Inconclusive, OnInconclusive::Retry, 4),
            (Verdict::Inconclusive, OnInconclusive::Pass, 0),
            (Verdict::Invalid, OnInconclusive::Pass, 5),
        ] {
            assert_eq!(verdict.exit(on) as u8, code, "{verdict} {on:?}");
        }
        assert_eq!(Exit::Usage as u8, 2);
        assert_eq!(Verdict::Fail(Remedy::Hotfix).to_string(), "FAIL: hotfix");
    }
}
