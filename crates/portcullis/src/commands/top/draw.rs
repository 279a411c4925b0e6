//! The table, on a terminal or as text.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize as _};
use ratatui::text::Line as Text;
use ratatui::widgets::{Cell, Row, Table};
use std::fmt::Write as _;

use super::rates::Line;
use super::state::{Column, Top};
use crate::cli::looking::View;

/// The widths of the columns of numbers.
const WIDTHS: [u16; 5] = [10, 9, 9, 10, 11];

/// Draws what is shown.
pub(super) fn draw(top: &Top, frame: &mut Frame<'_>) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    let (lines, all) = top.lines();
    frame.render_widget(Text::from(title(top, all)).bold(), head);
    let header = Row::new(titles(top).map(Cell::from).into_iter().chain([Cell::from("")])).reversed();
    let rows = lines.iter().take(usize::from(body.height)).map(|line| {
        let style = if line.failing.is_some_and(|failing| failing > 0.0) { Style::new().red() } else { Style::new() };
        Row::new(cells(line).into_iter().chain([line.says.clone()])).style(style)
    });
    let numbers = WIDTHS.map(Constraint::Length);
    let widths = [Constraint::Min(20)].into_iter().chain(numbers).chain([Constraint::Length(22)]);
    frame.render_widget(Table::new(rows, widths).header(header), body);
    frame.render_widget(Text::from(foot_of(top)).dim(), foot);
}

/// The same as text, all lines of it.
pub(super) fn text(top: &Top) -> String {
    let (lines, _) = top.lines();
    let width = lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0).max(4);
    let mut out = String::new();
    let mut row = |[name, numbers @ ..]: [String; 6], says: &str| {
        let numbers: String =
            numbers.iter().zip(WIDTHS).map(|(cell, width)| format!(" {cell:>0$}", usize::from(width))).collect();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}", format!("{name:width$}{numbers}  {says}").trim_end());
    };
    row(Column::ALL.map(|column| column.title().to_owned()), "");
    lines.iter().for_each(|line| row(cells(line), &line.says));
    out
}

fn title(top: &Top, all: usize) -> String {
    let views = View::ALL.iter().zip(1..).map(|(view, key)| {
        if *view == top.view() { format!("[{key} {}]", view.as_str()) } else { format!(" {key} {} ", view.as_str()) }
    });
    format!("{}  {all} shown", views.collect::<String>())
}

fn titles(top: &Top) -> [String; 6] {
    Column::ALL.map(|column| {
        let mark = match (column == top.column(), top.upwards()) {
            (false, _) => "",
            (true, false) => "▼",
            (true, true) => "▲",
        };
        format!("{}{mark}", column.title())
    })
}

fn cells(line: &Line) -> [String; 6] {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
    [
        line.name.clone(),
        rate(line.rate),
        rate(line.failing),
        line.in_flight.map_or_else(|| "-".to_owned(), |count| count.to_string()),
        line.latency.map_or_else(|| "-".to_owned(), |latency| format!("{latency:.1}ms")),
        line.requests.to_string(),
    ]
}

