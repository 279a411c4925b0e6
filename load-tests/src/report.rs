//! Markdown tables on standard output, progress on standard error.

use std::fmt::{self, Display};
use std::io::{IsTerminal, Write as _};

use crate::Failure;

/// A markdown table.
#[derive(Debug, Clone)]
pub struct Table {
    text: String,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        let mut table = Self { text: String::new() };
        table.line(columns.iter().map(ToString::to_string));
        table.line(columns.iter().map(|_| "---".to_owned()));
        table
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [&dyn Display; N]) {
        self.line(cells.iter().map(ToString::to_string));
    }

    fn line(&mut self, cells: impl Iterator<Item = String>) {
        for cell in cells {
            self.text.push_str("| ");
            self.text.push_str(&cell);
            self.text.push(' ');
        }
        self.text.push_str("|\n");
    }

    /// Prints it under a heading, with the command that repeats it.
    ///
    /// # Errors
    ///
    /// When standard output is closed.
    pub fn print(&self, heading: &str, command: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n### {heading}\n\n`{command}`\n\n{self}")?;
        Ok(out.flush()?)
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Says how far it is. Nobody has to listen.
pub fn progress(text: &impl Display) {
    let mut err = std::io::stderr().lock();
    drop(writeln!(err, "{}{text}", over(&err)));
}

/// Takes a terminal's line away that is written over: another is said in its place.
fn over(err: &impl IsTerminal) -> &'static str {
    if err.is_terminal() { "\r\x1b[K" } else { "" }
}

/// Says something on standard output.
///
/// # Errors
///
/// When it is closed.
pub fn say(text: &str) -> Result<(), Failure> {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    // Both may be the same terminal.
    drop(write!(err, "{}", over(&err)).and_then(|()| err.flush()));
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_markdown() {
        let mut table = Table::new(&["what", "how much"]);
        table.row([&"a", &1.5]);
        assert_eq!(table.text, "| what | how much |\n| --- | --- |\n| a | 1.5 |\n");
    }
}
