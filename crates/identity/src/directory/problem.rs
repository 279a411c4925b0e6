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
    /// Where it is met; what has no line comes last.
    fn line(&self) -> u32 {
        match self {
            Self::Invalid { line, .. } | Self::NotThere { line, .. } => *line,
            Self::Twice { second, .. } => second.line.unwrap_or(u32::MAX),
            Self::TooMany { .. } | Self::Read(_) => u32::MAX,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { line, key: Some(key), problem } => write!(f, "line {line}: `{key}`: {problem}"),
            Self::Invalid { line, key: None, problem } => write!(f, "line {line}: {problem}"),
            Self::Twice { what, first, second } => {
                let what = match what {
                    Twice::Id => "the id",
                    Twice::Key => "a key",
                    Twice::Token => "a token's subject",
                    Twice::Certificate => "a certificate's subject",
                };
                write!(f, "{second}: {what} stands at {first} already")
            }
            Self::NotThere { line, id } => write!(f, "change {line}: there is no consumer `{id}` to remove"),
            Self::TooMany { most } => write!(f, "there are more than {most} consumers"),
            Self::Read(error) => write!(f, "reading failed: {error}"),
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
        self.problems.sort_by_key(Problem::line);
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
