//! How a trial stands and how it ended, in numbers and in words.

use std::fmt;

use crate::counts::Metric;

/// How one metric stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Which.
    pub metric: Metric,
    /// Windows that were compared.
    pub windows: u32,
    /// Of these, windows in which the new side was worse by more than the margin.
    pub beyond: u32,
    /// By how much of a share the new side may be worse, 0 to 1.
    pub margin: f64,
    /// The share on the known side, over all windows.
    pub known: f64,
    /// The share on the new side, over all windows.
    pub new: f64,
    /// The evidence of harm; see [`crate::evidence()`].
    pub harm: f64,
    /// The evidence that there is none beyond the margin.
    pub soundness: f64,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| share * 100.0;
        write!(
            f,
            "{}: {:.2} % before and {:.2} % now; worse by more than {:.2} points in {} of {} windows",
            self.metric,
            percent(self.known),
            percent(self.new),
            percent(self.margin),
            self.beyond,
            self.windows
        )
    }
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// It does harm.
    Harm(Standing),
    /// It does no harm beyond the margins.
    Sound,
    /// Too few windows to tell; the metric that is furthest from being told, if any window was seen.
    Unclear(Option<Standing>),
}

impl Verdict {
    /// The word of answers, logs and the history; stable.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Harm(_) => "harm",
            Self::Sound => "sound",
            Self::Unclear(_) => "unclear",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Harm(standing) => write!(f, "more requests {standing}"),
            Self::Sound => f.write_str("no worse than the margins in failures, refusals and slow requests"),
            Self::Unclear(Some(standing)) => {
                write!(f, "too few windows, or too like those before, to tell; {standing}")
            }
            Self::Unclear(None) => {
                f.write_str("not enough traffic to tell: no window had enough requests on both sides")
            }
        }
    }
}
