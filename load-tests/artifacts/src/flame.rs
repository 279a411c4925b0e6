//! Flame graphs: where time or memory goes, by who called whom. Stacks are folded, as `perf script` and others are turned into:
//! `main;serve;parse 42`, a line each.
//!
//! A differential one shows the canary's widths, and in colour by how much a function's share grew or shrank; of what is counted
//! exactly, such as allocations, by how much its count did.

use std::collections::{BTreeMap, HashMap};

use crate::escape;
use crate::svg::put;

/// Frames of a stack that are shown; deeper ones count for their caller.
const DEEPEST: usize = 96;

/// The width of the picture and the height of a row, in pixels.
const WIDTH: f64 = 1200.0;
const ROW: f64 = 17.0;

/// What is narrower than this is not drawn.
const NARROWEST: f64 = 0.4;

/// A letter's width, for what fits.
const LETTER: f64 = 6.6;

/// What a width and a colour are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The share of all samples: how many there were is luck.
    Shares,
    /// Counts that are exact, for one of something: allocations of a request. A count that grew is red, and others do not
    /// seem to shrink by it.
    Counts,
}

/// A function in the place where it is called.
#[derive(Debug, Clone, Default, PartialEq)]
struct Frame {
    /// Of the shown run, as a share of all.
    share: f64,
    /// Of the run it is compared with.
    before: f64,
    callees: BTreeMap<String, Frame>,
}

/// Stacks of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stacks(Vec<(Vec<String>, f64)>);

impl Stacks {
    /// Reads folded stacks. A line without a count is left out.
    #[must_use]
    pub fn parse(folded: &str) -> Self {
        let stack = |line: &str| {
            let (frames, count) = line.trim_end().rsplit_once(' ')?;
            let count = count.parse().ok().filter(|count: &f64| count.is_finite() && *count > 0.0)?;
            Some((frames.split(';').map(str::to_owned).take(DEEPEST).collect(), count))
        };
        Self(folded.lines().filter_map(stack).collect())
    }

    /// Folds what `perf script` writes: a head line for each sample, then its frames from the innermost, then an empty line.
    #[must_use]
    pub fn fold_perf(script: &str) -> Self {
        let mut counts: BTreeMap<Vec<String>, f64> = BTreeMap::new();
        for sample in script.split("\n\n") {
            let frames = sample.lines().filter(|line| line.starts_with([' ', '\t'])).map(frame_of_perf);
            let mut frames: Vec<String> = frames.collect();
            if !frames.is_empty() {
                frames.reverse();
                frames.truncate(DEEPEST);
                *counts.entry(frames).or_default() += 1.0;
            }
        }
        Self(counts.into_iter().collect())
    }

