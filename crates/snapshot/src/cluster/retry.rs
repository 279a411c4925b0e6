//! When a request to a cluster is tried again, and the budget for it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_balance::{Budget, BudgetPolicy};
use portcullis_types::Percent;
use portcullis_types::quantity::format_duration;

/// The statuses that can be a cause, 400 to 599, have a bit each.
const FIRST: u16 = 400;
const WORDS: usize = 4;
/// The word of the config for the gRPC status.
const GRPC_UNAVAILABLE: &str = "grpc_unavailable";

/// Retries of a cluster.
#[derive(Debug)]
pub struct Retries {
    /// When, how often, how long to wait.
    pub policy: RetryPolicy,
    /// How much may be tried again: one account for all workers, kept across reloads.
    pub budget: Arc<Budget>,
    /// What a cluster with few requests may spend besides: as a burst, since an endpoint that dies fails several
    /// requests before it is taken out.
    reserve: Arc<Budget>,
}

/// Three a second, over ten seconds.
fn reserve() -> BudgetPolicy {
    BudgetPolicy { share: Percent::default(), floor: 3, window: Duration::from_secs(10) }
}

impl Retries {
    /// Retries by a policy. The account of the generation before goes on if it is of the same policy.
    #[must_use]
    pub fn new(policy: RetryPolicy, before: Option<&Self>, now: Instant) -> Self {
        let new = |policy| Arc::new(Budget::new(policy, now));
        let same = before.filter(|before| *before.budget.policy() == policy.budget).map(|same| same.budget.clone());
        let reserve = before.map_or_else(|| new(reserve()), |before| before.reserve.clone());
        Self { budget: same.unwrap_or_else(|| new(policy.budget)), reserve, policy }
    }

    /// Asks to try one request again.
    #[must_use = "what is granted is spent"]
    pub fn grant(&self, now: Instant) -> bool {
        portcullis_mutants::when!(LostRetryBudget => return true);
        self.budget.grant(now) || self.reserve.grant(now)
    }
}

/// When a request is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// After which failures.
    pub on: RetryOn,
    /// How often one request may be tried, the first time included.
    pub attempts: u32,
    /// How much may be tried again.
    pub budget: BudgetPolicy,
    /// The longest first pause; it doubles with each attempt.
    pub base: Duration,
    /// The longest pause.
    pub most: Duration,
}

impl Default for RetryPolicy {
    /// One more attempt after a failure without an answer, 20 % of the requests at most, after a pause of at most 25 ms.
    fn default() -> Self {
        Self {
            on: RetryOn::default(),
            attempts: 2,
            budget: BudgetPolicy { floor: 0, ..BudgetPolicy::retries() },
            base: Duration::from_millis(25),
            most: Duration::from_millis(250),
        }
    }
}

impl fmt::Display for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attempts == 1 {
            return f.write_str("no retries");
        }
        write!(f, "{} attempts on {}, budget {}, ", self.attempts, self.on, self.budget.share)?;
        write!(f, "backoff {} to {}", format_duration(self.base), format_duration(self.most))
    }
}

/// A failure without an answer that may be a cause of a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetryCause {
    /// No connection: nothing was sent.
    ConnectFailure,
    /// The connection ended before the answer.
    Reset,
    /// An HTTP/2 upstream refused the stream before it acted on it.
    RefusedStream,
    /// The answer did not begin in time.
    Timeout,
}

impl RetryCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::ConnectFailure, Self::Reset, Self::RefusedStream, Self::Timeout];

    /// The word of the config.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFailure => "connect_failure",
            Self::Reset => "reset",
            Self::RefusedStream => "refused_stream",
            Self::Timeout => "timeout",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The failures after which a request is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOn {
    causes: u8,
    statuses: [u64; WORDS],
    grpc_unavailable: bool,
}

impl Default for RetryOn {
    /// All that gave no answer, no status.
    fn default() -> Self {
        Self { causes: RetryCause::ALL.iter().fold(0, |causes, cause| causes | cause.bit()), ..Self::none() }
    }
}

impl RetryOn {
    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self { causes: 0, statuses: [0; WORDS], grpc_unavailable: false }
    }

    /// Adds what a word says.
    pub fn add(&mut self, word: RetryWord) {
        match word {
            RetryWord::Cause(cause) => self.causes |= cause.bit(),
            RetryWord::GrpcUnavailable => self.grpc_unavailable = true,
            RetryWord::Status(status) => self.add_status(status),
            RetryWord::Class(class) => (class * 100..class * 100 + 100).for_each(|status| self.add_status(status)),
        }
    }

    fn add_status(&mut self, status: u16) {
        if let Some((word, bit)) = place(status)
            && let Some(word) = self.statuses.get_mut(word)
        {
            *word |= bit;
        }
    }

    /// Whether a failure without an answer is one of them.
    #[must_use]
    pub const fn takes(&self, cause: RetryCause) -> bool {
        self.causes & cause.bit() != 0
    }

    /// Whether a status is one of them.
    #[must_use]
    pub fn takes_status(&self, status: u16) -> bool {
        status >= FIRST
            && place(status).is_some_and(|(word, bit)| self.statuses.get(word).is_some_and(|word| word & bit != 0))
    }

    /// Whether the gRPC status UNAVAILABLE is one of them, where it stands in the head: no message was sent before it.
    #[must_use]
    pub const fn takes_grpc_unavailable(&self) -> bool {
        self.grpc_unavailable
    }

    /// Whether any status is one of them.
    #[must_use]
    pub fn has_statuses(&self) -> bool {
        self.statuses != [0; WORDS]
    }
}

