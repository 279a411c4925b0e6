//! What a reload found wrong: all of it at once, up to a number, each with its line.

use std::fmt;

/// The most problems that are told apart; of the rest, the count.
pub(super) const MOST: usize = 100;

/// Where a consumer was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its line in the file, from 1; `None` for what did not come from the file being read.
    pub line: Option<u32>,
    /// Its id.
    pub id: Box<str>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line} ")?;
        }
        write!(f, "(consumer `{}`)", self.id)
    }
}

/// What may stand once only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    /// A consumer's id.
    Id,
    /// A key's hash.
    Key,
    /// The subject of a token.
    Token,
    /// The subject of a certificate.
    Certificate,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A consumer cannot be read.
    Invalid {
        /// Its line, or the number of the change, from 1.
        line: u32,
        /// The key, such as `keys[1].hash`; `None` when it is the text as a whole.
        key: Option<String>,
        /// What is wrong. Repeats no value.
        problem: String,
    },
    /// Something stands twice.
    Twice {
        /// What.
        what: Twice,
        /// The first place.
        first: Place,
        /// The second.
        second: Place,
    },
    /// A change removes somebody who is not there.
    NotThere {
        /// The number of the change, from 1.
        line: u32,
        /// The id.
        id: Box<str>,
    },
    /// There are more consumers than may be.
    TooMany {
        /// How many may be.
        most: usize,
    },
    /// The file could not be read to its end.
    Read(String),
}

impl Problem {
    /// Its line, or the number of the change; `None` for what has none.
    #[must_use]
    pub const fn line(&self) -> Option<u32> {
        match self {
            Self::Invalid { line, .. } | Self::NotThere { line, .. } => Some(*line),
            Self::Twice { second, .. } => second.line,
            Self::TooMany { .. } | Self::Read(_) => None,
        }
    }

    /// What is wrong, without where.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Invalid { key: Some(key), problem, .. } => format!("`{key}`: {problem}"),
            Self::Invalid { key: None, problem, .. } => problem.clone(),
            Self::Twice { what, first, second } => {
                let what = match what {
                    Twice::Id => "the id",
                    Twice::Key => "a key",
                    Twice::Token => "a token's subject",
                    Twice::Certificate => "a certificate's subject",
                };
                format!("{what} of the consumer `{}` stands at {first} already", second.id)
            }
            Self::NotThere { id, .. } => format!("there is no consumer `{id}` to remove"),
            Self::TooMany { most } => format!("there are more than {most} consumers"),
            Self::Read(error) => format!("reading failed: {error}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.line()) {
            (Self::NotThere { .. }, Some(line)) => write!(f, "change {line}: {}", self.what()),
            (_, Some(line)) => write!(f, "line {line}: {}", self.what()),
            (_, None) => f.write_str(&self.what()),
        }
    }
}

/// Why a reload was refused; the directory it started from is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReloadError {
    /// The first hundred, by line.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl ReloadError {
    pub(super) fn push(&mut self, problem: Problem) {
        if self.problems.len() < MOST { self.problems.push(problem) } else { self.more += 1 }
    }

    /// In the order of the lines.
    pub(super) fn sorted(mut self) -> Self {
        self.problems.sort_by_key(|problem| problem.line().unwrap_or(u32::MAX));
        self
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        if self.more > 0 { write!(f, "\nand {} more", self.more) } else { Ok(()) }
    }
}

impl std::error::Error for ReloadError {}