    /// Folds the calls of some functions out of what callgrind writes when it keeps their callers apart (`--separate-callers`): a callee
    /// is then written as `malloc'reserve'parse'main`, from the innermost. `counted` says which functions count; calls between
    /// two of them are one.
    #[must_use]
    pub fn fold_callgrind(text: &str, counted: impl Fn(&str) -> bool) -> Self {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut counts: BTreeMap<Vec<String>, f64> = BTreeMap::new();
        let mut callee = "";
        for line in text.lines() {
            if let Some(function) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
                // A name is written once, later its number alone.
                callee = match function.split_once(' ') {
                    Some((number, name)) => {
                        names.insert(number, name);
                        name
                    }
                    None => names.get(function).copied().unwrap_or_default(),
                };
            } else if let Some(rest) = line.strip_prefix("calls=") {
                let times: f64 = rest.split(' ').next().and_then(|times| times.parse().ok()).unwrap_or_default();
                let frames: Vec<&str> = callee.split('\'').collect();
                let from_outside = !frames.get(1).is_some_and(|caller| counted(caller));
                if times > 0.0 && from_outside && frames.first().is_some_and(|inner| counted(inner)) {
                    let frames = frames.into_iter().rev().map(|frame| frame.replace(';', ":")).take(DEEPEST);
                    *counts.entry(frames.collect()).or_default() += times;
                }
            }
        }
        Self(counts.into_iter().collect())
    }

    /// What came since an earlier count of the same run, divided by this.
    #[must_use]
    pub fn since(&self, before: &Self, by: f64) -> Self {
        let before: BTreeMap<&Vec<String>, f64> = before.0.iter().map(|(frames, count)| (frames, *count)).collect();
        let left = |(frames, count): &(Vec<String>, f64)| {
            let left = (count - before.get(frames).copied().unwrap_or_default()) / by;
            (left > 0.0).then(|| (frames.clone(), left))
        };
        Self(self.0.iter().filter_map(left).collect())
    }

    /// The folded text. What is no whole number has three digits.
    #[must_use]
    pub fn folded(&self) -> String {
        let line = |(frames, count): &(Vec<String>, f64)| {
            let digits = if count.fract() == 0.0 { 0 } else { 3 };
            format!("{} {count:.digits$}\n", frames.join(";"))
        };
        self.0.iter().map(line).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

/// `    55d0c0 <portcullis::serve>+0x1c (/bin/portcullis)` is `portcullis::serve`.
fn frame_of_perf(line: &str) -> String {
    let line = line.trim();
    let (_, rest) = line.split_once(' ').unwrap_or(("", line));
    let name = rest.rsplit_once(" (").map_or(rest, |(name, _)| name);
    let name = name.rsplit_once("+0x").map_or(name, |(name, _)| name);
    // What folded text separates by.
    name.replace(';', ":")
}

/// The picture of one run.
#[must_use]
pub fn graph(title: &str, run: &Stacks, of: Of) -> String {
    Picture { of, total: run.total(), compared: false }.render(title, &tree(run, None, of))
}

/// The picture of a run, coloured by what it is compared with.
#[must_use]
pub fn difference(title: &str, baseline: &Stacks, canary: &Stacks, of: Of) -> String {
    Picture { of, total: canary.total(), compared: true }.render(title, &tree(canary, Some(baseline), of))
}

fn tree(run: &Stacks, before: Option<&Stacks>, of: Of) -> Frame {
    let mut root = Frame::default();
    let all = run.total();
    let mut add = |stacks: &Stacks, to: fn(&mut Frame) -> &mut f64| {
        let total = if of == Of::Counts { all } else { stacks.total() };
        for (frames, count) in &stacks.0 {
            let share = count / total;
            *to(&mut root) += share;
            let mut at = &mut root;
            for frame in frames {
                at = at.callees.entry(frame.clone()).or_default();
                *to(at) += share;
            }
        }
    };
    add(run, |frame| &mut frame.share);
    if let Some(before) = before {
        add(before, |frame| &mut frame.before);
    }
    root
}

/// How a picture is told.
struct Picture {
    of: Of,
    /// What all of its width stands for.
    total: f64,
    compared: bool,
}

impl Picture {
    fn render(&self, title: &str, root: &Frame) -> String {
        let mut rows = String::new();
        let mut deepest = 0;
        // What is still to be drawn: a name, its frame, where it begins, and how deep it is.
        let mut left: Vec<(&str, &Frame, f64, usize)> = vec![("all", root, 0.0, 0)];
        while let Some((name, frame, from, depth)) = left.pop() {
            if frame.share * WIDTH < NARROWEST {
                continue;
            }
            deepest = deepest.max(depth);
            #[expect(clippy::cast_precision_loss, reason = "a hundred rows")]
            let top = 32.0 + depth as f64 * ROW;
            self.draw(&mut rows, name, frame, [from, top]);
            let mut from = from;
            for (name, callee) in &frame.callees {
                left.push((name, callee, from, depth + 1));
                from += callee.share * WIDTH;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a hundred rows")]
        let height = (deepest + 1) as f64 * ROW + 40.0;
        let title = escape::html(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\"><title>{title}</title><style>text{{font:11px ui-monospace,monospace;fill:#16191d}}.t{{font-size:15px}}\
         svg{{background:#fff}}rect:hover{{stroke:#16191d}}</style><text class=\"t\" x=\"4\" y=\"20\">{title}</text>{rows}</svg>\n"
        )
    }

    /// What is said of a frame: its share, or its count, and by how much it changed.
    fn said(&self, name: &str, frame: &Frame) -> String {
        let (percent, change) = (frame.share * 100.0, frame.share - frame.before);
        match (self.of, self.compared) {
            (Of::Shares, false) => format!("{name}: {percent:.2} %"),
            (Of::Shares, true) => format!("{name}: {percent:.2} %, {:+.2} points", change * 100.0),
            (Of::Counts, false) => format!("{name}: {:.2}, {percent:.2} %", frame.share * self.total),
            (Of::Counts, true) => format!("{name}: {:.2}, {:+.2}", frame.share * self.total, change * self.total),
        }
    }

    fn draw(&self, out: &mut String, name: &str, frame: &Frame, [from, top]: [f64; 2]) {
        let width = frame.share * WIDTH;
        let text = self.said(name, frame);
        let colour = if self.compared { by_change((frame.share - frame.before) * 100.0) } else { by_name(name) };
        let height = ROW - 1.0;
        put(
            out,
            format_args!(
                "<g><title>{}</title><rect x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>",
                escape::html(&text)
            ),
        );
        let room = letters(width);
        if room >= 3 {
            let short: String = if name.chars().count() <= room {
                name.to_owned()
            } else {
                name.chars().take(room.saturating_sub(1)).chain(['…']).collect()
            };
            let (x, y) = (from + 3.0, top + 12.0);
            put(out, format_args!("<text x=\"{x:.1}\" y=\"{y}\">{}</text>", escape::html(&short)));
        }
        out.push_str("</g>");
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "letters of a picture's width")]
fn letters(width: f64) -> usize {
    ((width - 6.0) / LETTER).max(0.0) as usize
}

/// Red for what grew, blue for what shrank, in points; full at 5.
fn by_change(points: f64) -> String {
    let strength = (points.abs() / 5.0).min(1.0) * 60.0;
    let (hue, lightness) = if points > 0.0 { (4, 96.0 - strength * 0.55) } else { (212, 96.0 - strength * 0.55) };
    format!("hsl({hue} 85% {lightness:.0}%)")
}

/// The same warm colour for the same name, in every picture.
fn by_name(name: &str) -> String {
    let hash = name.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte));
    format!("hsl({} 80% {}%)", 18 + hash % 36, 68 + hash / 64 % 14)
}

#[cfg(test)]
mod tests;
