//! What is shown, and what keys do to it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::cmp::Ordering;

use super::rates::{Line, Sample};
use crate::cli::looking::View;

/// What a line can be sorted by, in the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Rate,
    Failing,
    InFlight,
    Latency,
    Requests,
}

impl Column {
    pub(super) const ALL: [Self; 6] =
        [Self::Name, Self::Rate, Self::Failing, Self::InFlight, Self::Latency, Self::Requests];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Rate => "req/s",
            Self::Failing => "failed/s",
            Self::InFlight => "in flight",
            Self::Latency => "latency",
            Self::Requests => "requests",
        }
    }
}

/// What is to be done after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    /// Another view is shown: its rows are asked for now.
    Ask,
    Quit,
}

/// What is shown.
pub(super) struct Top {
    view: View,
    column: Column,
    upwards: bool,
    filter: String,
    /// Whether keys are letters of the filter.
    typing: bool,
    /// The first line that is shown.
    from: usize,
    last: Option<Sample>,
    lines: Vec<Line>,
    error: Option<String>,
}

impl Top {
    pub(super) const fn new(view: View, filter: String) -> Self {
        Self {
            view,
            column: Column::Rate,
            upwards: false,
            filter,
            typing: false,
            from: 0,
            last: None,
            lines: Vec::new(),
            error: None,
        }
    }

    pub(super) const fn view(&self) -> View {
        self.view
    }

    pub(super) const fn column(&self) -> Column {
        self.column
    }

    pub(super) const fn upwards(&self) -> bool {
        self.upwards
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) const fn is_typing(&self) -> bool {
        self.typing
    }

    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Takes an answer; one about another view came too late.
    pub(super) fn take(&mut self, sample: Sample) {
        if sample.view == self.view {
            self.lines = sample.lines(self.last.as_ref());
            self.last = Some(sample);
            self.error = None;
        }
    }

    /// The gateway did not answer: what was shown stays, and that is said.
    pub(super) fn fail(&mut self, error: String) {
        self.error = Some(error);
    }

    /// The lines that match the filter, sorted, from the first that is shown; and how many match.
    pub(super) fn lines(&self) -> (Vec<&Line>, usize) {
        let wanted = self.filter.to_lowercase();
        let mut lines: Vec<&Line> =
            self.lines.iter().filter(|line| line.name.to_lowercase().contains(&wanted)).collect();
        lines.sort_by(|a, b| {
            let order = self.compare(a, b);
            let order = if self.upwards { order } else { order.reverse() };
            order.then_with(|| a.name.cmp(&b.name))
        });
        let all = lines.len();
        let from = self.from.min(all.saturating_sub(1));
        (lines.split_off(from.min(all)), all)
    }

    fn compare(&self, a: &Line, b: &Line) -> Ordering {
        let number = |a: Option<f64>, b: Option<f64>| a.unwrap_or(-1.0).total_cmp(&b.unwrap_or(-1.0));
        match self.column {
            // The first letter of the alphabet is what one looks for first.
            Column::Name => b.name.cmp(&a.name),
            Column::Rate => number(a.rate, b.rate),
            Column::Failing => number(a.failing, b.failing),
            Column::InFlight => a.in_flight.cmp(&b.in_flight),
            Column::Latency => number(a.latency, b.latency),
            Column::Requests => a.requests.cmp(&b.requests),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other keys do nothing")]
    pub(super) fn key(&mut self, key: KeyEvent) -> Next {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Next::Quit;
        }
        if self.typing {
            self.letter(key.code);
            return Next::Stay;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Next::Quit,
            KeyCode::Char(digit @ '1'..='4') => {
                let place = usize::from(digit as u8 - b'1');
                return View::ALL.get(place).map_or(Next::Stay, |view| self.show(*view));
            }
            KeyCode::Tab => {
                let next = View::ALL.iter().cycle().skip_while(|view| **view != self.view).nth(1);
                return next.map_or(Next::Stay, |view| self.show(*view));
            }
            KeyCode::Char('s') => {
                let next = Column::ALL.iter().cycle().skip_while(|column| **column != self.column).nth(1);
                self.column = next.copied().unwrap_or(self.column);
            }
            KeyCode::Char('S') => self.upwards = !self.upwards,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Down | KeyCode::Char('j') => self.from = (self.from + 1).min(self.lines.len().saturating_sub(1)),
            KeyCode::Up | KeyCode::Char('k') => self.from = self.from.saturating_sub(1),
            KeyCode::PageDown => self.from = (self.from + 10).min(self.lines.len().saturating_sub(1)),
            KeyCode::PageUp => self.from = self.from.saturating_sub(10),
            KeyCode::Home => self.from = 0,
            _ => {}
        }
        Next::Stay
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other keys do nothing")]
    fn letter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(letter) if self.filter.len() < 200 => self.filter.push(letter),
            _ => {}
        }
        self.from = 0;
    }

    fn show(&mut self, view: View) -> Next {
        if view == self.view {
            return Next::Stay;
        }
        self.view = view;
        self.from = 0;
        self.last = None;
        self.lines.clear();
        Next::Ask
    }
}