impl fmt::Display for RetryOn {
    /// The words, as in a config.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> =
            RetryCause::ALL.iter().filter(|cause| self.takes(**cause)).map(|cause| cause.as_str().to_owned()).collect();
        words.extend(self.grpc_unavailable.then(|| GRPC_UNAVAILABLE.to_owned()));
        for class in [4, 5] {
            let taken: Vec<u16> =
                (class * 100..class * 100 + 100).filter(|status| self.takes_status(*status)).collect();
            if taken.len() == 100 {
                words.push(format!("{class}xx"));
            } else {
                words.extend(taken.iter().map(u16::to_string));
            }
        }
        f.write_str(&words.join(", "))
    }
}

fn place(status: u16) -> Option<(usize, u64)> {
    let at = status.checked_sub(FIRST).filter(|at| usize::from(*at) < 64 * WORDS)?;
    Some((usize::from(at / 64), 1 << (at % 64)))
}

/// One word of `on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryWord {
    /// A failure without an answer.
    Cause(RetryCause),
    /// The gRPC status UNAVAILABLE in the head of an answer.
    GrpcUnavailable,
    /// One status, 400 to 599.
    Status(u16),
    /// All statuses of a class, 4 or 5.
    Class(u16),
}

/// The text is no word of `on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected connect_failure, reset, refused_stream, timeout, grpc_unavailable, a status from 400 to 599, 4xx or 5xx"
)]
pub struct NotRetryable;

impl FromStr for RetryWord {
    type Err = NotRetryable;

    fn from_str(text: &str) -> Result<Self, NotRetryable> {
        if let Some(cause) = RetryCause::ALL.into_iter().find(|cause| cause.as_str() == text) {
            return Ok(Self::Cause(cause));
        }
        match text {
            GRPC_UNAVAILABLE => Ok(Self::GrpcUnavailable),
            "4xx" => Ok(Self::Class(4)),
            "5xx" => Ok(Self::Class(5)),
            digits if digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|status| (400..600).contains(status)).map(Self::Status).ok_or(NotRetryable)
            }
            _ => Err(NotRetryable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_and_writes_them_back() {
        for (words, expected) in [
            ("reset", "reset"),
            ("503 502 timeout", "timeout, 502, 503"),
            ("5xx 429 connect_failure refused_stream", "connect_failure, refused_stream, 429, 5xx"),
            ("4xx", "4xx"),
            ("503 grpc_unavailable timeout", "timeout, grpc_unavailable, 503"),
        ] {
            let mut on = RetryOn::none();
            words.split(' ').for_each(|word| on.add(word.parse().unwrap()));
            assert_eq!(on.to_string(), expected, "{words}");
        }
        for word in ["", "200", "600", "3xx", "grpc", "GRPC_UNAVAILABLE", "Reset", "5XX", "+50", "5000"] {
            assert_eq!(word.parse::<RetryWord>(), Err(NotRetryable), "{word}");
        }
    }

    #[test]
    fn takes_the_statuses_that_were_added_alone() {
        let mut on = RetryOn::none();
        on.add(RetryWord::Status(503));
        on.add(RetryWord::Status(599));
        on.add(RetryWord::Status(400));
        let taken: Vec<u16> = (0..1000).filter(|status| on.takes_status(*status)).collect();
        assert_eq!(taken, [400, 503, 599]);
        assert!(on.has_statuses() && !RetryOn::default().has_statuses());
        assert!(
            !on.takes_grpc_unavailable() && !RetryOn::default().takes_grpc_unavailable(),
            "it is asked for by name"
        );
    }

    #[test]
    fn keeps_the_account_of_the_same_policy() {
        let now = Instant::now();
        let first = Retries::new(RetryPolicy::default(), None, now);
        let more = RetryPolicy { attempts: 5, ..RetryPolicy::default() };
        let second = Retries::new(more, Some(&first), now);
        assert!(Arc::ptr_eq(&first.budget, &second.budget));
        assert_eq!((0..100).filter(|_| first.grant(now)).count(), 30, "three a second over ten seconds");
        assert!(!second.grant(now), "a reload gives nothing anew");
        let other = BudgetPolicy { floor: 9, ..BudgetPolicy::retries() };
        let third = Retries::new(RetryPolicy { budget: other, ..more }, Some(&second), now);
        assert!(!Arc::ptr_eq(&second.budget, &third.budget));
    }
}
