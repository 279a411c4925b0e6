//! How far along the endpoints of a cluster are, where all of them follow one history that only grows: a chain, a log.
//!
//! Each endpoint has a height (a slot, the number of a block). Checks say it exactly, answers that pass say what it is
//! at the least. Out of all of them comes a *reference*, and whoever lags behind it by too much takes no requests.
//!
//! Invariants:
//! - With three endpoints or more, no single one moves the reference: another must have come as far, and a rise beyond
//!   what time allows is believed of a majority alone. With two, the higher one is believed as far as time allows; so
//!   which of two that disagree from the start is right is not decided, and both are used.
//! - An endpoint that is far ahead of all others is named. It is taken out only where two others agree, and where it got
//!   there by a leap.
//! - Heights never leave a cluster without endpoints: when all are behind, the highest are used; when none passes its
//!   checks, all are.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use portcullis_types::EndpointName;

use crate::health::seconds;

mod choose;
mod judge;
mod mark;
mod reference;

pub(crate) use judge::Heights;
pub(crate) use mark::Mark;

/// How far endpoints may be apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeightPolicy {
    /// What one of them is called: `slot`.
    pub unit: &'static str,
    /// An endpoint that lags by more takes no requests; once it lags by no more than half of this, it does again.
    pub max_lag: u64,
    /// How long one takes.
    pub pace: Duration,
    /// How long what an endpoint said holds, as a height that goes on at the usual pace; nothing is known then.
    pub fresh: Duration,
}

/// How far apart nodes may be for ordinary reasons when they are first seen: half an hour.
const APART: Duration = Duration::from_secs(30 * 60);

impl HeightPolicy {
    /// So many come to be in this time.
    pub(crate) fn grown(&self, time: Duration) -> u64 {
        let pace = self.pace.as_nanos().max(1);
        u64::try_from(time.as_nanos() / pace).unwrap_or(u64::MAX)
    }

    /// More than this cannot come to be in this time.
    pub(crate) fn most_grown(&self, time: Duration) -> u64 {
        self.grown(self.at_most(time)).saturating_add(1)
    }

    /// A time with what heights may be faster than usual.
    pub(crate) fn at_most(&self, time: Duration) -> Duration {
        time.saturating_add(time / 4)
    }

    /// How long so many take.
    pub(crate) fn takes(&self, heights: u64) -> Duration {
        let nanos = self.pace.as_nanos().saturating_mul(u128::from(heights));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(crate) fn apart(&self) -> u64 {
        self.max_lag.max(self.grown(APART))
    }
}

/// What an endpoint says of itself when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnWord {
    /// That it keeps up.
    #[default]
    Well,
    /// That it is behind, and by how much if it knows.
    Behind(Option<u64>),
    /// That it has received so much that it has not worked through.
    Unfinished(u64),
}

/// The answer to a check: the height, and what the endpoint thinks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sounding {
    /// How far it is.
    pub height: u64,
    /// What it says of itself.
    pub own: OwnWord,
}

/// Where an endpoint is beside the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bearing {
    /// Nothing is known of late.
    #[default]
    Unknown,
    /// It keeps up.
    Level,
    /// It lags behind the reference.
    Lags,
    /// It says itself that it is not well.
    Says(OwnWord),
    /// It is far ahead of all others, and not believed.
    Ahead {
        /// Whether it takes no requests for it.
        out: bool,
    },
}

impl Bearing {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Level => "level",
            Self::Lags | Self::Says(_) => "behind",
            Self::Ahead { .. } => "ahead",
        }
    }

    /// Whether it takes no requests while others may.
    #[must_use]
    pub const fn is_out(self) -> bool {
        matches!(self, Self::Lags | Self::Says(_) | Self::Ahead { out: true })
    }

    /// Whether it is behind the others, or far ahead of them.
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.is_behind() || matches!(self, Self::Ahead { .. })
    }

    pub(crate) const fn is_behind(self) -> bool {
        matches!(self, Self::Lags | Self::Says(_))
    }

    const fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Level => 1,
            Self::Lags | Self::Says(_) => 2,
            Self::Ahead { out: false } => 3,
            Self::Ahead { out: true } => 4,
        }
    }
}

/// Where an endpoint is beside the others, in numbers. Its text is a part of a sentence about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeightStanding {
    /// What a height is called.
    pub unit: &'static str,
    /// What it said last.
    pub height: u64,
    /// How long ago.
    pub age: Duration,
    /// What the others are measured by, when there is any.
    pub reference: Option<u64>,
    /// The verdict.
    pub bearing: Bearing,
}

impl HeightStanding {
    /// By how much it is behind the reference.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.reference.map_or(0, |reference| reference.saturating_sub(self.height))
    }

    /// By how much it is ahead of the reference.
    #[must_use]
    pub fn lead(&self) -> u64 {
        self.reference.map_or(0, |reference| self.height.saturating_sub(reference))
    }
}

impl fmt::Display for HeightStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, height, .. } = self;
        match self.bearing {
            Bearing::Unknown => return write!(f, "nothing is known of its {unit}"),
            Bearing::Level => write!(f, "it keeps up: ")?,
            Bearing::Lags => write!(f, "behind: ")?,
            Bearing::Says(OwnWord::Behind(Some(by))) => {
                write!(f, "it says that it is {} {unit}s behind: ", Grouped(by))?
            }
            Bearing::Says(OwnWord::Behind(None) | OwnWord::Well) => write!(f, "it says that it is behind: ")?,
            Bearing::Says(OwnWord::Unfinished(by)) => {
                write!(f, "it has received {} {unit}s that it has not worked through: ", Grouped(by))?;
            }
            Bearing::Ahead { .. } => write!(f, "ahead of all others, and not believed: ")?,
        }
        write!(f, "{unit} {}", Grouped(*height))?;
        match self.reference {
            Some(reference) if self.lag() > 0 => {
                write!(f, ", {} behind the reference {}", Grouped(self.lag()), Grouped(reference))
            }
            Some(reference) if self.lead() > 0 => {
                write!(f, ", {} ahead of the reference {}", Grouped(self.lead()), Grouped(reference))
            }
            Some(reference) => write!(f, ", as the reference {}", Grouped(reference)),
            None => Ok(()),
        }
    }
}

/// A number in groups of three digits: heights have nine of them, and are compared by eye.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// An endpoint fell behind, came back or was found to be far ahead; to be logged. Its text is the log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeightEvent {
    /// Whose.
    pub endpoint: EndpointName,
    /// Where it is.
    pub address: SocketAddr,
    /// How it stands now.
    pub standing: HeightStanding,
    /// How it stood before.
    pub before: Bearing,
    /// For how long.
    pub lasted: Duration,
}

impl fmt::Display for HeightEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, address, standing, before, lasted } = self;
        write!(f, "endpoint {endpoint} ({address}): {standing}")?;
        match standing.bearing {
            Bearing::Level | Bearing::Unknown => write!(f, "; it was {} for {}", before.as_str(), seconds(*lasted)),
            Bearing::Ahead { out: false } => f.write_str("; it still takes requests"),
            Bearing::Lags | Bearing::Says(_) | Bearing::Ahead { out: true } => f.write_str("; it takes no requests"),
        }
    }
}

#[cfg(test)]
mod tests;