fn foot_of(top: &Top) -> String {
    if let Some(error) = top.error() {
        return format!("NO ANSWER: {error}");
    }
    if top.is_typing() {
        return format!("filter: {}_   Enter keeps it, Esc ends it", top.filter());
    }
    let filter = if top.filter().is_empty() { String::new() } else { format!("filter: {}   ", top.filter()) };
    format!("{filter}1-4 Tab view   s S sort   / filter   ↑ ↓ scroll   q quit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::top::rates::Sample;
    use crate::commands::top::state::Next;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use serde_json::{Value, json};
    use std::time::{Duration, Instant};

    fn answer(counts: [(&str, u64, u64); 3]) -> Value {
        let row = |(name, requests, failed): (&str, u64, u64)| json!({ "name": name, "requests": requests, "failed": failed, "in_flight": 2, "says": "" });
        json!({ "rows": counts.map(row) })
    }

    fn shown() -> Top {
        let mut top = Top::new(View::Routes, String::new());
        let at = Instant::now();
        let before = answer([("a/pay", 100, 0), ("a/all", 50, 1), ("b/all", 7, 0)]);
        let now = answer([("a/pay", 120, 0), ("a/all", 250, 5), ("b/all", 7, 0)]);
        top.take(Sample::read(View::Routes, &before, at));
        top.take(Sample::read(View::Routes, &now, at + Duration::from_secs(2)));
        top
    }

    fn press(top: &mut Top, keys: &str) -> Next {
        let code = |key| match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            key => KeyCode::Char(key),
        };
        keys.chars().map(|key| top.key(KeyEvent::new(code(key), KeyModifiers::NONE))).last().unwrap()
    }

    fn screen(top: &Top) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(100, 6)).unwrap();
        terminal.draw(|frame| draw(top, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..100).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..6).map(line).collect()
    }

    fn names(top: &Top) -> Vec<String> {
        screen(top)[2..5].iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_busiest_stands_first_with_rates_from_differences() {
        let screen = screen(&shown());
        assert!(screen[0].starts_with("[1 routes] 2 clusters  3 endpoints  4 consumers   3 shown"), "{screen:#?}");
        assert!(screen[1].contains("req/s▼"), "{screen:#?}");
        let words: Vec<Vec<&str>> = screen[2..5].iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["a/all", "100.0", "2.0", "2", "-", "250"]);
        assert_eq!(words[1], ["a/pay", "10.0", "0.0", "2", "-", "120"]);
        assert_eq!(words[2], ["b/all", "0.0", "0.0", "2", "-", "7"]);
        assert!(screen[5].contains("q quit"));
    }

    #[test]
    fn keys_sort_filter_switch_and_quit() {
        let mut top = shown();
        assert_eq!(press(&mut top, "S"), Next::Stay);
        assert_eq!(names(&top), ["b/all", "a/pay", "a/all"]);
        press(&mut top, "Sssss");
        assert_eq!(names(&top), ["a/all", "a/pay", "b/all"], "by all requests");
        press(&mut top, "s");
        assert_eq!(names(&top), ["a/all", "a/pay", "b/all"], "by name");
        assert_eq!(press(&mut top, "/ALLq"), Next::Stay, "a letter of the filter");
        assert!(screen(&top)[5].starts_with("filter: ALLq_"));
        top.key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
        press(&mut top, "\n");
        assert_eq!(names(&top), ["a/all", "b/all", ""]);
        assert_eq!(press(&mut top, "\t"), Next::Ask);
        assert!(screen(&top)[0].contains("[2 clusters]") && names(&top)[0].is_empty());
        assert_eq!(press(&mut top, "2"), Next::Stay, "it is shown already");
        assert_eq!(press(&mut top, "q"), Next::Quit);
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(top.key(control), Next::Quit);
    }

    #[test]
    fn a_gateway_that_does_not_answer_is_said_and_what_was_shown_stays() {
        let mut top = shown();
        top.fail("cannot connect".to_owned());
        assert!(screen(&top)[5].starts_with("NO ANSWER: cannot connect"));
        assert_eq!(names(&top)[0], "a/all");
        top.take(Sample::read(View::Clusters, &answer([("x", 1, 0), ("y", 1, 0), ("z", 1, 0)]), Instant::now()));
        assert_eq!(names(&top)[0], "a/all", "about another view");
    }

    #[test]
    fn a_pipe_gets_all_lines_as_text() {
        let expected = "\
name       req/s  failed/s in flight    latency    requests
a/all      100.0       2.0         2          -         250
a/pay       10.0       0.0         2          -         120
b/all        0.0       0.0         2          -           7
";
        let squeeze = |text: &str| {
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(squeeze(&text(&shown())), squeeze(expected));
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_drawn() {
        let mut top = Top::new(View::Routes, String::new());
        let rows = answer([("a\u{1b}[31m/b", 1, 0), ("c", 1, 0), ("d", 1, 0)]);
        top.take(Sample::read(View::Routes, &rows, Instant::now()));
        assert!(!text(&top).contains('\u{1b}'));
    }
}
