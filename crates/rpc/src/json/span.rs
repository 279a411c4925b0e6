//! A place in a text.

/// From where to where something stands in a text of less than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// From `start` up to `end`. A place past 4 GiB is none: such texts are refused before they are walked.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    /// Where it starts.
    #[must_use]
    pub const fn start(self) -> usize {
        self.start as usize
    }

    /// Where it ends.
    #[must_use]
    pub const fn end(self) -> usize {
        self.end as usize
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// What stands there; nothing when the text is another one.
    #[must_use]
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start()..self.end()).unwrap_or_default()
    }

    /// What stands there, as text.
    #[must_use]
    pub fn str_of(self, text: &[u8]) -> &str {
        std::str::from_utf8(self.of(text)).unwrap_or_default()
    }
}
